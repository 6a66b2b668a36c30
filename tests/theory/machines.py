"""Small Boltzmann machines and pictures for them, the same in every test."""

from __future__ import annotations

import torch
from torch import Tensor

from theory.dbn import Machine


def machine(visible: int = 8, hidden: int = 4, seed: int = 0) -> Machine:
    """Normal weights and biases."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((visible, hidden), (visible,), (hidden,))
    return Machine(*(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes))


def pictures(count: int = 5, visible: int = 8) -> Tensor:
    """Fair coins, shape (count, visible)."""
    return torch.randint(2, (count, visible), generator=torch.Generator().manual_seed(1)).double()
