"""Annealing against counting: unbiased, with standard errors that hold, and bounds on their side."""

import math

import pytest
import torch
from torch import Tensor

from theory.ais import (
    MOST_ERROR,
    anneal,
    backward_log_z,
    base_log_z,
    base_logits,
    estimate,
    forward_log_z,
    temperatures,
)
from theory.rbm import exact_samples, log_partition

Terms = tuple[Tensor, Tensor, Tensor]


def machine(visible: int, hidden: int, scale: float, seed: int = 0) -> Terms:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((visible, hidden), (visible,), (hidden,))
    weight, a, b = (scale * torch.randn(shape, generator=generator) for shape in shapes)
    return weight, a, b


def test_temperatures_are_dense_near_one() -> None:
    betas = temperatures(14_500)
    assert len(betas) == 14_501
    assert (betas.diff() > 0).all()
    assert (betas[0], betas[-1]) == (0, 1)
    assert int((betas <= 0.5).sum()) - 1 == 725
    with pytest.raises(ValueError, match="at least 20 temperatures, got 19"):
        temperatures(19)


def test_a_constant_pixel_has_a_finite_base() -> None:
    logits = base_logits(torch.tensor([0.0, 0.5, 1.0]), 1)
    torch.testing.assert_close(logits, torch.tensor([math.log(5 / 6), 0.0, math.log(6 / 5)]))


def test_without_weights_every_chain_has_the_exact_weight() -> None:
    _, a, b = machine(10, 6, 1.0)
    found = forward_log_z(torch.zeros(10, 6), a, b, torch.zeros(10), steps=50, chains=100)
    exact = float(log_partition(torch.zeros(10, 6), a, b))
    base = forward_log_z(torch.zeros(10, 6), a, b, a, steps=50, chains=4)
    assert base.value == pytest.approx(exact, abs=1e-4)
    assert base.error < 1e-5
    assert abs(found.value - exact) < 5 * found.error + 1e-4  # the pixels still vary


def test_within_three_standard_errors_over_twenty_seeds() -> None:
    terms = machine(60, 10, 0.4)
    exact, base = float(log_partition(*terms)), base_logits(torch.sigmoid(terms[1]), 1000)
    forward, backward, sides = [], [], []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        up = forward_log_z(*terms, base, steps=300, chains=100, generator=generator)
        samples = exact_samples(100, *terms, generator)
        down = backward_log_z(samples, *terms, base, steps=300, generator=generator)
        forward.append((up.value - exact) / up.error)
        backward.append((down.value - exact) / down.error)
        sides.append((up.bound - exact, down.bound - exact))
    for scores in (torch.tensor(forward), torch.tensor(backward)):
        assert scores.abs().max() < 3
        assert 0.5 < scores.square().mean() < 1.9  # χ² of 20 over 20: neither too small an error nor too large a one
    below, above = torch.tensor(sides).T
    assert below.mean() < 0 < above.mean()


def test_forward_and_backward_weights_are_inverse_on_average() -> None:
    terms = machine(12, 4, 0.8)
    exact, base = float(log_partition(*terms)), torch.zeros(12)
    generator = torch.Generator().manual_seed(0)
    start = torch.bernoulli(torch.full((20_000, 12), 0.5), generator=generator)
    weights = anneal(start, temperatures(20), *terms, base, generator).exp()
    due = math.exp(exact - base_log_z(base, 4))
    assert abs(float(weights.mean()) - due) < 4 * float(weights.std()) / math.sqrt(20_000)
    inverse = anneal(exact_samples(20_000, *terms, generator), temperatures(20).flip(0), *terms, base, generator).exp()
    assert abs(float(inverse.mean()) - 1 / due) < 4 * float(inverse.std()) / math.sqrt(20_000)


def test_the_effective_number_of_chains_and_the_error_tell_the_same() -> None:
    even = estimate(torch.zeros(50, dtype=torch.float64), 0.0, 1)
    assert even.effective == pytest.approx(50)
    assert even.error == 0
    halves = estimate(torch.tensor([0.0, -800.0], dtype=torch.float64).repeat(50), 3.0, -1)  # half weigh nothing
    assert (halves.chains, halves.effective) == (100, pytest.approx(50))
    assert halves.error == pytest.approx(math.sqrt((1 / 50 - 1 / 100) * 100 / 99))
    assert halves.value == pytest.approx(3.0 + math.log(2))
    few = estimate(torch.tensor([0.0] * 20 + [-800.0] * 80, dtype=torch.float64), 0.0, 1)  # 0.201 by the same formula
    assert few.effective == pytest.approx(20)
    assert math.isnan(few.error)
    one = estimate(torch.tensor([0.0] + [-800.0] * 99, dtype=torch.float64), 0.0, 1)
    assert one.effective == pytest.approx(1)
    assert math.isnan(one.error)


@pytest.mark.parametrize(("deviation", "told", "held"), [(0.5, 1.0, 0.98), (1.5, 0.45, 0.92), (2.5, 0.0, 0.0)])
def test_an_error_is_told_where_it_holds(deviation: float, told: float, held: float) -> None:
    """Log-normal weights: the mean of w is exp(s² / 2), however few of 100 chains reach the tail that makes it."""
    generator = torch.Generator().manual_seed(0)
    draws = deviation * torch.randn(1000, 100, generator=generator, dtype=torch.float64)
    found = [estimate(row, 0.0, 1) for row in draws]
    known = [one for one in found if not math.isnan(one.error)]
    assert all(one.error <= MOST_ERROR for one in known)
    assert told <= len(known) / len(found) <= told + 0.15
    within = [abs(one.value - deviation**2 / 2) < 3 * one.error for one in known]
    assert sum(within) >= held * len(known)


def test_one_chain_has_no_standard_error() -> None:
    terms = machine(4, 2, 0.1)
    with pytest.raises(ValueError, match="at least 2 chains, got 1"):
        forward_log_z(*terms, torch.zeros(4), steps=20, chains=1)
    with pytest.raises(ValueError, match="at least 2 chains, got 1"):
        backward_log_z(torch.zeros(1, 4), *terms, torch.zeros(4), steps=20)


@pytest.mark.slow
def test_a_machine_of_784_by_16_within_a_tenth_of_a_nat() -> None:
    terms = machine(784, 16, 0.15)
    exact, base = float(log_partition(*terms)), base_logits(torch.sigmoid(terms[1]), 10_000)
    generator = torch.Generator().manual_seed(0)
    found = forward_log_z(*terms, base, steps=3000, chains=200, generator=generator)
    assert abs(found.value - exact) < min(0.1, 3 * found.error)
