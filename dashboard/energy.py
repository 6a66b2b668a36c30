"""What an energy model has learnt: log Z fenced in from both sides, its filters, and pictures it dreams up."""

# N pictures, C colours, H height, W width, P points

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.grid import picture_grid
from dashboard.scales import logarithmic, power
from dashboard.style import (
    BLUE,
    QUIET,
    THEORY,
    VERMILLION,
    as_pictures,
    counted,
    finding,
    label,
    legend,
    new_figure,
    signed,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def two_sided_figure(
    steps: ArrayLike,
    forward: Sequence[Sequence[float]],
    backward: Sequence[Sequence[float]],
    exact: float | None = None,
) -> Figure:
    """Estimates of log Z from either side within the bounds, closing as the annealing gets slower.

    An estimate is the logarithm of a mean weight and may err to either side; a bound is the mean of the logarithms.

    Args:
        steps: Numbers of temperatures, shape (P,).
        forward: Value, standard error (nan where unknown), bound and its error at each, in nats, shape (P, 4); what
            follows is not read.
        backward: The same of the walk back.
        exact: log Z by counting, drawn dashed.

    Returns:
        A figure of one axes; the title tells the last gap.
    """
    x, low, high = (np.asarray(values, dtype=float) for values in (steps, forward, backward))
    figure, (axes,) = new_figure(6.4, 3.9)
    ordered = low[:, 2] <= high[:, 2]  # chance may exchange bounds that nearly coincide: nothing lies between them
    if ordered.any():
        name = "between the bounds, mean of log w"
        axes.fill_between(
            x, low[:, 2], high[:, 2], ordered, interpolate=True, color=QUIET, alpha=0.12, linewidth=0, label=name
        )
    for values, colour, name in ((low, BLUE, "estimate, forward"), (high, VERMILLION, "estimate, backward")):
        axes.errorbar(
            x, values[:, 0], values[:, 1], color=colour, marker="o", markersize=4, linewidth=1.5, capsize=3, label=name
        )
    if exact is not None:
        axes.axhline(exact, label="exact, by counting", **THEORY)
    logarithmic(axes, x=True)
    axes.set_xticks(x, [f"{value:,.0f}" for value in x])
    label(axes, "temperatures of annealing", "log Z (nats)")
    legend(axes)
    gap = high[-1, 0] - low[-1, 0]
    error = float(np.hypot(high[-1, 1], low[-1, 1]))
    if exact is None:
        told = "nats (error unknown)" if np.isnan(error) else "nats"
        text = f"log Z: backward − forward = {with_error(gap, error)} {told} with {counted(int(x[-1]), 'temperature')}"
    else:
        off = [with_error(values[-1, 0] - exact, values[-1, 1]) for values in (low, high)]
        text = f"log Z with {counted(int(x[-1]), 'temperature')}: forward {off[0]} nats from exact, backward {off[1]}"
    finding(figure, text, left=0.95)  # numbers that differ little are long
    return figure


def with_error(value: float, error: float) -> str:
    """``+0.20 ± 0.14``: the error with two significant digits, the value with as many decimals; NaN is not written."""
    if np.isnan(error):
        return signed(value, 3, plus=True) if abs(value) >= 0.001 or value == 0 else signed_power(value)
    if error < 1e-4:
        return f"{signed_power(value)} ± {signed_power(error).lstrip('+')}"
    decimals = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{signed(value, decimals, plus=True)} ± {error:.{decimals}f}"


def signed_power(value: float) -> str:
    """``−3.1·10⁻⁷``, two significant digits."""
    size = float(f"{abs(value):.2g}")
    return ("−" if value < 0 else "+") + (power(size) if size else "0")


def bounds_figure(bounds: ArrayLike, units: Sequence[int], errors: ArrayLike = 0.0) -> Figure:
    """What each layer of a deep belief network adds to what it says of test pictures.

    Args:
        bounds: Of the likelihood with 1, 2, … layers, nats a picture, shape (P,); the first is the likelihood itself.
        units: Pixels, then units of each layer, P + 1 numbers.
        errors: Standard errors of log Z in them, nats, shape (P,); nan where unknown.

    Returns:
        A figure of one axes; the first layer's value is dashed, since greedy training need not fall below it.
    """
    values = np.asarray(bounds, dtype=float)
    figure, (axes,) = new_figure(5.6, 3.7)
    places = np.arange(1, len(values) + 1)
    spread = np.broadcast_to(np.asarray(errors, dtype=float), values.shape)
    axes.plot(places, values, color=BLUE, linewidth=1.6)
    axes.axhline(values[0], **THEORY)
    axes.errorbar(
        places[:1], values[:1], spread[:1], marker="s", capsize=3, label="likelihood of one machine", **THEORY
    )
    if len(values) > 1:
        axes.errorbar(
            places[1:], values[1:], spread[1:], color=BLUE, marker="o", linewidth=1.6, capsize=3, label="lower bound"
        )
    names = ["-".join(str(unit) for unit in units[: place + 1]) for place in range(1, len(values) + 1)]
    axes.set_xticks(places, names)
    axes.set_xlim(0.6, len(values) + 0.4)
    # At least a nat is shown: differences of hundredths are those of annealing.
    middle, half = (values.max() + values.min()) / 2, max(np.ptp(values) * 0.6, 0.5)
    axes.set_ylim(middle - half, middle + half)
    label(axes, "layers", "nats a test picture")
    legend(axes)
    text = ", ".join(signed(value, 2) for value in values)
    deeper = len(values) - 1
    then = f", then lower bound{'s' * (deeper > 1)} of the deeper network{'s' * (deeper > 1)}" if deeper else ""
    finding(figure, f"likelihood of one machine{then}: {text} nats", left=0.8)
    return figure


def filters_figure(weight: ArrayLike, size: Sequence[int], most: int = 60) -> Figure:
    """What the strongest hidden units look for: light pixels switch them on, dark ones off.

    Args:
        weight: Shape (V, K), a column a hidden unit.
        size: (C, H, W) with V = C·H·W; the colours are averaged.
        most: Units drawn, those with the longest columns.

    Returns:
        A mosaic.
    """
    columns = np.asarray(weight, dtype=float).T  # (K, V)
    order = np.argsort(-np.linalg.norm(columns, axis=1), kind="stable")[:most]
    shown = columns[order].reshape(len(order), *size).mean(1)  # (K, H, W)
    top = max(float(np.quantile(np.abs(shown), 0.995)), 1e-12)
    grey = np.rint(127.5 + 127.5 * np.clip(shown / top, -1, 1)).astype(np.uint8)
    pictures = np.repeat(grey[..., None], 3, axis=-1)
    share = float((columns[order] ** 2).sum() / max(float((columns**2).sum()), 1e-300))
    return picture_grid(
        pictures,
        None,
        f"weights of {_strongest(len(order), len(columns))}: {100 * share:.0f} % of ‖W‖²",
        columns=12 if len(order) > 32 else 8,
        cell=84 if len(order) <= 32 else 64,
        note=f"grey is 0; white and black are ±{top:.2g}",
    )


def dreams_figure(probabilities: ArrayLike, size: Sequence[int], title: str, columns: int = 12) -> Figure:
    """Pictures drawn from a model.

    Args:
        probabilities: Of the pixels, in [0, 1], shape (N, V).
        size: (C, H, W) with V = C·H·W.
        title: The finding.
        columns: Pictures a row.
    """
    images = np.asarray(probabilities, dtype=float).reshape(-1, *size).clip(0, 1)
    pictures: NDArray[np.uint8] = as_pictures(images)
    return picture_grid(pictures, None, title, columns=columns, cell=64)


def _strongest(shown: int, units: int) -> str:
    """Which of the hidden units are drawn, in words."""
    if shown == units:
        return "the only hidden unit" if units == 1 else f"all {units:,} hidden units, strongest first"
    return f"the {shown} strongest of {units:,} hidden units"
