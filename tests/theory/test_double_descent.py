"""The law of the excess risk against draws, integrals and known means; see also T14 at the end."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from theory.double_descent import (
    draw_excess_risk,
    excess_risk_cdf,
    excess_risk_quantile,
    fits_law,
    mean_excess_risk,
)

POINTS = [1, 10, 20, 25, 28, 29, 30, 31, 32, 35, 45, 90]


def test_known_means() -> None:
    assert mean_excess_risk(30, 10) == pytest.approx(10 / 19, rel=1e-15)
    assert mean_excess_risk(10, 30, r=2.0, sigma=0.5) == pytest.approx(4 * 2 / 3 + 0.25 * 10 / 19, rel=1e-15)
    assert [mean_excess_risk(30, p) for p in (29, 30, 31)] == [math.inf] * 3
    assert mean_excess_risk(30, 31, sigma=0) == pytest.approx(1 / 31)


@pytest.mark.parametrize(("n", "p", "r"), [(12, 5, 1.0), (12, 20, 1.0), (12, 20, 0.0), (6, 14, 2.5), (20, 26, 0.3)])
def test_the_mean_of_the_law_is_the_known_mean(n: int, p: int, r: float) -> None:
    survival = lambda risk: 1 - float(excess_risk_cdf(risk, n, p, r, 0.8))
    mean = sum(integrate.quad(survival, *ends, limit=200)[0] for ends in ((0, 5), (5, 100), (100, 1e4)))
    assert mean == pytest.approx(mean_excess_risk(n, p, r, 0.8), rel=2e-4)


def test_the_law_is_a_distribution_and_the_quantile_its_inverse() -> None:
    for n, p in ((9, 4), (9, 9), (9, 10), (9, 11), (9, 30)):
        risks = np.linspace(0, 40, 400)
        values = excess_risk_cdf(risks, n, p, 1.3, 0.6)
        assert values[0] == pytest.approx(0, abs=1e-12)
        assert (np.diff(values) >= -1e-12).all()
        assert float(excess_risk_cdf(1e12, n, p, 1.3, 0.6)) == pytest.approx(1, abs=1e-5)
        shares = np.array([0.05, 0.5, 0.9])
        risks = excess_risk_quantile(shares, n, p, 1.3, 0.6)
        np.testing.assert_allclose(excess_risk_cdf(risks, n, p, 1.3, 0.6), shares, atol=1e-9)


@pytest.mark.parametrize(
    ("n", "p", "sigma"),
    [(30, 90, 1.0), (30, 90, 0.1), (30, 90, 0.001), (1000, 3000, 1.0), (1000, 10_000, 0.1), (300, 3000, 1.0),
     (1, 2, 1.0), (1, 2, 0.01), (1, 50, 0.1), (30, 31, 0.01), (20_000, 60_000, 1.0),
     (20_000, 60_000, 0.01)],
)  # fmt: skip
def test_the_law_is_that_of_adaptive_quadrature(n: int, p: int, sigma: float) -> None:
    scale = sigma**2 * n / (p - n + 1)
    lost, noise = stats.beta((p - n) / 2, n / 2), stats.f(n, p - n + 1)
    levels = np.array([1e-12, 1e-4, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-4, 1 - 1e-12])
    constant = math.log(2) - special.betaln((p - n) / 2, n / 2)

    def density(a: float, risk: float) -> float:
        log = (p - n - 1) * math.log(math.sin(a)) + (n - 1) * math.log(math.cos(a))
        return math.exp(log + constant) * float(special.fdtr(n, p - n + 1, max(risk - math.sin(a) ** 2, 0) / scale))

    for risk in (0.97 * lost.mean(), lost.mean() + scale, lost.mean() + 3 * scale):
        breaks = np.unique(np.concatenate([lost.ppf(levels), risk - scale * noise.ppf(levels), [0, min(risk, 1)]]))
        breaks = np.unique(np.arcsin(np.sqrt(breaks[(breaks >= 0) & (breaks <= min(risk, 1))])).round(9))
        due = sum(integrate.quad(density, *ends, args=(risk,), epsabs=1e-10)[0] for ends in itertools.pairwise(breaks))
        assert float(excess_risk_cdf(risk, n, p, 1.0, sigma)) == pytest.approx(due, abs=1e-8), risk
    assert float(excess_risk_cdf(0.0, n, p, 1.0, sigma)) == 0
    far = 1.0 + scale * float(stats.f.isf(1e-14, n, p - n + 1))
    assert float(excess_risk_cdf(far, n, p, 1.0, sigma)) == pytest.approx(1, abs=1e-10)


def test_draws_with_little_noise_follow_the_law() -> None:
    for sigma in (0.03, 0.1, 0.3):
        risks = draw_excess_risk(30, 90, 4000, torch.Generator().manual_seed(0), 1.0, sigma).numpy()
        assert fits_law(risks, 30, 90, 1.0, sigma) > 0.01, sigma


def test_quantiles_of_large_problems_are_found_and_impossible_ones_refused() -> None:
    median = float(excess_risk_quantile(0.5, 1000, 10_000))
    assert median == pytest.approx(mean_excess_risk(1000, 10_000), rel=1e-3)
    assert float(excess_risk_quantile(0, 10, 30)) == 0
    for probability in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"a probability must be in \[0, 1\)"):
            excess_risk_quantile(probability, 10, 30)


@pytest.mark.parametrize("p", [3, 8])
def test_draws_are_minimum_norm_least_squares(p: int) -> None:
    risks = draw_excess_risk(5, p, 3, torch.Generator().manual_seed(0), r=2.0, sigma=0.3)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, p, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(3, 5, 1, generator=generator, dtype=torch.float64)
    beta = torch.full((p, 1), 2 / math.sqrt(p), dtype=torch.float64)
    for row, e, risk in zip(x, noise, risks, strict=True):
        estimate = np.linalg.pinv(row.numpy()) @ (row @ beta + e).numpy()
        assert float(np.square(estimate - beta.numpy()).sum()) == pytest.approx(float(risk), rel=1e-9)


def test_draws_follow_the_law_at_every_p_even_at_the_peak() -> None:
    generator = torch.Generator().manual_seed(5)
    for p in POINTS:
        risks = draw_excess_risk(30, p, 2000, generator)
        assert fits_law(risks.numpy(), 30, p) > 0.01, p
        if abs(p - 30) > 3:
            z = (risks.mean() - mean_excess_risk(30, p)) / (risks.std() / 2000**0.5)
            assert abs(float(z)) < 4, p
        median = float(excess_risk_quantile(0.5, 30, p))
        assert abs(float((risks < median).double().mean()) - 0.5) < 4 * 0.5 / 2000**0.5, p


def test_another_law_is_noticed() -> None:
    risks = draw_excess_risk(30, 28, 2000, torch.Generator().manual_seed(0)).numpy()
    assert fits_law(risks, 30, 27) < 1e-6
    assert fits_law(risks * 1.2, 30, 28) < 1e-3


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="n and p must be at least 1, got n = 0, p = 3"):
        mean_excess_risk(0, 3)
    with pytest.raises(ValueError, match="sigma must be above 0"):
        excess_risk_cdf(1.0, 5, 3, sigma=0)
    with pytest.raises(ValueError, match="5 draws a bin, got 50 draws, 20 bins"):
        fits_law(np.ones(50), 5, 3)


@pytest.mark.slow
def test_t14_twenty_thousand_draws_at_every_p() -> None:
    generator = torch.Generator().manual_seed(14)
    p_values = [fits_law(draw_excess_risk(30, p, 20_000, generator).numpy(), 30, p, bins=50) for p in range(1, 121)]
    assert min(p_values) > 0.01 / 120
    # p-values of a true law are uniform.
    counts, _ = np.histogram(p_values, 6, range=(0, 1))
    assert np.square(counts - 20).sum() / 20 < 20.5  # the 99.9 % point of chi^2 with 5 degrees
