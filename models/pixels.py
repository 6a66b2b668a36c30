"""Pixels on the scale 0..1 or normalised, whatever the loader gives, and all the pictures behind it."""

from typing import Any

import torch
from torch import Tensor


def unit_range(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 in 0..255 as 0..1; pictures that are floating point already lie there. Any shape, the same comes out."""
    return images.to(dtype).div_(255) if images.dtype == torch.uint8 else images


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(x − mean) / std per channel, of pictures on the scale 0..1, in the order of memory that they have.

    Where the channels of a pixel are neighbours, a row is one run of W · C numbers, and the constants are spread to
    such a row once: a vector instruction then takes eight numbers, not the three of a pixel. There x/std − mean/std is
    one multiplication and addition, a third of the time, within a few roundings of the formula.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, shape (N, C, H, W).
        mean: Mean per channel, in 0..1, C numbers.
        std: Deviation per channel, C numbers above 0.

    Returns:
        In the type of ``mean``, shape (N, C, H, W).
    """
    batch, channels, height, width = images.shape
    fresh = images.dtype == torch.uint8  # then the numbers are nobody else's, and are changed in place
    if channels > 1 and images.is_contiguous(memory_format=torch.channels_last):
        rows = images.permute(0, 2, 3, 1).reshape(batch, height, width * channels).to(mean.dtype)
        shift, scale = (-mean / std).flatten().repeat(width), (1 / std).flatten().repeat(width)
        rows = torch.addcmul(shift, rows, scale / 255, out=rows) if fresh else torch.addcmul(shift, rows, scale)
        return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
    pixels = unit_range(images, mean.dtype).to(mean.dtype)
    return (pixels.sub_(mean.view(-1, 1, 1)) if fresh else pixels - mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


def pictures_of(loader: Any, most: int | None = None, mixed: bool = False) -> Tensor:
    """The pictures behind a loader, without augmentation where it keeps them, shape (N, C, H, W), on the CPU.

    Args:
        loader: A `TensorLoader` of pictures, or any loader of (pictures, labels), of which an epoch is then taken.
        most: No more pictures than these, the first ones.
        mixed: Whether the first ones have to stand for all. A folder is listed class by class: the pictures of such a
            set are taken in an order drawn once and for all.
    """
    images = getattr(loader, "images", None)
    if isinstance(images, Tensor) and images.ndim == 4:
        if mixed and bool((loader.labels.diff() >= 0).all()):
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:most]
            return images[order.to(images.device)].cpu()
        return images[:most].cpu()
    found: list[Tensor] = []
    for batch in from_the_start(loader):
        found.append(batch[0].cpu())
        if most is not None and sum(map(len, found)) >= most:
            break
    return torch.cat(found)[:most]


def first_pictures(loader: Any) -> Tensor:
    """The first batch of pictures as training will see it, shape (N, C, H, W). Args: a loader of (pictures, labels)."""
    images: Tensor = next(iter(from_the_start(loader)))[0]
    return images


def from_the_start(loader: Any) -> Any:
    """A loader of ours before its first epoch, however far it is; any other as it stands."""
    return loader.from_the_start() if hasattr(loader, "from_the_start") else loader
