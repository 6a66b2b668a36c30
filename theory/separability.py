"""Whether a hyperplane separates two classes of points, and how often one does by chance.

Points x_i with signs s_i = ±1 are linearly separable iff the linear programme

    minimise Σ t_i   subject to   s_i (w·x_i + b) ≥ 1 - t_i,   t_i ≥ 0

has the optimum 0: a strictly separating plane can be scaled to margin 1. By duality the optimum is positive iff the
convex hulls of the classes meet. A plane that is found is checked point by point; that there is none is the solver's
word, which takes hulls that are nearer than about 1e-7 of the points' deviation for ones that meet.

Cover counted the sign patterns of n points in general position that a hyperplane through 0 in R^d can make:

    C(n, d) = 2 Σ_{k<d} binom(n-1, k),      P(separable) = C(n, d) / 2ⁿ,      exactly 1/2 at n = 2d

A bias is one more coordinate that is always 1: replace d by d + 1, so that 1/2 is at n = 2(d + 1).

Sources:
    Cover (1965), Geometrical and statistical properties of systems of linear inequalities, theorem 1 and equation 5.
    Mangasarian (1965), Linear and nonlinear separation of patterns by linear programming.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack

TOLERANCE = 1e-7  # of the linear programme, per point; its solver works to 1e-9


class Plane(NamedTuple):
    """The hyperplane w·x + b = 0 of least total slack.

    Attributes:
        normal: w, shape (d,).
        offset: b.
        slack: Optimum, Σ t_i; 0 iff the classes are separable.
        separable: Whether every point lies strictly on its side.
    """

    normal: NDArray[np.float64]
    offset: float
    slack: float
    separable: bool


def separating_plane(points: ArrayLike, labels: ArrayLike, *, bias: bool = True) -> Plane:
    """Solves the linear programme above.

    Args:
        points: Shape (n, d), finite, of any size; scaled inside to deviation 1, which changes no answer.
        labels: Two classes: above 0 is one, the rest the other; shape (n,).
        bias: Allow planes that miss the origin.

    Raises:
        ValueError: If the shapes do not fit or a point is not finite.
    """
    x = np.asarray(points, dtype=np.float64)
    signs = np.where(np.asarray(labels, dtype=np.float64) > 0, 1.0, -1.0)
    if x.ndim != 2 or signs.shape != (len(x),) or not x.size or not np.isfinite(x).all():
        raise ValueError(f"points must be finite, of shape (n, d) with n labels, got {x.shape} and {signs.shape}")
    # Without a bias a shift would change the question; a scale of each axis does not.
    # First by powers of two, which is exact: squares of large and small numbers leave the range of float64.
    exponent = np.frexp(np.abs(x).max(0))[1]
    x = np.ldexp(x, -exponent)
    centre = x.mean(0) if bias else np.zeros(x.shape[1])
    spread = np.sqrt(np.square(x - centre).mean(0))
    spread[spread == 0] = 1.0
    columns = (x - centre) / spread
    if bias:
        columns = np.column_stack([columns, np.ones(len(x))])
    weights, slack = _least_slack(columns, signs)
    normal = weights[: x.shape[1]] / spread
    offset = float(weights[-1] - normal @ centre) if bias else 0.0
    strict = bool((signs * (x @ normal + offset) > 0).all())
    normal = np.ldexp(normal, -exponent)
    return Plane(normal, offset, slack, strict and slack <= TOLERANCE * len(x))


def _least_slack(columns: NDArray[np.float64], signs: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The w, and the value, of min Σ max(0, 1 − s_i c_i·w) for rows c_i of ``columns``, shape (n, k), and n signs s.

    The dual programme, max Σ a_i with Σ a_i s_i c_i = 0 and 0 ≤ a ≤ 1, has the same value. It is solved, on orthonormal
    columns, where the simplex method breaks down on the first: points that a steep network pressed to the corners of
    a cube ask for weights of 10⁵.
    """
    count, unknowns = columns.shape
    primal = linprog(
        np.append(np.zeros(unknowns), np.ones(count)),
        A_ub=hstack([csr_array(-signs[:, None] * columns), -eye_array(count)], format="csr"),
        b_ub=-np.ones(count),
        bounds=[(None, None)] * unknowns + [(0, None)] * count,
        method="highs",
    )
    if primal.status == 0:
        return primal.x[:unknowns], float(primal.fun)
    left, sizes, right = np.linalg.svd(columns, full_matrices=False)
    kept = sizes > 1e-12 * sizes[0]
    rows = np.sqrt(count) * left[:, kept]
    dual = linprog(-np.ones(count), A_eq=(signs[:, None] * rows).T, b_eq=np.zeros(int(kept.sum())), bounds=(0, 1),
                   method="highs")  # fmt: skip
    assert dual.status == 0, dual.message  # a = 0 is always feasible
    weights = -np.sqrt(count) * right[kept].T @ (dual.eqlin.marginals / sizes[kept])
    return weights, float(np.maximum(0, 1 - signs * (columns @ weights)).sum())


def cover_count(num_points: int, dimension: int) -> int:
    """Sign patterns that hyperplanes through 0 in R^d make on n points in general position, exactly.

    Args:
        num_points: n, at least 1.
        dimension: d, at least 1.
    """
    if num_points < 1 or dimension < 1:
        raise ValueError(f"num_points and dimension must be at least 1, got {num_points} and {dimension}")
    return 2 * sum(comb(num_points - 1, k) for k in range(min(dimension, num_points)))


def cover_probability(num_points: int, dimension: int) -> Fraction:
    """Probability that random signs of n points in general position are separable by a hyperplane through 0 in R^d."""
    return Fraction(cover_count(num_points, dimension), 2**num_points)
