"""Pixels on the scale 0..1, whatever the loader gives, and all the pictures behind it."""

import copy
from typing import Any

import torch
from torch import Tensor


def unit_range(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 in 0..255 as 0..1; pictures that are floating point already lie there. Any shape, the same comes out."""
    return images.to(dtype).div_(255) if images.dtype == torch.uint8 else images


def pictures_of(loader: Any) -> Tensor:
    """The pictures behind a loader, without augmentation where it keeps them, shape (N, C, H, W), on the CPU.

    Args:
        loader: A `TensorLoader` of pictures, or any loader of (pictures, labels), whose first epoch is then taken.
    """
    images = getattr(loader, "images", None)
    if isinstance(images, Tensor) and images.ndim == 4:
        return images.cpu()
    again = copy.copy(loader)  # its place in the run stays as it is
    if hasattr(again, "sampler"):
        again.sampler = copy.copy(again.sampler)
        again.sampler.epoch = 0
    return torch.cat([batch[0].cpu() for batch in again])
