"""Pixels on the scale 0..1, whatever the loader gives."""

import torch
from torch import Tensor


def unit_range(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 in 0..255 as 0..1; pictures that are floating point already lie there. Any shape, the same comes out."""
    return images.to(dtype).div_(255) if images.dtype == torch.uint8 else images
