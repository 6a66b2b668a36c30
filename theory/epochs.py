"""Where a run ends that has a number of epochs, of steps, or of both: ⌈steps / steps an epoch⌉ epochs, or fewer."""

import math
from typing import Any


def last_epoch(trainer: Any) -> int | None:
    """Number of the last epoch of a run, from 0, by its epochs or its steps, whichever are fewer; None if time ends it.

    A task that steps its optimisers by hand may take any number of steps a batch: its epochs alone count. So they do
    until the batches of an epoch are known, at the start of the training.

    Args:
        trainer: Says ``max_epochs`` and, where it knows them, ``max_steps``, ``num_training_batches``,
            ``accumulate_grad_batches`` and its ``lightning_module``.
    """
    ends = [] if trainer.max_epochs in (None, -1) else [trainer.max_epochs]
    batches, task = getattr(trainer, "num_training_batches", math.inf), getattr(trainer, "lightning_module", None)
    by_hand = task is not None and not task.automatic_optimization
    if getattr(trainer, "max_steps", -1) > 0 and 0 < batches < math.inf and not by_hand:
        each = -(-batches // trainer.accumulate_grad_batches)  # an epoch's last step may be of fewer batches
        ends.append(-(-trainer.max_steps // each))
    return int(min(ends)) - 1 if ends else None
