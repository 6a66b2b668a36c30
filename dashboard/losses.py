"""Losses over the prediction, each with the number that minimises it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.legends import legend_above
from dashboard.scales import power
from dashboard.style import BLUE, CYCLE, QUIET, THEORY, finding, label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTTED = {**THEORY, "linestyle": (0, (1, 2))}

Array = NDArray[np.floating[Any]]


def minimisers_figure(
    f: Array,
    curves: Mapping[str, Array],
    p: Array,
    entropy: Array,
    *,
    due: Mapping[str, float],
    learned: Mapping[str, float],
    floor: float,
    medians: tuple[float, float] | None = None,
    subject: str = "",
) -> Figure:
    """Both errors over a prediction f, and the cross entropy over a probability.

    Args:
        f: Predictions, shape (P,).
        curves: Loss of each, by name, shape (P,).
        p: Probabilities, shape (Q,).
        entropy: Cross entropy of each, shape (Q,).
        due: Where each loss is least, by name; ``cross-entropy`` too.
        learned: Where training ended.
        floor: Least cross entropy.
        medians: First and last of the predictions that all minimise the absolute error, where there is more than one.
        subject: The beginning of the title, such as which group is shown.

    Returns:
        A figure of two axes; the title tells what was learned beside what is due.
    """
    figure, (left, right) = new_figure(8.6, 3.9, columns=2)
    for colour, (name, values) in zip(CYCLE, curves.items(), strict=False):
        left.plot(f, values, color=colour, linewidth=1.5, label=name)
        if f[0] <= learned[name] <= f[-1]:  # beyond the curve there is no place for it; the title tells it
            left.plot(learned[name], np.interp(learned[name], f, values), "o", color=colour, markersize=6)
        if name != "absolute" or medians is None:
            left.axvline(due[name], **(THEORY if name == "absolute" else DOTTED))
    for edge in medians or ():
        left.axvline(edge, **THEORY)
    if medians is not None:
        left.axvspan(*medians, color=QUIET, alpha=0.15, linewidth=0)
    left.set_ylim(0, 1.05 * max(float(np.interp(0, f, values)) for values in curves.values()))
    wide = number_without_offset(left)
    median = "median" if medians is None else "medians (shaded)"
    label(left, "prediction f", "mean loss", f"dashed: {median}; dotted: mean; dots: learned")
    right.plot(p, entropy, color=BLUE, linewidth=1.5, label="cross entropy")
    share = learned["cross-entropy"]
    right.plot(share, np.interp(share, p, entropy), "o", color=BLUE, markersize=6)
    right.axvline(due["cross-entropy"], **THEORY)
    right.axhline(floor, **THEORY, label="entropy H(y|x)")
    right.set_ylim(0, 3)
    label(right, "probability f", "mean cross entropy (nats)", "dashed: share of label 1 and its entropy")
    median = f"median {due['absolute']:.4g}" if medians is None else f"medians {medians[0]:.4g} to {medians[1]:.4g}"
    finding(
        figure,
        f"{subject}{', ' * bool(subject)}learned by the absolute error: {learned['absolute']:.4g} ({median}); "
        f"by the squared error: {learned['squared']:.4g} (mean {due['squared']:.4g}); by the cross entropy: "
        f"{learned['cross-entropy']:.4g} (share of label 1: {due['cross-entropy']:.4g})",
        left=0.95 if wide else 0.68,
        header=max(legend_above(left, 3), legend_above(right, 2)),
    )
    return figure


def number_without_offset(axes: Axes) -> bool:
    """Writes very large and very small numbers out at their ticks: a power beside the axis would lie under a legend.

    Returns:
        Whether those of the y axis are, which takes more room.
    """
    extreme = [not 1e-2 <= high < 1e4 for _, high in (axes.get_xlim(), axes.get_ylim())]
    for axis, wanted in zip((axes.xaxis, axes.yaxis), extreme, strict=True):
        if wanted:
            axis.set_major_formatter(lambda value, _: power(value) if value else "0")
    return extreme[1]
