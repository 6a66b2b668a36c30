"""Figures of threshold units: lines in the plane, mistakes beside their bound, how few functions one unit computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.scales import logarithmic
from dashboard.style import (
    BLUE,
    GREEN,
    PURPLE,
    QUIET,
    SMALL_POINTS,
    THEORY,
    VERMILLION,
    finding,
    label,
    legend,
    names_along,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line = tuple[float, float, float]  # a, b, c of ax + by + c = 0
Array = NDArray[np.floating[Any]]


def line_ends(line: Line, low: float, high: float) -> tuple[list[float], list[float]] | None:
    """Two places of a line far outside the square [low, high]², or None where it has no direction."""
    a, b, c = line
    size = a * a + b * b
    if size < 1e-24:
        return None
    middle = (low + high) / 2
    # The point of the line nearest to the middle, and the direction along it.
    shift = (a * middle + b * middle + c) / size
    x, y, reach = middle - a * shift, middle - b * shift, 2 * (high - low) / size**0.5
    return [x - b * reach, x + b * reach], [y + a * reach, y - a * reach]


def decision_figure(
    points: Array,
    classes: Array,
    side: Array,
    logits: Array,
    units: Sequence[Line],
    one_layer: Line,
    *,
    name: str,
    accuracy: Mapping[str, float],
    separable: bool,
) -> Figure:
    """Points of two classes with the line of one layer and the regions of a network.

    Args:
        points: Shape (N, 2).
        classes: 0 and 1, shape (N,).
        side: Places along each axis, shape (G,).
        logits: The network's logit at each place, shape (G, G), the first axis being y.
        units: Lines of the hidden units.
        one_layer: Line of the threshold unit.
        name: Of the points.
        accuracy: Of ``one layer`` and ``network`` on the test points.
        separable: Whether any line separates the training points.

    Returns:
        A figure of two axes.
    """
    figure, panels = new_figure(8.6, 4.9, columns=2)
    low, high = float(side[0]), float(side[-1])
    shown = slice(0, 400)
    for axes, title in zip(panels, ("one layer", "network"), strict=True):
        for kind, colour, marker in ((0, BLUE, "o"), (1, VERMILLION, "^")):
            chosen = points[shown][classes[shown] == kind]
            axes.plot(chosen[:, 0], chosen[:, 1], marker, color=colour, markersize=3.2, alpha=0.7, linestyle="none",
                      label=f"class {kind}")  # fmt: skip
        label(axes, "x₁", "x₂" if title == "one layer" else "", f"{title}: test accuracy {accuracy[title]:.3f}")
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
    ends = line_ends(one_layer, low, high)
    if ends is not None:
        panels[0].plot(*ends, color=GREEN, linewidth=1.8, label="Rosenblatt's line")
    if logits.min() < 0 < logits.max():
        panels[1].contourf(side, side, logits, levels=[-np.inf, 0, np.inf], colors=[BLUE, VERMILLION], alpha=0.12)
        panels[1].contour(side, side, logits, levels=[0], colors=[PURPLE], linewidths=1.8)
        panels[1].plot([], [], color=PURPLE, linewidth=1.8, label="network's boundary")
    for number, unit in enumerate(units):
        ends = line_ends(unit, low, high)
        if ends is not None:
            panels[1].plot(*ends, **{**THEORY, "linewidth": 1.0}, label="hidden units" if number == 0 else None)
    for axes in panels:
        legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # below: points may lie anywhere
    can = "a line separates the training points" if separable else "no line separates the training points"
    reach = f"{len(units)} hidden units reach" if len(units) > 1 else "1 hidden unit reaches"
    text = f"{name}: {can}; {reach} {accuracy['network']:.3f}"
    finding(figure, text, between=0.6, bottom=1.0)
    return figure


def learning_figure(names: Sequence[str], mistakes: Sequence[float], bounds: Sequence[float]) -> Figure:
    """Mistakes of Rosenblatt's rule on each gate beside Novikoff's bound.

    Args:
        names: Of the gates.
        mistakes: Made until none was left.
        bounds: (R/γ)².

    Returns:
        A figure of one axes.
    """
    figure, (axes,) = new_figure(5.4, 3.6)
    places = np.arange(len(names))
    axes.bar(places, mistakes, width=0.5, color=BLUE, label="mistakes made")
    for place, bound in zip(places, bounds, strict=True):
        axes.plot([place - 0.38, place + 0.38], [bound, bound], **{**THEORY, "linewidth": 1.8},
                  label="(R/γ)²" if place == 0 else None)  # fmt: skip
    names_along(axes, x=[name.upper() for name in names])
    axes.set_ylim(0, 1.2 * max(bounds))
    label(axes, "gate", "mistakes")
    legend(axes)
    worst = max(made / bound for made, bound in zip(mistakes, bounds, strict=True))
    finding(figure, f"Rosenblatt's rule makes at most {worst:.2f} of the mistakes that Novikoff's theorem allows")
    return figure


def separable_figure(counts: Mapping[int, int]) -> Figure:
    """Boolean functions that one unit computes beside all there are.

    Args:
        counts: ``{2: 14, 3: 104, 4: 1882}``.

    Returns:
        A figure of one axes.
    """
    figure, (axes,) = new_figure(5.4, 3.6)
    bits = list(counts)
    every = [float(2**2**n) for n in bits]
    axes.plot(bits, every, "s", **THEORY, markersize=5, label="all functions, 2^(2ⁿ)")
    axes.plot(bits, list(counts.values()), "o-", color=BLUE, label="computed by one unit")
    for n, count, total in zip(bits, counts.values(), every, strict=True):
        axes.annotate(f"{count:,} of {total:,.0f}", (n, count), xytext=(4, -14), textcoords="offset points", ha="left",
                      fontsize=SMALL_POINTS, color=QUIET)  # fmt: skip
    logarithmic(axes, y=True)
    axes.set_xticks(bits)
    axes.set_xlim(bits[0] - 0.4, bits[-1] + 0.7)
    axes.set_ylim(4, 4 * every[-1])
    label(axes, "inputs n", "Boolean functions")
    legend(axes, loc="upper left")
    share = counts[bits[-1]] / every[-1]
    finding(figure, f"one unit computes {100 * share:.1f} % of the functions of {bits[-1]} bits, and a smaller share "
                    "of more", left=0.85)  # fmt: skip
    return figure
