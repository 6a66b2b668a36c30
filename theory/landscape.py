"""A function to descend on, what it has at its stationary point, and the path that theory predicts.

On a quadratic each rule but Adam is linear along every eigenvector, so that the whole path is known before the first
step: the coordinate c after k steps is the first entry of Mᵏ(c₀, 0), M being the matrix of ``theory.descent``. All
tensors are float64 on the CPU.
"""

# n variables, K steps

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from theory.descent import (
    Function,
    Kind,
    Rule,
    curvatures,
    gradient,
    hessian,
    kind_of,
    stationary_point,
    step_matrix,
)
from theory.expression import Expression
from theory.named_functions import variables_of

NEAR = 0.01  # of 1 + the size of a point: far enough that a curvature which vanishes at the point is seen beside it

# The functions of the articles, and where to start on them.
LANDSCAPES: dict[str, tuple[str, tuple[float, ...]]] = {
    "parabola": ("2*x^2 - 12*x + 20", (10.0,)),
    "saddle": ("2*x^2 + 2*y + 4*x*y", (1.0, 1.0)),
    "bowl": ("2*x^2 + y^2 + 3", (2.0, -3.0)),
}


def as_function(formula: str) -> Function:
    """A formula in x, or in x and y, as a function of one tensor of shape (n,)."""
    expression = Expression(formula, variables_of(formula))
    return lambda point: expression(*point.unbind(-1))


@dataclass(frozen=True)
class Account:
    """What is known about a function near a path on it.

    Attributes:
        point: A stationary point, shape (n,), or None where none was found.
        value: f there.
        curvature: Eigenvalues of the Hessian there, rising, shape (n,); 0 where one cannot be told from 0.
        directions: Their eigenvectors in columns, shape (n, n).
        kind: What the point is.
        quadratic: Whether f is a polynomial of degree two wherever it was looked at; then all of this holds globally.
    """

    point: Tensor | None
    value: float
    curvature: Tensor
    directions: Tensor
    kind: Kind
    quadratic: bool

    @property
    def has_minimum(self) -> bool:
        """Whether the stationary point is a minimum."""
        return self.point is not None and self.kind == "minimum"

    @property
    def isolated(self) -> bool:
        """Whether the gradient of a quadratic vanishes at this point only, and not along a line."""
        return bool((self.curvature != 0).all())

    def along(self, points: Tensor) -> Tensor:
        """Coordinates of points (…, n) from the stationary point, along the directions that are curved, (…, ≤ n)."""
        assert self.point is not None
        return ((points - self.point) @ self.directions)[..., self.curvature != 0]


def account_of(f: Function, start: Tensor) -> Account:
    """Looks for a stationary point from ``start`` and describes it; without one, describes the start itself."""
    point = stationary_point(f, start)
    at = start if point is None else point
    values, directions = curvatures(f, at)
    quadratic = is_quadratic(f, start)
    if point is not None:
        values = values.masked_fill(flat(f, point, values, directions, quadratic), 0)
    kind = kind_of(values, 0)
    if quadratic and point is not None and kind == "degenerate":  # then f is constant along the flat direction
        kind = "minimum" if float(values[-1]) > 0 else "maximum"
    return Account(point, float(f(at)), values, directions, kind, quadratic)


def flat(f: Function, point: Tensor, values: Tensor, directions: Tensor, quadratic: bool) -> Tensor:
    """Which curvatures at a stationary point cannot be told from 0, shape (n,).

    Those of a quadratic are known to rounding, beside the largest. Any other f has its stationary point from Newton's
    method, which where a curvature vanishes ends near it: there the curvature is compared with what it is at a small
    distance to both sides. No unit of x, of f, or of the other curvatures comes in but that distance.

    Args:
        f: Shape (n,) to a scalar.
        point: Shape (n,).
        values: Eigenvalues of the Hessian there, shape (n,).
        directions: Their eigenvectors in columns.
        quadratic: Whether f is a polynomial of degree two.
    """
    rounding = values.abs() <= 1e-14 * values.abs().max()
    if quadratic:
        return rounding
    aside = NEAR * (1 + float(point.norm())) * directions.T  # (n, n)
    ways = [(way, point + shift) for way, shift in zip(directions.T, aside, strict=True)]
    ways += [(way, point - shift) for way, shift in zip(directions.T, aside, strict=True)]
    beside = torch.stack([way @ hessian(f, place) @ way for way, place in ways]).view(2, -1)  # (2, n)
    beside = beside.abs().where(beside.isfinite(), 0)
    return rounding | (values.abs() <= 1e-5 * beside.amax(0))


def surely_flat(curvature: Tensor) -> bool:
    """Whether a Hessian of one or two variables is singular in exact arithmetic, and not only to rounding.

    Args:
        curvature: Shape (n, n), n = 1 or 2.
    """
    entries = [Fraction(entry) for entry in curvature.flatten().tolist()]
    return entries[0] * entries[-1] == (entries[1] * entries[2] if len(entries) > 1 else 0)


def is_quadratic(f: Function, around: Tensor) -> bool:
    """Whether f is a polynomial of degree two or less, up to rounding, at every place where it was looked at.

    The Hessian must be the same at several places, and f must equal its second-order Taylor polynomial along several
    lines as far as a thousand times the distance from 0: a broken line such as |x| has one Hessian wherever it has any.

    Args:
        f: Shape (n,) to a scalar.
        around: Middle of the places, shape (n,).
    """
    generator = torch.Generator().manual_seed(0)
    value, slope, curvature = f(around), gradient(f, around), hessian(f, around)
    shifts = torch.randn(4, len(around), generator=generator, dtype=torch.float64)
    if not all(torch.allclose(hessian(f, around + shift), curvature, rtol=1e-9, atol=1e-12) for shift in shifts):
        return False
    lines = torch.cat([shifts, torch.eye(len(around), dtype=torch.float64)])
    for length in (1.0, 10.0, 100.0, 1000.0):
        for shift in torch.cat([lines, -lines]) * length * (1 + float(around.norm())):
            terms = torch.stack([value, slope @ shift, 0.5 * shift @ curvature @ shift])
            if not float((f(around + shift) - terms.sum()).abs()) <= 1e-9 * float(terms.abs().sum()) + 1e-12:
                return False
    return True


def predicted_path(account: Account, start: Tensor, steps: int, rule: Rule, lr: float, momentum: float) -> Tensor:
    """The path on a quadratic with a stationary point, shape (K + 1, n); not for Adam.

    Args:
        account: Of the quadratic.
        start: Shape (n,).
        steps: K.
        rule: How steps are taken.
        lr: Learning rate α.
        momentum: β.
    """
    assert account.point is not None
    coordinates = (start - account.point) @ account.directions  # (n,)
    tracks = []
    for place, curvature in zip(coordinates.tolist(), account.curvature.tolist(), strict=True):
        matrix, state = step_matrix(rule, lr, curvature, momentum), torch.tensor([place, 0.0], dtype=torch.float64)
        track = [state]
        for _ in range(steps):
            track.append(matrix @ track[-1])
        tracks.append(torch.stack(track)[:, 0])
    return account.point + torch.stack(tracks, 1) @ account.directions.T


def measured_factors(path: Tensor, account: Account, order: int = 1) -> list[float]:
    """The factor by which each eigen-coordinate changes a step; NaN where too little was seen.

    Coordinates of a linear rule follow c_k+p = a₁c_k+p−1 + … + a_p c_k, p = 1, or 2 with momentum. All a are fitted by
    least squares, and the factor is the largest root. On a function that is no quadratic only the last quarter of the
    steps counts. What rounding may have made is left out: all from where p coordinates in a row are below 1e-9 of the
    beginning, as one alone may be of a path that swings through 0.

    Args:
        path: Points, shape (K + 1, n).
        account: With a stationary point.
        order: p.
    """
    assert account.point is not None
    factors = []
    for track in ((path - account.point) @ account.directions).unbind(1):
        floor = 1e-9 * float(track[0].abs())
        if floor == 0 or len(track) < order:
            factors.append(math.nan)
            continue
        sizes = track.abs().unfold(0, order, 1).amax(1)
        above = int((sizes.cummin(0).values > floor).sum())
        seen = above + order - 1 if above else 0
        first = 0 if account.quadratic else 3 * seen // 4
        rows = track[first:seen].unfold(0, order + 1, 1) if seen - first > order else track.new_zeros(0, order + 1)
        if len(rows) < order:
            factors.append(math.nan)
            continue
        rows = rows / rows.abs().amax(1, keepdim=True)
        recurrence = torch.linalg.lstsq(rows[:, :order], rows[:, order:]).solution[:, 0]  # a_p, ..., a_1
        companion = torch.cat([torch.eye(order, dtype=track.dtype)[1:], recurrence[None]])
        factors.append(float(torch.linalg.eigvals(companion).abs().max()))
    return factors
