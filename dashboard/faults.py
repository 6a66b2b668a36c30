"""Faults by tools: what each makes of what can go wrong, as a matrix of scores."""

# F faults, T tools

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dashboard.style import BLUE, LABEL_POINTS, QUIET, SMALL_POINTS, TITLE_POINTS, VERMILLION, new_figure, text_inches

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANINGS = ("silently wrong", "unclear error", "clear error", "recovers")
COLOURS = (VERMILLION, "#F0C9A0", "#A9CFE5", BLUE)  # the number is written on each as well
INK = ("white", "black", "black", "white")


def faults_figure(
    scores: Mapping[str, Mapping[str, int]], tools: Sequence[str], error_is_right: Collection[str] = ()
) -> Figure:
    """One row a fault, one column a tool, the score written on its colour.

    Args:
        scores: For each fault the score 0 to 3 of the tools that were probed with it.
        tools: Columns, from left to right.
        error_is_right: Faults that are nobody's to recover from, so that 2 is full marks; they get a star.

    Raises:
        ValueError: If a score is not 0, 1, 2 or 3, or a tool is no column.
    """
    from matplotlib.patches import Rectangle

    for fault, row in scores.items():
        if unknown := [tool for tool, score in row.items() if tool not in tools or score not in (0, 1, 2, 3)]:
            raise ValueError(f"{fault}: no column or no score of 0 to 3 for {', '.join(unknown)}")
    names = [f"{fault} *" if fault in error_is_right else fault for fault in scores]
    left, width, height = 0.3 + text_inches(names, SMALL_POINTS), 1.05 * len(tools), 0.26 * len(scores)
    total = left + width + 0.15, 0.75 + height + 0.75
    figure, (axes,) = new_figure(*total)
    axes.set_position((left / total[0], 0.75 / total[1], width / total[0], height / total[1]))
    for y, (_, row) in enumerate(scores.items()):
        for x, tool in enumerate(tools):
            score = row.get(tool)
            colour = "white" if score is None else COLOURS[score]
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, edgecolor="none"))
            ink = QUIET if score is None else INK[score]
            text = "–" if score is None else str(score)
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=LABEL_POINTS)
    axes.set_xlim(-0.5, len(tools) - 0.5)
    axes.set_ylim(len(scores) - 0.5, -0.5)
    axes.set_xticks(range(len(tools)), tools, fontsize=LABEL_POINTS)
    axes.set_yticks(range(len(scores)), names, fontsize=SMALL_POINTS)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.text(0.02, 1 - 0.15 / total[1], "What happens when something is wrong", fontsize=TITLE_POINTS, va="top")
    handles = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour in COLOURS]
    meanings = [f"{score} {meaning}" for score, meaning in enumerate(MEANINGS)]
    figure.legend(handles, meanings, loc=(0.01, 0.3 / total[1]), ncols=4, frameon=False, fontsize=SMALL_POINTS)
    if error_is_right:
        figure.text(0.02, 0.12 / total[1], "* an error is the right answer: 2 is full marks", fontsize=SMALL_POINTS)
    return figure
