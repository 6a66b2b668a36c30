"""The maximum of a likelihood: where there is one, by another linear programme, and that Newton's method arrives."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from sklearn.linear_model import LogisticRegression

from data.samples import Samples
from theory.exponential_family import FAMILIES, Family, sample, score_and_information
from theory.newton import backtrack, damped_step, fit
from theory.recession import rank, separated

SAYS = {"no finite maximum": "none", "no unique maximum": "many", "not arrived": "lost"}


def pushes(family: Family, x: np.ndarray, y: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows that pull the coefficients only one way, and rows that hold them from both sides."""
    oneway, held = [], []
    for row, answer in zip(x, y, strict=True):
        if family == "poisson":
            (held if answer[0] > 0 else oneway).append(-row)
            continue
        own = int(answer @ np.arange(1, len(answer) + 1))
        sides = np.vstack([np.zeros(len(answer)), np.eye(len(answer))])
        oneway += [np.kron(sides[own] - sides[other], row) for other in range(len(sides)) if other != own]
    return oneway, held


def has_maximum(family: Family, x: np.ndarray, y: np.ndarray) -> bool:
    """Stiemke (1915): no direction gains iff the one-way rows, weighted above 0, balance with any of the others."""
    oneway, held = pushes(family, x, y)
    if not oneway:
        return True
    found = linprog(
        np.zeros(len(oneway) + len(held)),
        A_eq=np.array([*oneway, *held]).T,
        b_eq=np.zeros(oneway[0].size),
        bounds=[(1, None)] * len(oneway) + [(None, None)] * len(held),
    )
    assert found.status in (0, 2)
    return found.status == 0


def told(family: Family, x: torch.Tensor, y: torch.Tensor) -> str:
    """What `fit` says of the maximum."""
    try:
        found = fit(family, x, y)
    except ValueError as error:
        return next(word for part, word in SAYS.items() if part in str(error))
    scale = x.abs().T @ torch.ones(len(x), dtype=x.dtype)
    score, _ = score_and_information(family, x, y, found.theta)
    assert float((score.abs() / scale[:, None]).max()) < 1e-12
    return "one"


@pytest.mark.parametrize("family", ["bernoulli", "poisson", "softmax"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_fit_is_given_where_a_maximum_exists_and_nowhere_else(family: Family, whole: bool) -> None:
    """Whole numbers as features put many samples on the separating plane itself: quasi-separation."""
    generator, seen = torch.Generator().manual_seed(3), Counter()
    outputs = 2 if family == "softmax" else 1
    for trial in range(120):
        samples, features = 2 + trial % 12, 1 + trial % 3
        x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
        x = torch.cat([torch.ones(samples, 1, dtype=x.dtype), x.round() if whole else x], 1)
        y = sample(family, (x @ torch.ones(features + 1, outputs, dtype=x.dtype) / 2 - 0.5), generator)
        exists = has_maximum(family, x.numpy(), y.numpy())
        due = "none" if not exists else "one" if np.linalg.matrix_rank(x.numpy()) == features + 1 else "many"
        assert told(family, x, y) == due, (trial, x, y)
        assert separated(family, x, y) != exists
        seen[due] += 1
    assert min(seen["one"], seen["none"]) > 15, seen


@pytest.mark.parametrize(("family", "samples"), [("bernoulli", 50), ("poisson", 15), ("poisson", 2), ("softmax", 9)])
def test_answers_that_are_all_0_have_no_finite_maximum(family: Family, samples: int) -> None:
    x = torch.randn(samples, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] = 1
    with pytest.raises(ValueError, match=f"{family} has no finite maximum of the likelihood on these {samples} sampl"):
        fit(family, x, torch.zeros(samples, 2 if family == "softmax" else 1, dtype=x.dtype))


@pytest.mark.parametrize(
    "options",
    [
        {"family": "poisson", "num_samples": 2000, "num_features": 50, "signal": 3},
        {"family": "poisson", "num_samples": 60, "num_features": 5, "signal": 3, "sample_seed": 17},
        {"family": "bernoulli", "num_samples": 6, "sample_seed": 4},
        {"family": "gaussian", "num_features": 5, "noise": 1e-6, "sample_seed": 17},
    ],
)
def test_newton_arrives_where_rounding_hides_the_descent(options: dict) -> None:
    data = Samples(test_samples=1, **options)
    data.setup()
    x, y = next(iter(data.train_dataloader()))
    found = fit(data.family, x, y, data.dispersion)
    assert found.steps < 20
    if data.family == "poisson":
        a, counts = x.numpy(), y[:, 0].numpy()
        due = minimize(
            lambda theta: np.exp(a @ theta).sum() - counts @ a @ theta,
            np.zeros(x.shape[1]),
            jac=lambda theta: a.T @ (np.exp(a @ theta) - counts),
            hess=lambda theta: (a.T * np.exp(a @ theta)) @ a,
            method="trust-exact",
            options={"gtol": 1e-9},
        ).x
    elif data.family == "bernoulli":
        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, solver="newton-cholesky", max_iter=1000)
        due = model.fit(x, y[:, 0]).coef_[0]
    else:
        due = np.linalg.lstsq(x.numpy(), y[:, 0].numpy())[0]
    np.testing.assert_allclose(found.theta[:, 0], due, atol=1e-6)
    theta = torch.zeros_like(found.theta)
    for _ in range(20):
        theta = damped_step(data.family, x, y, theta, data.dispersion)
    assert float((theta - found.theta).norm()) < 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_units_of_the_features_change_no_answer(family: Family) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 3, generator=generator, dtype=torch.float64)
    y = sample(family, x[:, :2] @ torch.eye(2, dtype=x.dtype)[:, : 2 if family == "softmax" else 1], generator)
    units = torch.tensor([1e-6, 1.0, 1e5], dtype=x.dtype)
    torch.testing.assert_close(fit(family, x * units, y).theta * units[:, None], fit(family, x, y).theta)


def test_what_is_wrong_is_told_apart() -> None:
    x = torch.tensor([[1.0, -1], [1, 1], [1, 2]], dtype=torch.float64)
    y = torch.tensor([[0.0], [1], [1]], dtype=torch.float64)
    with pytest.raises(
        ValueError, match="bernoulli has no finite maximum of the likelihood on these 3 samples: classe"
    ):
        fit("bernoulli", x, y)
    assert torch.isfinite(fit("bernoulli", x, y, precision=1.0).theta).all()
    with pytest.raises(ValueError, match=r"gaussian has no unique maximum .* 3 samples, whose features depend on each"):
        fit("gaussian", torch.cat([x, x[:, :1]], 1)[:, [0, 2]], y)
    with pytest.raises(ValueError, match=r"gaussian has no unique maximum .* 2 samples, fewer than the 3 coefficients"):
        fit("gaussian", torch.randn(2, 3, dtype=x.dtype, generator=torch.Generator().manual_seed(0)), y[:2])
    with pytest.raises(ValueError, match=r"has not arrived at the maximum of the bernoulli likelihood .* in 2 steps; "):
        fit("bernoulli", x, y, precision=1e-9, max_steps=2)
    assert rank(torch.tensor([[1.0, 1e9], [2, 2e9], [0, 0]], dtype=torch.float64)) == 1
    assert rank(torch.tensor([[1.0, 1e9], [2, 2e9], [0, 1e-9]], dtype=torch.float64)) == 1
    assert rank(torch.tensor([[1e-9, 1e9], [2e-9, 3e9]], dtype=torch.float64)) == 2


def test_a_weak_prior_on_separated_classes_has_its_maximum() -> None:
    x = torch.tensor([[1.0, -1], [1, 1], [1, 2]], dtype=torch.float64)
    y = torch.tensor([[0.0], [1], [1]], dtype=torch.float64)
    for deviation in (1e1, 1e3, 1e5):
        found = fit("bernoulli", x, y, precision=deviation**-2)
        score, _ = score_and_information("bernoulli", x, y, found.theta, precision=deviation**-2)
        assert float(score.abs().max()) < 1e-12 * max(1.0, 1e3 / deviation)


def test_backtracking_halves_a_step_that_climbs() -> None:
    objective = lambda point: float(point.square().sum())
    start = torch.tensor([1.0])
    assert float(backtrack(objective, start, torch.tensor([-5.0]))) == -0.5
    assert torch.equal(backtrack(objective, start, torch.tensor([3.0])), start)
