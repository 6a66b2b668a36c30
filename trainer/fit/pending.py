"""A checkpoint that is written while a validation is due: a resume repeats that validation from its first batch."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

_PROGRESS = "epoch_loop.val_loop.batch_progress"
_NOTHING = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
_BEGUN = {**_NOTHING, "ready": 1, "started": 1}


class RepeatValidation(Callback):
    """Marks a checkpoint that is saved in a validation of a training, whose sums it cannot hold."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The validation has begun with no batch done: then Lightning runs all of it after the resume."""
        if trainer.state.fn == "fit" and trainer.validating:
            progress = {"total": dict(_BEGUN), "current": dict(_NOTHING), "is_last_batch": False}
            checkpoint["loops"]["fit_loop"][_PROGRESS] = progress


def validation_pending(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was marked so."""
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get(_PROGRESS, {})
    return progress.get("total") == _BEGUN and progress.get("current") == _NOTHING
