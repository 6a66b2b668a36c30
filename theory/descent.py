"""Descending along the gradient: stationary points and their kind, and how fast a quadratic is descended.

Along an eigenvector of curvature λ each rule is linear, and the spectral radius of its matrix is the factor by which
the distance shrinks at each step. It reaches 1 at the edge of stability:

    gradient descent   |1 − αλ|                     α < 2/λ
    momentum β         x' = x − αv', v' = βv + λx   α < 2(1 + β)/λ
    Nesterov β         x' = x − α(λx + βv')         α < 2(1 + β)/((1 + 2β)λ)
    Newton             |1 − α|                      α < 2, whatever λ is

Source:
    Cauchy (1847); Polyak (1964), Some methods of speeding up the convergence of iteration methods; Nesterov (1983).
    The forms are those of ``torch.optim.SGD``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.functional import hessian as hessian_of

Rule = Literal["sgd", "momentum", "nesterov", "adam", "newton"]
Kind = Literal["minimum", "maximum", "saddle", "degenerate"]
Function = Callable[[Tensor], Tensor]


def gradient(f: Function, x: Tensor) -> Tensor:
    """∇f(x), shape (n,)."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(f(x), x)
    return slope


def hessian(f: Function, x: Tensor) -> Tensor:
    """∇²f(x), shape (n, n)."""
    with torch.enable_grad():
        return hessian_of(f, x.detach())


def curvatures(f: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the Hessian in rising order, shape (n,), and eigenvectors in columns, shape (n, n)."""
    values, vectors = torch.linalg.eigh(hessian(f, x))
    return values, vectors


def kind_of(curvature: Tensor, tolerance: float = 1e-9) -> Kind:
    """What a stationary point with these curvatures is; ``degenerate`` where one of them is 0 and none decides.

    A curvature is 0 up to ``tolerance``, or up to that share of the largest where that is above 1.
    """
    scale = tolerance * max(1.0, float(curvature.abs().max()))
    if bool((curvature > scale).all()):
        return "minimum"
    if bool((curvature < -scale).all()):
        return "maximum"
    return "saddle" if bool((curvature > scale).any() and (curvature < -scale).any()) else "degenerate"


def stationary_point(f: Function, start: Tensor, steps: int = 100, tolerance: float = 1e-12) -> Tensor | None:
    """A place where the gradient vanishes, by Newton's method from ``start``; it may be of any kind.

    Args:
        f: Twice differentiable, shape (n,) to a scalar.
        start: Shape (n,), float64, on the CPU: least squares with a singular Hessian needs LAPACK.
        steps: Most steps.
        tolerance: Largest gradient that counts as 0, relative to the one at the start.

    Returns:
        The point, shape (n,), or None where the method finds none.

    Source:
        Schröder (1870), Ueber unendlich viele Algorithmen zur Auflösung der Gleichungen: where the curvature vanishes,
        a zero of the gradient of multiplicity m, each step of Newton leaves the share 1 − 1/m of the distance, so that
        steps shrink by that share, and m steps at once leave none of it.
    """
    x, before, shares = start.clone(), torch.zeros_like(start), [0.0]
    enough = tolerance * max(1.0, float(gradient(f, x).norm()))
    for number in range(steps):
        slope, curvature = gradient(f, x), hessian(f, x)
        if not bool(torch.isfinite(slope).all() and torch.isfinite(curvature).all()):
            return None
        # lstsq: in a flat direction the shortest step instead of none
        step = torch.linalg.lstsq(curvature, slope[:, None], driver="gelsd").solution[:, 0]
        # A gradient that fades only because the point runs away, as that of 1/x, has no small step.
        small = float(slope.norm()) <= enough and float(step.norm()) <= 1e-6 * (1 + float(x.norm()))
        if small and (number > 3 or not step.any()):
            return x - step if bool(torch.isfinite(f(x))) else None
        shares.append(float(step @ before / (before @ before).clamp_min(1e-300)))
        ahead, before = x - step, step
        if 0.3 < shares[-1] < 0.99 and abs(shares[-1] - shares[-2]) < 0.01:
            far = x - round(1 / (1 - shares[-1])) * step
            ahead = min(ahead, far, key=lambda end: float(gradient(f, end).norm().nan_to_num(math.inf)))
        x = ahead
    return None


def contraction(rule: Rule, lr: float, curvature: float, momentum: float = 0.0) -> float:
    """The factor by which one step changes the distance along an eigenvector, asymptotically; NaN for Adam.

    Args:
        rule: How steps are taken; Adam divides by the size of the gradient and has no such factor.
        lr: Learning rate α, above 0.
        curvature: λ, any sign; below 0 the factor exceeds 1 and the saddle is left.
        momentum: β in [0, 1).
    """
    if rule == "adam":
        return math.nan
    return float(torch.linalg.eigvals(step_matrix(rule, lr, curvature, momentum)).abs().max())


def step_matrix(rule: Rule, lr: float, curvature: float, momentum: float = 0.0) -> Tensor:
    """The matrix that takes (x, v) along an eigenvector of curvature λ to the next step, shape (2, 2); not for Adam."""
    assert rule != "adam"
    beta = momentum
    rows = {
        "sgd": ((1 - lr * curvature, 0.0), (0.0, 0.0)),
        "newton": ((1 - lr, 0.0), (0.0, 0.0)),
        "momentum": ((1 - lr * curvature, -lr * beta), (curvature, beta)),
        "nesterov": ((1 - lr * curvature * (1 + beta), -lr * beta**2), (curvature, beta)),
    }
    return torch.tensor(rows[rule], dtype=torch.float64)


def stability_edge(rule: Rule, curvature: float, momentum: float = 0.0) -> float:
    """The learning rate from which on a quadratic of largest curvature L > 0 is no longer descended; NaN for Adam."""
    factor = {"sgd": 2.0, "momentum": 2 * (1 + momentum), "nesterov": 2 * (1 + momentum) / (1 + 2 * momentum)}
    return {"newton": 2.0, "adam": math.nan}[rule] if rule not in factor else factor[rule] / curvature


def descend(f: Function, start: Tensor, lr: float, steps: int) -> Tensor:
    """Plain gradient descent, x ← x − α∇f(x): all points, shape (steps + 1, n)."""
    points = [start]
    for _ in range(steps):
        points.append(torch.add(points[-1], gradient(f, points[-1]), alpha=-lr))  # as torch.optim.SGD does
    return torch.stack(points)


def edge_by_bisection(diverges: Callable[[float], bool], low: float, high: float, steps: int = 40) -> float:
    """The learning rate at which a run begins to diverge, between one that does not and one that does."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if diverges(middle) else (middle, high)
    return (low + high) / 2
