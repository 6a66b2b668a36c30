"""What is said of a step of several batches: an epoch that is no multiple of them ends with a smaller step.

Lightning divides the loss of every batch by the number of batches of a step, so the gradient of an incomplete step is
smaller than its mean by the share of batches that are missing.
"""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from trainer.notice import notice


def in_a_step(batch: int, together: int, count: int) -> str:
    """How many samples a step sees, where it sees several batches: no more than there are."""
    samples = batch * together
    said = f"{batch} × {together} batches a step = {samples} samples"
    return (
        said if not 0 < count < samples else f"{batch} × {together} batches a step, all {count:,} samples of an epoch"
    )


class Accumulation(Callback):
    """Says once, before training, that the last step of an epoch is smaller than the others."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The number of batches is known now."""
        together, batches = trainer.accumulate_grad_batches, trainer.num_training_batches
        if together == 1 or not pl_module.automatic_optimization or not trainer.is_global_zero:
            return
        if batches < float("inf") and (rest := int(batches) % together):
            notice(
                f"note: {batches} batches an epoch are no multiple of --trainer.accumulate_grad_batches {together}: "
                f"the last step of each epoch is of {rest}, and its gradient counts {rest}/{together}"
            )
