"""The worst small change of an input: exact for linear classifiers, bounded for others.

The margin m(x) = z_y(x) - max_{j≠y} z_j(x) is positive iff x is classified as y. An adversary may move x within a set
and wants m < 0. For logits z = W x + b and one rival j, with w = W_y - W_j, the least margin over a set is closed form:

    ‖δ‖_∞ ≤ ε                    m - ε ‖w‖₁       at δ = -ε sign(w), the step of FGSM
    ‖δ‖_2 ≤ ε                    m - ε ‖w‖₂
    one pixel in [low, high]     m - max_i max(w_i (x_i - low), w_i (x_i - high))
    box: low_i ≤ x_i ≤ high_i    w·centre - |w|·radius + b

A linear function is least at a corner, hence the box; the least over the rivals j is the least margin. The drop
ε ‖w‖₁ grows with the number of pixels while ‖δ‖_∞ does not: this is why small changes suffice.

Symbols: W weight (K, D); z logits; ε size of the change; D pixels, K classes.

Sources:
    Goodfellow, Shlens, Szegedy (2015), Explaining and harnessing adversarial examples, sections 3 and 5.
    Su, Vargas, Sakurai (2019), One pixel attack for fooling deep neural networks.
    Gowal et al. (2018), On the effectiveness of interval bound propagation, section 3.
"""

# N batch, D pixels, K classes

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 256  # pictures at once: w of 256 pictures, 10 classes and 784 pixels takes 16 MB


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y - max_{j≠y} z_j, shape (N,). Args: logits (N, K) with K at least 2; labels (N,)."""
    own = logits.gather(1, labels[:, None])[:, 0]
    rivals = logits.scatter(1, labels[:, None], -torch.inf)
    return own - rivals.amax(1)


def contrasts(weight: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """W = W_y - W_j and b_y - b_j of every rival j.

    Args:
        weight: W, shape (K, D).
        bias: b, shape (K,).
        labels: y, shape (N,).

    Returns:
        Shapes (N, K, D) and (N, K); zero at j = y.
    """
    return weight[labels][:, None] - weight, bias[labels][:, None] - bias


def _least(values: Tensor, labels: Tensor) -> Tensor:
    """Smallest over the rivals. Args: values (N, K); labels (N,)."""
    return values.scatter(1, labels[:, None], torch.inf).amin(1)


def linear_worst_margins(weight: Tensor, bias: Tensor, low: Tensor, high: Tensor, labels: Tensor) -> Tensor:
    """Least margin of a linear classifier over a box, exactly.

    Args:
        weight: W, shape (K, D).
        bias: b, shape (K,).
        low: Least value of each pixel, shape (N, D); x - ε, or more where the pixel's range ends.
        high: Largest value of each pixel, shape (N, D).
        labels: y, shape (N,).

    Returns:
        Shape (N,); the adversary wins where it is below 0.

    Raises:
        ValueError: If a lower end is above its upper end.
    """
    if (low > high).any():
        raise ValueError("low must not be above high")
    centre, radius = (high + low) / 2, (high - low) / 2
    found = []
    for middle, reach, own in zip(centre.split(ROWS), radius.split(ROWS), labels.split(ROWS), strict=True):
        w, b = contrasts(weight, bias, own)
        found.append(_least((w @ middle[:, :, None] - w.abs() @ reach[:, :, None])[:, :, 0] + b, own))
    return torch.cat(found)


def linear_one_pixel_margins(
    weight: Tensor, bias: Tensor, x: Tensor, labels: Tensor, low: float, high: float
) -> Tensor:
    """Least margin of a linear classifier when one pixel may take any value in [low, high], exactly.

    Args:
        weight: W, shape (K, D).
        bias: b, shape (K,).
        x: Pixels, shape (N, D).
        labels: y, shape (N,).
        low: Least value of a pixel.
        high: Largest value of a pixel.

    Returns:
        Shape (N,).
    """
    found = []
    for part, own in zip(x.split(ROWS), labels.split(ROWS), strict=True):
        w, b = contrasts(weight, bias, own)
        now = (w @ part[:, :, None])[:, :, 0] + b  # (N, K)
        gain = torch.maximum(w * (part - low)[:, None], w * (part - high)[:, None]).amax(2)  # (N, K)
        found.append(_least(now - gain.clamp_min(0), own))
    return torch.cat(found)


class Bounds(NamedTuple):
    """Lower and upper ends of every entry, of equal shape."""

    low: Tensor
    high: Tensor


def through_affine(bounds: Bounds, affine: torch.nn.Module) -> Bounds:
    """An interval through W x + b: the centre goes through the map, the radius through |W|.

    Every end is reached, but at a border that is not padded by zeros: where one pixel stands twice under a window, its
    two copies count as if they could differ.

    Args:
        bounds: Ends of the inputs.
        affine: ``Linear``, ``Conv2d``, or ``BatchNorm2d`` in evaluation mode.

    Raises:
        ValueError: If the module is another one.
    """
    centre, radius = (bounds.low + bounds.high) / 2, (bounds.high - bounds.low) / 2
    middle = affine(centre)
    if isinstance(affine, torch.nn.Linear):
        spread = radius @ affine.weight.abs().T
    elif isinstance(affine, torch.nn.Conv2d):
        padding: tuple[int, ...] | str = affine.padding
        if affine.padding_mode != "zeros":  # what stands at the border is as uncertain as the pixels it is copied from
            radius = torch.nn.functional.pad(radius, affine._reversed_padding_repeated_twice, affine.padding_mode)
            padding = (0, 0)
        spread = torch.nn.functional.conv2d(
            radius, affine.weight.abs(), None, affine.stride, padding, affine.dilation, affine.groups
        )
    elif isinstance(affine, torch.nn.BatchNorm2d) and affine.running_var is not None and not affine.training:
        gain = affine.weight / (affine.running_var + affine.eps).sqrt()
        spread = radius * gain.abs()[:, None, None]
    else:
        raise ValueError(
            f"an interval goes through Linear, Conv2d and a fixed BatchNorm2d, not {type(affine).__name__}"
        )
    return Bounds(middle - spread, middle + spread)


def margin_bounds(features: Bounds, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Lower bound of the margin from bounds of the last linear layer's inputs, shape (N,).

    The rivals' weights are subtracted first, which keeps what two logits have in common out of the interval.
    """
    return linear_worst_margins(weight, bias, features.low, features.high, labels)
