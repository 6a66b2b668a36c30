"""Same or different? The receiver operating characteristic of a verification, with the equal error rate marked.

At a threshold t every pair with score >= t is called "same". The false accept rate is the share of different pairs
called same, the true accept rate the share of same pairs called same. At the equal error rate (EER) the shares falsely
accepted and falsely rejected are equal: the curve meets the line "true accept = 1 - false accept".
"""

# P pairs, T thresholds

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.style import CYCLE, THEORY, finding, label, legend, logarithmic, new_figure, percent, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc_curve(scores: ArrayLike, same: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true accept rate at every threshold, from "nothing accepted" to "everything".

    Args:
        scores: Likeness, higher for pairs more alike, shape (P,).
        same: Whether the pair is of one person, shape (P,).

    Returns:
        False accept rate and true accept rate, each rising from 0 to 1, shape (T,); ties make one step together.

    Raises:
        ValueError: Unless there are both same and different pairs, all scores finite.
    """
    scores, same = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=bool)
    if scores.shape != same.shape or scores.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(f"scores {scores.shape} and same {same.shape}; allowed: equal shapes (P,), finite scores")
    if same.all() or not same.any():
        raise ValueError(f"{int(same.sum())} of {same.size} pairs are same; allowed: some same and some different")
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    true_accepts = np.cumsum(same[order])[last_of_tie]
    false_accepts = np.cumsum(~same[order])[last_of_tie]
    return np.append(0.0, false_accepts / (~same).sum()), np.append(0.0, true_accepts / same.sum())


def equal_error_rate(false_accept: ArrayLike, true_accept: ArrayLike) -> float:
    """Where the straight-line curve through the points meets false reject = false accept.

    Args:
        false_accept: Rising from 0 to 1, shape (T,).
        true_accept: Rising from 0 to 1, shape (T,).

    Returns:
        EER in 0..1.
    """
    false_accept, true_accept = np.asarray(false_accept, dtype=float), np.asarray(true_accept, dtype=float)
    surplus = false_accept - (1 - true_accept)  # rises from -1 to 1
    after = int(np.argmax(surplus >= 0))
    if after == 0:
        return float(false_accept[0])
    step = surplus[after] - surplus[after - 1]
    part = -surplus[after - 1] / step
    return float(false_accept[after - 1] + part * (false_accept[after] - false_accept[after - 1]))


def roc_figure(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    threshold: tuple[float, float] | None = None,
    pairs: str = "",
) -> Figure:
    """ROC curves over each other, the first one being ours and the others the baselines.

    Args:
        curves: ``{"CNN": (false accept, true accept), "eigenfaces": …}``, each of shape (T,), as of ``roc_curve``.
        threshold: False and true accept rate at the threshold chosen on validation people, marked by a star.
        pairs: What was compared, such as "1,200 pairs of 10 unseen people".

    Returns:
        A figure of one axes, false accepts logarithmic; equal errors and chance are dashed and dotted, EERs are marked.

    Raises:
        ValueError: If there is no curve.
    """
    if not curves:
        raise ValueError("no ROC curve given; allowed: at least one")
    arrays = {name: (np.asarray(f, dtype=float), np.asarray(t, dtype=float)) for name, (f, t) in curves.items()}
    smallest = min((f[f > 0].min() for f, _ in arrays.values() if (f > 0).any()), default=0.01)
    left = max(min(smallest, 0.05), 1e-5)
    figure, (axes,) = new_figure(6.0, 4.4)
    errors = {}
    for place, (name, (false_accept, true_accept)) in enumerate(arrays.items()):
        colour = CYCLE[place % len(CYCLE)]
        error = errors[name] = equal_error_rate(false_accept, true_accept)
        shown = f"{plain(name)}: EER {percent(error)}"
        # Zero has no place on a logarithmic axis: the start is drawn at the left edge.
        x = np.maximum(false_accept, left)
        axes.plot(
            x,
            true_accept,
            color=colour,
            linewidth=2.2 if place == 0 else 1.3,
            label=shown,
            zorder=3 if place == 0 else 2,
        )
        axes.plot(max(error, left), 1 - error, "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    line = np.geomspace(left, 1, 200)
    axes.plot(line, 1 - line, label="equal errors", **THEORY)
    axes.plot(line, line, label="chance", **{**THEORY, "linestyle": (0, (1, 2))})
    if threshold is not None:
        axes.plot(
            max(threshold[0], left),
            threshold[1],
            "*",
            color="black",
            markersize=11,
            zorder=5,
            linestyle="none",
            label=f"chosen threshold: {percent(threshold[0])} false, {percent(threshold[1])} true",
        )
    logarithmic(axes, x=True)
    axes.set_xlim(left, 1)
    axes.set_ylim(-0.01, 1.02)
    label(axes, "false accept rate (share of different pairs)", "true accept rate (share of same pairs)")
    legend(axes, loc="lower right")
    first, *others = errors
    rest = "; " + ", ".join(f"{plain(name)} {percent(errors[name])}" for name in others) if others else ""
    finding(
        figure, f"{plain(first)}: equal error rate {percent(errors[first])}" + (f" on {pairs}" if pairs else "") + rest
    )
    return figure
