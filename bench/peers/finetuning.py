"""What the peers of fine-tuning share: their options, one pass of training, and the line of JSON that is read.

The weights of the epoch with the best validation accuracy are what such scripts keep, which makes the best a maximum
over epochs; the last epoch's accuracy is printed beside it and is the one that chose nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def parser(description: str, epochs: int) -> argparse.ArgumentParser:
    """The options of a peer, with its own number of epochs as the default."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--data", required=True, help="folder with train/ and val/")
    options.add_argument("--backbone", default="efficientnet_lite0", help="as for --model.backbone of train.py")
    options.add_argument("--epochs", type=int, default=epochs)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--workers", type=int, default=0, help="loader processes")
    return options


def preprocessing_of(backbone: str) -> dict[str, Any]:
    """Size, crop, interpolation, mean and deviation that came with the weights of a backbone.

    For the usual one 224 pixels and 0.875 of the picture; our recipe takes 288 and 0.9, chosen on folds of the training
    pictures.
    """
    from models.finetune.backbones import build_backbone

    found: dict[str, Any] = build_backbone(backbone, 2, weights="none").preprocessing
    return found


def train_epoch(
    network: nn.Module, batches: Any, optimiser: torch.optim.Optimizer, loss_of: Callable[[Tensor, Tensor], Tensor]
) -> float:
    """One pass of training; the mean loss."""
    network.train()
    total = count = 0.0
    for images, labels in batches:
        optimiser.zero_grad()
        loss = loss_of(network(images), labels)
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


def follow(arguments: argparse.Namespace, epoch: Callable[[int], float], validate: Callable[[], float]) -> None:
    """Trains and prints one line of JSON: accuracies, and seconds of the process's clock and of its processors.

    Args:
        arguments: Of `parser`.
        epoch: One pass of training, from epoch 0, and the step of the schedule after it; gives the mean loss.
        validate: Accuracy of the validation pictures.
    """
    started, processor = time.perf_counter(), time.process_time()
    found: list[float] = []
    for number in range(arguments.epochs):
        epoch_started = time.perf_counter()
        loss = epoch(number)
        found.append(validate())
        seconds = time.perf_counter() - epoch_started
        print(f"epoch {number + 1}: loss {loss:.4f}  val accuracy {found[-1]:.4f}  {seconds:.1f} s", flush=True)
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
