"""What a task asks of the run around it when a checkpoint is gone on with."""

from typing import Any

from lightning.pytorch import LightningModule


def resumes(task: LightningModule) -> bool:
    """Whether the checkpoint that is being loaded is gone on with: not tested, and not used without a trainer."""
    return task._trainer is not None and task.trainer.state.fn == "fit"


def training_loader(task: LightningModule) -> Any:
    """The loader of the training samples, also where a resumed run has nothing left to train: Lightning makes none."""
    return task.trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
