"""Stops a run that learns nothing because no step of an epoch gave a loss: it would end with a result all the same."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from trainer.errors import RunFailed
from trainer.fit.joined import from_all


class LossGuard(Callback):
    """Counts the batches of an epoch, and those that gave a loss; a task that steps by hand need give none."""

    def __init__(self) -> None:
        self._batches = self._losses = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """What a step without a loss gave is empty."""
        self._batches += 1
        self._losses += bool(outputs)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the checkpoints are written.

        Raises:
            RunFailed: If there were batches and no loss, in any process.
        """
        batches, losses = (sum(counts) for counts in zip(*from_all((self._batches, self._losses)), strict=True))
        self._batches = self._losses = 0
        if pl_module.automatic_optimization and batches and not losses:
            raise RunFailed(
                f"stopped in epoch {trainer.current_epoch + 1}: training_step gave no loss for any of its {batches} "
                "batches, so nothing was learned"
            )
