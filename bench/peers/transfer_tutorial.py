"""The peer of fine-tuning: the recipe of PyTorch's transfer-learning tutorial, on the same backbone and pictures.

python -m bench.peers.transfer_tutorial --data PATH --backbone efficientnet_lite0 --epochs 25 --seed 0

SGD 0.001 with momentum 0.9 on all weights, a tenth of the rate after each 7 epochs, batches of 4, random resized crops
and mirror images, torchvision's transforms on PIL pictures. As in the tutorial the weights of the epoch with the best
validation accuracy are kept, which makes its best a maximum over epochs; the last epoch's accuracy is printed beside
it and is the one that chose nothing.

Source:
    S. Chilamkurthy, Transfer learning for computer vision tutorial, pytorch.org.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH, LR, MOMENTUM, STEP, GAMMA = 4, 0.001, 0.9, 7, 0.1


def loaders(data: Path, preprocessing: dict[str, Any], workers: int) -> tuple[Any, Any, int]:
    """The tutorial's loaders: ImageFolder with torchvision's transforms; and the number of classes."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    side = preprocessing["image_size"][0]
    end = [transforms.ToTensor(), transforms.Normalize(preprocessing["mean"], preprocessing["std"])]
    train = transforms.Compose([transforms.RandomResizedCrop(side), transforms.RandomHorizontalFlip(), *end])
    whole = round(side / preprocessing["crop_fraction"])
    val = transforms.Compose([transforms.Resize(whole), transforms.CenterCrop(side), *end])
    pictures = ImageFolder(str(data / "train"), train)
    training = DataLoader(pictures, BATCH, shuffle=True, num_workers=workers)
    validation = DataLoader(ImageFolder(str(data / "val"), val), BATCH, num_workers=workers)
    return training, validation, len(pictures.classes)


def train_epoch(network: nn.Module, batches: Any, optimiser: torch.optim.Optimizer) -> float:
    """One pass of training; the mean loss."""
    network.train()
    total = count = 0.0
    for images, labels in batches:
        optimiser.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


@torch.no_grad()
def accuracy(network: nn.Module, batches: Any) -> float:
    """Share of the pictures classified rightly."""
    network.eval()
    right: list[Tensor] = [network(images).argmax(1) == labels for images, labels in batches]
    return float(torch.cat(right).float().mean())


def main() -> None:
    """Trains and prints one line of JSON: accuracies, and seconds of the process's clock and of its processors."""
    parser = argparse.ArgumentParser(description="The PyTorch transfer-learning tutorial on any backbone.")
    parser.add_argument("--data", required=True, help="folder with train/ and val/")
    parser.add_argument("--backbone", default="efficientnet_lite0", help="as for --model.backbone of train.py")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="loader processes; the tutorial's are 4")
    arguments = parser.parse_args()

    from models.finetune.backbones import build_backbone

    torch.manual_seed(arguments.seed)
    preprocessing = build_backbone(arguments.backbone, 2, weights="none").preprocessing
    training, validation, classes = loaders(Path(arguments.data).expanduser(), preprocessing, arguments.workers)
    network = build_backbone(arguments.backbone, classes)
    optimiser = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, STEP, GAMMA)
    started, processor = time.perf_counter(), time.process_time()
    found: list[float] = []
    for epoch in range(arguments.epochs):
        epoch_started = time.perf_counter()
        loss = train_epoch(network, training, optimiser)
        schedule.step()
        found.append(accuracy(network, validation))
        seconds = time.perf_counter() - epoch_started
        print(f"epoch {epoch + 1}: loss {loss:.4f}  val accuracy {found[-1]:.4f}  {seconds:.1f} s", flush=True)
    record = {
        "backbone": arguments.backbone,
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "val_accuracy_last": found[-1],
        "val_accuracy_best": max(found),
        "epochs_to_best": found.index(max(found)) + 1,
        "seconds": round(time.perf_counter() - started, 2),
        "seconds_per_epoch": round((time.perf_counter() - started) / arguments.epochs, 3),
        "processor_seconds": round(time.process_time() - processor, 2),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
