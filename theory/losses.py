"""Losses of a prediction f beside the target y: what minimises them, and their gradients.

    absolute error  |f − y|            minimised by the median of the targets
    squared error   (f − y)²           minimised by their mean
    cross entropy   −y ln f − (1 − y) ln(1 − f)   minimised by f = P(y = 1), where it is the entropy H(y|x)

Source:
    Gauss (1809) and Laplace (1774) for the two errors; Good (1952) for the logarithmic score.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def absolute_error(f: Tensor, y: Tensor) -> Tensor:
    """Mean of |f − y|, a scalar."""
    return (f - y).abs().mean()


def squared_error(f: Tensor, y: Tensor) -> Tensor:
    """Mean of (f − y)², a scalar."""
    return (f - y).square().mean()


def half_squared_error(f: Tensor, y: Tensor) -> Tensor:
    """Σ (f − y)² / 2m, a scalar: the same minimiser as the squared error, half its gradient."""
    return (f - y).square().sum() / (2 * f.numel())


def cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """Mean of −y ln f − (1 − y) ln(1 − f) with 0 · ln 0 = 0, in nats, a scalar.

    Args:
        f: Probabilities in [0, 1].
        y: Targets in [0, 1].
    """
    return -(torch.xlogy(y, f) + torch.xlogy(1 - y, 1 - f)).mean()


def swapped_cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """The same with y and f exchanged, as often misprinted: −f ln y − (1 − f) ln(1 − y).

    It is infinite for every prediction between 0 and 1, since a target is 0 or 1, and 0 · (−∞) is not a number.
    """
    return -(f * y.log() + (1 - f) * (1 - y).log()).mean()


def binary_entropy(p: float) -> float:
    """Entropy in nats of a coin that shows 1 with probability p in [0, 1]: the floor of the cross entropy."""
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def logit_gradient(z: Tensor, y: Tensor) -> Tensor:
    """Gradient σ(z) − y of the cross entropy in the logit z of one sample."""
    return torch.sigmoid(z) - y
