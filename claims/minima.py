"""Statements about local minima and saddle points of linear networks, and where others differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from claims.coordinates import correlated, final_loss, trained
from claims.registry import IMPRECISE, Numbers, at_least, at_most, claim, equals
from theory.descent import gradient, hessian
from theory.linear_autoencoder import (
    alternating_least_squares,
    covariance_loss,
    critical_points,
    least_loss,
    smallest_curvature,
    weights_at,
)
from theory.principal import mean_and_covariance, principal


@claim(
    "002-15",
    "gradient descent wins on large data; many problems have saddle points but no local minima",
    IMPRECISE,
    "for the squared error linear networks have no bad local minimum, and with one hidden layer and distinct positive "
    "eigenvalues all other critical points are strict saddles; deeper ones have flat saddles too; ReLU networks have "
    "bad local minima, and so have linear ones with a narrow layer when the squares are weighted",
    "Baldi and Hornik 1989; Kawaguchi 2016 for deeper ones; Safran and Shamir 2018 for ReLU; Srebro and Jaakkola 2003",
)
def saddles() -> Numbers:
    size, k = 5, 2
    data = correlated(200, size, 0)
    basis = principal(data)
    _, covariance = mean_and_covariance(data)
    points = list(critical_points(basis.eigenvalues, k))
    full = [point for point in points if len(point.kept) == k]
    yield equals("critical points that use all k coordinates, C(5, 2)", len(full), math.comb(size, k))
    due = sum(math.comb(size, j) for j in range(k + 1))
    yield equals("all of them, C(5, 2) + C(5, 1) + C(5, 0)", len(points), due)
    steepest, loss, curvature, falling = 0.0, 0.0, 0.0, 0
    for point in points:
        weights = weights_at(basis.directions, point.kept, k)
        slopes = torch.func.grad(covariance_loss, argnums=(0, 1))(*weights, covariance)
        steepest = max(steepest, *(float(slope.abs().max()) for slope in slopes))
        left_out = math.fsum(v for i, v in enumerate(basis.eigenvalues.tolist()) if i not in point.kept)
        loss = max(loss, abs(float(covariance_loss(*weights, covariance)) - left_out))
        bend = smallest_curvature(*weights, covariance)  # of the Hessian in all 2kD weights, by autograd
        curvature = max(curvature, abs(bend - point.curvature))
        falling += bend < -1e-9
    scale = float(covariance.trace())
    yield equals("largest gradient at them / trace", steepest / scale, 0, 1e-13)
    yield equals("loss − sum of the eigenvalues not kept, worst / trace", loss / scale, 0, 1e-13)
    yield equals("smallest Hessian eigenvalue − closed form, worst / trace", curvature / scale, 0, 1e-12)
    yield equals("points with a direction downwards, all but one", falling, len(points) - 1)
    least = least_loss(basis.eigenvalues, k)
    reached = [final_loss(trained(covariance, k, seed)) < least * (1 + 1e-6) for seed in range(20)]
    yield equals("random starts that reach the global minimum / starts", sum(reached) / 20, 1)

    yield from weighted_squares()

    def chain(w: Tensor) -> Tensor:  # two hidden layers of one linear unit each; the minimum is 0
        return (w.prod() - 1) ** 2

    origin = torch.zeros(3, dtype=torch.float64)
    yield equals("(w₁w₂w₃ − 1)², two hidden layers, at 0: its loss", chain(origin), 1)
    yield equals("largest gradient there", gradient(chain, origin).abs().max(), 0)
    yield equals("largest |second derivative| there: not strict", hessian(chain, origin).abs().max(), 0)
    yield at_most("loss at w₁ = w₂ = w₃ = 0.1, below that: no minimum", chain(origin + 0.1), 1 - 1e-3)
    # (relu(b) - 1)² at b = -1: the unit is dead, its loss is 1 all around, the minimum is 0 at b = 1.
    nearby = (torch.linspace(-1.5, -0.5, 101, dtype=torch.float64).relu() - 1).square()
    yield equals("least loss around a dead ReLU − its own", nearby.min() - nearby[50], 0, counterexample=True)
    yield at_least("its own above the minimum", nearby[50], 1, counterexample=True)


def weighted_squares() -> Numbers:
    """Two local minima of a linear network 2-1-2 whose squares are weighted."""
    matrix = torch.tensor([[1.0, 1.1], [1.0, -1.0]], dtype=torch.float64)
    weights = torch.tensor([[11.0, 1.0], [1.0, 11.0]], dtype=torch.float64)
    loss = lambda w: (weights * (matrix - torch.outer(w[:2], w[2:]))).mul(matrix - torch.outer(w[:2], w[2:])).sum()
    for name, start, due in (("one", [0.0, 1.0], 2.729), ("another", [1.0, 0.0], 3.151)):
        right = torch.tensor(start, dtype=torch.float64)[:, None]
        found = torch.cat(alternating_least_squares(matrix, weights, right, 200))[:, 0]
        yield equals(f"weighted squares, {name} start: the loss it ends at", loss(found), due, 1e-3)
        bends = torch.linalg.eigvalsh(hessian(loss, found))  # along (u, −v) the product u vᵀ does not change
        yield at_least("second smallest Hessian eigenvalue there (the first is 0): a minimum", bends[1], 1)
