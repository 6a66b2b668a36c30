"""Views of the same picture, whose mean probability is asked for when one look is not trusted.

Source:
    Krizhevsky, Sutskever, Hinton (2012), ImageNet classification with deep convolutional neural networks, section 4.1
    (ten views: five shifts and their mirror images).
"""
# V views, N pictures, K classes, C channels, H height, W width

import math
from typing import Any

import torch
from torch import Tensor

from models.classification.targets import at_least_single

# (down, right) in steps: the picture itself, then its neighbours, the nearer first.
SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
STEP_SHARE = 28  # a step is a 28th of the side: a pixel of MNIST, 8 of 224


def most_views(mirror: bool) -> int:
    """How many views there are, with mirror images or without."""
    return len(SHIFTS) * (2 if mirror else 1)


def picture_views(images: Tensor, count: int, mirror: bool) -> list[Tensor]:
    """The pictures themselves, then shifted ones; with ``mirror`` each is followed by its mirror image.

    Args:
        images: Shape (N, C, H, W), of any type.
        count: Views, at least 1.
        mirror: Whether left and right may be exchanged.

    Returns:
        ``count`` tensors of that shape; what a shift uncovers repeats the edge.

    Raises:
        ValueError: If there are not so many views.
    """
    if not 1 <= count <= most_views(mirror):
        raise ValueError(f"the number of views must be in 1..{most_views(mirror)}, got {count}")
    views = []
    for down, right in SHIFTS:
        view = shift(images, down, right)
        views += [view, view.flip(-1)] if mirror else [view]
    return views[:count]


def logits_of(task: Any, images: Tensor, views: str = "one") -> Tensor:
    """Logits (N, K) of a classifier's task, averaged over ``--model.views`` where it has ``outputs`` for that.

    Args:
        task: Its ``outputs(images, views)`` give features and logits; without them its ``forward`` gives logits.
        images: Prepared pictures, uint8, shape (N, C, H, W).
        views: As `further_views` takes them.
    """
    logits: Tensor = task.outputs(images, views)[1] if hasattr(task, "outputs") else task(images)
    return logits.float()


def log_mean_probability(logits: Tensor) -> Tensor:
    """Logarithm of the mean probability over the views, finite also where that rounds to 0.

    Args:
        logits: Shape (V, N, K).

    Returns:
        float32, or float64 for such logits, shape (N, K).
    """
    return at_least_single(logits).log_softmax(2).logsumexp(0) - math.log(len(logits))


def further_views(images: Tensor, views: str) -> list[Tensor]:
    """Those that `--model.views` averages beside the pictures themselves.

    Args:
        images: Shape (N, C, H, W).
        views: ``one`` for none, ``shift`` for the four neighbours, ``mirror`` for the mirror image.
    """
    if views == "mirror":
        return [images.flip(-1)]
    return picture_views(images, 5, mirror=False)[1:] if views == "shift" else []


def shift(images: Tensor, down: int, right: int) -> Tensor:
    """Pictures (N, C, H, W) moved by so many steps of a 28th of their sides, at least a pixel each."""
    height, width = images.shape[-2:]
    rows = torch.arange(height) - down * max(1, round(height / STEP_SHARE))
    columns = torch.arange(width) - right * max(1, round(width / STEP_SHARE))
    rows, columns = rows.clamp(0, height - 1).to(images.device), columns.clamp(0, width - 1).to(images.device)
    return images.index_select(-2, rows).index_select(-1, columns)
