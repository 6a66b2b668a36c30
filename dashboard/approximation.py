"""Pictures of an approximation: fit, knots and error; knots on their way; unit by unit; a function of two variables."""

# M samples, N pieces, S samples learnt from, R rounds

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.scales import short
from dashboard.style import (
    BLACK,
    BLUE,
    QUIET,
    THEORY,
    VERMILLION,
    counted,
    finding,
    label,
    legend,
    new_figure,
    plain,
)

MOST_DOTS = 200  # samples drawn so large that each is seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fit_figure(
    x: ArrayLike,
    target: ArrayLike | None,
    fit: ArrayLike,
    knots: ArrayLike,
    heights: ArrayLike,
    *,
    subject: str,
    noisy: ArrayLike | None = None,
    samples: ArrayLike | None = None,
    between: float | None = None,
) -> Figure:
    """A function, its approximation with the knots, and below them the error.

    Args:
        x: Places, shape (M,).
        target: The function there, shape (M,); None where it is known at the samples alone.
        fit: The approximation there, shape (M,).
        knots: Where its slope changes, shape (N + 1,); may be empty.
        heights: Its values there, shape (N + 1,).
        subject: The beginning of the title.
        noisy: What it was learnt from, where that is not the function, at the samples.
        samples: Places, values and the approximation at the samples, shape (3, S), where they are not at ``x``.
        between: Root mean square error between the samples, for the title.

    Returns:
        A figure of two axes; the title tells the root mean square error and the largest.

    Raises:
        ValueError: If the arrays do not fit.
    """
    x, fit, knots, heights = (np.asarray(values, dtype=float) for values in (x, fit, knots, heights))
    known = fit if target is None else np.asarray(target, dtype=float)
    if not x.shape == known.shape == fit.shape or not x.size or knots.shape != heights.shape:
        raise ValueError(
            f"x {x.shape}, target {known.shape}, fit {fit.shape}, knots {knots.shape}, heights {heights.shape}; "
            "allowed: (M,) three times, M at least 1, (N + 1,) twice"
        )
    dots = np.asarray((x, known, fit) if samples is None else samples, dtype=float)
    error = dots[2] - dots[1]
    rms = float(np.sqrt(np.mean(error**2)))
    figure, (above, below) = new_figure(7.2, 5.2, rows=2, height_ratios=[2.2, 1])
    size = 4.0 if dots.shape[1] <= MOST_DOTS else 1.5
    if noisy is not None:
        above.plot(dots[0], noisy, ".", color=QUIET, markersize=size, alpha=0.25 if size < 2 else 0.6,
                   label="noisy samples")  # fmt: skip
    if target is not None:
        above.plot(x, known, label="function", **THEORY)
        below.plot(x, fit - known, color=BLUE, linewidth=0.9)
    above.plot(x, fit, color=BLUE, linewidth=1.6, label="network")
    if knots.size:
        above.plot(knots, heights, "o", color=VERMILLION, markersize=4, linestyle="none", label="knots")
    if samples is not None and (noisy is None or target is None):
        for axes, values in ((above, dots[1]), (below, error)):
            axes.plot(dots[0], values, ".", color=BLACK, markersize=size, label="samples" if axes is above else None)
    label(above, "", "value", "")
    legend(above)
    below.fill_between(x, -rms, rms, color=BLUE, alpha=0.15, linewidth=0, label="± root mean square")
    below.axhline(0, **THEORY)
    label(below, "x", "network − function")
    legend(below)
    text = f"root mean square error {short(rms)}, largest {short(np.abs(error).max())}"
    if between is not None:
        on = f"on the {counted(dots.shape[1], 'sample')}"
        text = f"root mean square error {short(rms)} {on}, {short(between)} between them"
    finding(figure, f"{subject}: {text}", left=0.95)
    return figure


def knots_figure(path: ArrayLike, due: ArrayLike, *, subject: str) -> Figure:
    """Knots on their way from equal cells, beside those of the best line found.

    Args:
        path: Knots after each round, shape (R, N + 1).
        due: Knots of the best line, shape (N + 1,).
        subject: The beginning of the title.

    Returns:
        A figure of one axes; the title tells how many rounds were enough for half the way.

    Raises:
        ValueError: If the shapes differ, or there is no round.
    """
    path, due = np.asarray(path, dtype=float), np.asarray(due, dtype=float)
    if path.ndim != 2 or not len(path) or path.shape[1:] != due.shape:
        raise ValueError(f"path {path.shape} and due {due.shape}; allowed: (R, N + 1) and (N + 1,), R at least 1")
    figure, (axes,) = new_figure(6.4, 4.4)
    rounds = np.arange(len(path))
    for number, knot in enumerate(path.T):
        axes.plot(knot, rounds, color=BLUE, linewidth=1.1, label="knots from equal cells" if number == 0 else None)
    axes.plot(due, np.full(len(due), len(path) + 1.0), "v", color=VERMILLION, markersize=5, label="best line found",
              linestyle="none")  # fmt: skip
    axes.set_ylim(-1, 1.25 * len(path) + 2)  # room for the legend above the marks
    label(axes, "x, the place of a knot", "round of the search")
    legend(axes, loc="upper left")
    moved = np.abs(path - path[0]).mean(1)
    half = int(np.argmax(moved >= moved[-1] / 2))
    finding(
        figure, f"{subject}: knots moved by {moved[-1]:.3f} on average, half of it in {half} round{'s' * (half != 1)}"
    )
    return figure


def units_figure(x: ArrayLike, units: ArrayLike, offset: float, *, subject: str) -> Figure:
    """The network unit by unit: each unit's own broken line, and their sum taken up to each of them.

    Args:
        x: Places, shape (M,).
        units: outer_n φ(w_n x + b_n), shape (N, M).
        offset: The output's bias.
        subject: The beginning of the title.

    Returns:
        A figure of two axes.

    Raises:
        ValueError: If there is no unit or the shapes differ.
    """
    x, units = np.asarray(x, dtype=float), np.asarray(units, dtype=float)
    if units.ndim != 2 or not len(units) or units.shape[1] != len(x):
        raise ValueError(f"units {units.shape} at {x.shape} places; allowed: (N, M) and (M,), N at least 1")
    figure, (left, right) = new_figure(9.2, 4.0, columns=2)
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0, 0.92, len(units)))
    sums = offset + np.cumsum(units, 0)
    for colour, unit, partial in zip(colours, units, sums, strict=True):
        left.plot(x, unit, color=colour, linewidth=1.1)
        right.plot(x, partial, color=colour, linewidth=0.9, alpha=0.8)
    right.plot(x, sums[-1], color=BLACK, linewidth=1.6, label="all units")
    low, high = float(sums[-1].min()), float(sums[-1].max())
    margin = max(high - low, 1e-12)
    right.set_ylim(low - 0.6 * margin, high + 0.6 * margin)
    label(left, "x", "value", "each unit: at most two straight pieces")
    label(right, "x", "value", "the sum of the first n units, n = 1 … N")
    legend(right)
    largest, more = float(np.abs(units).max()), len(units) > 1
    sums_up = f"{len(units)} line{'s' * more} of height up to {short(largest, 3)} add{'s' * (not more)} up to"
    finding(figure, f"{subject}: {sums_up} a function of height {short(margin, 3)}")
    return figure


def surface_figure(
    pictures: Mapping[str, ArrayLike], *, subject: str, text: str, extent: tuple[float, float, float, float]
) -> Figure:
    """A function of two variables beside its approximations, as pictures on one grey scale.

    Args:
        pictures: Each of shape (H, W); the first is the function.
        subject: The beginning of the title.
        text: Its end.
        extent: x from, x to, y from, y to.

    Raises:
        ValueError: If there is no picture.
    """
    if not pictures:
        raise ValueError("pictures must hold at least one picture")
    arrays = {name: np.asarray(picture, dtype=float) for name, picture in pictures.items()}
    first = next(iter(arrays.values()))
    figure, panels = new_figure(max(4.6, 3.0 * len(arrays) + 0.6), 3.7, columns=len(arrays))
    for axes, (name, picture) in zip(panels, arrays.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=first.min(), vmax=first.max(), extent=extent, aspect="auto")
        axes.grid(False)
        label(axes, "", "", plain(name, 40))
    finding(figure, f"{subject}: {text}")
    return figure
