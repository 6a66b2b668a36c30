"""A folder of tiny pictures and the command line of a small fine-tuning run on it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import models.finetune.policy
from tests.runs import metrics_of, only_run
from trainer.fit.signals import StopOnSignal
from trainer.safe_file import load_checkpoint

BACKBONE = "shufflenet_v2_x0_5"  # the smallest with batch normalisation
SIDE = 32


def make_pictures(root: Path, counts: dict[str, tuple[int, int]] | None = None, tint: int = 90) -> Path:
    """Bluish and reddish noise: so many of each by split, 12 + 8 to train on and 6 of each to validate by default."""
    generator = np.random.default_rng(0)
    for split, numbers in (counts or {"train": (12, 8), "val": (6, 6)}).items():
        for (name, channel), count in zip({"blue": 2, "red": 0}.items(), numbers, strict=True):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 160, (SIDE, SIDE, 3))
                pixels[..., channel] += tint
                Image.fromarray(pixels.astype("uint8")).save(root / split / name / f"{index}.png")
    return root


def words(pictures: Path, root: Path, *more: str, epochs: int = 3) -> list[str]:
    """A small run that trains the whole network, unless ``more`` says otherwise; a head alone takes no epochs.

    Its statistics of normalisation are those before training, as if they had come with weights.
    """
    more = more if "--model.tune" in more else (*more, "--model.tune", "all")
    more = more if "head" in more else (*more, "--epochs", str(epochs))
    more = more if "head" in more or "--model.norm" in more else (*more, "--model.norm", "fixed")
    return [
        "--model", "cnn", "--data", str(pictures), "--data.cache_dir", str(pictures.parent / "cache"),
        "--data.image_size", str(SIDE), "--model.backbone", BACKBONE, "--model.weights", "none", "--root", str(root),
        "--report", "none", "--batch_size", "8", "--device", "cpu", *more,
    ]  # fmt: skip


def run_out_of_memory_once(patch: pytest.MonkeyPatch) -> list[int]:
    """Lets the first step of fine-tuning fail as on a full GPU; the list gets the size of each part tried."""
    loss, sizes = models.finetune.policy.soft_cross_entropy, list[int]()

    def raises_once(*arguments: Any) -> Tensor:
        sizes.append(len(arguments[0]))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(*arguments)

    patch.setattr(models.finetune.policy, "soft_cross_entropy", raises_once)
    return sizes


def metrics(root: Path) -> dict[str, Any]:
    return metrics_of(only_run(root))


def last(root: Path) -> dict[str, Any]:
    return load_checkpoint(only_run(root) / "checkpoints/last.ckpt")


def stop_after(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """Raise SIGTERM's flag after one batch of one epoch, or (batch -1) as the validation of that epoch runs."""
    old_train, old_val = StopOnSignal.on_train_batch_end, StopOnSignal.on_validation_batch_end

    def on_train(self: Any, trainer: Any, task: Any, outputs: Any, data: Any, index: int) -> None:
        if (trainer.current_epoch, index) == (epoch, batch):
            self.signals.received = signal.SIGTERM
        old_train(self, trainer, task, outputs, data, index)

    def on_val(self: Any, trainer: Any, *rest: Any) -> None:
        if batch == -1 and trainer.current_epoch == epoch:
            self.signals.received = signal.SIGTERM
        old_val(self, trainer, *rest)

    monkeypatch.setattr(StopOnSignal, "on_train_batch_end", on_train)
    monkeypatch.setattr(StopOnSignal, "on_validation_batch_end", on_val)
