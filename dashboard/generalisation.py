"""Figures of generalisation: error against capacity, double descent, and early stopping as a filter."""

# K sizes, P points, d eigenvalues, G places

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.legends import legend_above
from dashboard.scales import logarithmic
from dashboard.style import (
    BLUE,
    CYCLE,
    GREEN,
    THEORY,
    VERMILLION,
    counted,
    finding,
    label,
    legend,
    new_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS = [digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)]
Pair = tuple[ArrayLike, ArrayLike]


def capacity_figure(
    sizes: Sequence[int],
    measured: Mapping[str, Pair],
    due: Mapping[str, Pair],
    floor: float,
    *,
    unit: str,
    bounds: Sequence[str] = (),
) -> Figure:
    """Training and test error against capacity, one panel for each way of training.

    Args:
        sizes: K sizes.
        measured: ``{title: (training errors, test errors)}``, each of shape (K,).
        due: The same, exact; drawn dashed. May lack a title.
        floor: Variance of the noise, below which no expected test error lies.
        unit: What the sizes count.
        bounds: Titles of those in ``due`` that are the least possible and not exact.

    Returns:
        A figure of one axes a panel; the title tells the best and the largest size of each.
    """
    places = np.asarray(sizes, dtype=float)
    figure, panels = new_figure(max(5.2, 4.2 * len(measured)), 3.9, columns=len(measured))
    texts = []
    every = np.concatenate([np.asarray(values, dtype=float) for pair in measured.values() for values in pair])
    low, high = max(min(every.min(), floor), every.max() / 1e6), max(every.max(), floor)
    for axes, (title, (train, test)) in zip(panels, measured.items(), strict=True):
        train, test = np.asarray(train, dtype=float), np.asarray(test, dtype=float)
        axes.plot(places, train, "o", color=BLUE, markersize=4, linestyle="none", label="training")
        axes.plot(places, test, "o", color=VERMILLION, markersize=4, linestyle="none", label="test")
        if title in due:
            name = "at least, over all draws" if title in bounds else "exact"
            for number, values in enumerate(due[title]):
                axes.plot(places, np.asarray(values, dtype=float), label=None if number else name, **THEORY)
        else:
            axes.plot(places, train, color=BLUE, linewidth=1.2)
            axes.plot(places, test, color=VERMILLION, linewidth=1.2)
        axes.axhline(floor, color=GREEN, linestyle=(0, (1, 2)), linewidth=1.4, label="noise")
        logarithmic(axes, y=True)
        axes.set_ylim(low / 1.3, high * 1.3)
        ticks = [tick for tick in TICKS if low / 1.3 <= tick <= high * 1.3]
        if len(ticks) > 1:
            axes.set_yticks(ticks)
        whole_numbers(axes, places)
        label(axes, unit, "mean squared error (1)", title)
        best = int(np.argmin(test))
        found = f"best {unit} {sizes[best]} ({test[best]:.3g}), largest {sizes[-1]} ({test[-1]:.3g})"
        if sizes[best] == sizes[-1]:
            found = f"best {unit} {sizes[-1]} ({test[-1]:.3g}), the largest"
        texts.append(f"{title}: {found}")
    for number, (axes, title) in enumerate(zip(panels, measured, strict=True)):
        if not number or title in bounds:
            legend(axes)
    finding(figure, "; ".join(texts))
    return figure


def double_descent_figure(
    ratios: ArrayLike,
    quartiles: ArrayLike,
    medians_due: ArrayLike,
    means: ArrayLike,
    means_due: ArrayLike,
    *,
    samples: int,
) -> Figure:
    """Excess risk of minimum-norm least squares over the number of features.

    Args:
        ratios: p / n, shape (P,).
        quartiles: Measured lower quartile, median and upper quartile, shape (3, P).
        medians_due: Exact medians, shape (P,).
        means: Measured means, shape (P,); they do not settle where the exact mean is infinite and are left out there.
        means_due: Exact means, possibly infinite, shape (P,).
        samples: n.

    Returns:
        A figure of one axes; the title tells the largest distance of a median from the exact one.
    """
    ratios, quartiles, medians_due = (np.asarray(values, dtype=float) for values in (ratios, quartiles, medians_due))
    means, means_due = np.asarray(means, dtype=float), np.asarray(means_due, dtype=float)
    figure, (axes,) = new_figure(6.6, 4.2)
    axes.fill_between(ratios, quartiles[0], quartiles[2], color=BLUE, alpha=0.15, linewidth=0, label="middle half")
    axes.plot(ratios, quartiles[1], "o", color=BLUE, markersize=4, linestyle="none", label="median, measured")
    axes.plot(ratios, medians_due, label="median, exact", **THEORY)
    settled = np.isfinite(means_due) & (np.abs(ratios - 1) * samples > 3.5)
    axes.plot(
        ratios[settled], means[settled], "^", color=VERMILLION, markersize=4, linestyle="none", label="mean, measured"
    )
    finite = np.where(np.isfinite(means_due), means_due, np.nan)
    axes.plot(ratios, finite, label="mean, exact (∞ at the gap)", **{**THEORY, "linestyle": (0, (1, 1.5))})
    logarithmic(axes, x=True, y=True)
    axes.set_xticks(
        [tick for tick in (0.03, 0.1, 0.3, 0.5, 1, 2, 4) if ratios.min() * 0.9 <= tick <= ratios.max() * 1.1]
    )
    label(axes, f"features over samples p/n (n = {samples})", "excess risk (variance of the noise = 1)")
    gap = np.abs(quartiles[1] / medians_due - 1)
    place = int(np.argmax(gap))
    finding(
        figure,
        f"the risk peaks at p = n and falls again: medians at most {100 * gap[place]:.1f} % from the exact law, "
        f"at p/n = {ratios[place]:.2f}",
        header=legend_above(axes, 3),
    )
    return figure


def filter_figure(
    eigenvalues: ArrayLike, grid: ArrayLike, curves: Sequence[tuple[int, ArrayLike, ArrayLike]]
) -> Figure:
    """Early stopping as a filter: the share of each component of the solution that has been learned.

    Args:
        eigenvalues: Shape (d,), above 0.
        grid: Places of the exact curves, shape (G,).
        curves: For some numbers of steps: the steps, measured shares (d,), exact shares on the grid (G,).

    Returns:
        A figure of one axes; the title tells that large eigenvalues are learned first.
    """
    figure, (axes,) = new_figure(6.2, 4.0)
    for (steps, shares, due), colour in zip(curves, CYCLE, strict=False):
        axes.plot(eigenvalues, shares, "o", color=colour, markersize=4, linestyle="none", label=counted(steps, "step"))
        axes.plot(grid, due, label=None, **THEORY)
    axes.plot([], [], label="1 − (1 − ηλ)^t", **THEORY)
    logarithmic(axes, x=True)
    label(axes, "eigenvalue λ of the penalised covariance (1)", "share learned (1)")
    axes.set_ylim(-0.05, 1.08)
    half = np.asarray(curves[-1][1], dtype=float) > 0.5
    finding(
        figure,
        f"gradient descent learns large eigenvalues first: after {counted(curves[-1][0], 'step')} "
        f"{int(half.sum())} of {counted(half.size, 'direction')} {'is' if half.sum() == 1 else 'are'} more than half "
        "learned",
        header=legend_above(axes, 3),
    )
    return figure
