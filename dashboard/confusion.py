"""The confusion matrix: which class is taken for which, and the most frequent mistakes beside it."""

# N pictures, C classes

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.names import FULL_NAME, short_names
from dashboard.style import (
    BLUE,
    GRID,
    SMALL_POINTS,
    VERMILLION,
    finding,
    label,
    names_along,
    new_figure,
    percent,
    text_inches,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NUMBERED_CLASSES = 50  # above it the counts would be too small to read


class Pair(NamedTuple):
    """One way to be wrong: ``mistakes`` of the ``total`` pictures of class ``truth`` were called ``guess``."""

    truth: int
    guess: int
    mistakes: int
    total: int


def confusion_counts(truth: ArrayLike, guess: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Count each pair of true and guessed class.

    Args:
        truth: Class numbers, shape (N,).
        guess: Class numbers, shape (N,).
        num_classes: C.

    Returns:
        Shape (C, C); row = truth, column = guess.

    Raises:
        ValueError: If a class number is not in 0..C-1 or the shapes differ.
    """
    truth, guess = np.asarray(truth, dtype=np.int64), np.asarray(guess, dtype=np.int64)
    if truth.shape != guess.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and guess {guess.shape}; allowed: two equal shapes (N,)")
    both = np.concatenate([truth, guess])
    if both.size and (both.min() < 0 or both.max() >= num_classes):
        raise ValueError(f"class numbers lie in {both.min()}..{both.max()}; allowed: 0..{num_classes - 1}")
    return np.bincount(truth * num_classes + guess, minlength=num_classes**2).reshape(num_classes, num_classes)


def most_confused(counts: ArrayLike, limit: int = 8) -> list[Pair]:
    """The most frequent mistakes, the larger share of the class first where counts are equal.

    Args:
        counts: Confusion matrix, shape (C, C); row = truth.
        limit: At most so many pairs.

    Returns:
        Pairs with at least one mistake, most frequent first.
    """
    counts = np.asarray(counts)
    totals = counts.sum(1)
    wrong = counts - np.diag(np.diag(counts))
    truth, guess = np.nonzero(wrong)
    order = np.lexsort((guess, truth, totals[truth], -wrong[truth, guess]))[:limit]
    return [
        Pair(int(i), int(j), int(wrong[i, j]), int(totals[i])) for i, j in zip(truth[order], guess[order], strict=True)
    ]


def confusion_figure(counts: ArrayLike, class_names: Sequence[str], *, pairs: int = 8) -> Figure:
    """The confusion matrix and, beside it, the most confused pairs.

    Right answers are blue and wrong ones red-orange, each by the root of its share of the row, so that one mistake
    among hundreds stays visible; cells that are zero stay white and empty.

    Args:
        counts: Whole numbers, shape (C, C); row = truth, column = guess.
        class_names: C names.
        pairs: Number of pairs drawn.

    Returns:
        A figure of two axes: the matrix, the pairs.

    Raises:
        ValueError: If the matrix is not square or the names are not C.
    """
    counts = np.asarray(counts)
    classes = len(class_names)
    if counts.shape != (classes, classes):
        raise ValueError(
            f"confusion matrix of shape {counts.shape} with {classes} class names; allowed: (C, C) with C names"
        )
    names, pair_part = short_names(class_names, 16), short_names(class_names, 12)
    total, right = int(counts.sum()), int(np.trace(counts))
    worst = most_confused(counts, pairs)

    points = float(np.clip(250 / classes, 4.5, SMALL_POINTS))
    upright = max(len(name) for name in names) > 2
    name_inches = text_inches(names, points)
    side = float(np.clip(1.2 + 0.34 * classes, 2.6, 6.0))
    under = 0.35 + (name_inches if upright else 0.15)
    pair_names = [f"{pair_part[p.truth]} → {pair_part[p.guess]}" for p in worst]
    pair_inches = text_inches(pair_names, SMALL_POINTS) + 0.45 if worst else 0.4
    left = 0.4 + name_inches
    figure, (matrix, bars) = new_figure(
        left + side + pair_inches + 2.3, side + under + 0.6, columns=2, width_ratios=[side, 2.1]
    )
    _draw_matrix(matrix, counts, names, points, upright)
    as_often = int((counts[~np.eye(classes, dtype=bool)] == worst[0].mistakes).sum()) - 1 if worst else 0
    detail = _draw_pairs(bars, worst, class_names, pair_names, total, as_often)
    answer = f"{percent(right / total) if total else '–'} right ({right} of {total}); {detail}"
    finding(figure, answer, left=left, bottom=under, between=pair_inches)
    return figure


def _draw_matrix(matrix: Any, counts: NDArray[np.integer], names: Sequence[str], points: float, upright: bool) -> None:
    """Draws the cells, with lines between them and their numbers where there is room.

    Args:
        matrix: Where to draw.
        counts: Shape (C, C).
        names: C short names.
        points: Size of the letters.
        upright: Turn the names of the guesses by a quarter.
    """
    from matplotlib.colors import to_rgb

    classes = len(names)
    share = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))  # (C, C)
    ends = np.where(np.eye(classes, dtype=bool)[..., None], to_rgb(BLUE), to_rgb(VERMILLION))  # (C, C, 3)
    # A mistake starts at 35 % of its colour: a single one must be seen.
    weight = np.where(counts > 0, 0.35 + 0.65 * share, 0.0)[..., None]
    step = -(-classes // MAX_NUMBERED_CLASSES)
    matrix.imshow(1 - weight * (1 - ends), interpolation="nearest")
    matrix.grid(False)
    if classes <= MAX_NUMBERED_CLASSES:
        between, edges = np.arange(classes - 1) + 0.5, (-0.5, classes - 0.5)
        matrix.hlines(between, *edges, color=GRID, linewidth=0.5)
        matrix.vlines(between, *edges, color=GRID, linewidth=0.5)
    shown = [name if i % step == 0 else "" for i, name in enumerate(names)]
    names_along(matrix, x=shown, y=shown, points=points, upright=upright)
    label(matrix, "guess (class)", "truth (class)", "pictures per cell; blue right, orange wrong")
    if classes <= MAX_NUMBERED_CLASSES:
        for i, j in zip(*np.nonzero(counts), strict=True):
            colour = "white" if i == j and weight[i, j, 0] > 0.6 else "black"
            matrix.text(j, i, str(int(counts[i, j])), ha="center", va="center", fontsize=points, color=colour)


def _draw_pairs(
    bars: Any, worst: list[Pair], class_names: Sequence[str], pair_names: list[str], total: int, as_often: int
) -> str:
    """Draws the most confused pairs, out of so many pictures; gives the most frequent one in words.

    Args:
        bars: Where to draw.
        worst: The pairs, most frequent first.
        class_names: Names of all classes.
        pair_names: The pairs in short words.
        total: Number of pictures.
        as_often: Further pairs that are as frequent as the first, drawn or not.
    """
    from matplotlib.ticker import MaxNLocator

    label(bars, "pictures", "truth → guess" if worst else "", "most confused")
    if not worst:
        bars.set_axis_off()
        detail = "no mistake" if total else "no picture"
        bars.text(0.05, 0.9, detail, transform=bars.transAxes, va="top", fontsize=SMALL_POINTS)
        return detail
    bars.barh(range(len(worst)), [pair.mistakes for pair in worst], height=0.6, color=VERMILLION)
    bars.set_ylim(max(len(worst), 4) - 0.4, -0.6)
    names_along(bars, y=pair_names)
    bars.set_xlim(0, worst[0].mistakes * 1.6)
    bars.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    bars.grid(False, axis="y")
    for place, pair in enumerate(worst):
        bars.text(pair.mistakes, place, f" {pair.mistakes} of {pair.total}", va="center", fontsize=SMALL_POINTS)
    first = worst[0]
    full = short_names(class_names, FULL_NAME)
    confused = f"{full[first.truth]} → {full[first.guess]}"
    others = f", as often as {as_often} other pair{'s' * (as_often > 1)}" if as_often else ""
    return f"most confused: {confused} ({first.mistakes} of {first.total}){others}"
