"""Same or different? The receiver operating characteristic of a verification, with the equal error rate marked.

At a threshold t every pair with score >= t is called "same". The false accept rate is the share of different pairs
called same, the true accept rate the share of same pairs called same. At the equal error rate (EER) the shares falsely
accepted and falsely rejected are equal: the curve meets the line "true accept = 1 - false accept".
"""

# P pairs, T thresholds

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from dashboard.curves import percent_over_runs
from dashboard.legends import legend_above
from dashboard.scales import logarithmic
from dashboard.style import CYCLE, THEORY, finding, label, new_figure, percent, plain
from theory.intervals import summarise
from theory.verification import equal_error_crossing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc_figure(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    errors: Mapping[str, Sequence[float]] | None = None,
    threshold: tuple[float, float] | None = None,
    pairs: str = "",
) -> Figure:
    """ROC curves over each other, the first one being ours and the others the baselines.

    Args:
        curves: ``{"CNN": (false accept, true accept), "eigenfaces": …}``, each of shape (T,), as of
            `theory.verification.receiver_curve`.
        errors: Equal error rates of each split in 0..1 where a curve is the mean of several: the rate of a mean curve
            is not the mean of the rates. That of the curve itself by default.
        threshold: False and true accept rate at the threshold chosen on validation people, marked by a star.
        pairs: What was compared, such as "1,200 pairs of 10 unseen people".

    Returns:
        A figure of one axes, false accepts logarithmic; equal errors and chance are dashed and dotted, EERs are marked
        on the line of equal errors.

    Raises:
        ValueError: If there is no curve.
    """
    if not curves:
        raise ValueError("no ROC curve given; allowed: at least one")
    arrays = {name: (np.asarray(f, dtype=float), np.asarray(t, dtype=float)) for name, (f, t) in curves.items()}
    smallest = min((f[f > 0].min() for f, _ in arrays.values() if (f > 0).any()), default=0.01)
    left = max(min(smallest, 0.05), 1e-5)  # zero has no place on a logarithmic axis: a curve starts at its edge
    if errors is None:
        rates = {name: equal_error_crossing(torch.tensor(f), torch.tensor(t))[2] for name, (f, t) in arrays.items()}
        texts = {name: percent(rate) for name, rate in rates.items()}
    else:
        rates = {name: summarise(errors[name]).mean for name in arrays}
        texts = {name: percent_over_runs(errors[name]) for name in arrays}
    figure, (axes,) = new_figure(6.8, 4.9)
    for place, (name, (false_accept, true_accept)) in enumerate(arrays.items()):
        colour, ours = CYCLE[place % len(CYCLE)], place == 0
        axes.plot(np.maximum(false_accept, left), true_accept, color=colour, linewidth=2.2 if ours else 1.3,
                  label=f"{plain(name)}: EER {texts[name]}", zorder=3 if ours else 2)  # fmt: skip
        axes.plot(max(rates[name], left), 1 - rates[name], "o", color=colour, markersize=6, markeredgecolor="white",
                  zorder=4)  # fmt: skip
    line = np.geomspace(left, 1, 200)
    axes.plot(line, 1 - line, label="equal errors", **THEORY)
    axes.plot(line, line, label="chance", **{**THEORY, "linestyle": (0, (1, 2))})
    if threshold is not None:
        told = f"chosen threshold: {percent(threshold[0])} false, {percent(threshold[1])} true"
        axes.plot(max(threshold[0], left), threshold[1], "*", color="black", markersize=11, zorder=5, linestyle="none",
                  label=told)  # fmt: skip
    logarithmic(axes, x=True)
    axes.set_xlim(left, 1)
    axes.set_ylim(-0.01, 1.02)
    label(axes, "false accept rate (share of different pairs)", "true accept rate (share of same pairs)")
    finding(figure, equal_errors(rates, texts, pairs), header=legend_above(axes, 2))
    return figure


def equal_errors(rates: Mapping[str, float], texts: Mapping[str, str], pairs: str) -> str:
    """The equal error rate of the first curve, and the best of the others, in words."""
    first, *others = texts
    found = f"{plain(first)}: equal error rate {texts[first]}" + (f" on {pairs}" if pairs else "")
    if not others:
        return found
    best = min(others, key=rates.__getitem__)
    return f"{found}; {'best of the others: ' * (len(others) > 1)}{plain(best)} {texts[best]}"
