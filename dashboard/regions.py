"""Linear regions: drawn in the plane, counted while a network trains, and set beside what mathematics says.

Letters: F regions, K kinks, S networks of a shape, T times, P points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.legends import legend_above
from dashboard.scales import logarithmic, short
from dashboard.style import (
    BLUE,
    CYCLE,
    GREEN,
    LABEL_POINTS,
    ORANGE,
    SMALL_POINTS,
    THEORY,
    VERMILLION,
    counted,
    finding,
    label,
    legend,
    new_figure,
    plain,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture(NamedTuple):
    """Regions of one network in the plane.

    Attributes:
        name: Of the network.
        polygons: Corners of each region, (corners, 2) each, F of them.
        slopes: Length of the gradient on each, shape (F,).
        boundary: Segments on which two classes are equally likely, shape (segments, 2, 2); may be empty.
    """

    name: str
    polygons: Sequence[NDArray[np.float64]]
    slopes: ArrayLike
    boundary: ArrayLike


def regions_figure(pictures: Sequence[Picture], text: str, circles: Sequence[float] = ()) -> Figure:
    """Regions coloured by slope, networks side by side on one scale of colours.

    Args:
        pictures: At least one.
        text: What was found, for the title; what the lines are is added.
        circles: Radii around 0 at which the true class changes.

    Returns:
        A figure of one axes per network; on the white lines two classes are equally likely, true circles are dashed.

    Raises:
        ValueError: If there is none, or one without a region.
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Circle

    if not pictures or not all(len(one.polygons) for one in pictures):
        raise ValueError("pictures must hold at least one network of at least one region")
    figure, panels = new_figure(4.1 * len(pictures) + 0.4, 4.4, columns=len(pictures))
    slopes = np.concatenate([np.asarray(one.slopes, dtype=float) for one in pictures])
    # Slopes differ by factors; few very steep or flat slivers must not leave all other regions one colour.
    high = float(np.percentile(slopes, 98)) or 1.0
    low = max(float(np.percentile(slopes, 5)), high / 1000)
    norm = LogNorm(low, high * 1.001)
    drawn: Any = None
    for axes, one in zip(panels, pictures, strict=True):
        width = 0.25 if len(one.polygons) < 4000 else 0.08
        drawn = PolyCollection(
            list(one.polygons),
            array=np.maximum(np.asarray(one.slopes, dtype=float), low),
            norm=norm,
            cmap="cividis",
            edgecolors="#00000066",
            linewidths=width,
        )
        axes.add_collection(drawn)
        if np.size(one.boundary):
            axes.add_collection(LineCollection(list(np.asarray(one.boundary)), colors="white", linewidths=1.6))
        for radius in circles:
            axes.add_patch(Circle((0, 0), radius, fill=False, **{**THEORY, "color": VERMILLION, "linewidth": 1.4}))
        corners = np.concatenate(list(one.polygons))
        axes.set_xlim(corners[:, 0].min(), corners[:, 0].max())
        axes.set_ylim(corners[:, 1].min(), corners[:, 1].max())
        axes.set_aspect("equal")
        axes.grid(False)
        name = f"{plain(one.name, 30)}: {counted(len(one.polygons), 'region')}"
        label(axes, "first coordinate", "second coordinate", name)
    if any(np.size(one.boundary) for one in pictures):
        text += "; on white lines both classes are equally likely"
    if len(circles):
        text += ", dashed are the true circles"
    finding(figure, text, left=0.7, right=0.95, between=0.65)
    place = panels[-1].get_position()
    left = 1 - 0.78 / figure.get_size_inches()[0]
    bar = figure.colorbar(drawn, cax=figure.add_axes((left, place.y0, 0.012, place.height)))
    steps = [step * 10.0**power for power in range(-8, 9) for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    bar.set_ticks(steps, labels=[f"{step:g}" for step in steps])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL_POINTS)
    bar.set_label("slope (per unit of input)", fontsize=LABEL_POINTS)
    return figure


class Curve(NamedTuple):
    """A function of one number: ``x`` and ``y`` at its kinks and ends, shape (K,)."""

    name: str
    x: ArrayLike
    y: ArrayLike


def pieces_figure(curves: Sequence[Curve], target: Curve | None, text: str) -> Figure:
    """Broken lines with a dot at every kink, side by side, over the target if it is given."""
    figure, panels = new_figure(max(4.6, 4.0 * len(curves) + 0.4), 3.8, columns=len(curves))
    for axes, one, colour in zip(panels, curves, CYCLE, strict=False):
        axes.plot(one.x, one.y, color=colour, linewidth=1.4, marker="o", markersize=2.6, label="network, its kinks")
        if target is not None:
            axes.plot(target.x, target.y, label=plain(target.name, 30), **THEORY)
        label(axes, "input", "output", f"{plain(one.name, 30)}: {counted(np.size(one.x) - 1, 'piece')}")
    header = max(legend_above(axes, 2) for axes in panels)
    finding(figure, text, header=header)
    return figure


def bounds_figure(
    depths: ArrayLike, counts: Mapping[str, ArrayLike], bounds: Mapping[str, ArrayLike], text: str
) -> Figure:
    """Counts of each shape between what is possible and what is typical.

    Args:
        depths: Hidden layers of each shape, shape (P,).
        counts: ``{"trained": …}``, each of shape (P, S).
        bounds: ``{"upper bound": …}``, each of shape (P,), NaN where there is none and infinite where no float holds
            it; drawn dark.
        text: What was found.
    """
    depths = np.asarray(depths, dtype=float)
    figure, (axes,) = new_figure(6.6, 4.8)
    spread = np.linspace(-0.1, 0.1, len(counts)) if len(counts) > 1 else np.zeros(1)
    for (name, values), colour, marker, aside in zip(counts.items(), CYCLE, "os^v", spread, strict=False):
        array = np.asarray(values, dtype=float)
        places = np.repeat(depths, array.shape[1]) + aside
        axes.plot(places, array.ravel(), marker, color=colour, markersize=4, alpha=0.6, label=plain(name, 40))
    patterns = ((0, (5, 3)), (0, (1, 2)), (0, (6, 2, 1, 2)))
    for (name, values), pattern in zip(bounds.items(), patterns, strict=False):
        axes.plot(depths, values, label=plain(name, 60), **{**THEORY, "linestyle": pattern})
    logarithmic(axes, y=True)
    whole_numbers(axes, depths)
    label(axes, "hidden layers", "linear regions")
    known = np.concatenate(
        [np.ravel(np.asarray(values, dtype=float)) for values in (*bounds.values(), *counts.values())]
    )
    axes.set_ylim(top=2 * min(known[np.isfinite(known)].max(), 1e300))
    finding(figure, text, left=0.95, header=legend_above(axes, 1))
    return figure


def training_figure(epochs: ArrayLike, counts: Mapping[str, ArrayLike], text: str) -> Figure:
    """Regions over the epochs, mean and deviation of the networks of each shape. Args: counts (T, S) each."""
    epochs = np.asarray(epochs, dtype=float)
    figure, (axes,) = new_figure(6.0, 3.9)
    for (name, values), colour in zip(counts.items(), CYCLE * len(counts), strict=False):
        array = np.asarray(values, dtype=float)
        mean = array.mean(1)
        if array.shape[1] > 1:
            spread = array.std(1, ddof=1)
            axes.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        axes.plot(epochs, mean, color=colour, linewidth=1.6, marker="o", markersize=3.5, label=plain(name, 30))
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(epochs, [f"{epoch:g}" for epoch in epochs])
    axes.set_xticks([], minor=True)
    label(axes, "epoch (0: random start)", "linear regions, mean ± deviation")
    axes.set_ylim(bottom=0)
    legend(axes)
    finding(figure, text, left=0.8)
    return figure


def constructions_figure(
    layers: ArrayLike,
    pieces: ArrayLike,
    stages: ArrayLike,
    errors: ArrayLike,
    shallow: tuple[ArrayLike, ArrayLike],
    crossover: tuple[int, int, float],
) -> Figure:
    """Two networks that are written down: the sawtooth's pieces and the error for x², beside one hidden layer.

    Args:
        layers: Layers of two units of the sawtooth, shape (P,).
        pieces: Pieces counted, shape (P,).
        stages: Stages of three units of x², shape (P,).
        errors: Sup errors measured, shape (P,).
        shallow: Units and least sup error of one hidden layer for x².
        crossover: Units of the deep network, pieces a shallow one needs for the same error, and that error.
    """
    layers, stages = np.asarray(layers), np.asarray(stages)
    figure, (left, right) = new_figure(9.4, 3.9, columns=2)
    left.plot(layers, pieces, "o", color=BLUE, markersize=5, label="counted, layers of 2 units")
    left.plot(layers, 2.0**layers, label="2ᴸ", **THEORY)
    left.plot(layers, 2 * layers + 1, color=VERMILLION, linewidth=1.4, label="most with 2L units in one layer: 2L + 1")
    logarithmic(left, y=True)
    whole_numbers(left, layers)
    label(left, "layers L", "pieces of the sawtooth on [0, 1]", "sawtooth")
    legend(left, loc="upper left")
    right.plot(3 * stages, errors, "o", color=BLUE, markersize=5, label="measured, 3 units a stage")
    right.plot(3 * stages, 2.0 ** -(2 * stages + 2), label="2⁻⁽²ᵐ⁺²⁾", **THEORY)
    right.plot(*shallow, color=VERMILLION, linewidth=1.4, label="least of any broken line of N pieces: 1/(8N²)")
    right.plot([crossover[0], crossover[1]], [crossover[2]] * 2, color=GREEN, linewidth=1.2, linestyle=":")
    right.plot([crossover[1]], [crossover[2]], "D", color=ORANGE, markersize=5, label=f"N = {crossover[1]}")
    logarithmic(right, y=True)
    label(right, "units of the deep network, or pieces N of a shallow one", "sup error for x²", "x² on [0, 1]")
    legend(right, loc="upper right")
    finding(
        figure,
        f"what depth can do when written down: {int(np.max(pieces)):,} pieces from {2 * int(layers[-1])} units; x² to "
        f"{short(crossover[2], 3)} with {crossover[0]} units, where one hidden layer needs {crossover[1]} pieces",
        left=0.85,
        between=0.95,
    )
    return figure
