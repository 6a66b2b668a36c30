"""Faults by tools: what each makes of what can go wrong, as a matrix of scores."""

# F faults, T tools

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dashboard.style import BLUE, LABEL_POINTS, QUIET, SMALL_POINTS, TITLE_POINTS, VERMILLION, new_figure, text_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEANINGS = ("silently wrong", "unclear error", "clear error", "recovers")
COLOURS = (VERMILLION, "#F0C9A0", "#A9CFE5", BLUE)  # the number is written on each as well
CELL, TOP, BOTTOM = (0.74, 0.26), 0.75, 0.75  # inches
LEAST_WIDTH = 5.6  # of the legend
MOST_ROWS = 30  # in one piece
INK = ("white", "black", "black", "white")


def faults_figure(
    scores: Mapping[str, Mapping[str, int]], tools: Sequence[str], error_is_right: Collection[str] = ()
) -> Figure:
    """One row a fault, one column a tool, the score written on its colour; many faults stand in two halves.

    Args:
        scores: For each fault the score 0 to 3 of the tools that were probed with it.
        tools: Columns, from left to right.
        error_is_right: Faults that are nobody's to recover from, so that 2 is full marks; they get a star.

    Raises:
        ValueError: If a score is not 0, 1, 2 or 3, or a tool is no column.
    """
    for fault, row in scores.items():
        if unknown := [tool for tool, score in row.items() if tool not in tools or score not in (0, 1, 2, 3)]:
            raise ValueError(f"{fault}: no column or no score of 0 to 3 for {', '.join(unknown)}")
    halves = in_halves(list(scores))
    names = [[f"{fault} *" if fault in error_is_right else fault for fault in half] for half in halves]
    left = 0.1 + max(text_inches(each, SMALL_POINTS) for each in names)
    width, height = CELL[0] * len(tools), CELL[1] * len(halves[0])
    total = max((left + width) * len(halves), LEAST_WIDTH) + 0.15, TOP + height + BOTTOM
    figure, panels = new_figure(*total, columns=len(halves))
    for number, (axes, half) in enumerate(zip(panels, halves, strict=True)):
        x, tall = left + number * (left + width), CELL[1] * len(half)
        axes.set_position((x / total[0], (BOTTOM + height - tall) / total[1], width / total[0], tall / total[1]))
        matrix(axes, names[number], [scores[fault] for fault in half], tools)
    legend(figure, total[1], bool(error_is_right))
    return figure


def in_halves(faults: Sequence[str]) -> list[Sequence[str]]:
    """All of them, or the first and the second half of many."""
    middle = -(-len(faults) // 2)
    return [faults] if len(faults) <= MOST_ROWS else [faults[:middle], faults[middle:]]


def matrix(axes: Axes, names: Sequence[str], rows: Sequence[Mapping[str, int]], tools: Sequence[str]) -> None:
    """Scores on their colours. Args: axes, names of the rows, score by tool of each, tools from left to right."""
    from matplotlib.patches import Rectangle

    for y, row in enumerate(rows):
        for x, tool in enumerate(tools):
            score = row.get(tool)
            colour = "white" if score is None else COLOURS[score]
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, edgecolor="none"))
            ink = QUIET if score is None else INK[score]
            text = "–" if score is None else str(score)
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=LABEL_POINTS)
    axes.set_xlim(-0.5, len(tools) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(tools)), tools, fontsize=SMALL_POINTS)
    axes.set_yticks(range(len(rows)), names, fontsize=SMALL_POINTS)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def legend(figure: Figure, height: float, starred: bool) -> None:
    """Title above, the meaning of the scores below. Args: figure, its inches, whether there are stars."""
    from matplotlib.patches import Rectangle

    figure.text(0.02, 1 - 0.15 / height, "What happens when something is wrong", fontsize=TITLE_POINTS, va="top")
    handles = [Rectangle((0, 0), 1, 1, facecolor=colour) for colour in COLOURS]
    meanings = [f"{score} {meaning}" for score, meaning in enumerate(MEANINGS)]
    figure.legend(handles, meanings, loc=(0.01, 0.3 / height), ncols=4, frameon=False, fontsize=SMALL_POINTS)
    said = "– not asked: the tool has nothing of the kind" + (
        "; * an error is the right answer: 2 is full marks" * starred
    )
    figure.text(0.02, 0.12 / height, said, fontsize=SMALL_POINTS)
