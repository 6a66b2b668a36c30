"""Logarithmic axes: which numbers stand on them, and how they are written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator


def logarithmic(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Logarithmic axes with plain numbers (formulas cost matplotlib a tenth of a second) and no small ticks.

    Ticks are powers of 10; where an axis shows fewer than two of them, 1, 2 and 5 times these, or else round numbers.
    """
    for wanted, scale, axis in ((x, axes.set_xscale, axes.xaxis), (y, axes.set_yscale, axes.yaxis)):
        if wanted:
            scale("log")
            axis.set_major_locator(_powers())
            axis.set_major_formatter(lambda value, _: power(value))
            axis.set_minor_locator(_no_ticks())


def power(value: float) -> str:
    """``0.01``, ``1,000``, ``10⁻⁶``, ``3·10⁷``: how a logarithmic axis is numbered."""
    if 1e-3 <= value < 1e4:
        return f"{value:,g}"
    factor, exponent = f"{value:e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return ("" if float(factor) == 1 else f"{float(factor):g}·") + f"10{raised}"


def short(value: float, digits: int = 4) -> str:
    """So many significant digits, as an axis is numbered: ``0.01306``, ``1.306·10⁻⁵``; 0 and infinity too."""
    size = float(f"{abs(value):.{digits}g}")
    return ("−" if value < 0 else "") + (power(size) if 0 < size < math.inf else f"{size:g}")


def _powers() -> Locator:
    from matplotlib.ticker import LogLocator, MaxNLocator

    class Powers(LogLocator):
        """Powers of 10, or what is finer where an axis is shorter than a decade."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            low, high = sorted((vmin, vmax))
            shown = lambda ticks: sum(low <= tick <= high for tick in ticks)
            ticks = super().tick_values(vmin, vmax)
            if low <= 0 or high >= 100 * low or shown(ticks) >= 2:
                return ticks
            decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
            finer = np.outer(decades, [1.0, 2.0, 5.0]).ravel()
            return finer if shown(finer) >= 2 else MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)

    return Powers()


def _no_ticks() -> Locator:
    from matplotlib.ticker import NullLocator

    return NullLocator()
