"""Mean field theory against closed forms, Monte Carlo and scipy's integrals."""

import math

import numpy as np
import pytest
import torch
from mpmath import mp
from scipy.integrate import quad
from scipy.stats import norm

from theory.mean_field import ACTIVATIONS, LEAKY_SLOPE, gaussian_mean, he_gain, layers


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_autograd(name: str) -> None:
    z = torch.linspace(-4, 4, 101, dtype=torch.float64) + 0.01
    z.requires_grad_()
    value, slope = ACTIVATIONS[name]
    (due,) = torch.autograd.grad(value(z).sum(), z)
    torch.testing.assert_close(slope(z), due, atol=1e-15, rtol=1e-12)
    assert slope(z).dtype == torch.float64


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "leaky"])
@pytest.mark.parametrize("q", [0.1, 1.0, 30.0])
def test_gaussian_mean_is_the_integral(name: str, q: float) -> None:
    value = ACTIVATIONS[name].value

    def integrand(z: float) -> float:
        return float(value(torch.tensor(math.sqrt(q) * z, dtype=torch.float64))) ** 2 * norm.pdf(z)

    due = quad(integrand, -10, 0, epsabs=1e-13)[0] + quad(integrand, 0, 10, epsabs=1e-13)[0]
    assert gaussian_mean(lambda z: value(z).square(), q) == pytest.approx(due, rel=1e-10)


@pytest.mark.parametrize("q", [1.0, 4.0, 1e2, 1e4, 1e6, 1e8, 1e12, 1e20])
def test_steep_activations_are_integrated_to_rounding(q: float) -> None:
    with mp.workdps(30):
        root = mp.sqrt(q)
        cuts = sorted({mp.mpf(0), mp.mpf(12), *(c for k in range(-2, 8) if (c := mp.mpf(4) ** k / root) < 12)})
        slope = 2 * mp.quad(lambda z: mp.sech(root * z) ** 4 * mp.npdf(z), cuts)
        square = 2 * mp.quad(lambda z: mp.tanh(root * z) ** 2 * mp.npdf(z), cuts)
        half = mp.quad(lambda z: mp.npdf(z) / (1 + mp.exp(-root * z)) ** 2, [-c for c in cuts[:0:-1]] + cuts)
    tanh, sigmoid = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"]
    assert gaussian_mean(lambda z: tanh.slope(z).square(), q) == pytest.approx(float(slope), rel=1e-12, abs=0)
    assert gaussian_mean(lambda z: tanh.value(z).square(), q) == pytest.approx(float(square), rel=1e-12, abs=0)
    assert gaussian_mean(lambda z: sigmoid.value(z).square(), q) == pytest.approx(float(half), rel=1e-12, abs=0)


def test_the_gradient_of_steep_tanh_grows_as_its_scale() -> None:
    # E (1 - tanh²)² (σ_w Z) tends to the integral 4/3 of sech⁴ over σ_w √(2π)
    for scale in (1e3, 1e5):
        assert layers("tanh", scale, 2).factor[0] == pytest.approx(4 / 3 * scale / math.sqrt(2 * math.pi), rel=1e-6)


def test_moments_of_the_normal_distribution() -> None:
    for power, due in ((0, 1), (2, 3.0), (4, 27.0), (3, 0)):
        assert gaussian_mean(lambda z, power=power: z**power, 3.0) == pytest.approx(due, abs=1e-10)  # type: ignore[misc]


def test_ratios_of_homogeneous_activations() -> None:
    a = LEAKY_SLOPE
    assert layers("relu", 1, 20).delta_ratio == pytest.approx(2**-9.5, rel=1e-10)
    assert layers("relu", math.sqrt(2), 20).delta_ratio == pytest.approx(1, rel=1e-10)
    assert layers("leaky", he_gain("leaky"), 50).delta_ratio == pytest.approx(1, rel=1e-9)
    assert layers("leaky", math.sqrt(2), 20).delta_ratio == pytest.approx((1 + a * a) ** 9.5, rel=1e-10)
    assert layers("linear", 3, 5).delta_ratio == pytest.approx(81, rel=1e-10)


def test_smooth_activations_follow_the_recursion_written_out() -> None:
    """q and χ of three layers by scipy's integrals, step by step."""
    scale, q, factors = 1.3, 1.3**2 * 0.7, []
    for _ in range(2):
        slope = quad(lambda z, q=q: (1 - math.tanh(math.sqrt(q) * z) ** 2) ** 2 * norm.pdf(z), -9, 9)[0]
        factors.append(scale**2 * slope)
        q = scale**2 * quad(lambda z, q=q: math.tanh(math.sqrt(q) * z) ** 2 * norm.pdf(z), -9, 9)[0]
    found = layers("tanh", scale, 3, mean_square=0.7)
    np.testing.assert_allclose(found.factor, factors, rtol=1e-8)
    assert found.variance[2] == pytest.approx(q, rel=1e-8)
    assert found.delta_ratio == pytest.approx(math.sqrt(factors[0] * factors[1]), rel=1e-8)


def test_batch_normalised_relu_explodes_by_pi_over_pi_less_one() -> None:
    found = layers("relu", 5.0, 4, wiring="batch")
    np.testing.assert_allclose(found.factor, math.pi / (math.pi - 1), rtol=1e-9)  # Yang et al. 2019
    np.testing.assert_allclose(layers("linear", 5.0, 4, wiring="batch").factor, 1, rtol=1e-9)


def test_residual_relu_grows_like_compound_interest() -> None:
    found = layers("relu", math.sqrt(2), 20, wiring="residual", branch_scale=1 / math.sqrt(20))
    np.testing.assert_allclose(found.delta, (1 + 1 / 20) ** (np.arange(19, -1, -1) / 2), rtol=1e-9)
    np.testing.assert_allclose(found.variance, 2 * (1 + 1 / 20) ** np.arange(20), rtol=1e-9)


def test_weight_gradients_of_relu_hide_every_scale() -> None:
    for scale in (0.5, 1.0, 2.0):
        assert layers("relu", scale, 20).weight_ratio == pytest.approx(1, rel=1e-9)


def test_depth_one_has_ratio_one() -> None:
    assert layers("tanh", 1, 1).delta_ratio == 1


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="one of linear, relu"):
        layers("gelu", 1, 3)
    for words in ({"depth": 0}, {"weight_scale": -1.0}, {"mean_square": 0.0}):
        with pytest.raises(ValueError, match="at least"):
            layers(**{"activation": "relu", "weight_scale": 1.0, "depth": 3, **words})  # type: ignore[arg-type]
