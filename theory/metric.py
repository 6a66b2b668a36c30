"""Lengths in curved coordinates: the metric tensor and the curvature that no change of coordinates removes.

A map u -> x(u) with Jacobian J measures ds² = du·g du by g = JᵀJ. Off-diagonal entries say that the coordinate lines
are not orthogonal, det g > 0 that they are independent; only the Riemann tensor says whether the space is flat. All
derivatives are automatic, so nothing is approximated.

Source:
    Gauss (1827), Disquisitiones generales circa superficies curvas; do Carmo (1976), section 4-3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacrev

Map = Callable[[Tensor], Tensor]


def metric_of(chart: Map) -> Map:
    """The metric g(u) = JᵀJ that a map into Euclidean space gives its coordinates.

    Args:
        chart: Differentiable, shape (n,) to shape (m,).

    Returns:
        Function of u, shape (n,), that gives g, shape (n, n).
    """

    def metric(u: Tensor) -> Tensor:
        jacobian = jacrev(chart)(u)  # (m, n)
        return jacobian.T @ jacobian

    return metric


def christoffel(metric: Map, u: Tensor) -> Tensor:
    """Γᵏ_ij = ½ gᵏˡ (∂_i g_jl + ∂_j g_il − ∂_l g_ij), shape (n, n, n), the first axis being k."""
    slope = jacrev(metric)(u).permute(2, 0, 1)  # ∂_l g_ij at [l, i, j]
    lowered = slope.permute(2, 0, 1) + slope.permute(2, 1, 0) - slope  # [l, i, j]
    return 0.5 * torch.einsum("kl,lij->kij", torch.linalg.inv(metric(u)), lowered)


def gaussian_curvature(metric: Map, u: Tensor) -> Tensor:
    """Gaussian curvature K = R_1212 / det g of a surface, from its metric alone (Gauss's remarkable theorem).

    Args:
        metric: Gives g, shape (2, 2), at a point.
        u: The point, shape (2,).

    Returns:
        K, one over a length squared, a scalar.
    """
    gamma = christoffel(metric, u)  # (k, i, j)
    slope = jacrev(lambda point: christoffel(metric, point))(u)  # ∂_l Γᵏ_ij at [k, i, j, l]
    # Rᵏ_212 = ∂_1 Γᵏ_22 − ∂_2 Γᵏ_12 + Γᵏ_1m Γᵐ_22 − Γᵏ_2m Γᵐ_12
    riemann = slope[:, 1, 1, 0] - slope[:, 0, 1, 1] + gamma[:, 0] @ gamma[:, 1, 1] - gamma[:, 1] @ gamma[:, 0, 1]
    g = metric(u)
    return (g[0] @ riemann) / torch.linalg.det(g)


def nonzeros(metric: Tensor, tolerance: float = 1e-12) -> int:
    """How many entries of the metric are not 0, up to rounding."""
    return int((metric.abs() > tolerance).sum())
