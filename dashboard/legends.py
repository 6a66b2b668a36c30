"""Legends that can hide nothing: above the axes, where no data are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dashboard.style import LABEL_POINTS, QUIET, SMALL_POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.165  # inches that a row of a legend takes
TITLE = 0.2  # inches that the name of a panel takes


def legend_above(axes: Axes, columns: int, **options: Any) -> float:
    """Put the legend between the axes and what stands above them; the name of a panel moves up.

    Args:
        axes: With all that is to be named drawn, and the panel's name set.
        columns: Entries side by side.
        options: Of matplotlib's ``legend``, such as ``handles``.

    Returns:
        Inches that are needed above the axes, for ``finding(…, header=…)``; 0.08 where there is nothing to name.
    """
    count = len(options.get("handles", axes.get_legend_handles_labels()[0]))
    title = axes.get_title(loc="left")
    if not count:
        return TITLE + 0.04 if title else 0.08
    axes.legend(
        **{
            "loc": "lower left",
            "bbox_to_anchor": (0, 1),
            "borderaxespad": 0.15,
            "borderpad": 0.1,
            "labelspacing": 0.25,
            "columnspacing": 1.4,
            "ncols": columns,
            "fontsize": SMALL_POINTS,
            "frameon": False,
            **options,
        }
    )
    inches = ROW * math.ceil(count / columns) + 0.06
    if title:
        axes.set_title(title, fontsize=LABEL_POINTS, loc="left", color=QUIET, pad=72 * inches + 3)
    return inches + (TITLE if title else 0) + 0.04
