"""Mean field theory against closed forms, Monte Carlo and scipy's integrals."""

import math

import numpy as np
import pytest
import torch
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
