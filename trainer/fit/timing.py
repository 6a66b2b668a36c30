"""How long epochs take and how many pictures a second are trained on: two numbers an epoch.

A value that is logged at every step with ``on_epoch=True`` costs Lightning about half a millisecond; counting here and
logging once an epoch costs nothing.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


def batch_size(batch: Any) -> int:
    """Number of samples in a batch: the length of its first tensor; 0 if there is none."""
    while not isinstance(batch, torch.Tensor):
        if isinstance(batch, dict):
            batch = next(iter(batch.values()), None)
        elif isinstance(batch, list | tuple) and batch:
            batch = batch[0]
        else:
            return 0
    return len(batch) if batch.ndim else 1


class Timing(Callback):
    """Logs ``time/epoch_s`` (training and validation) and ``sys/images_per_s`` (training alone) once an epoch.

    Also flushes the loggers between epochs. After a resume inside an epoch both count what came after it.
    """

    def __init__(self) -> None:
        self.images = 0
        self._start = self._paused = self._pause_start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that resumes inside an epoch gets no start of that epoch."""
        self._restart()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch before is over, its last metrics too."""
        for logger in trainer.loggers:
            logger.save()
        self._restart()

    def _restart(self) -> None:
        self.images, self._paused, self._start = 0, 0.0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        self.images += batch_size(batch)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training pauses."""
        self._pause_start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training goes on."""
        self._paused += time.perf_counter() - self._pause_start

    def images_per_s(self) -> float:
        """Pictures trained on per second of training in this epoch."""
        seconds = time.perf_counter() - self._start - self._paused
        return self.images * max(1, _world_size()) / seconds if seconds > 0 else 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log both; no rate of an epoch of which no batch was left."""
        pl_module.log("time/epoch_s", time.perf_counter() - self._start)
        if self.images:  # a run that was stopped in a validation goes on with that alone
            pl_module.log("sys/images_per_s", self.images_per_s())


def _world_size() -> int:
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1
