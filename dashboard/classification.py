"""What a classifier finds and misses: recall by class, the worst mistakes as pictures, an augmented batch.

Every title states the finding, computed from the numbers drawn.
"""

# N pictures, M mistakes, C classes, K channels, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.grid import caption_characters, picture_grid
from dashboard.names import FULL_NAME, short_names
from dashboard.style import (
    BLUE,
    GRID,
    SMALL_POINTS,
    THEORY,
    as_pictures,
    counted,
    finding,
    label,
    legend,
    names_along,
    new_figure,
    percent,
    plain,
    text_inches,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_RECALL_CLASSES = 60
NAME = 24  # characters of a class's name beside an axis


def recall_figure(
    recall: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    support: ArrayLike,
    class_names: Sequence[str],
) -> Figure:
    """Recall of each class with its 95 % interval, lowest first; the dashed line is the accuracy over all classes.

    Args:
        recall: In 0..1, shape (C,); NaN for a class without a picture, which is left out.
        low: Lower ends of the intervals, shape (C,).
        high: Upper ends, shape (C,).
        support: Pictures per class, shape (C,).
        class_names: C names.

    Returns:
        A figure of one axes; with more than 60 classes only the lowest 60 are drawn.
    """
    recall, low, high = (np.asarray(values, dtype=float) for values in (recall, low, high))
    support = np.asarray(support)
    order = [int(i) for i in np.argsort(recall, kind="stable") if support[i] > 0 and np.isfinite(recall[i])]
    shown = order[:MAX_RECALL_CLASSES]
    row, points = (0.26, SMALL_POINTS) if len(shown) <= 20 else (0.15, 6.5)
    short = short_names(class_names, NAME)
    names = [short[i] for i in shown]
    left = 0.45 + text_inches(names, points)
    figure, (axes,) = new_figure(5.6 + left, 1.2 + max(len(shown), 3) * row)
    label(axes, "recall (share of the class found, 95 % interval)", "class")
    if not shown:
        finding(figure, "recall by class: no picture")
        return figure
    places = np.arange(len(shown))
    start = max(0.0, np.floor((low[shown].min() - 0.02) * 20) / 20)
    axes.hlines(places, low[shown], high[shown], color=BLUE, linewidth=1.3)
    # No bars: where the axis does not start at 0 they exaggerate. A thin line leads the eye from the name to the dot.
    axes.hlines(places, 0, 1, color=GRID, linewidth=0.7, zorder=1.1)
    axes.plot(recall[shown], places, "o", color=BLUE, markersize=4.5)
    overall = float((recall[order] * support[order]).sum() / support[order].sum())
    axes.axvline(overall, label=f"all classes {percent(overall)}", **THEORY)
    legend(axes, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    axes.set_xlim(start, 1 + 0.02 * (1 - start))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    names_along(axes, y=names, points=points)
    axes.grid(False, axis="y")
    first = shown[0]
    found = round(float(recall[first]) * int(support[first]))
    rest = f" (the lowest {len(shown)} of {len(order)})" if len(shown) < len(order) else ""
    if recall[first] == 1:
        text = f"all found in every class; lowest end of an interval {percent(float(low[shown].min()))}"
    else:
        ends = f"{percent(float(low[first]))} to {percent(float(high[first]))}"
        text = (
            f"lowest is {short_names(class_names, FULL_NAME)[first]} with {percent(recall[first])} "
            f"({found} of {int(support[first])}; interval {ends})"
        )
    finding(figure, f"recall by class{rest}: {text}", left=left, header=0.26)
    return figure


def worst_mistakes(probabilities: ArrayLike, labels: ArrayLike, limit: int = 24) -> NDArray[np.int64]:
    """Numbers of the pictures that are wrong, largest loss (smallest probability of the truth) first.

    Args:
        probabilities: Shape (N, C).
        labels: True classes, shape (N,).
        limit: At most so many.

    Returns:
        Indices into N.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = np.argsort(probabilities[wrong, labels[wrong]], kind="stable")
    return wrong[order[:limit]]


def file_name(path: str, width: int) -> str:
    """The name of a file in at most ``width`` characters; its end stays, where a camera writes the number."""
    name = PurePath(path).name
    return plain(name if len(name) <= width else "…" + name[1 - width :], width)


def mistakes_figure(
    images: ArrayLike,
    truth: ArrayLike,
    guess: ArrayLike,
    probability: ArrayLike,
    loss: ArrayLike,
    class_names: Sequence[str],
    *,
    mistakes: int,
    total: int,
    files: Sequence[str] | None = None,
) -> Figure:
    """The worst mistakes as pictures: truth → guess, the guess's probability and the loss; the file, if they are files.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, shape (M, K, H, W), worst first; M may be 0.
        truth: True classes, shape (M,).
        guess: Guessed classes, shape (M,).
        probability: Of the guess, in 0..1, shape (M,).
        loss: Cross-entropy in nats, shape (M,).
        class_names: C names.
        mistakes: Number of mistakes in all.
        total: Number of pictures judged.
        files: M paths; the end of each name is shown.

    Returns:
        A figure; with no mistake it says so, so that the tag exists in every run.
    """
    pictures = as_pictures(images)
    truth, guess = np.asarray(truth), np.asarray(guess)
    probability, loss = np.asarray(probability, dtype=float), np.asarray(loss, dtype=float)
    cell = 112
    width = caption_characters(cell)
    shown = short_names(class_names, width - 2)  # the guess has an arrow before it
    wide = any(len(shown[t]) + len(shown[g]) + 3 > width for t, g in zip(truth, guess, strict=True))
    captions = []
    for t, g, p, value in zip(truth, guess, probability, loss, strict=True):
        between = "\n" if wide else " "
        captions.append(f"{shown[t]}{between}→ {shown[g]}\n{100 * p:.0f} %, loss {value:.2f}")
    if files is not None:
        captions = [f"{text}\n{file_name(file, width)}" for text, file in zip(captions, files, strict=True)]
    if len(pictures):
        some = (
            f"worst {len(pictures)} of {mistakes:,} mistakes" if len(pictures) < mistakes else f"mistakes: {mistakes}"
        )
        among = counted(total, "picture")
        title = f"{some} among {among}: truth → guess with its probability; largest loss {loss.max():.2f} nats"
    else:
        title = f"no mistake among {counted(total, 'picture')}"
    return picture_grid(pictures, captions, title, columns=8, cell=cell)


def batch_figure(images: ArrayLike, labels: ArrayLike, class_names: Sequence[str], *, limit: int = 32) -> Figure:
    """A batch of training pictures as training sees them, augmented and mixed or not.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, shape (N, K, H, W).
        labels: Classes, shape (N,), or of mixed pictures the shares of the classes, shape (N, C).
        class_names: C names.
        limit: At most so many pictures are drawn.

    Returns:
        A figure; the title tells size, mean and deviation of the batch, in which a broken normalisation shows.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    pictures = as_pictures(images)
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    channels, height, width = images.shape[1:]
    mixed = labels.ndim == 2
    cell, columns = (96, 9) if mixed else (72, 12)  # a share stands before the name
    room = caption_characters(cell)
    names = short_names(class_names, room - 5 if mixed else room)
    captions = [_mixture(one, names) if mixed else names[one] for one in labels[:limit]]
    size = f"batch of {counted(len(pictures), 'mixed ' * mixed + 'training picture')} {channels}×{height}×{width}"
    moments = f": mean {images.mean() / scale:.3f}, deviation {images.std() / scale:.3f} of 1" if len(pictures) else ""
    some = f" (first {limit} shown)" if len(pictures) > limit else ""
    return picture_grid(pictures[:limit], captions, size + moments + some, columns=columns, cell=cell)


def _mixture(shares: NDArray[np.floating], names: Sequence[str]) -> str:
    """The classes of a picture made of two, the larger share first; one name where both are of one class."""
    first, second = np.argsort(-shares, kind="stable")[:2]
    percents = round(100 * float(shares[first])), round(100 * float(shares[second]))
    if not percents[1]:
        return names[first]
    return f"{percents[0]} % {names[first]}\n{percents[1]} % {names[second]}"
