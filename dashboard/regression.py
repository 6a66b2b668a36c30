"""Figures of a generalised linear model: the fit with its band, and the way of the solvers to the maximum."""

# G places, N samples, K natural parameters, T steps, S solvers

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.legends import legend_above
from dashboard.scales import logarithmic
from dashboard.style import CYCLE, QUIET, THEORY, finding, label, legend, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESPONSES = {
    "gaussian": "y (1)",
    "bernoulli": "y, and P(y = 1)",
    "poisson": "count y, and its mean",
    "softmax": "P(class)",
}
FLOOR = 1e-17  # distances of 0 are drawn here


def fit_figure(
    family: str,
    x: ArrayLike,
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    truth: ArrayLike,
    *,
    points: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """A fitted mean with its 95 % band, the true mean dashed, and the samples.

    Args:
        family: ``gaussian``, ``bernoulli``, ``poisson`` or ``softmax``.
        x: Places, shape (G,).
        mean: Fitted mean there, shape (G, K); of softmax all classes, (G, K + 1).
        low: Lower end of the band, shape (G, K).
        high: Its upper end, shape (G, K).
        truth: True mean, shape (G, K).
        points: Samples: x of shape (N,), y of shape (N, K); None where other features vary too.

    Returns:
        A figure of one axes; the title tells on how much of x the band holds the truth.
    """
    x, mean, low, high, truth = (np.asarray(values, dtype=float) for values in (x, mean, low, high, truth))
    figure, (axes,) = new_figure(6.2, 4.0)
    if points is not None:
        at, y = (np.asarray(values, dtype=float) for values in points)
        if family == "softmax":  # a tick for each sample, in the colour of its class, at the lower edge
            classes = (y @ np.arange(1, y.shape[1] + 1)).astype(int)
            for number in range(y.shape[1] + 1):
                chosen, colour = at[classes == number], CYCLE[number % len(CYCLE)]
                axes.plot(chosen, np.full(chosen.size, -0.03 * (number + 1)), "|", color=colour, markersize=6)
        else:
            # Answers of 0 and 1 are spread a little, in the order of the samples, so that they do not hide each other.
            aside = 0.03 * np.sin(np.arange(at.size) * 2.4) if family == "bernoulli" else 0.0
            axes.plot(
                at, y[:, 0] + aside, "o", color=QUIET, markersize=2.2, alpha=0.35, linestyle="none", label="samples"
            )
    for number, colour in zip(range(mean.shape[1]), CYCLE * 3, strict=False):
        name = f"class {number}" if family == "softmax" else "fit"
        band = "95 % band" if not number else None
        axes.fill_between(x, low[:, number], high[:, number], color=colour, alpha=0.22, linewidth=0, label=band)
        axes.plot(x, mean[:, number], color=colour, linewidth=1.6, label=name)
        axes.plot(x, truth[:, number], label="truth" if not number else None, **THEORY)
    label(axes, "feature x1, others at 0" if points is None else "feature x1", RESPONSES[family])
    inside = float(np.mean((low <= truth) & (truth <= high)))
    finding(
        figure,
        f"{family}: the 95 % band of the mean holds the truth on {100 * inside:.0f} % of the range of x",
        header=legend_above(axes, 4),
    )
    return figure


def solvers_figure(distances: ArrayLike, names: Sequence[str], rate: float) -> Figure:
    """Distance to the maximum of the likelihood, step by step.

    Args:
        distances: Shape (T, S), the start first; the last solver is gradient descent.
        names: S names.
        rate: What each step of gradient descent leaves of the distance in the end, below 1; drawn dashed.

    Returns:
        A figure of one axes; the title counts the steps to 1e-8 of the distance at the start.
    """
    values = np.asarray(distances, dtype=float)
    figure, (axes,) = new_figure(7.4, 4.0)
    steps = np.arange(len(values))
    counts = []
    for number, name in enumerate(names):
        axes.plot(
            steps,
            np.maximum(values[:, number], FLOOR),
            "o-",
            color=CYCLE[number],
            markersize=3,
            linewidth=1.4,
            label=name,
        )
        near = np.flatnonzero(values[:, number] <= 1e-8 * values[0, number])
        counts.append(f"{plain(name)} {near[0]}" if near.size else f"{plain(name)} over {len(values) - 1}")
    clear = np.flatnonzero(values[:, -1] > 1e-9 * values[0, -1])
    if 0 < rate < 1 and clear.size:
        last = clear[-1]
        first = max(0, last - max(5, last // 2))
        line = values[last, -1] * rate ** (steps[first : last + 1] - last)
        axes.plot(steps[first : last + 1], 1.6 * line, label=f"slope due: {rate:.3f} a step", **THEORY)
    logarithmic(axes, y=True)
    label(axes, "step of the solver", "distance of θ from the most likely, ‖θ − θ*‖ (1)")
    legend(axes, loc="center left", bbox_to_anchor=(1.01, 0.5))
    finding(figure, "steps to 10⁻⁸ of the start: " + ", ".join(counts), left=0.8, right=1.85)
    return figure
