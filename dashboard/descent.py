"""Figures of a descent: the path over the function, the shrinking distance, the factor over the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.legends import legend_above
from dashboard.scales import logarithmic, power, short
from dashboard.style import (
    BLUE,
    CYCLE,
    GREEN,
    THEORY,
    VERMILLION,
    finding,
    label,
    legend,
    new_figure,
    true_minus,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.floating[Any]]

LEAST = 1e-17  # distances up to this are not drawn
EQUAL = 4.0  # times one axis as long as the other up to which both get one scale


def path_figure(path: Array, axes_places: Sequence[Array], values: Array, goal: Any, *, title: str) -> Figure:
    """A path over a curve, or over the contours of a surface.

    Args:
        path: Points, shape (K + 1, n), n being 1 or 2.
        axes_places: Places along each axis, n arrays of shape (G,).
        values: The function there, shape (G,) or (G, G), the first axis being y.
        goal: The stationary point, shape (n,), or None.
        title: The finding.

    Returns:
        A figure of one axes.
    """
    figure, (axes,) = new_figure(6.4, 4.8)
    marks: dict[str, Any] = {"color": VERMILLION, "linewidth": 1.2, "marker": "o", "markersize": 3.2}
    if len(axes_places) == 1:
        (places,) = axes_places
        axes.plot(places, values, color=BLUE, linewidth=1.5, label="f")
        axes.plot(path[:, 0], np.interp(path[:, 0], places, values), **marks, label="path")
        if goal is not None:
            axes.axvline(float(goal[0]), **THEORY, label="∇f = 0")
        label(axes, "x", "f")
    else:
        finite = values[np.isfinite(values)]
        # Levels at quantiles: as many lines near the bottom as on the steep sides.
        levels = np.unique(np.quantile(finite, np.linspace(0.01, 0.99, 16))) if finite.size else np.array([0.0])
        if len(levels) > 1:
            drawn = np.where(np.isfinite(values), values, np.nan)
            look: dict[str, Any] = {"colors": [BLUE], "linewidths": 0.7, "alpha": 0.6, "linestyles": "solid"}
            axes.contour(*axes_places, drawn, levels=levels, **look)
        axes.plot(path[:, 0], path[:, 1], **marks, label="path")
        axes.plot(path[0, 0], path[0, 1], "s", color=GREEN, markersize=6, label="start")
        if goal is not None:
            cross: dict[str, Any] = {"markersize": 8, "markeredgewidth": 2, "linestyle": "none"}
            axes.plot(float(goal[0]), float(goal[1]), "x", color="#333333", label="∇f = 0", **cross)
        axes.set_xlim(axes_places[0][0], axes_places[0][-1])
        axes.set_ylim(axes_places[1][0], axes_places[1][-1])
        wide, high = (float(places[-1] - places[0]) for places in axes_places)
        if max(wide, high) <= EQUAL * min(wide, high):  # a right angle, as of a gradient and a contour, looks it
            axes.set_aspect("equal")
        label(axes, "x", "y")
    finding(figure, title, header=legend_above(axes, 3))
    return figure


def shrinking_figure(distances: Array, predicted: Array | None, curvature: Sequence[float]) -> Figure:
    """Distance from the stationary point along each eigenvector, over the steps.

    Args:
        distances: Shape (K + 1, n).
        predicted: The same by theory, or None.
        curvature: λ of each.

    Returns:
        A figure of one axes.
    """
    figure, (axes,) = new_figure(6.4, 4.0)
    steps = np.arange(len(distances), dtype=float)
    visible = lambda values: np.where(values > LEAST, values, np.nan)
    for place, one in enumerate(curvature):
        axes.plot(steps, visible(distances[:, place]), "o", color=CYCLE[place], markersize=3.2, linestyle="none",
                  label=f"measured, λ = {true_minus(f'{one:.4g}')}")  # fmt: skip
        if predicted is not None:
            axes.plot(steps, visible(predicted[:, place]), **THEORY, label="predicted" if place == 0 else None)
    logarithmic(axes, y=True)
    label(axes, "step", "distance along the eigenvector")
    whole_numbers(axes, steps)
    legend(axes)
    shown = lambda value: short(value, 2) if not value <= LEAST else f"below {power(LEAST)} (not drawn)"
    ends = ", ".join(f"{shown(a)} → {shown(b)}" for a, b in zip(distances[0], distances[-1], strict=True))
    finding(figure, f"distance from the stationary point along each eigenvector: {ends}", left=0.75)
    return figure


def factor_figure(
    lr: float,
    factors: Sequence[float],
    curvature: Sequence[float],
    due: Callable[[float, float], float],
    unmeasured: str = "too few steps to measure",
) -> Figure:
    """Factor per step over the learning rate, by theory, and where this run was measured.

    Args:
        lr: Of the run.
        factors: Measured along each eigenvector; NaN where nothing was seen.
        curvature: λ of each.
        due: Factor at a learning rate and a curvature.
        unmeasured: What the title says where no factor was measured.

    Returns:
        A figure of one axes.
    """
    figure, (axes,) = new_figure(6.4, 4.0)
    rates = np.linspace(0, 2 * lr if lr > 0 else 1, 201)[1:]
    steep = max(curvature, key=abs)
    if steep > 0:
        rates = np.linspace(0, max(1.5 * lr, 2.6 / steep), 201)[1:]
    for place, (measured, one) in enumerate(zip(factors, curvature, strict=True)):
        axes.plot(rates, [due(float(rate), one) for rate in rates], **{**THEORY, "color": CYCLE[place]},
                  label=f"due, λ = {true_minus(f'{one:.4g}')}")  # fmt: skip
        if np.isfinite(measured):
            axes.plot(lr, measured, "o", color=CYCLE[place], markersize=6, label="measured")
    axes.axhline(1.0, color="#888888", linewidth=1.0)
    axes.set_ylim(0, 2)
    label(axes, "learning rate α", "factor of the distance per step")
    legend(axes)
    seen = [(a, due(lr, b)) for a, b in zip(factors, curvature, strict=True) if np.isfinite(a)]
    gap = max((abs(a - b) for a, b in seen), default=float("nan"))
    text = f"at most {short(gap, 2)} from theory" if gap else "as in theory, to the last digit"
    text = text if seen else unmeasured
    finding(figure, f"factor per step at α = {lr:g}: {text}; below 1 the path comes nearer, above it leaves")
    return figure
