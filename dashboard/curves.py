"""Curves with theory beside them: neural distance, a measured curve and its formula, results over seeds.

Measured lines are drawn through, theory is dashed and dark.
"""

# E epochs, P points

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.legends import legend_above
from dashboard.style import (
    BLUE,
    CYCLE,
    THEORY,
    VERMILLION,
    finding,
    label,
    legend,
    names_along,
    new_figure,
    plain,
    signed,
    whole_numbers,
)
from theory.intervals import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROUNDING = 1e-12  # of the largest value: what double precision leaves after a few operations


def _line(x: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """Marks on a line of few points, so that one single epoch is seen at all."""
    return {"marker": "o", "markersize": 3.5} if np.size(x) <= 30 and np.size(y) else {}


def _dashed(axes: Axes, references: Mapping[str, float]) -> None:
    """A dashed horizontal line for each reference; a dash pattern of its own when there are several."""
    patterns = (THEORY["linestyle"], (0, (1, 2)), (0, (6, 2, 1, 2)))
    for index, (name, value) in enumerate(references.items()):
        style = {**THEORY, "linestyle": patterns[index % len(patterns)]}
        axes.axhline(value, label=plain(name, 40), **style)


def neural_distance_figure(epochs: ArrayLike, ratio: ArrayLike, cosine: ArrayLike, num_classes: int) -> Figure:
    """Does training bring samples of a class together, and class means apart?

    Args:
        epochs: Shape (E,); 0 is before training.
        ratio: Within-class over between-class distance in feature space, divided by the same in pixel space, shape
            (E,): 1 for an isometry (the network has changed nothing), 0 at neural collapse.
        cosine: Smallest, mean and largest cosine between two class means, seen from their common mean, shape (E, 3):
            all are -1/(C-1) at collapse. The mean is not drawn: the centred means add up to 0, so it is near that
            whatever was learnt.
        num_classes: C, at least 2.

    Returns:
        A figure of two axes: ratio with 1 and 0 dashed, cosine with -1/(C-1) dashed. Of two classes the ratio alone:
        their means are opposite as seen from the mean of both, with a cosine of -1 whatever the features are.

    Raises:
        ValueError: If C < 2 or the shapes differ or are empty.

    Source:
        Papyan, Han and Donoho (2020), Prevalence of neural collapse, section 2 (NC1 and NC2).
    """
    epochs, ratio, cosine = (np.asarray(values, dtype=float) for values in (epochs, ratio, cosine))
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; allowed: 2 and more")
    if not epochs.size or epochs.shape != ratio.shape or cosine.shape != (*epochs.shape, 3):
        raise ValueError(
            f"epochs {epochs.shape}, ratio {ratio.shape}, cosine {cosine.shape}; "
            "allowed: (E,), (E,), (E, 3), E at least 1"
        )
    both = num_classes > 2
    figure, panels = new_figure(8.2 if both else 5.0, 3.9, columns=1 + both)
    left = panels[0]
    left.plot(epochs, ratio, color=BLUE, linewidth=1.6, label="measured", **_line(epochs, ratio))
    _dashed(left, {"1: isometry": 1.0, "0: neural collapse": 0.0})
    label(left, "epoch", "within ÷ between, over the pixels' (1)", "same class closer than as pixels?")
    left.set_ylim(-0.05, max(1.1, 1.08 * np.nanmax(np.append(ratio, 0))))
    cosines = f"; {_draw_cosines(panels[1], epochs, cosine, num_classes)}" if both else ""
    header = max(legend_above(axes, 2) for axes in panels)
    for axes in panels:
        whole_numbers(axes, epochs)
    verb = "closer" if ratio[-1] < 1 else "not closer"
    finding(
        figure,
        f"same-class samples are {verb} than as pixels: ratio {_course(ratio)} (isometry 1, collapse 0){cosines}",
        left=0.75,
        header=header,
    )
    return figure


def _course(ratio: NDArray[np.floating]) -> str:
    """From where to where a ratio goes, in words: that of features that nothing trains stays."""
    seen = {f"{value:.2f}" for value in ratio}
    if len(seen) > 1:
        return f"{ratio[0]:.2f} → {ratio[-1]:.2f}"
    if len(ratio) == 1:
        return seen.pop()
    still = ", the features do not change" if np.ptp(ratio) <= ROUNDING * abs(ratio[0]) else ""
    return f"stays {ratio[0]:.2f}{still}"


def _draw_cosines(axes: Axes, epochs: NDArray[np.floating], cosine: NDArray[np.floating], num_classes: int) -> str:
    """Spread of the cosines between class means, shape (E, 3), on the whole range of a cosine; the last in words."""
    lowest, _, highest = cosine.T
    axes.fill_between(epochs, lowest, highest, color=VERMILLION, alpha=0.18, linewidth=0, label="all pairs")
    for edge, name in ((highest, "largest and smallest"), (lowest, None)):
        axes.plot(epochs, edge, color=VERMILLION, linewidth=1.6, label=name, **_line(epochs, edge))
    collapse = -1 / (num_classes - 1)
    _dashed(axes, {"−1/(C−1): neural collapse": collapse})
    axes.set_ylim(-1.05, 1.05)
    label(axes, "epoch", "cosine of two class means (1)", "is the spread gone? (mean: so by construction)")
    error = max(highest[-1] - collapse, collapse - lowest[-1])
    return (
        f"class-mean cosines {signed(lowest[-1])} to {signed(highest[-1])}, up to {max(error, 0):.3f} from "
        f"collapse ({signed(collapse)})"
    )


def beside_theory_figure(
    x: ArrayLike,
    measured: ArrayLike,
    theory: ArrayLike,
    *,
    x_label: str,
    y_label: str,
    subject: str,
    theory_name: str = "theory",
) -> Figure:
    """A measured curve beside its formula.

    Args:
        x: Shape (P,).
        measured: Shape (P,).
        theory: The formula at the same places, shape (P,).
        x_label: With its unit.
        y_label: With its unit.
        subject: What is compared, the beginning of the title.
        theory_name: For the legend.

    Returns:
        A figure of one axes; the title tells the largest distance from theory.

    Raises:
        ValueError: If the shapes differ or are empty.
    """
    x, measured, theory = (np.asarray(values, dtype=float) for values in (x, measured, theory))
    if not x.shape == measured.shape == theory.shape or not x.size:
        raise ValueError(f"x {x.shape}, measured {measured.shape}, theory {theory.shape}; allowed: equal, not empty")
    figure, (axes,) = new_figure(6.0, 3.8)
    axes.plot(x, measured, color=BLUE, linewidth=1.6, label="measured", **_line(x, measured))
    axes.plot(x, theory, label=plain(theory_name, 40), **THEORY)
    label(axes, x_label, y_label)
    legend(axes)
    gap = np.abs(measured - theory)
    # Relative where theory is not zero: a gap of 0.1 is nothing at 100 and everything at 0.2.
    if np.all(np.abs(theory) > 1e-12):
        place, unit = int(np.nanargmax(gap / np.abs(theory))), "%"
        size = 100 * gap[place] / abs(theory[place])
    else:
        place, unit = int(np.nanargmax(gap)), "(absolute)"
        size = gap[place]
    away = f"at most {size:.2g} {unit} from {plain(theory_name, 40)}, at {x[place]:.4g}"
    if np.nanmax(gap) <= ROUNDING * np.nanmax(np.abs(theory)):
        away = f"{plain(theory_name, 40)}, to rounding"
    finding(figure, f"{subject}: {away}")
    return figure


def repeats_figure(
    groups: Mapping[str, ArrayLike],
    *,
    y_label: str,
    subject: str,
    theory: Mapping[str, float] | None = None,
    least: float | None = None,
    digits: int | None = None,
    scale: float = 1.0,
) -> Figure:
    """Results over seeds or splits: every run a dot, beside them mean ± standard deviation.

    Args:
        groups: ``{"CNN": values, "eigenfaces": values}``; each of shape (runs,), at least one.
        y_label: What is measured, with its unit.
        subject: The beginning of the title.
        theory: Reference values drawn dashed, such as a published record.
        least: What no value can be below, such as 0 for an error: a bar ends there.
        scale: Factor on values, means and deviations, such as 100 for shares that are shown in %.
        digits: Decimals of mean and deviation; as many as the deviation deserves by default.

    Returns:
        A figure of one axes; the title tells mean ± deviation (denominator n - 1) and number of runs.

    Raises:
        ValueError: If a group is empty or there is none.
    """
    arrays = {name: np.asarray(values, dtype=float).ravel() for name, values in groups.items()}
    if not arrays or not all(values.size for values in arrays.values()):
        raise ValueError("groups must hold at least one group, each of at least one value")
    figure, (axes,) = new_figure(max(4.6, 1.6 + 1.5 * len(arrays)), 3.8)
    texts = []
    for place, (name, values) in enumerate(arrays.items()):
        colour = CYCLE[place % len(CYCLE)]
        # Dots are spread sideways in the order of the runs: the same figure every time.
        aside = np.linspace(-0.16, 0.16, values.size) if values.size > 1 else np.zeros(1)
        axes.plot(place - 0.08 + aside, scale * values, "o", color=colour, markersize=4.5, alpha=0.65, linestyle="none")
        mean, spread = (scale * number for number in summarise(values.tolist())[:2])
        if values.size > 1:
            low = mean - spread if least is None else max(mean - spread, least)
            axes.vlines(place + 0.26, low, mean + spread, color=colour, linewidth=1.6)
        axes.plot(place + 0.26, mean, "D", color=colour, markersize=5.5)
        texts.append(f"{plain(name)} ({mean_and_spread(mean, spread, digits)})".replace(" ", "\N{NO-BREAK SPACE}"))
    axes.set_xlim(-0.6, len(arrays) - 0.4)
    names_along(axes, x=[plain(name, 22) for name in arrays])
    axes.grid(False, axis="x")
    _dashed(axes, theory or {})
    if least is not None:
        top = axes.get_ylim()[1]
        axes.set_ylim(least - 0.04 * (top - least), top)
    label(axes, "each dot one run; diamond: mean ± deviation", y_label)
    header = legend_above(axes, 3)
    counts = sorted({values.size for values in arrays.values()})
    runs = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) + f" run{'s' * (counts[-1] > 1)}"
    finding(figure, f"{subject}: {', '.join(texts)}; {runs}{' each' * (len(texts) > 1)}", left=0.8, header=header)
    return figure


def mean_and_spread(mean: float, spread: float, digits: int | None = None) -> str:
    """``2.9 ± 2.1``: both to the second digit of the deviation, or to so many decimals.

    The mean stands alone where the deviation is not finite, or is 0 and shall tell the digits.
    """
    if digits is None:
        if not (math.isfinite(spread) and spread > 0):
            return f"{mean:.4g}"
        digits = max(0, 1 - math.floor(math.log10(spread)))
    elif not math.isfinite(spread):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def percent_over_runs(shares: Sequence[float]) -> str:
    """``1.10 ± 0.82 %`` from shares in 0..1, one a run, rounded as in `repeats_figure`; of one run no deviation."""
    mean, deviation, _ = summarise(shares)
    return mean_and_spread(100 * mean, 100 * deviation, 2) + " %"
