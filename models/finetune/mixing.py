"""Mixup and CutMix: training pictures made of two, with the label shared in the same proportion.

    mixup    x = share * x_i + (1 - share) * x_j                      share ~ Beta(alpha, alpha)
    cutmix   x = x_i outside a box, x_j inside                        share = what the box leaves of the area
    both     y = share * y_i + (1 - share) * y_j

Between two training pictures the network is asked to be linear; it grows less certain where it has seen nothing. What
it gets right on such pictures says nothing about accuracy, so no training accuracy is reported for them.

Source:
    Zhang, Cisse, Dauphin, Lopez-Paz (2018), mixup: beyond empirical risk minimization.
    Yun et al. (2019), CutMix.
"""
# N batch, C channels, H height, W width, K classes

from __future__ import annotations

import math

import torch
from torch import Tensor


def beta(alpha: float) -> float:
    """One draw of Beta(alpha, alpha) from torch's generator."""
    first, second = torch._standard_gamma(torch.tensor([alpha, alpha], dtype=torch.float64)).tolist()
    return first / (first + second) if first + second else 0.5


def box(height: int, width: int, share: float, row: float, column: float) -> tuple[int, int, int, int]:
    """The box that CutMix replaces: centred anywhere, of area about 1 - share, cut at the border.

    Args:
        height: H.
        width: W.
        share: Share of the picture that stays, in [0, 1].
        row: Centre in [0, 1).
        column: Centre in [0, 1).

    Returns:
        top, bottom, left, right in pixels.
    """
    half_height, half_width = (side * math.sqrt(1 - share) / 2 for side in (height, width))
    top, bottom = (round(min(max(row * height + half, 0), height)) for half in (-half_height, half_height))
    left, right = (round(min(max(column * width + half, 0), width)) for half in (-half_width, half_width))
    return top, bottom, left, right


def mix(
    images: Tensor, targets: Tensor, mixup: float, cutmix: float, order: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A batch mixed with itself in another order.

    Args:
        images: Floating point, shape (N, C, H, W).
        targets: Probabilities, shape (N, K).
        mixup: alpha of mixup; 0 for none.
        cutmix: alpha of CutMix; 0 for none. With both, each batch gets one of them.
        order: Partner of each picture, shape (N,); drawn without it.

    Returns:
        Pictures and targets of the same shapes.
    """
    if not mixup and not cutmix:
        return images, targets
    order = torch.randperm(len(images)).to(images.device) if order is None else order
    cut = bool(cutmix) and (not mixup or float(torch.rand(())) < 0.5)
    share = beta(cutmix if cut else mixup)
    if cut:
        height, width = images.shape[-2:]
        top, bottom, left, right = box(height, width, share, *torch.rand(2).tolist())
        images = images.clone()
        images[..., top:bottom, left:right] = images[order, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    else:
        images = images.lerp(images[order], 1 - share)
    return images, targets.lerp(targets[order], 1 - share)


def described(mixup: float, cutmix: float, off_epochs: int) -> str:
    """The choice in words, such as ``mixup (alpha 0.2), not in the last epoch``; empty for none.

    Args:
        mixup: Its alpha; 0 for none.
        cutmix: Its alpha; 0 for none.
        off_epochs: Last epochs without.
    """
    ways = [f"{name} (alpha {alpha:g})" for name, alpha in (("mixup", mixup), ("CutMix", cutmix)) if alpha]
    end = "" if not off_epochs else f", not in the last {'epoch' if off_epochs == 1 else f'{off_epochs} epochs'}"
    return " or ".join(ways) + end if ways else ""
