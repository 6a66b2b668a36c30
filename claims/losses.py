"""Statements about losses and what minimises them (article 001)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, claim, equals
from theory.losses import (
    absolute_error,
    binary_entropy,
    cross_entropy,
    half_squared_error,
    logit_gradient,
    squared_error,
    swapped_cross_entropy,
)


def sample(size: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64, shape (size,)."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope_of(loss: Tensor, at: Tensor) -> Tensor:
    """Gradient of a scalar by autograd."""
    (slope,) = torch.autograd.grad(loss, at)
    return slope


@claim(
    "001-04",
    "loss = √((f − y)²)",
    RIGHT,
    "it is |f − y|; its mean is smallest at the median of the targets, that of the square at their mean",
    "Laplace 1774; Gauss 1809",
)
def minimisers() -> Numbers:
    y = sample(101).exp()
    f = sample(101, seed=1)
    yield equals("largest |√((f−y)²) − |f−y||", ((f - y).square().sqrt() - (f - y).abs()).abs().max(), 0, 1e-15)
    # Both losses are convex, and the first one is straight between targets: its least value is at one of them.
    at_targets = torch.stack([absolute_error(value.expand(101), y) for value in y])
    yield equals("target at which the mean |f − y| is smallest: the median", y[at_targets.argmin()], y.median(), 1e-12)
    centre = y.mean().clone().requires_grad_()
    yield equals(
        "slope of the mean (f − y)² at the mean", slope_of(squared_error(centre.expand(101), y), centre), 0, 1e-12
    )
    yield at_least("mean and median differ", (y.mean() - y.median()).abs(), 0.1)


@claim(
    "001-11",
    "MAE = (1/m) Σ |y − f|",
    RIGHT,
    "the negative log-likelihood of Laplace's distribution, up to constants",
    "Laplace 1774",
)
def mean_absolute_error() -> Numbers:
    y, f = sample(50), sample(50, seed=1).requires_grad_()
    yield equals("MAE / torch's l1_loss", absolute_error(f, y) / F.l1_loss(f, y), 1, 1e-15)
    # d/df (1/m) Σ |f − y| = sign(f − y) / m
    distance = (slope_of(F.l1_loss(f, y), f) - (f - y).sign() / 50).abs().max()
    yield equals("largest |torch's gradient − sign(f − y)/m|", distance, 0, 1e-15)


@claim(
    "001-12",
    "MSE = (1/2m) Σ (y − f)²; it “only replaces the absolute value by the square and m by 2m”",
    IMPRECISE,
    "the mean squared error has 1/m; this is half of it: the same minimiser, the gradient (f − y)/m",
    "Gauss 1809",
)
def mean_squared_error() -> Numbers:
    y, f = sample(50), sample(50, seed=1).requires_grad_()
    yield equals("torch's mse_loss / the formula as printed", F.mse_loss(f, y) / half_squared_error(f, y), 2, 1e-15)
    distance = (slope_of(half_squared_error(f, y), f) - (f - y) / 50).abs().max()
    yield equals("largest |gradient of the printed one − (f − y)/m|", distance, 0, 1e-15)

    def walk(loss: torch.nn.Module | object, lr: float) -> Tensor:
        x = torch.zeros(50, dtype=torch.float64, requires_grad=True)
        for _ in range(20):
            x = (x - lr * slope_of(loss(x, y), x)).detach().requires_grad_()  # type: ignore[operator]
        return x

    apart = (walk(squared_error, 1.0) - walk(half_squared_error, 2.0)).abs().max()
    yield equals("20 steps with the learning rate doubled for the printed one: distance", apart, 0, 1e-12)


@claim(
    "001-13",
    "cross entropy = −(1/m) Σ [f ln y + (1 − f) ln(1 − y)]",
    WRONG,
    "y and f are exchanged: L = −(1/m) Σ [y ln f + (1 − y) ln(1 − f)], whose gradient in the logit is σ(z) − y",
    "Good 1952",
)
def printed_cross_entropy() -> Numbers:
    one, sure = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.9, dtype=torch.float64)
    yield equals("as printed, y = 1, f = 0.9", swapped_cross_entropy(sure, one), math.inf, counterexample=True)
    undefined = swapped_cross_entropy(one, one).isnan()
    yield equals("as printed, y = f = 1: is it 0 · ∞, not a number", undefined, True, counterexample=True)
    yield equals("corrected, y = 1, f = 0.9: −ln 0.9", cross_entropy(sure, one), -math.log(0.9), 1e-7)
    z, y = sample(50).requires_grad_(), (sample(50, seed=1) > 0).double()
    distance = (slope_of(cross_entropy(torch.sigmoid(z), y) * 50, z) - logit_gradient(z, y)).abs().max()
    yield equals("corrected: largest |dL/dz − (σ(z) − y)|", distance, 0, 1e-14)


@claim(
    "001-14",
    "y and f(x) only take the values 0 or 1",
    WRONG,
    "f is a probability in (0, 1); with label noise the least cross entropy is the entropy H(y|x), which no f "
    "of 0 and 1 reaches",
    "Good 1952; Shannon 1948",
)
def probabilities() -> Numbers:
    share = 0.1
    y = torch.tensor([1.0] * 1 + [0.0] * 9, dtype=torch.float64)  # label noise p = 0.1
    hard = min(cross_entropy(torch.full_like(y, value), y).item() for value in (0.0, 1.0))
    yield equals("least cross entropy of an f of 0 or 1", hard, math.inf, counterexample=True)
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    losses = torch.stack([cross_entropy(f.expand(10), y) for f in grid])
    yield equals("f of the least cross entropy: the label noise", grid[losses.argmin()], share, 1e-9)
    yield equals("and the cross entropy there: H(0.1)", losses.min(), binary_entropy(share), 1e-6)


@claim(
    "001-15",
    "y = f gives 0, y ≠ f gives ∞ (“put in y = 1, f = 0”)",
    IMPRECISE,
    "right for the corrected formula with 0 · ln 0 = 0; a program needs the logarithm cut off or computed from logits",
    "documentation of torch.nn.BCELoss",
)
def limits() -> Numbers:
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    yield equals("corrected, y = f = 1", cross_entropy(one, one), 0)
    yield equals("corrected, y = f = 0", cross_entropy(zero, zero), 0)
    yield equals("corrected, y = 1, f = 0", cross_entropy(zero, one), math.inf)
    yield equals("corrected, y = 0, f = 1", cross_entropy(one, zero), math.inf)
    yield equals("y = ½ = f is equal too, and not 0: ln 2", cross_entropy(one / 2, one / 2), math.log(2), 1e-12)
    yield equals("torch's BCELoss, y = 1, f = 0: its logarithm ends at −100", F.binary_cross_entropy(zero, one), 100)
    logits = F.binary_cross_entropy_with_logits(torch.full((1,), -1000.0, dtype=torch.float64), one)
    yield equals("torch's BCEWithLogitsLoss, y = 1, z = −1000", logits, 1000)


@claim(
    "001-16",
    "the smaller the loss, the more accurate",
    IMPRECISE,
    "cross entropy and the share of errors may move in opposite directions; only the latter counts errors",
    "Bartlett, Jordan and McAuliffe 2006 for when one bounds the other",
)
def loss_and_accuracy() -> Numbers:
    y = torch.ones(10, dtype=torch.float64)
    cautious = torch.tensor([0.51] * 9 + [0.49], dtype=torch.float64)
    bold = torch.tensor([0.99] * 8 + [0.45] * 2, dtype=torch.float64)
    accuracy = [((f > 0.5).double() == y).double().mean() for f in (cautious, bold)]
    loss = [cross_entropy(f, y) for f in (cautious, bold)]
    yield at_least("accuracy of the first of two models − of the second", accuracy[0] - accuracy[1], 0.09)
    yield at_least("cross entropy of the first − of the second", loss[0] - loss[1], 0.4)
