"""What the figures of a path of descent draw: its distances beside theory, and the land it went through."""
# n variables, K steps

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.descending import Course
from theory.expression import Expression
from theory.named_functions import variables_of


def distances(course: Course) -> tuple[NDArray[np.floating], NDArray[np.floating] | None, list[float]]:
    """|Eigen-coordinates| of the path, shape (K + 1, m), those predicted, or None, and the m curvatures.

    A direction along which a quadratic is flat is left out: nothing moves there.
    """
    account, due = course.account, course.prediction()
    assert account.point is not None
    kept = (account.curvature != 0) | (not account.quadratic)
    seen = lambda path: ((path - account.point) @ account.directions)[:, kept].abs().numpy()
    return seen(course.path), None if due is None else seen(due), account.curvature[kept].tolist()


def land(
    course: Course,
) -> tuple[NDArray[np.floating], list[NDArray[np.floating]], NDArray[np.floating], Tensor | None]:
    """What ``dashboard.descent.path_figure`` draws: path, places along each axis, values there, the goal."""
    path = course.path
    if course.stopped:  # the beginning of the flight tells the shape; its end would make all else a point
        near = path.norm(dim=1) <= 20 * (1 + float(path[0].norm()))
        path = path[: max(int(near.cumprod(0).sum()), 2)]
    seen = path if course.account.point is None else torch.cat([path, course.account.point[None]])
    low, high = seen.min(0).values, seen.max(0).values
    margin = 0.25 * (high - low).clamp_min(0.25 * float((high - low).max()) + 1e-6) + 0.05 * (high - low).max()
    axes = [np.linspace(float(a), float(b), 161) for a, b in zip(low - margin, high + margin, strict=True)]
    expression = Expression(course.formula, variables_of(course.formula))
    grid = [torch.from_numpy(axis) for axis in axes]
    places = torch.meshgrid(*grid, indexing="xy") if len(grid) > 1 else grid
    return path.numpy(), list(axes), expression(*places).numpy(), course.account.point


def heading(course: Course, drawn: NDArray[np.floating]) -> str:
    """The outcome, and how much of the path is drawn where that is not all. Args: course; drawn, what ``land`` gave."""
    steps = len(drawn) - 1
    if steps == course.steps:
        return course.outcome()
    return f"{course.outcome()}; first {'step' if steps == 1 else f'{steps} steps'} of {course.steps} shown"
