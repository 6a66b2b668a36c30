"""Pictures as visible units: their scale, their means, and whether they are black and white.

Letters: N pictures, C colours, H height, W width, V = C·H·W.
"""

from typing import Any

import torch
from torch import Tensor

from models.pixels import first_pictures, unit_range

_PART = 5000  # pictures at a time: a whole set in float32 would take four times its memory


def unit_pixels(images: Tensor) -> Tensor:
    """Pixels in [0, 1], a row a picture.

    Args:
        images: uint8 in 0..255 or floating point in [0, 1], shape (N, C, H, W).

    Returns:
        float32, shape (N, V).

    Raises:
        ValueError: If values lie outside [0, 1]; the message names their range.
    """
    flat = unit_range(images.flatten(1))
    if flat.numel() and not bool((flat.amin() >= 0) & (flat.amax() <= 1)):
        raise ValueError(
            f"a binary machine needs values in [0, 1], the probabilities of its units; "
            f"found {float(flat.amin()):.4g} to {float(flat.amax()):.4g}"
        )
    return flat.float()


def are_grey(v: Tensor) -> bool:
    """Whether a pixel lies between 0 and 1: what a binary unit cannot hold, and must be drawn. Any shape."""
    return bool(((v > 0) & (v < 1)).any())


def grey_in_training(loader: Any, pixels_seed: int) -> bool:
    """Whether pixels must be drawn as 0 and 1, as the first batch of training shows.

    Args:
        loader: Of (pictures, labels), for training.
        pixels_seed: Seed with which grey pixels of other parts would be drawn.

    Raises:
        ValueError: If a seed was given and there is nothing to draw.
    """
    grey = are_grey(unit_pixels(first_pictures(loader)))
    if pixels_seed and not grey:
        raise ValueError(
            f"--model.pixels_seed is only for grey pixels, got {pixels_seed}; these are black and white already"
        )
    return grey


def pixel_means(images: Tensor) -> Tensor:
    """Mean of each pixel over the pictures, shape (V,)."""
    total = sum(unit_pixels(part).sum(0, dtype=torch.float64) for part in images.split(_PART))
    assert isinstance(total, Tensor)
    return (total / len(images)).float()
