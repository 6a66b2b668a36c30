"""How weights and gradients are spread, as histograms over the epochs.

The gradient is that of an epoch's last step. It lies in ``.grad`` until Lightning clears it for the validation, so it
is read after the last batch; the batches of other epochs pay nothing.
"""
# P numbers of a layer

from __future__ import annotations

import math
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

MOST_EPOCHS = 10  # that are shown
MOST_LAYERS = 50
MOST_NUMBERS = 20_000  # of a layer; evenly taken they show the same shape
BINS = 30  # what TensorBoard draws; ``add_histogram`` counts 1,500 of them in 3 ms


def shown_epoch(epoch: int, epochs: int | None) -> bool:
    """Whether an epoch is shown: the last one, and others evenly spread before it, at most `MOST_EPOCHS` in all.

    Args:
        epoch: Counted from 1.
        epochs: Number of epochs; None or -1 where that is open: then 1, 2, 4, 8, … are shown.
    """
    if epochs is None or epochs < 0:
        return epoch & (epoch - 1) == 0
    return epoch == epochs or epoch % math.ceil(epochs / MOST_EPOCHS) == 0


def layers(task: LightningModule) -> list[tuple[str, Tensor]]:
    """Name and weights of at most `MOST_LAYERS` layers, evenly taken; a bias and a norm are left out.

    Names go without what all have in common, such as ``network.``, and without ``.weight``.
    """
    weights = [(name, value) for name, value in task.named_parameters() if value.ndim > 1]
    weights = weights or list(task.named_parameters())
    heads = {name.partition(".")[0] if "." in name else "" for name, _ in weights}
    common = f"{heads.pop()}." if len(heads) == 1 else ""
    chosen = weights[:: max(1, math.ceil(len(weights) / MOST_LAYERS))]
    return [(name.removeprefix(common).removesuffix(".weight"), value) for name, value in chosen]


def some(values: Tensor) -> Any:
    """At most `MOST_NUMBERS` of them, evenly taken, in double precision, shape (P,)."""
    flat = values.detach().flatten()
    return flat[:: max(1, math.ceil(len(flat) / MOST_NUMBERS))].cpu().double().numpy()


def write_histogram(writer: Any, tag: str, values: Tensor, step: int) -> None:
    """Writes how they are spread; nothing where there are none, or one is not finite, which no chart can draw."""
    numbers = some(values)
    if not numbers.size or not np.isfinite(numbers @ numbers):
        return
    low, high = numbers.min(), numbers.max()
    least = max(1e-9 * np.abs(numbers).max(), 1e-30)  # a narrower range has no room for so many edges
    low, high = (low, high) if high - low >= least else (low - least, high + least)
    counts, edges = np.histogram(numbers, BINS, (low, high))
    writer.add_histogram_raw(
        tag,
        min=float(edges[0]),
        max=float(edges[-1]),
        num=numbers.size,
        sum=float(numbers.sum()),
        sum_squares=float(numbers @ numbers),
        bucket_limits=edges[1:].tolist(),
        bucket_counts=counts.tolist(),
        global_step=step,
    )


class Histograms(Callback):
    """Writes ``weights/<layer>`` and ``gradients/<layer>`` after the last batch of at most `MOST_EPOCHS` epochs."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the last batch alone: its gradients are still there."""
        if not (trainer.is_last_batch and trainer.is_global_zero):
            return
        writer: Any = getattr(trainer.logger, "experiment", None)
        if writer is None or not shown_epoch(trainer.current_epoch + 1, trainer.max_epochs):
            return
        step = trainer.fit_loop.epoch_loop._batches_that_stepped  # as all else of this epoch: its last batch's number
        for name, weight in layers(pl_module):
            write_histogram(writer, f"weights/{name}", weight, step)
            if weight.grad is not None:
                write_histogram(writer, f"gradients/{name}", weight.grad, step)
