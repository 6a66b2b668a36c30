"""Losses over the prediction, each with the number that minimises it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.legends import legend_above
from dashboard.style import BLUE, CYCLE, THEORY, finding, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    Returns:
        A figure of two axes.
    """
    figure, (left, right) = new_figure(8.6, 3.9, columns=2)
    for colour, (name, values) in zip(CYCLE, curves.items(), strict=False):
        left.plot(f, values, color=colour, linewidth=1.5, label=name)
        left.plot(learned[name], np.interp(learned[name], f, values), "o", color=colour, markersize=6)
        left.axvline(due[name], **THEORY)
    left.set_ylim(0, 1.05 * max(float(np.interp(0, f, values)) for values in curves.values()))
    label(left, "prediction f", "mean loss", "dashed: median and mean; dots: learned")
    right.plot(p, entropy, color=BLUE, linewidth=1.5, label="cross entropy")
    share = learned["cross-entropy"]
    right.plot(share, np.interp(share, p, entropy), "o", color=BLUE, markersize=6)
    right.axvline(due["cross-entropy"], **THEORY)
    right.axhline(floor, **THEORY, label="entropy H(y|x)")
    right.set_ylim(0, 3)
    label(right, "probability f", "nats", "dashed: share of label 1 and its entropy")
    finding(
        figure,
        f"the absolute error ends at the median {due['absolute']:.3f}, the squared one at the mean "
        f"{due['squared']:.3f}, the cross entropy at the share {due['cross-entropy']:.3f}",
        header=max(legend_above(left, 3), legend_above(right, 2)),
    )
    return figure
