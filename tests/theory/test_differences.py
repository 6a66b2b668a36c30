"""Difference quotients, Taylor remainders, and the rank of 2×2×2 tensors."""

import pytest
import torch

from theory.differences import central_difference, hyperdeterminant, log_slope, taylor_remainder


def test_a_central_difference_is_exact_for_parabolas() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    quotient = central_difference(lambda t: 3 * t**2 - t, x, torch.tensor(0.25, dtype=torch.float64))
    torch.testing.assert_close(quotient, 6 * x - 1, atol=1e-14, rtol=0)


def test_the_remainder_of_a_parabola_is_its_square_term() -> None:
    h = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    remainder = taylor_remainder(lambda t: 3 * t**2 - t, torch.tensor(0.75, dtype=torch.float64), h)
    torch.testing.assert_close(remainder, 3 * h**2, atol=1e-14, rtol=0)


def test_the_slope_of_a_power() -> None:
    x = torch.logspace(-3, 1, 9, dtype=torch.float64)
    assert float(log_slope(x, -7 * x**2.5)) == pytest.approx(2.5, abs=1e-12)


def test_the_hyperdeterminant_knows_the_rank_and_is_invariant() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(3, 100, 2, 2, generator=generator, dtype=torch.float64)
    rank_two = torch.einsum("tir,tjr,tkr->tijk", a, b, c)
    assert bool((hyperdeterminant(rank_two) > 0).all())
    assert float(hyperdeterminant(torch.einsum("ti,tj,tk->tijk", a[..., 0], b[..., 0], c[..., 0])).abs().max()) < 1e-12
    # Complex multiplication, as a real tensor, has rank 3.
    complex_product = torch.tensor([[[1.0, 0], [0, -1]], [[0, 1], [1, 0]]])
    assert float(hyperdeterminant(complex_product)) < 0
    cubes = torch.randn(50, 2, 2, 2, generator=generator, dtype=torch.float64)
    turned = torch.einsum("tijk,tai->tajk", cubes, a[:50])
    due = hyperdeterminant(cubes) * torch.linalg.det(a[:50]) ** 2
    torch.testing.assert_close(hyperdeterminant(turned), due, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(hyperdeterminant(cubes.transpose(1, 3)), hyperdeterminant(cubes), atol=1e-12, rtol=1e-10)
