"""Mixed precision for training alone: what is judged and answered is computed in float32.

bfloat16 has 8 significant bits. In training that noise drowns in that of the batches; in an answer it moves
probabilities by a hundredth, and not always alike: which kernel computes a product depends on how many pictures are
asked about at once, so that a picture alone may get another class than the same picture among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision


class TrainingMixed(MixedPrecision):
    """Lightning's mixed precision in the steps of training; validation, test and prediction know nothing of it."""

    @contextmanager
    def val_step_context(self) -> Iterator[None]:
        """Float32, as the weights are."""
        yield

    @contextmanager
    def test_step_context(self) -> Iterator[None]:
        """Float32, as the weights are."""
        yield

    @contextmanager
    def predict_step_context(self) -> Iterator[None]:
        """Float32, as the weights are."""
        yield


def judge_in_full(trainer: Trainer) -> Trainer:
    """Makes a trainer of mixed precision judge in float32; any other precision stays.

    Args:
        trainer: Before its first run.

    Returns:
        The same trainer.
    """
    mixed = trainer.precision_plugin
    if type(mixed) is MixedPrecision:
        name: Any = mixed.precision
        trainer.strategy.precision_plugin = TrainingMixed(name, mixed.device, mixed.scaler)
    return trainer
