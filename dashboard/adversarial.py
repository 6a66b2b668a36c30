"""Accuracy under attack beside the exact worst case of a linear model, and pictures before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.grid import picture_grid
from dashboard.legends import legend_above
from dashboard.style import BLUE, GREEN, THEORY, VERMILLION, as_pictures, finding, label, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_figure(epsilons: ArrayLike, shares: Mapping[str, ArrayLike], chance: float) -> Figure:
    """Accuracy over the size of the change.

    Args:
        epsilons: Shape (E,), the first 0.
        shares: Accuracy in 0..1 of ``fgsm``, ``pgd``, ``linear_pgd`` and ``linear_exact``, each of shape (E,).
        chance: Accuracy of guessing.

    Returns:
        A figure of one axes; the title tells where the network falls below guessing.

    Raises:
        ValueError: If a row is missing or has another length.
    """
    x = np.asarray(epsilons, dtype=float)
    rows = {name: 100 * np.asarray(shares[name], dtype=float) for name in shares}
    if set(rows) != {"fgsm", "pgd", "linear_pgd", "linear_exact"} or any(row.shape != x.shape for row in rows.values()):
        raise ValueError(
            f"epsilons {x.shape} and rows {sorted(rows)}; allowed: fgsm, pgd, linear_pgd, linear_exact, (E,)"
        )
    figure, (axes,) = new_figure(6.4, 4.3)
    axes.plot(x, rows["fgsm"], "o-", color=BLUE, markersize=4, label="network, FGSM")
    axes.plot(x, rows["pgd"], "s-", color=VERMILLION, markersize=4, label="network, PGD")
    axes.plot(x, rows["linear_exact"], **THEORY, label="linear model, closed form")
    axes.plot(x, rows["linear_pgd"], "D", color=GREEN, markersize=4, linestyle="none", label="linear model, PGD")
    axes.axhline(100 * chance, color="#888888", linewidth=0.8, label="guessing")
    axes.set_ylim(-3, 103)
    label(axes, "largest change of a pixel ε (1 = whole scale)", "accuracy on the test pictures (%)")
    below = np.nonzero(rows["pgd"] < 100 * chance)[0]
    where = f"at ε = {x[below[0]]:g}" if len(below) else f"not up to ε = {x[-1]:g}"
    missed = float(np.abs(rows["linear_pgd"] - rows["linear_exact"]).max())
    finding(
        figure,
        f"under PGD the network falls below guessing {where}; "
        f"PGD misses the exact worst case of the linear model by {missed:.1f} points at most",
        header=legend_above(axes, 3),
    )
    return figure


def changes_figure(
    before: ArrayLike, after: ArrayLike, was: Sequence[str], now: Sequence[str], title: str, *, limit: int = 12
) -> Figure:
    """Pictures before and after an attack, each pair side by side.

    Args:
        before: Grey pictures in 0..1, shape (N, 1, H, W).
        after: The same, changed.
        was: Their classes.
        now: Their classes by the network after the change.
        title: The finding.
        limit: At most so many pairs are drawn.

    Raises:
        ValueError: If the numbers differ.
    """
    first, second = np.asarray(before, dtype=np.float32), np.asarray(after, dtype=np.float32)
    if first.shape != second.shape or not len(first) == len(was) == len(now):
        raise ValueError(f"{first.shape}, {second.shape}, {len(was)} and {len(now)} classes; allowed: as many of each")
    first, second = first[:limit], second[:limit]
    top = max(float(first.max(initial=0)), float(second.max(initial=0)), 1e-6)  # digits end below 1
    pairs = [as_pictures(part / top) for part in (first, second)]
    pictures, captions = [], []
    for place in range(len(first)):
        pictures += [pairs[0][place], pairs[1][place]]
        captions += [plain(was[place], 12), f"→ {plain(now[place], 12)}"]
    return picture_grid(
        pictures, captions, title, columns=8, cell=72, note="left: as it was; right: changed, and what it is taken for"
    )
