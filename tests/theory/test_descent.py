"""Rates of descent against runs of torch's own optimisers; kinds of stationary points against their definitions."""

import math

import pytest
import torch
from torch import Tensor

from theory.descent import (
    contraction,
    curvatures,
    descend,
    edge_by_bisection,
    gradient,
    hessian,
    kind_of,
    stability_edge,
    stationary_point,
)


def start(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def measured_factor(rule: str, lr: float, curvature: float, momentum: float) -> float:
    """Mean factor per step of torch's SGD on ½λx², over many steps."""
    x = start(1.0).requires_grad_()
    optimizer = torch.optim.SGD([x], lr=lr, momentum=momentum if rule != "sgd" else 0, nesterov=rule == "nesterov")
    sizes = []
    for _ in range(400):
        optimizer.zero_grad()
        (0.5 * curvature * x**2).sum().backward()
        optimizer.step()
        sizes.append(x.abs().item())
    # Complex eigenvalues turn: the largest of the last few is compared with the largest of as many before.
    return (max(sizes[-40:]) / max(sizes[-240:-200])) ** (1 / 200)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov"])
@pytest.mark.parametrize(("lr", "curvature"), [(0.1, 2.0), (0.3, 0.1), (0.05, -1.0)])
def test_the_contraction_is_that_of_torchs_optimiser(rule: str, lr: float, curvature: float) -> None:
    due = contraction(rule, lr, curvature, 0.8)  # type: ignore[arg-type]
    assert measured_factor(rule, lr, curvature, 0.8) == pytest.approx(due, rel=3e-3)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "newton"])
@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_at_the_edge_the_factor_is_one(rule: str, momentum: float) -> None:
    edge = stability_edge(rule, 4.0, momentum)  # type: ignore[arg-type]
    assert contraction(rule, edge, 4.0, momentum) == pytest.approx(1, rel=1e-9)  # type: ignore[arg-type]
    assert contraction(rule, 1.01 * edge, 4.0, momentum) > 1  # type: ignore[arg-type]
    assert contraction(rule, 0.9 * edge, 4.0, momentum) < 1  # type: ignore[arg-type]


def test_adam_has_no_factor() -> None:
    assert math.isnan(contraction("adam", 0.1, 1.0))
    assert math.isnan(stability_edge("adam", 1.0))


def test_derivatives_of_a_quadratic() -> None:
    a = torch.tensor([[3.0, 1.0], [1.0, -2.0]], dtype=torch.float64)
    f = lambda x: 0.5 * x @ a @ x
    torch.testing.assert_close(gradient(f, start(1.0, 2.0)), a @ start(1.0, 2.0))
    torch.testing.assert_close(hessian(f, start(1.0, 2.0)), a)
    values, vectors = curvatures(f, start(0.0, 0.0))
    torch.testing.assert_close(vectors @ torch.diag(values) @ vectors.T, a)


@pytest.mark.parametrize(
    ("values", "kind"),
    [((1, 2), "minimum"), ((-1, -2), "maximum"), ((-1, 2), "saddle"), ((0, 2), "degenerate"), ((-3, 0), "degenerate")],
)
def test_kinds(values: tuple[float, ...], kind: str) -> None:
    assert kind_of(torch.tensor(values, dtype=torch.float64)) == kind


def test_stationary_points() -> None:
    found = stationary_point(lambda x: (x**4).sum() - x.sum(), start(2.0, 0.5))
    assert found is not None
    torch.testing.assert_close(found, torch.full((2,), 0.25 ** (1 / 3), dtype=torch.float64))
    assert stationary_point(lambda x: x.sum(), start(1.0)) is None
    assert stationary_point(lambda x: x.log().sum(), start(-1.0)) is None
    assert stationary_point(lambda x: x.exp().sum(), start(0.0), tolerance=1e-60) is None


def test_descent_and_its_edge() -> None:
    path = descend(lambda x: 2 * (x**2).sum(), start(1.0), 0.1, 3)
    torch.testing.assert_close(path[:, 0], start(1.0, 0.6, 0.36, 0.216))
    assert edge_by_bisection(lambda lr: lr > 0.3, 0.0, 1.0) == pytest.approx(0.3, abs=1e-9)
