"""Pictures of adjustment: Simpson's paradox as lines that all rise while their sum falls, and the collider."""

# S strata, N samples

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.legends import legend_above
from dashboard.style import BLACK, CYCLE, QUIET, THEORY, finding, label, legend, new_figure, plain, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def simpson_figure(
    treatments: Sequence[str],
    strata: Sequence[str],
    successes: ArrayLike,
    trials: ArrayLike,
    adjusted: Sequence[float],
    *,
    success: str = "success",
) -> Figure:
    """Rates of two treatments: in each stratum, all together, and adjusted.

    Args:
        treatments: Two names.
        strata: S names.
        successes: Counts, shape (S, 2).
        trials: Counts, shape (S, 2), above 0.
        adjusted: Rates of both with the strata shared alike, drawn dashed.
        success: What is counted.

    Returns:
        A figure of one axes: discs as large as the groups; the title tells both differences.
    """
    good, total = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    rates, crude = good / total, good.sum(0) / total.sum(0)
    figure, (axes,) = new_figure(6.4, 4.4)
    for number, name in enumerate(strata):
        colour = CYCLE[number % (len(CYCLE) - 2)]
        axes.plot([0, 1], rates[number], color=colour, linewidth=1.3, label=plain(name))
        axes.scatter([0, 1], rates[number], s=900 * total[number] / total.max(), color=colour, alpha=0.45, linewidth=0)
    axes.plot([0, 1], crude, color=BLACK, linewidth=2.2, marker="s", markersize=5, label="all, as counted")
    axes.plot([0, 1], adjusted, marker="D", markersize=4, label="all, adjusted", **THEORY)
    axes.set_xlim(-0.35, 1.35)
    axes.set_xticks([0, 1], [plain(name) for name in treatments])
    label(axes, "disc: size of the group", f"share with {plain(success)}")
    legend(axes, loc="center left", bbox_to_anchor=(1.01, 0.5))
    strata_of = f"{len(rates)} {'stratum' if len(rates) == 1 else 'strata'}"
    ahead = int((rates[:, 0] > rates[:, 1]).sum())
    finding(
        figure,
        f"{plain(treatments[0])} ahead of {plain(treatments[1])} in {ahead} of {strata_of}, as counted by "
        f"{signed(crude[0] - crude[1])}, adjusted by {signed(adjusted[0] - adjusted[1])}",
        right=1.5,
    )
    return figure


def collider_figure(x: ArrayLike, y: ArrayLike, z: ArrayLike, slope: float) -> Figure:
    """Independent x and y, and what is left of them where their common effect z is nearly constant.

    Args:
        x: Shape (N,).
        y: Shape (N,).
        z: Shape (N,).
        slope: Of y on x for constant z, drawn dashed.

    Returns:
        A figure of one axes; the title tells the correlation of all and of the slice.
    """
    x, y, z = (np.asarray(values, dtype=float) for values in (x, y, z))
    figure, (axes,) = new_figure(5.4, 4.4)
    centre, width = 1.0, 0.35
    inside = np.abs(z - centre) < width
    axes.plot(x, y, "o", color=QUIET, markersize=2.2, alpha=0.25, linestyle="none", label="all")
    axes.plot(
        x[inside],
        y[inside],
        "o",
        color=CYCLE[1],
        markersize=3,
        alpha=0.8,
        linestyle="none",
        label="z between 0.65 and 1.35",
    )
    ends = np.array([-2.5, 2.5])
    # E[y | x, z] = (z - x) / (1 + s^2) = -slope z + slope x
    axes.plot(ends, slope * (ends - centre), label=f"E[y | x, z = 1], slope {signed(slope)}", **THEORY)
    label(axes, "x (1)", "y (1)")
    corr = lambda chosen: signed(float(np.corrcoef(x[chosen], y[chosen])[0, 1]), 2)
    finding(
        figure,
        f"x and y: correlation {corr(slice(None))}; among the {int(inside.sum())} with z near 1: {corr(inside)}",
        header=legend_above(axes, 2),
    )
    return figure
