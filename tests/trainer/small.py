"""A network, a task and data small enough that a test of the trainer takes a fraction of a second."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from data.batches.draws import Draws
from data.batches.loader import TensorLoader
from trainer.build import make_trainer
from trainer.folder import RunFolder

SEED = 3


class SmallTask(LightningModule):
    """Dropout, Adam and a schedule per step: everything that makes a resume hard.

    Args:
        width: Hidden features.
        nan_from: Step from which the loss is NaN; -1 for never.
        nan_gradient: Make the gradient NaN instead, with a finite loss.
        worse: Log the epoch's number as ``val/loss``, which only gets worse.
    """

    def __init__(self, width: int = 16, nan_from: int = -1, nan_gradient: bool = False, worse: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.width, self.nan_from, self.nan_gradient, self.worse = width, nan_from, nan_gradient, worse
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(width), nn.Linear(width, 3)
        )
        self.order: list[float] = []  # a fingerprint of each batch that was trained on
        self.validated: list[int] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = batch
        self.order.append(float(images.double().sum()))
        loss = F.cross_entropy(self.net(images), labels)
        if 0 <= self.nan_from <= self.global_step:
            loss = loss + torch.sqrt(self.net[1].weight.sum() * 0) if self.nan_gradient else loss * float("nan")
        self.log("train/loss", loss)
        return loss

    def on_validation_start(self) -> None:
        self.total = torch.zeros(())
        self.right = torch.zeros(())
        self.seen = 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        logits = self.net(images)
        self.total += F.cross_entropy(logits, labels, reduction="sum")
        self.right += (logits.argmax(1) == labels).sum()
        self.seen += len(labels)

    def on_validation_epoch_end(self) -> None:
        self.validated.append(self.current_epoch)
        loss = float(self.current_epoch) if self.worse else self.total / self.seen
        self.log_dict({"val/loss": loss, "val/accuracy": self.right / self.seen})

    def test_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        self.log("test/accuracy", (self.net(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.97**step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class SmallData(LightningDataModule):
    """Three clouds of 4×4 pictures.

    Args:
        batches: Training batches of 8 an epoch.
        val_batches: Validation batches of 8; 0 for no validation set.
    """

    def __init__(self, batches: int = 8, val_batches: int = 3) -> None:
        super().__init__()
        self.batches, self.val_batches = batches, val_batches

    def _loader(self, batches: int, seed: int, shuffle: bool) -> TensorLoader:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 3, (batches * 8,), generator=generator)
        images = torch.rand(batches * 8, 1, 4, 4, generator=generator) * 0.7 + labels[:, None, None, None] * 0.1
        return TensorLoader(images, labels, 8, shuffle=shuffle, seed=SEED, augment=noise if shuffle else None)

    def train_dataloader(self) -> TensorLoader:
        return self._loader(self.batches, 0, True)

    def val_dataloader(self) -> Any:
        return self._loader(self.val_batches, 1, False) if self.val_batches else []

    def test_dataloader(self) -> TensorLoader:
        return self._loader(3, 2, False)


def noise(images: Tensor, draws: Draws) -> Tensor:
    """An augmentation that draws."""
    return images + torch.rand(images.shape, generator=draws.generator()) * 0.01


def small_trainer(run: RunFolder, epochs: int = 3, **keywords: Any) -> Trainer:
    """The house's trainer for a few epochs on one CPU process."""
    options = {"max_epochs": epochs, "accelerator": "cpu", "devices": 1, **keywords.pop("options", {})}
    settings: dict[str, Any] = {
        "seed": SEED,
        "monitor": "val/loss",
        "mode": "min",
        "hparams": {"model": "small", "width": 16},
        "house": {"model": "small", "data": "clouds", "recipe": {}, "versions": {}},
        **keywords,
    }
    torch.manual_seed(SEED)
    return make_trainer(run, options, **settings)


def new_run(root: Any) -> RunFolder:
    """A fresh run folder below ``root``."""
    return RunFolder.create(root, "small", "clouds", SEED)


def small_task(**options: Any) -> SmallTask:
    """A task whose first weights are always the same."""
    torch.manual_seed(SEED)
    return SmallTask(**options)
