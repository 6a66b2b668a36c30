"""Pictures of noise, and one affine map from plain numbers."""

import torch
from torch import Tensor

from data.batches.warp import affine_matrices


def random_bytes(num: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num, channels, height, width), generator=generator, dtype=torch.uint8)


def matrices(angle: float = 0, scale: float = 1, shear: float = 0, shift: tuple[float, float] = (0, 0)) -> Tensor:
    numbers = (torch.tensor([float(value)]) for value in (angle, scale, shear))
    return affine_matrices(*numbers, torch.tensor([shift], dtype=torch.float32))
