"""Whether a task goes on with a training that a checkpoint holds."""

from lightning.pytorch import LightningModule


def resumes(task: LightningModule) -> bool:
    """Whether the checkpoint that is being loaded is gone on with: not tested, and not used without a trainer."""
    return task._trainer is not None and task.trainer.state.fn == "fit"
