"""A classifier trained as Lightning's own guide does it: the peer of the training faults.

python -m bench.peers.lightning_example --root FOLDER --epochs 6 --seed 0

A small convolutional network with dropout on scikit-learn's digits, SGD with momentum, a shuffled loader, a seed, a
checkpoint at the end of each epoch and ``last.ckpt`` beside it; resuming is ``ckpt_path``. With ``--monitor`` it is
validated, and the best checkpoint is kept as well. Nothing is switched off.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Classifier(L.LightningModule):
    """Two convolutions, dropout, one linear layer; pictures (N, 1, 8, 8)."""

    def __init__(self, lr: float, width: int = 16) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.network = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * width, 10),
        )  # fmt: skip

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy."""
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Cross-entropy."""
        self.log("val/loss", F.cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with momentum."""
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)


class Announce(L.Callback):
    """Says which epoch begins, and takes its time over it, so that a signal can be sent into it.

    Args:
        pause: Seconds a step.
    """

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Without a pause an epoch would be over before the signal comes."""
        time.sleep(self.pause)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """One line."""
        print(f"epoch {trainer.current_epoch + 1}", flush=True)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Digits with Lightning alone.")
    parser.add_argument("--root", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds a step")
    parser.add_argument("--batches", type=int, help="an epoch")
    parser.add_argument("--log_every", type=int, default=50, help="steps")
    parser.add_argument("--monitor", action="store_true", help="validate, and keep the best")
    options = parser.parse_args()
    L.seed_everything(options.seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    parts: Any = random_split(data, [0.9, 0.1]) if options.monitor else [data]
    training = DataLoader(parts[0], options.batch_size, shuffle=True, drop_last=True)
    validation = DataLoader(parts[1], options.batch_size) if options.monitor else None
    trainer = L.Trainer(
        max_epochs=options.epochs,
        default_root_dir=options.root,
        accelerator=options.device,
        callbacks=[
            ModelCheckpoint(save_last=True, monitor="val/loss" if options.monitor else None),
            Announce(options.pause),
        ],
        limit_train_batches=options.batches,
        log_every_n_steps=options.log_every,
        enable_progress_bar=False,
    )
    trainer.fit(Classifier(options.lr, options.width), training, validation, ckpt_path=options.resume)


if __name__ == "__main__":
    main()
