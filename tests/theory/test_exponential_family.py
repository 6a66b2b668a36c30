"""Exponential families against autograd, scipy and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from theory.exponential_family import (
    FAMILIES,
    Family,
    covariance,
    irls_step,
    log_partition,
    mean,
    negative_log_likelihood,
    newton_step,
    sample,
    score_and_information,
)
from theory.newton import fit


def outputs(family: Family) -> int:
    return 3 if family == "softmax" else 1


def make(family: Family, samples: int = 200, features: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    x[:, 0] = 1
    theta = torch.randn(features, outputs(family), generator=generator, dtype=torch.float64) / 2
    return x, sample(family, x @ theta, generator, 0.49 if family == "gaussian" else 1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_mean_and_covariance_are_derivatives_of_the_log_partition(family: Family) -> None:
    eta = torch.randn(6, outputs(family), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eta.requires_grad_()
    (first,) = torch.autograd.grad(log_partition(family, eta).sum(), eta, create_graph=True)
    torch.testing.assert_close(mean(family, eta), first, atol=1e-14, rtol=1e-13)
    for k in range(outputs(family)):
        (second,) = torch.autograd.grad(first[:, k].sum(), eta, retain_graph=True, allow_unused=True)
        second = torch.zeros_like(eta) if second is None else second
        torch.testing.assert_close(covariance(family, eta)[:, k], second, atol=1e-14, rtol=1e-13)


@pytest.mark.parametrize("eta", [-40.0, -3.0, 0.0, 20.0, 40.0, 300.0])
def test_the_variance_of_a_sure_answer_keeps_its_digits(eta: float) -> None:
    due = math.exp(-abs(eta)) / (1 + math.exp(-abs(eta))) ** 2
    one = torch.tensor([[eta]], dtype=torch.float64)
    assert float(covariance("bernoulli", one)) == pytest.approx(due, rel=1e-14, abs=0)
    three = torch.tensor([[eta, -500.0]], dtype=torch.float64)
    assert float(covariance("softmax", three)[0, 0, 0]) == pytest.approx(due, rel=1e-14, abs=0)


def test_log_likelihoods_are_those_of_scipy() -> None:
    eta = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [0.0], [1.0]], dtype=torch.float64)
    rate, p = eta.exp().numpy(), torch.sigmoid(eta).numpy()
    due = {
        "gaussian": stats.norm(eta.numpy(), math.sqrt(0.3)).logpdf(y.numpy()),
        "bernoulli": stats.bernoulli(p).logpmf(y.numpy()),
        "poisson": stats.poisson(rate).logpmf(y.numpy()),
        "softmax": stats.bernoulli(p).logpmf(y.numpy()),
    }
    for family in FAMILIES:
        ours = negative_log_likelihood(family, eta, y, 0.3 if family == "gaussian" else 1.0)
        np.testing.assert_allclose(ours.numpy(), -due[family][:, 0], rtol=1e-13)


@pytest.mark.parametrize("eta", [-700.0, -40.0, -3.0, 0.0, 20.0, 40.0, 700.0])
def test_what_a_sure_answer_costs_keeps_its_digits(eta: float) -> None:
    wrong, right = (math.log1p(math.exp(-abs(eta))) + max(sign * eta, 0) for sign in (1, -1))
    logits = torch.tensor([[eta], [eta]], dtype=torch.float64)
    answers = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    found = negative_log_likelihood("bernoulli", logits, answers).tolist()
    assert found == pytest.approx([wrong, right], rel=1e-14, abs=0)
    third = torch.cat([logits, torch.full_like(logits, -2000)], dim=1)  # a class that nobody expects
    found = negative_log_likelihood("softmax", third, torch.nn.functional.pad(answers, (0, 1))).tolist()
    assert found == pytest.approx([wrong, right], rel=1e-14, abs=0)


def test_shares_of_classes_cost_the_mean_over_them() -> None:
    generator = torch.Generator().manual_seed(3)
    eta, shares = (torch.randn(5, size, generator=generator, dtype=torch.float64) for size in (3, 4))
    shares = shares.softmax(1)
    every = torch.nn.functional.pad(torch.eye(3, dtype=torch.float64), (0, 0, 1, 0))  # rows: classes 0 to 3
    each = torch.stack([negative_log_likelihood("softmax", eta, one.expand(5, 3)) for one in every], dim=1)
    found = negative_log_likelihood("softmax", eta, shares[:, 1:])
    torch.testing.assert_close(found, (shares * each).sum(1), rtol=1e-13, atol=0)


def test_a_gaussian_far_from_0_keeps_its_digits() -> None:
    eta, y = torch.tensor([[1e9]], dtype=torch.float64), torch.tensor([[1e9 + 0.5]], dtype=torch.float64)
    due = (0.25 / 0.3 + math.log(2 * math.pi * 0.3)) / 2
    assert float(negative_log_likelihood("gaussian", eta, y, 0.3)) == pytest.approx(due, rel=1e-14)


@pytest.mark.parametrize("family", FAMILIES)
def test_score_and_information_are_derivatives_of_the_likelihood(family: Family) -> None:
    x, y = make(family, 30)
    theta = torch.full((4, outputs(family)), 0.1, dtype=torch.float64)
    phi = 0.49 if family == "gaussian" else 1.0

    def loss(theta: torch.Tensor) -> torch.Tensor:
        return negative_log_likelihood(family, x @ theta, y, phi).sum() + 0.7 / 2 * theta.square().sum()

    score, information = score_and_information(family, x, y, theta, phi, 0.7)
    hessian = torch.autograd.functional.hessian(loss, theta)
    torch.testing.assert_close(information, hessian.reshape(information.shape), atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(-score, torch.autograd.functional.jacobian(loss, theta), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_irls_is_newton(family: Family) -> None:
    x, y = make(family)
    theta = torch.full((4, outputs(family)), 0.2, dtype=torch.float64)
    torch.testing.assert_close(irls_step(family, x, y, theta), newton_step(family, x, y, theta), atol=1e-12, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fit_is_where_lbfgs_ends_and_the_score_vanishes(family: Family) -> None:
    x, y = make(family)
    found = fit(family, x, y)
    assert float(score_and_information(family, x, y, found.theta)[0].abs().max()) < 1e-11

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.from_numpy(flat).view(4, -1)
        value = negative_log_likelihood(family, x @ theta, y).sum()
        return float(value), -score_and_information(family, x, y, theta)[0].flatten().numpy()

    options = {"ftol": 0, "gtol": 1e-10, "maxiter": 1000, "maxcor": 30}
    start = np.zeros(found.theta.numel())
    other = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    np.testing.assert_allclose(found.theta.flatten(), other.x, atol=1e-8)
    assert found.objective <= other.fun + 1e-9


def test_fits_are_those_of_scikit_learn() -> None:
    x, y = make("bernoulli")
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    np.testing.assert_allclose(fit("bernoulli", x, y).theta[:, 0], theirs.fit(x, y[:, 0]).coef_[0], atol=1e-8)
    x, y = make("poisson")
    poisson = PoissonRegressor(alpha=0, fit_intercept=False, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    np.testing.assert_allclose(fit("poisson", x, y).theta[:, 0], poisson.fit(x, y[:, 0]).coef_, atol=1e-8)
    x, y = make("softmax")
    labels = (y @ torch.arange(1.0, 4.0, dtype=torch.float64)).long()
    classes = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    due = classes.fit(x, labels).coef_
    np.testing.assert_allclose(fit("softmax", x, y).theta.T, due[1:] - due[0], atol=1e-7)


def test_a_gaussian_prior_is_ridge_and_a_penalty_of_logistic_regression() -> None:
    x, y = make("gaussian")
    theirs = Ridge(alpha=0.49 / 0.6**2, fit_intercept=False, solver="cholesky").fit(x, y[:, 0])
    np.testing.assert_allclose(fit("gaussian", x, y, 0.49, 0.6**-2).theta[:, 0], theirs.coef_, atol=1e-12)
    x, y = make("bernoulli")
    logistic = LogisticRegression(C=0.6**2, fit_intercept=False, tol=1e-12, solver="newton-cholesky").fit(x, y[:, 0])
    np.testing.assert_allclose(fit("bernoulli", x, y, precision=0.6**-2).theta[:, 0], logistic.coef_[0], atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_have_the_mean_and_the_covariance(family: Family) -> None:
    eta = torch.tensor([[0.5, -0.3, 0.1][: outputs(family)]], dtype=torch.float64)
    draws = sample(
        family, eta.expand(40_000, -1), torch.Generator().manual_seed(1), 2.0 if family == "gaussian" else 1.0
    )
    due = covariance(family, eta)[0] * (2.0 if family == "gaussian" else 1.0)
    error = (due.diagonal() / len(draws)).sqrt()
    assert float(((draws.mean(0) - mean(family, eta)[0]) / error).abs().max()) < 4
    torch.testing.assert_close(draws.T.cov().reshape(due.shape), due, atol=0.03, rtol=0.03)


def test_unknown_families_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="family must be one of gaussian"):
        mean("gamma", torch.zeros(3, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(N, 1\), got \(3, 2\)"):
        mean("poisson", torch.zeros(3, 2))
