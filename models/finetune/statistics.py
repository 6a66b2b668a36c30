"""Statistics of batch normalisation, taken afresh before they are used.

A network that learns with the mean and variance of each batch keeps a running mean of them for later, which lags behind
the weights: after few steps, or with the momentum of 0.01 that some networks come with, it belongs to weights that are
long gone, and the error grows from layer to layer. A network that classifies its training pictures well is then
validated at chance. So the weights that are about to be validated or kept, averaged ones too, get the statistics of
some batches of training views that go through them now.

Source:
    Wu, Johnson (2021), Rethinking "Batch" in BatchNorm, section 3 (PreciseBN); Izmailov and others (2018), Averaging
    weights leads to wider optima, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.finetune.averaging import WeightAverage

MOST_BATCHES = 16


def learning_statistics(network: nn.Module) -> list[nn.Module]:
    """The normalisation layers whose running statistics follow the batches now: those that are in training mode."""
    return [m for m in network.modules() if getattr(m, "running_mean", None) is not None and m.training]


@torch.no_grad()
def take_statistics(layers: Sequence[Any], forward: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
    """Gives layers the mean over batches of what each of these shows them.

    Every layer sees what those before it make of the batch by its own statistics, as in training. All else stays in the
    mode it has.

    Args:
        layers: Batch normalisations of the network.
        forward: Sends a batch through the network.
        batches: Pictures as ``forward`` takes them; at least one batch.
    """
    before = [(layer.momentum, layer.training) for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
            layer.train()
        for batch in batches:
            forward(batch)
    finally:
        for layer, (momentum, training) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.train(training)


class FreshStatistics(Callback):
    """Takes the statistics before each validation and, where there was none, at the end of the epoch.

    It depends on the weights alone, not on the place in the run: a resumed run takes the same ones.

    Args:
        parts: Into how many parts memory forces a batch at present.
        average: What swaps the averaged weights in; its turn comes before this one's.
    """

    def __init__(self, parts: Callable[[], int], average: WeightAverage | None) -> None:
        self.parts, self.average = parts, average
        self.layers: list[nn.Module] = []
        self._fresh = False

    def follow(self, network: nn.Module) -> None:
        """Remembers which layers learn; to be called when the network is in the mode of the epoch."""
        self.layers = learning_statistics(network)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The weights have moved on."""
        self._fresh = False

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The weights to be validated, averaged ones if there are any, are in their place."""
        if trainer.state.fn == "fit":
            self._take(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The weights to be kept, in an epoch without validation."""
        if self._fresh:
            return
        if self.average is None:
            self._take(trainer, pl_module)
        else:
            with self.average.in_place(pl_module):
                self._take(trainer, pl_module)

    def _take(self, trainer: Trainer, task: Any) -> None:
        self._fresh = True
        if not self.layers:
            return
        loader: Any = trainer.train_dataloader

        def forward(images: Tensor) -> None:
            for part in images.to(task.device).chunk(self.parts()):
                task.network.forward(task.normalise(part))  # as it is written, were it compiled

        modes = [(module, module.training) for module in task.network.modules()]
        task.network.eval()
        with trainer.precision_plugin.val_step_context():
            take_statistics(
                self.layers, forward, (images for images, _ in islice(loader.views(1, shuffle=True), MOST_BATCHES))
            )
        for module, training in modes:
            module.training = training
