"""Metrics and curvatures against the formulas of textbooks."""

import math

import pytest
import torch
from torch import Tensor

from theory.metric import christoffel, gaussian_curvature, metric_of, nonzeros

POINT = torch.tensor([0.8, 0.4], dtype=torch.float64)


def test_polar_coordinates() -> None:
    chart = lambda u: torch.stack([u[0] * u[1].cos(), u[0] * u[1].sin()])
    metric = metric_of(chart)
    torch.testing.assert_close(metric(POINT), torch.diag(torch.tensor([1.0, 0.64], dtype=torch.float64)))
    assert nonzeros(metric(POINT)) == 2
    gamma = christoffel(metric, POINT)
    # Γʳ_φφ = −r, Γᵠ_rφ = 1/r, the others 0.
    due = torch.zeros(2, 2, 2, dtype=torch.float64)
    due[0, 1, 1], due[1, 0, 1], due[1, 1, 0] = -0.8, 1.25, 1.25
    torch.testing.assert_close(gamma, due)
    assert gaussian_curvature(metric, POINT).item() == pytest.approx(0, abs=1e-12)


def test_the_hyperbolic_plane_has_curvature_minus_one() -> None:
    half_plane = lambda u: torch.eye(2, dtype=torch.float64) / u[1] ** 2
    assert gaussian_curvature(half_plane, POINT).item() == pytest.approx(-1, rel=1e-12)


def test_a_graph_has_the_curvature_of_its_second_derivatives() -> None:
    def surface(u: Tensor) -> Tensor:
        return torch.stack([u[0], u[1], u[0] ** 2 * u[1] + u[1].sin()])

    x, y = POINT.tolist()
    fx, fy, fxx, fxy, fyy = 2 * x * y, x**2 + math.cos(y), 2 * y, 2 * x, -math.sin(y)
    due = (fxx * fyy - fxy**2) / (1 + fx**2 + fy**2) ** 2
    assert gaussian_curvature(metric_of(surface), POINT).item() == pytest.approx(due, rel=1e-12)
