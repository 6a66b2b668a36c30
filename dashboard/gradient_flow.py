"""How gradients grow or die over the layers of deep networks, and which of those networks learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.legends import legend_above
from dashboard.scales import logarithmic, short
from dashboard.style import (
    BLUE,
    CYCLE,
    SMALL_POINTS,
    THEORY,
    VERMILLION,
    counted,
    finding,
    label,
    legend,
    names_along,
    new_figure,
    percent,
    plain,
    text_inches,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
PANEL = 4.4  # inches of a panel's width
PANELS = 5  # curves of a panel at most
MARKERS, DASHES = ("o", "s", "^", "D", "v"), ("-", "-.", ":", (0, (6, 1)), (0, (1, 1)))  # of equal activations
HIDES = 2.0  # factor between the ratio of weight gradients and that of δ from which on the one hides the other
NAME = 40  # characters of a setting's name
WIDEST = 4.2  # points of the first line of a panel
MOST = 1.8  # times the loss of guessing that is drawn at most
NEAR = 0.95  # share of the loss of guessing above which a setting is counted


def _panels(names: Sequence[str]) -> list[list[int]]:
    """Places of the settings, spread evenly over as few panels as can be."""
    return [part.tolist() for part in np.array_split(np.arange(len(names)), -(-len(names) // PANELS))]


def _looks(kinds: Sequence[str], group: Sequence[int]) -> list[tuple[str, int]]:
    """Of each setting of a panel: the colour of its activation, the same in all panels, and which of its kind it is."""
    order = list(dict.fromkeys(kinds))
    here = [kinds[place] for place in group]
    return [(CYCLE[order.index(kind) % len(CYCLE)], here[:place].count(kind)) for place, kind in enumerate(here)]


def profile_figure(
    names: Sequence[str], kinds: Sequence[str], measured: Sequence[ArrayLike], theory: Sequence[ArrayLike]
) -> Figure:
    """The size of δ_l over the layers, measured beside the closed form.

    Args:
        names: Settings, M of them, at least one.
        kinds: Activation of each, which gives the colour, shape (M,).
        measured: ‖δ_l‖ / ‖δ_L‖, M arrays of shape (L,), above 0.
        theory: The closed form, M arrays of shape (L,).

    Returns:
        A figure of one axes for up to five settings; the title tells the largest distance between the two at any layer.

    Raises:
        ValueError: If the numbers of settings or layers differ.
    """
    found, due = np.asarray(measured, dtype=float), np.asarray(theory, dtype=float)
    if not len(names) or found.shape != due.shape or not len(found) == len(kinds) == len(names):
        raise ValueError(f"{len(names)} names, measured {found.shape}, theory {due.shape}; allowed: M, (M, L), (M, L)")
    groups = _panels(names)
    figure, panels = new_figure(PANEL * len(groups) + 0.9, 4.1, columns=len(groups))
    layers = np.arange(1.0, found.shape[1] + 1)
    for axes, group in zip(panels, groups, strict=True):
        for nth, (place, (colour, rank)) in enumerate(zip(group, _looks(kinds, group), strict=True)):
            axes.plot(layers, due[place], **THEORY)
            # Every other one is larger and open, so that a curve that lies on another hides nothing.
            look: dict[str, Any] = {"markersize": 6.5, "markerfacecolor": "none"} if nth % 2 else {"markersize": 3.2}
            axes.plot(
                layers,
                found[place],
                MARKERS[rank],
                color=colour,
                linestyle="none",
                label=plain(names[place], NAME),
                **look,
            )
        logarithmic(axes, y=True)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.5), max(high, 2.0))
        whole_numbers(axes, layers)
        label(axes, "layer l", "‖δ_l‖ ÷ ‖δ_L‖ (1)" if axes is panels[0] else "")
    columns = _legend_columns(panels)
    header = max(legend_above(axes, columns, handletextpad=0.2) for axes in panels)
    distance = np.abs(found / due - 1)
    worst = int(distance.max(1).argmax())
    finding(
        figure,
        f"gradients over depth follow the mean-field recursion (dashed): at most {percent(distance.max())} away at any "
        f"layer, for {plain(names[worst], NAME)}",
        left=0.85,
        header=header,
    )
    return figure


def _legend_columns(panels: Sequence[Axes]) -> int:
    """Two columns for the legends above the panels where the names have room, else one."""
    names = [name for axes in panels for name in axes.get_legend_handles_labels()[1]]
    return 2 if 2 * (text_inches(names, SMALL_POINTS) + 0.3) < PANEL else 1


def ratio_figure(
    names: Sequence[str], measured: ArrayLike, theory: ArrayLike, weights: ArrayLike, weights_due: ArrayLike
) -> Figure:
    """The ratio of first to last layer: of δ, its closed form, and of the weight gradients, which hide it.

    Args:
        names: Settings, M of them, at least one.
        measured: ‖δ_1‖ / ‖δ_L‖, shape (M,), above 0.
        theory: The closed form, shape (M,).
        weights: The same ratio of weight gradients, shape (M,); NaN where there is none.
        weights_due: Its closed form, shape (M,); NaN where there is none.

    Returns:
        A figure of one axes; the title tells the setting whose weight gradients hide most, or that they agree with δ.

    Raises:
        ValueError: If the shapes differ.
    """
    rows_of = (np.asarray(values, dtype=float) for values in (measured, theory, weights, weights_due))
    found, due, trap, trap_due = rows_of
    if not len(names) or not found.shape == due.shape == trap.shape == trap_due.shape == (len(names),):
        shapes = ", ".join(str(values.shape) for values in (found, due, trap, trap_due))
        raise ValueError(f"{len(names)} names, {shapes}; allowed: M and four (M,)")
    figure, (axes,) = new_figure(7.4, 1.6 + 0.26 * len(names))
    rows = np.arange(len(names))
    axes.vlines(due, rows - 0.36, rows + 0.36, **{**THEORY, "linestyle": "-", "linewidth": 1.6}, label="δ, closed form")
    axes.plot(found, rows, "o", color=BLUE, markersize=5, linestyle="none", label="δ, measured")
    known = np.isfinite(trap) & (trap > 0)
    if known.any():
        look: dict[str, Any] = {"markersize": 5, "markerfacecolor": "none", "linestyle": "none"}
        ends = rows[known] - 0.36, rows[known] + 0.36
        axes.vlines(trap_due[known], *ends, color=VERMILLION, linewidth=1.2, label="∂loss/∂W, closed form")
        axes.plot(trap[known], rows[known], "D", color=VERMILLION, label="∂loss/∂W, measured", **look)
    logarithmic(axes, x=True)
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    names_along(axes, y=[plain(name, NAME) for name in names])
    label(axes, "gradient of the first layer ÷ gradient of the last (1)", "")
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, columnspacing=1.0)
    finding(figure, _hiding([plain(name, NAME) for name in names], found, trap), left=2.05, header=0.36)
    return figure


def _hiding(names: Sequence[str], found: Array, trap: Array) -> str:
    """Whether weight gradients tell how δ grew or died, as a title. Args: names, ratios of δ and of weights, (M,)."""
    known = np.flatnonzero(np.isfinite(trap) & np.isfinite(found) & (trap > 0) & (found > 0))
    if not len(known):
        return "gradient of the first layer over that of the last: δ alone, there is no ratio of weight gradients"
    apart = np.abs(np.log(trap[known] / found[known]))
    worst = known[apart.argmax()]
    pair = f"{names[worst]} has {short(trap[worst], 2)}, δ {short(found[worst], 2)}"
    if apart.max() < math.log(HIDES):
        return f"weight gradients agree with δ within a factor of {HIDES:g}: {pair} at most"
    if abs(math.log(trap[worst])) > abs(math.log(found[worst])) / 2:  # 1e-62 beside 1e-63 hides nothing
        return f"weight gradients and δ differ by a factor of {math.exp(apart.max()):.2g}: {pair}"
    return f"weight gradients hide how δ {'decays' if found[worst] < 1 else 'grows'}: {pair}"


def trainability_figure(
    names: Sequence[str], kinds: Sequence[str], history: ArrayLike, num_classes: int, depth: int
) -> Figure:
    """The training loss of every setting, with the loss of an uninformed network.

    Args:
        names: Settings, M of them, at least one.
        kinds: Activation of each, which gives the colour, shape (M,).
        history: Loss in nats by epoch and setting, shape (E, M).
        num_classes: C; guessing costs ln C.
        depth: Layers of the networks, for the title.

    Returns:
        A figure of one axes for up to five settings; the title counts the settings whose last loss is above
        ``NEAR`` of that of guessing.

    Raises:
        ValueError: If the shapes differ.
    """
    losses = np.asarray(history, dtype=float)
    if losses.ndim != 2 or not losses.shape[1] == len(names) == len(kinds) or not losses.size:
        raise ValueError(f"{len(names)} names, history {losses.shape}; allowed: M and (E, M)")
    groups, chance = _panels(names), math.log(num_classes)
    figure, panels = new_figure(PANEL * len(groups) + 0.9, 3.8, columns=len(groups))
    epochs = np.arange(1.0, len(losses) + 1)
    highest = float(np.nanmax(losses[np.isfinite(losses)], initial=chance))
    top = min(1.1 * highest, MOST * chance)  # one that runs away does not flatten the others
    for axes, group in zip(panels, groups, strict=True):
        for nth, (place, (colour, rank)) in enumerate(zip(group, _looks(kinds, group), strict=True)):
            # Each is thinner than those below it, so that one that lies on another hides nothing.
            look: dict[str, Any] = {"color": colour, "linestyle": DASHES[rank], "linewidth": WIDEST - 0.7 * nth}
            if len(epochs) == 1:  # a line of one point draws nothing
                look["marker"] = MARKERS[rank]
            axes.plot(epochs, losses[:, place], label=plain(names[place], NAME), **look)
        axes.axhline(chance, **THEORY, zorder=1.5)  # below the lines, of which many lie on it
        axes.set_ylim(0, top)
        whole_numbers(axes, epochs)
        label(axes, "epoch", "training loss (nats)" if axes is panels[0] else "")
    columns = _legend_columns(panels)
    header = max(legend_above(axes, columns) for axes in panels)
    above = int((losses[-1] > NEAR * chance).sum())
    finding(
        figure,
        f"{counted(depth, 'layer')}: {above} of {counted(len(names), 'setting')} {'has' if above == 1 else 'have'} a "
        f"mean loss of the last epoch above {100 * NEAR:.0f} % of that of guessing, ln {num_classes} = {chance:.3f} "
        "nats (dashed)",
        header=header,
    )
    return figure
