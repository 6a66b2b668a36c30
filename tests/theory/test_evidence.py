"""Evidence against the Gaussian density, Legendre polynomials against numpy, targets."""

import numpy as np
import pytest
import torch
from mpmath import mp
from numpy.polynomial import legendre as numpy_legendre
from scipy.stats import multivariate_normal

from theory.evidence import legendre, log_evidence
from theory.targets import TARGETS, target


def test_evidence_is_the_density_of_the_responses() -> None:
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.randn(9, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    covariance = 0.3 * np.eye(9) + 1.7 * (x @ x.T).numpy()
    due = multivariate_normal(np.zeros(9), covariance).logpdf(y.T.numpy())
    np.testing.assert_allclose(log_evidence(x, y, 1.7, 0.3), due, rtol=1e-12)
    assert float(log_evidence(x, y[:, 0], 1.7, 0.3)) == pytest.approx(due[0], rel=1e-12)
    with pytest.raises(ValueError, match="variances must be above 0, got prior 0, noise 1"):
        log_evidence(x, y, 0.0, 1.0)


@pytest.mark.parametrize("sigma", [1e-2, 1e-5, 1e-8, 1e-11])
def test_evidence_of_little_noise_is_that_of_a_hundred_digits(sigma: float) -> None:
    features = legendre(torch.linspace(-1, 1, 30, dtype=torch.float64), 3)
    noise = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = features @ torch.tensor([1.0, 2, 3, 4], dtype=torch.float64) + sigma * noise
    with mp.workdps(100):
        design, response, variance = mp.matrix(features.tolist()), mp.matrix(y.tolist()), mp.mpf(sigma**2)
        covariance = variance * mp.eye(30) + design * design.T
        quadratic = (response.T * mp.lu_solve(covariance, response))[0]
        due = float(-(quadratic + mp.log(mp.det(covariance)) + 30 * mp.log(2 * mp.pi)) / 2)
    assert float(log_evidence(features, y, 1.0, sigma**2)) == pytest.approx(due, rel=1e-9 + 1e-15 / sigma)


@pytest.mark.parametrize("degree", [0, 1, 7])
def test_legendre_polynomials(degree: int) -> None:
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    due = numpy_legendre.legvander(x.numpy(), degree) * np.sqrt(2 * np.arange(degree + 1) + 1)
    np.testing.assert_allclose(legendre(x, degree), due, atol=1e-12)
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\], got one at -1.5"):
        legendre(torch.tensor([0.5, -1.5]), degree)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_have_mean_0_and_mean_square_one_half(name: str) -> None:
    x = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 50_000 - 1
    values = target(name, x)  # type: ignore[arg-type]
    assert float(values.mean()) == pytest.approx(0, abs=1e-9)
    assert float(values.square().mean()) == pytest.approx(0.5, abs=1e-6)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(ValueError, match="target must be one of cubic, sine, step, got 'circle'"):
        target("circle", torch.zeros(1))  # type: ignore[arg-type]
