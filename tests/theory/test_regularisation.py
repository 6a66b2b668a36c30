"""Regularisers against scikit-learn, iteration, enumeration and sampling."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from sklearn.linear_model import Ridge as SklearnRidge

from theory.regularisation import (
    descent_iterate,
    dropout_loss,
    dropout_loss_enumerated,
    lasso,
    least_squares,
    leave_one_out_errors,
    linear_risk,
    linear_training_error,
    penalty_diagonal,
    ridge,
    spectral_filter,
)


@pytest.fixture
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(25, 6, generator=generator, dtype=torch.float64)
    return x, torch.randn(25, generator=generator, dtype=torch.float64)


def test_ridge_and_lasso_are_those_of_scikit_learn(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = problem
    due = SklearnRidge(alpha=2.5, fit_intercept=False, solver="svd").fit(x, y).coef_
    np.testing.assert_allclose(ridge(x, y, 2.5), due, atol=1e-13)
    sparse = Lasso(alpha=3.0 / len(x), fit_intercept=False, tol=1e-14, max_iter=100_000).fit(x, y).coef_
    np.testing.assert_allclose(lasso(x, y, 3.0), sparse, atol=1e-10)
    assert 0 < int((lasso(x, y, 3.0) == 0).sum()) < 6


def test_lasso_gives_a_column_of_zeros_nothing(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = problem
    wider = torch.cat([x[:, :2], torch.zeros(25, 1, dtype=x.dtype), x[:, 2:]], 1)
    found = lasso(wider, y, 3.0)
    assert found[2] == 0
    torch.testing.assert_close(found[[0, 1, 3, 4, 5, 6]], lasso(x, y, 3.0), rtol=0, atol=1e-12)


def test_the_filter_keeps_its_digits_for_slow_components() -> None:
    """Against exact fractions: 1 - (1 - p)^t of p = 1e-13 and less."""
    for rate in (Fraction(1, 10**13), Fraction(3, 10**10), Fraction(1, 3), Fraction(2, 3), Fraction(3, 2), Fraction(1)):
        for steps in (0, 1, 7, 40):
            due = float(1 - (1 - rate) ** steps)
            found = spectral_filter(torch.tensor([float(rate)], dtype=torch.float64), 1.0, steps)
            assert float(found) == pytest.approx(due, rel=1e-13, abs=0)


def test_least_squares_is_the_smallest_solution() -> None:
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.arange(4.0, dtype=torch.float64)
    np.testing.assert_allclose(least_squares(x, y), np.linalg.lstsq(x.numpy(), y.numpy())[0], atol=1e-13)


@pytest.mark.parametrize("unit", [1e-200, 1e-18, 1e18])
def test_least_squares_does_not_depend_on_the_units(problem: tuple[torch.Tensor, torch.Tensor], unit: float) -> None:
    x, y = problem
    units = torch.ones(6, dtype=torch.float64)
    units[2] = unit
    due = least_squares(x, y)
    torch.testing.assert_close(least_squares(x * units, y) * units, due, atol=1e-13, rtol=0)
    repeated = torch.cat([x, x[:, :1]], 1)  # still the shortest of many solutions
    due = torch.cat([due[:1] / 2, due[1:], due[:1] / 2])
    torch.testing.assert_close(least_squares(repeated, y), due, atol=1e-13, rtol=0)


@pytest.mark.parametrize(("lr", "steps"), [(0.3, 0), (0.3, 1), (0.5, 77), (1.3, 40)])
def test_the_iterate_without_iterating(problem: tuple[torch.Tensor, torch.Tensor], lr: float, steps: int) -> None:
    x, y = problem
    x = torch.cat([x, x[:, :1]], 1)  # a direction of eigenvalue 0
    matrix, moment = x.T @ x / 25, x.T @ y / 25
    lr = lr / float(torch.linalg.eigvalsh(matrix)[-1])
    w = torch.zeros(7, dtype=torch.float64)
    for _ in range(steps):
        w = w - lr * (matrix @ w - moment)
    torch.testing.assert_close(descent_iterate(matrix, moment, lr, steps), w, atol=1e-13, rtol=0)


def test_the_filter_is_the_share_of_each_component(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = problem
    eigenvalues, vectors = torch.linalg.eigh(x.T @ x / 25)
    w = descent_iterate(x.T @ x / 25, x.T @ y / 25, 0.2, 15)
    share = (vectors.T @ w) / (vectors.T @ least_squares(x, y))
    torch.testing.assert_close(share, spectral_filter(eigenvalues, 0.2, 15), atol=1e-12, rtol=0)


@pytest.mark.parametrize("keep", [0.3, 0.9, 1.0])
def test_dropout_is_a_penalty(problem: tuple[torch.Tensor, torch.Tensor], keep: float) -> None:
    x, y = problem
    w = torch.linspace(-1, 2, 6, dtype=torch.float64)
    torch.testing.assert_close(dropout_loss(x, y, w, keep), dropout_loss_enumerated(x, y, w, keep), atol=1e-11, rtol=0)


def test_too_many_masks_are_refused() -> None:
    x = torch.ones(2, 13, dtype=torch.float64)
    with pytest.raises(ValueError, match="at most 12 features, got 13"):
        dropout_loss_enumerated(x, x[:, 0], x[0], 0.5)


def test_the_mean_gradient_under_noise_and_masks_has_the_penalty(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = problem
    w, keep, noise, draws = torch.linspace(-1, 2, 6, dtype=torch.float64), 0.8, 0.4, 20_000
    generator = torch.Generator().manual_seed(2)
    seen = x + noise * torch.randn(draws, *x.shape, generator=generator, dtype=torch.float64)
    gradients = torch.einsum("rnd,rn->rd", seen, seen @ w - y) / 25
    gram = x.T @ x / 25
    due = (gram + torch.diag(penalty_diagonal(gram, noise=noise))) @ w - x.T @ y / 25
    assert float(((gradients.mean(0) - due) / (gradients.std(0) / draws**0.5)).abs().max()) < 4
    dropped = x * torch.bernoulli(torch.full((draws, *x.shape), keep, dtype=torch.float64), generator=generator) / keep
    gradients = torch.einsum("rnd,rn->rd", dropped, dropped @ w - y) / 25
    due = (gram + torch.diag(penalty_diagonal(gram, keep=keep))) @ w - x.T @ y / 25
    assert float(((gradients.mean(0) - due) / (gradients.std(0) / draws**0.5)).abs().max()) < 4
    both = seen * (dropped != 0) / keep
    gradients = torch.einsum("rnd,rn->rd", both, both @ w - y) / 25
    due = (gram + torch.diag(penalty_diagonal(gram, noise=noise, keep=keep))) @ w - x.T @ y / 25
    assert float(((gradients.mean(0) - due) / (gradients.std(0) / draws**0.5)).abs().max()) < 4


def test_risks_are_means_over_the_noise(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, truth = problem
    new = torch.randn(8, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truth_new = new.sum(1) / 3
    operator = ridge(x, torch.eye(25, dtype=torch.float64), 1.5)
    generator, draws = torch.Generator().manual_seed(4), 20_000
    y = truth[:, None] + 0.6 * torch.randn(25, draws, generator=generator, dtype=torch.float64)
    again = truth_new[:, None] + 0.6 * torch.randn(8, draws, generator=generator, dtype=torch.float64)
    for errors, due in (
        ((new @ operator @ y - again).square().mean(0), linear_risk(new @ operator, truth, truth_new, 0.36)),
        ((x @ operator @ y - y).square().mean(0), linear_training_error(x @ operator, truth, 0.36)),
    ):
        assert abs(float((errors.mean() - due) / (errors.std() / draws**0.5))) < 4


def test_leaving_one_out(problem: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = problem
    rest = [[j for j in range(25) if j != i] for i in range(25)]
    due = torch.stack([y[i] - x[i] @ ridge(x[others], y[others], 0.7) for i, others in enumerate(rest)])
    torch.testing.assert_close(leave_one_out_errors(x, y, 0.7), due, atol=1e-13, rtol=0)


@pytest.mark.parametrize(("n", "d"), [(4, 8), (5, 5), (1, 3), (12, 3)])
@pytest.mark.parametrize("penalty", [0.0, 1e-12, 0.3])
def test_leaving_one_out_where_every_point_is_fitted(n: int, d: int, penalty: float) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = torch.randn(n, generator=generator, dtype=torch.float64)
    others = [[j for j in range(n) if j != i] for i in range(n)]
    due = torch.stack([y[i] - x[i] @ ridge(x[rest], y[rest], penalty) for i, rest in enumerate(others)])
    torch.testing.assert_close(leave_one_out_errors(x, y, penalty), due, atol=1e-9, rtol=1e-9)


def test_a_point_that_alone_decides_a_coefficient_cannot_be_left_out() -> None:
    x = torch.tensor([[1.0, 0], [2, 0], [3, 0], [1, 1]], dtype=torch.float64)
    with pytest.raises(ValueError, match="point 3 alone decides a coefficient"):
        leave_one_out_errors(x, torch.ones(4, dtype=torch.float64), 0.0)
    with pytest.raises(ValueError, match="linearly independent"):
        leave_one_out_errors(x[:2], torch.ones(2, dtype=torch.float64), 0.0)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_lasso_is_as_exact_at_every_scale(scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]  # takes many sweeps
    y = x @ torch.tensor([1.0, 2, 0, 0, -1, 0], dtype=torch.float64)
    y = y + torch.randn(40, generator=generator, dtype=torch.float64)
    w = lasso(x, scale * y, 5 * scale)
    pull = x.T @ (scale * y - x @ w) / (5 * scale)
    assert float((pull - w.sign())[w != 0].abs().max()) < 1e-9
    assert float(pull[w == 0].abs().max()) <= 1
