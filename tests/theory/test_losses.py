"""Losses against torch's, scipy's entropy and finite differences."""

import math

import pytest
import torch
from scipy.stats import bernoulli
from torch.nn import functional as F

from theory.losses import (
    absolute_error,
    binary_entropy,
    cross_entropy,
    half_squared_error,
    logit_gradient,
    squared_error,
    swapped_cross_entropy,
)

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.randn(30, generator=GENERATOR, dtype=torch.float64)
P = torch.rand(30, generator=GENERATOR, dtype=torch.float64)


def test_losses_are_torchs() -> None:
    torch.testing.assert_close(absolute_error(P, Y), F.l1_loss(P, Y))
    torch.testing.assert_close(squared_error(P, Y), F.mse_loss(P, Y))
    torch.testing.assert_close(2 * half_squared_error(P, Y), F.mse_loss(P, Y))
    y = (Y > 0).double()
    torch.testing.assert_close(cross_entropy(P, y), F.binary_cross_entropy(P, y))


def test_sure_predictions() -> None:
    zero, one = torch.zeros(1), torch.ones(1)
    assert cross_entropy(one, one) == cross_entropy(zero, zero) == 0
    assert cross_entropy(zero, one) == cross_entropy(one, zero) == math.inf
    assert swapped_cross_entropy(one, one).isnan()
    assert swapped_cross_entropy(torch.full((1,), 0.5), one) == math.inf


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_the_entropy_of_a_coin(p: float) -> None:
    assert binary_entropy(p) == pytest.approx(float(bernoulli(p).entropy()), abs=1e-15)


def test_the_gradient_in_the_logit() -> None:
    z, y, h = torch.tensor(0.7, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64), 1e-6
    ahead, behind = (F.binary_cross_entropy_with_logits(z + s * h, y) for s in (1, -1))
    assert logit_gradient(z, y).item() == pytest.approx(((ahead - behind) / (2 * h)).item(), rel=1e-8)
