"""A folder of pictures, fine-tuned and used as Lightning's own guide does it: the peer where faults need pictures.

python -m bench.peers.lightning_pictures --data FOLDER --root FOLDER --epochs 6 --seed 0
python -m bench.peers.lightning_pictures --predict FOLDER --resume CHECKPOINT --out predictions.csv

torchvision's ``ImageFolder`` for train/ and val/, loaders with processes of their own, a backbone that
``BackboneFinetuning`` sets free after an epoch, ``save_hyperparameters`` so that the checkpoint knows its classes,
``ModelCheckpoint(save_last=True)``; to predict, ``load_from_checkpoint`` and ``Trainer.predict``.

Source:
    Lightning's documentation, "Finetune", "Deploy models into production", and the example
    ``computer_vision_fine_tuning.py``.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import shufflenet_v2_x0_5

from bench.peers.lightning_example import Announce

SHAPE = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])


class Classifier(L.LightningModule):
    """A small network of torchvision's from a random start; pictures (N, 3, 32, 32)."""

    def __init__(self, class_names: list[str], lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.class_names, self.lr = class_names, lr
        network = shufflenet_v2_x0_5(weights=None)
        self.head = nn.Linear(network.fc.in_features, len(class_names))
        network.fc = nn.Identity()
        self.backbone = network

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.head(self.backbone(images))
        return scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Share of the pictures that are classified rightly."""
        self.log("val/accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean())

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The number of the class."""
        return self(batch).argmax(1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on what learns already; the callback adds the rest when it is due."""
        return torch.optim.Adam([each for each in self.parameters() if each.requires_grad], self.lr)


class Mortal(ImageFolder):
    """Its third picture kills the worker that reads it."""

    def __getitem__(self, index: int) -> Any:
        if index == 3 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Files(Dataset[Tensor]):
    """The files of a folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(path for path in folder.rglob("*") if path.is_file())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        picture: Tensor = SHAPE(Image.open(self.paths[index]).convert("RGB"))
        return picture


def train(options: argparse.Namespace, trainer: L.Trainer) -> None:
    """Fit; the accuracy of the last validation is printed."""
    folder = Mortal if options.mortal else ImageFolder
    pictures = folder(str(Path(options.data, "train")), SHAPE)
    shuffle = not options.in_order
    training = DataLoader(pictures, options.batch_size, shuffle=shuffle, num_workers=options.workers)
    validation = DataLoader(ImageFolder(str(Path(options.data, "val")), SHAPE), 64, num_workers=options.workers)
    trainer.fit(Classifier(pictures.classes, options.lr), training, validation, ckpt_path=options.resume)
    print(f"val/accuracy {float(trainer.callback_metrics['val/accuracy']):.6f}")


def predict(options: argparse.Namespace, trainer: L.Trainer) -> None:
    """One row a file."""
    model, files = Classifier.load_from_checkpoint(options.resume), Files(Path(options.predict))
    found: Any = trainer.predict(model, DataLoader(files, 64, num_workers=options.workers))
    with open(options.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows(zip(files.paths, (model.class_names[each] for each in torch.cat(found).tolist()), strict=True))


def main() -> None:
    """Train or predict."""
    parser = argparse.ArgumentParser(description="Pictures with Lightning alone.")
    parser.add_argument("--data")
    parser.add_argument("--root", default=".")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="processes of a loader")
    parser.add_argument("--resume", help="checkpoint")
    parser.add_argument("--predict", metavar="FOLDER")
    parser.add_argument("--out", metavar="FILE")
    parser.add_argument("--in_order", action="store_true", help="do not shuffle")
    parser.add_argument("--mortal", action="store_true", help="a worker is killed")
    options = parser.parse_args()
    L.seed_everything(options.seed)
    trainer = L.Trainer(
        max_epochs=options.epochs,
        default_root_dir=options.root,
        accelerator="cpu",
        callbacks=[ModelCheckpoint(save_last=True), BackboneFinetuning(1), Announce(0.02)],
        enable_progress_bar=False,
    )
    (predict if options.predict else train)(options, trainer)


if __name__ == "__main__":
    main()
