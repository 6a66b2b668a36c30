"""Small networks to attack, pictures of 5×5 pixels to attack them with, and options of a short run."""

from __future__ import annotations

import torch

from models.convnet import CNN
from models.robustness.victim import Victim, linear_victim

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(6, 1, 5, 5, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
VALUES = torch.linspace(0, 1, 5)
QUICK = ["--model.one_pixel_images", "6", "--model.generations", "2", "--model.steps", "3", "--device", "cpu"]


def linear() -> Victim:
    torch.manual_seed(1)
    return linear_victim(3, 1, [5, 5], [0.3], [0.5]).eval()


def network(patch: int = 1, columns: int = 1) -> Victim:
    torch.manual_seed(2)
    victim = Victim(CNN(1, 3, [5, 5], [4], patch=patch, columns=columns), [0.3], [0.5])
    for _ in range(5):  # running statistics that differ from batch to batch
        victim(torch.rand(20, 1, 5, 5))
    return victim.eval().requires_grad_(False)
