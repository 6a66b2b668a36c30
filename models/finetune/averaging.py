"""A running average of the weights, which is what is validated, kept as best and tested.

    average <- d_n average + (1 - d_n) weights      after step n,    d_n = min(decay, (1 + n) / (10 + n))

The noise of single steps averages out. Early on the average is short, so that it does not remember the start: with a
few hundred steps a constant decay of 0.9998 would still consist of it.

Lightning's `EMAWeightAveraging` (2.6) saves the two sets the wrong way round when a signal stops the run during
validation, and hands the unaveraged weights to the test of the same process; hence this one.

Source:
    Polyak, Juditsky (1992), Acceleration of stochastic approximation by averaging; Tarvainen, Valpola (2017), Mean
    teachers; the warm-up of d_n is that of TensorFlow's ExponentialMovingAverage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


def decay_at(step: int, decay: float) -> float:
    """Share of the old average that stays after ``step`` earlier updates; 0 <= step."""
    return min(decay, (1 + step) / (10 + step))


class WeightAverage(Callback):
    """Averages the weights and floating-point buffers of a task while it is trained.

    Args:
        decay: In (0, 1).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self._current: dict[str, Tensor] = {}  # the task's own tensors under the same names
        self.updates = 0
        self._step = 0
        self._swapped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning reads a checkpoint before it moves the task to its device; the average follows here."""
        self.average = {name: value.to(pl_module.device) for name, value in self.average.items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One update for each optimiser step."""
        self._update(trainer, pl_module)

    def _update(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._current = self._current or floating(pl_module)
        if not self.average:
            self.average = {name: value.clone() for name, value in self._current.items()}
        else:
            share = 1 - decay_at(self.updates, self.decay)
            torch._foreach_lerp_(list(self.average.values()), list(self._current.values()), share)
        self.updates += 1

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if trainer.state.fn == "fit" and self.average:
            self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train on with the weights."""
        if self._swapped:
            self._swap(pl_module)

    @contextmanager
    def in_place(self, pl_module: LightningModule) -> Iterator[None]:
        """The average, if there is one yet, is the task's inside."""
        if not self.average:
            yield
            return
        self._swap(pl_module)
        try:
            yield
        finally:
            self._swap(pl_module)

    def _swap(self, pl_module: LightningModule) -> None:
        current = floating(pl_module)
        for name, value in current.items():
            kept = value.clone()
            value.copy_(self.average[name])
            self.average[name].copy_(kept)
        self._swapped = not self._swapped

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """``state_dict`` is the average, which predicts; the weights that are trained on lie beside it."""
        if not self._swapped:
            self._update(trainer, pl_module)  # a signal may save after the step and before this callback's turn
        if not self.average:
            return
        state: dict[str, Tensor] = checkpoint["state_dict"]
        present = {name: state[name] for name in self.average}
        average, trained = (present, self.average) if self._swapped else (self.average, present)
        checkpoint["averaging"] = {"trained": dict(trained), "updates": self.updates, "step": self._step}
        state.update(average)  # in place: torchvision's MNASNet asks for the version that the dictionary carries

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with both."""
        if trainer.state.fn != "fit" or "averaging" not in checkpoint:
            return
        current = floating(pl_module)
        kept = checkpoint["averaging"]
        self.updates, self._step = kept["updates"], kept["step"]
        trained: dict[str, Tensor] = kept["trained"]
        self.average = {name: checkpoint["state_dict"][name].to(current[name].device).clone() for name in trained}
        for name, value in trained.items():
            current[name].copy_(value)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The average is the result."""
        if self.average:
            self._swap(pl_module)
            self._swapped = False
            self.average, self._current = {}, {}


def floating(module: torch.nn.Module) -> dict[str, Tensor]:
    """The stored floating-point tensors of a module by name, sharing its memory."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
