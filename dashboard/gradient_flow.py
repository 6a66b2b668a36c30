"""How gradients grow or die over the layers of deep networks, and which of those networks learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dashboard.style import (
    BLUE,
    CYCLE,
    THEORY,
    VERMILLION,
    finding,
    label,
    legend,
    logarithmic,
    names_along,
    new_figure,
    percent,
    plain,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 5  # curves of a panel at most, so that each has a colour that stays apart


def _panels(names: Sequence[str]) -> list[list[int]]:
    """Places of the settings, spread evenly over as few panels as can be."""
    return [part.tolist() for part in np.array_split(np.arange(len(names)), -(-len(names) // PANELS))]


def profile_figure(names: Sequence[str], measured: Sequence[ArrayLike], theory: Sequence[ArrayLike]) -> Figure:
    """The size of δ_l over the layers, measured beside the closed form.

    Args:
        names: Settings, M of them, at least one.
        measured: ‖δ_l‖ / ‖δ_L‖, M arrays of shape (L,), above 0.
        theory: The closed form, M arrays of shape (L,).

    Returns:
        A figure of one axes for up to five settings; the title tells the largest distance between the two at any layer.

    Raises:
        ValueError: If the numbers of settings or layers differ.
    """
    found, due = np.asarray(measured, dtype=float), np.asarray(theory, dtype=float)
    if not len(names) or found.shape != due.shape or len(found) != len(names):
        raise ValueError(f"{len(names)} names, measured {found.shape}, theory {due.shape}; allowed: M, (M, L), (M, L)")
    groups = _panels(names)
    figure, panels = new_figure(4.2 * len(groups) + 0.9, 3.9, columns=len(groups))
    layers = np.arange(1.0, found.shape[1] + 1)
    for axes, group in zip(panels, groups, strict=True):
        for colour, place in zip(CYCLE, group, strict=False):
            axes.plot(layers, due[place], **THEORY)
            axes.plot(layers, found[place], "o", color=colour, markersize=3.5, label=plain(names[place]))
        logarithmic(axes, y=True)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.5), max(high, 2.0) * (high / low) ** 0.3)  # room for the legend above the curves
        whole_numbers(axes, layers)
        label(axes, "layer l", "‖δ_l‖ ÷ ‖δ_L‖ (1)" if axes is panels[0] else "")
        legend(axes, loc="upper center", ncols=2, handletextpad=0.2, columnspacing=0.8)
    distance = np.abs(found / due - 1)
    worst = int(distance.max(1).argmax())
    finding(
        figure,
        f"gradients over depth follow the mean-field recursion (dashed): at most {percent(distance.max())} away at any "
        f"layer, for {plain(names[worst])}",
        left=0.85,
    )
    return figure


def ratio_figure(names: Sequence[str], measured: ArrayLike, theory: ArrayLike, weights: ArrayLike) -> Figure:
    """The ratio of first to last layer: of δ, its closed form, and of the weight gradients, which hide it.

    Args:
        names: Settings, M of them, at least one.
        measured: ‖δ_1‖ / ‖δ_L‖, shape (M,), above 0.
        theory: The closed form, shape (M,).
        weights: The same ratio of weight gradients, shape (M,); NaN where there is none.

    Returns:
        A figure of one axes; the title tells the setting whose weight gradients hide most.

    Raises:
        ValueError: If the shapes differ.
    """
    found, due, trap = (np.asarray(values, dtype=float) for values in (measured, theory, weights))
    if not len(names) or not found.shape == due.shape == trap.shape == (len(names),):
        raise ValueError(f"{len(names)} names, {found.shape}, {due.shape}, {trap.shape}; allowed: M and three (M,)")
    figure, (axes,) = new_figure(7.4, 1.6 + 0.26 * len(names))
    rows = np.arange(len(names))
    axes.vlines(due, rows - 0.36, rows + 0.36, **{**THEORY, "linestyle": "-", "linewidth": 1.6}, label="δ, closed form")
    axes.plot(found, rows, "o", color=BLUE, markersize=5, linestyle="none", label="δ, measured")
    axes.plot(
        trap, rows, "D", color=VERMILLION, markersize=5, markerfacecolor="none", linestyle="none", label="∂loss/∂W"
    )
    logarithmic(axes, x=True)
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    names_along(axes, y=[plain(name) for name in names])
    label(axes, "gradient of the first layer ÷ gradient of the last (1)", "")
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    hidden = np.nan_to_num(np.abs(np.log(trap / due)), nan=0.0)
    worst = int(hidden.argmax())
    finding(
        figure,
        f"weight gradients hide the decay: {plain(names[worst])} has {trap[worst]:.2g} where δ has {found[worst]:.2g}",
        left=1.85,
        header=0.36,
    )
    return figure


def trainability_figure(names: Sequence[str], history: ArrayLike, num_classes: int, depth: int) -> Figure:
    """The training loss of every setting, with the loss of an uninformed network.

    Args:
        names: Settings, M of them, at least one.
        history: Loss in nats by epoch and setting, shape (E, M).
        num_classes: C; guessing costs ln C.
        depth: Layers of the networks, for the title.

    Returns:
        A figure of one axes for up to five settings; the title counts the settings still at chance.

    Raises:
        ValueError: If the shapes differ.
    """
    losses = np.asarray(history, dtype=float)
    if losses.ndim != 2 or losses.shape[1] != len(names) or not losses.size:
        raise ValueError(f"{len(names)} names, history {losses.shape}; allowed: M and (E, M)")
    groups, chance = _panels(names), math.log(num_classes)
    figure, panels = new_figure(4.2 * len(groups) + 0.9, 3.6, columns=len(groups))
    epochs = np.arange(1.0, len(losses) + 1)
    top = 1.8 * chance  # room for the legend above the curves
    for axes, group in zip(panels, groups, strict=True):
        for colour, place in zip(CYCLE, group, strict=False):
            axes.plot(epochs, losses[:, place], color=colour, linewidth=1.5, label=plain(names[place]))
        axes.axhline(chance, **THEORY)
        axes.set_ylim(0, top)
        whole_numbers(axes, epochs)
        label(axes, "epoch", "training loss (nats)" if axes is panels[0] else "")
        legend(axes, loc="upper center", ncols=2, columnspacing=0.8)
    stuck = int((losses[-1] > 0.95 * chance).sum())
    finding(
        figure,
        f"{depth} layers: {stuck} of {len(names)} settings stay at the loss of guessing, ln {num_classes} = "
        f"{chance:.3f} nats (dashed)",
    )
    return figure
