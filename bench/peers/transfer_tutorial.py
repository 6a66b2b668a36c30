"""The first peer of fine-tuning: the recipe of PyTorch's transfer-learning tutorial, on our backbone and pictures.

python -m bench.peers.transfer_tutorial --data PATH --backbone efficientnet_lite0 --epochs 25 --seed 0

SGD 0.001 with momentum 0.9 on all weights, a tenth of the rate after each 7 epochs, batches of 4, random resized crops
and mirror images, torchvision's transforms on PIL pictures. The tutorial's loaders have 4 processes; on few cores none
is faster.

Source:
    S. Chilamkurthy, Transfer learning for computer vision tutorial, pytorch.org.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from bench.peers.finetuning import accuracy, follow, parser, preprocessing_of, train_epoch

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


def main() -> None:
    """Trains as the tutorial does."""
    arguments = parser("The PyTorch transfer-learning tutorial on any backbone.", 25).parse_args()

    from models.finetune.backbones import build_backbone

    torch.manual_seed(arguments.seed)
    preprocessing = preprocessing_of(arguments.backbone)
    training, validation, classes = loaders(Path(arguments.data).expanduser(), preprocessing, arguments.workers)
    network = build_backbone(arguments.backbone, classes)
    optimiser = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, STEP, GAMMA)

    def epoch(_: int) -> float:
        loss = train_epoch(network, training, optimiser, F.cross_entropy)
        schedule.step()
        return loss

    follow(arguments, epoch, lambda: accuracy(network, validation))


if __name__ == "__main__":
    main()
