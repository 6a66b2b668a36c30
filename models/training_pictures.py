"""The training pictures as validation sees them: for what learns from all at once, and for a baseline on pixels.

A loader of augmented data holds what views are made of, or only the numbers of the pictures: it cannot be asked.
"""
# N pictures, C channels, H height, W width

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FewPictures = Callable[[int], tuple[Tensor, Tensor] | None]  # `few_training_pictures` of a run


def training_set(data: Any, loader: Any) -> tuple[Tensor, Tensor, Tensor]:
    """All training pictures without augmentation, shape (N, C, H, W), their labels (N,), and what they belong to (N,).

    Args:
        data: The data module. With augmentation it offers ``plain(split)`` and ``labels(split)``, and where pictures
            belong together, such as copies or those of one patient, ``units(split)``, a number that these share.
        loader: Of the training; its ``images`` and ``labels`` are taken where the data offer none.
    """
    plain = hasattr(data, "plain")
    images, labels = (data.plain("train"), data.labels("train")) if plain else (loader.images, loader.labels)
    return images, labels, data.units("train") if hasattr(data, "units") else torch.arange(len(labels))


def few_training_pictures(data: Any, loader: Any, most: int) -> tuple[Tensor, Tensor] | None:
    """Pictures and labels of the `training_set`, where there are at most ``most``; None where there are more, or none.

    They cost a byte for each pixel and channel. Where training has seen views of them, `plain` decodes every file once
    more and keeps it for later runs; so they are counted first. A training that is done is not lost for a file that has
    changed meanwhile: what cannot be read is said, and None.
    """
    if not hasattr(data, "plain") and not hasattr(loader, "images"):
        return None
    if len(data.labels("train") if hasattr(data, "plain") else loader.labels) > most:
        return None
    try:
        images, labels, _ = training_set(data, loader)
    except (OSError, ValueError) as error:
        print(f"warning: no nearest neighbour on pixels: {error}", file=sys.stderr, flush=True)
        return None
    return images.cpu(), labels.cpu()
