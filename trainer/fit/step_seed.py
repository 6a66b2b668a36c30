"""Random numbers as a function of where a run stands, so that nothing depends on how many were drawn before."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from theory.seeds import mix_seed


class StepSeed(Callback):
    """Seeds the global generators before each training batch, and before each evaluation, from the position alone.

    The position is (epoch, batch), not the optimiser's step count: a task that steps several optimisers in a batch, or
    none, still draws new numbers for each batch. Several processes draw different ones.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _seed(self, trainer: Trainer, batch: int) -> None:
        number = mix_seed(self.seed, trainer.current_epoch, batch, trainer.global_rank)
        _seed_generators(number, alone=trainer.strategy.root_device.type == "cpu")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the loaders their place back."""
        # A schedule that asks for trainer.estimated_stepping_batches makes Lightning build the loaders before the
        # checkpoint's state is there, and it does not restore them later. Done already, this call does nothing.
        trainer.fit_loop._load_combined_loader_states()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed this batch."""
        self._seed(trainer, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed this validation; the one after batch k has a stream of its own."""
        self._seed(trainer, -2 - trainer.fit_loop.batch_idx)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the test; its numbers do not depend on the training before it."""
        _seed_generators(mix_seed(self.seed, -1), alone=False)


def _seed_generators(number: int, alone: bool) -> None:
    """Seeds those that everybody draws from: Python's, NumPy's, and torch's on a CPU ``alone`` or on every device."""
    if alone:
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)
    random.seed(number)
    numpy.random.seed(number % 2**32)  # noqa: NPY002 - for the code of others, which draws from it
