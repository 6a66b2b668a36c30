"""Many small pictures in one figure: all are set into one mosaic, so that one image is drawn, not one axes per picture.

A hundred axes cost matplotlib a second; a mosaic with captions costs a few hundredths. Small pictures are enlarged by
repeating pixels (a reader wants to see the 8x8 that the network saw), large ones are reduced by averaging. Mosaic and
figure share their pixels, so that nothing is blurred.
"""

# N pictures, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.style import BLACK, CHARACTER_WIDTH, DPI, QUIET, TITLE_POINTS, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN, GAP = 12, 8  # pixels
CAPTION_POINTS = 7.5
CAPTION_WIDTH = 0.68  # of a letter in units of its size: in names with many of m, w and M, measured; the mean is 0.55
NOTE_WIDTH = 0.55  # the mean, which a line of text comes near
CAPTION_LINE = 13  # pixels a line of a caption takes
TITLE_LINE = 20  # pixels a line of the title takes
FRAME = 208  # light grey
MIN_WIDTH = 520  # pixels; below it a title would need many lines


def caption_characters(cell: int) -> int:
    """How many characters of a caption fit below a picture ``cell`` pixels wide."""
    return int((cell + GAP / 2) / (CAPTION_POINTS / 72 * DPI * CAPTION_WIDTH))


def fit(picture: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Scale a picture into a white square of ``cell`` pixels, keeping its proportions.

    Args:
        picture: Shape (H, W, 3).
        cell: Side in pixels.

    Returns:
        Shape (cell, cell, 3).
    """
    from PIL import Image

    height, width = picture.shape[:2]
    longest = max(height, width)
    # A whole factor keeps every pixel of a small picture equally large.
    factor: float = cell // longest if longest <= cell else cell / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    scaled = np.asarray(Image.fromarray(picture).resize(size, method))
    square = np.full((cell, cell, 3), 255, dtype=np.uint8)
    top, left = (cell - scaled.shape[0]) // 2, (cell - scaled.shape[1]) // 2
    # A thin frame, so that a white picture (a silent feature map) is still seen.
    square[top : top + scaled.shape[0], left : left + scaled.shape[1]] = FRAME
    inside = scaled[1:-1, 1:-1] if min(scaled.shape[:2]) > 2 else scaled
    edge = (scaled.shape[0] - inside.shape[0]) // 2, (scaled.shape[1] - inside.shape[1]) // 2
    top, left = top + edge[0], left + edge[1]
    square[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return square


def mosaic(
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], columns: int, cell: int, pitch: int
) -> NDArray[np.uint8]:
    """All pictures on one white ground, row by row.

    Args:
        pictures: N pictures of any sizes, each (H, W, 3); N is at least 1.
        columns: Pictures per row.
        cell: Side of a picture in pixels.
        pitch: Pixels of a row without the gap after it, its captions included.

    Returns:
        Shape (rows * pitch + gaps, columns * cell + gaps, 3).
    """
    rows = -(-len(pictures) // columns)
    drawn = np.full((rows * (pitch + GAP) - GAP, columns * (cell + GAP) - GAP, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, side = _corner(index, columns, cell, pitch)
        drawn[top : top + cell, side : side + cell] = fit(picture, cell)
    return drawn


def _corner(index: int, columns: int, cell: int, pitch: int) -> tuple[int, int]:
    """Pixels above and left of a picture of the mosaic."""
    return (index // columns) * (pitch + GAP), (index % columns) * (cell + GAP)


def picture_grid(
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    captions: Sequence[str] | None,
    title: str,
    *,
    columns: int,
    cell: int = 112,
    caption_colours: Sequence[str] | None = None,
    note: str = "",
) -> Figure:
    """Pictures in rows with a caption below each and the finding above all.

    Args:
        pictures: N pictures of any sizes, each (H, W, 3) uint8; N may be 0, then only the title is drawn.
        captions: N texts, each of one or several lines; None for none.
        title: The finding.
        columns: Pictures per row, at least 1.
        cell: Side of a picture in pixels, usually 60 to 130.
        caption_colours: N colours; None for black.
        note: Small lines below all, such as what a colour means; wrapped to the figure's width.

    Returns:
        The figure; its axes hold one image, the mosaic.
    """
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    lines = max((text.count("\n") + 1 for text in captions), default=0) if captions is not None else 0
    cell_height = cell + (lines * CAPTION_LINE + 4 if lines else 0)
    mosaic_width = columns * cell + (columns - 1) * GAP
    mosaic_height = max(rows * cell_height + (rows - 1) * GAP, 1)
    width = max(mosaic_width + 2 * MARGIN, MIN_WIDTH)
    characters = int((width - 2 * MARGIN) / (TITLE_POINTS / 72 * DPI * CHARACTER_WIDTH))
    heading = wrapped(title, characters)
    notes = wrapped(note, int((width - 2 * MARGIN) / (CAPTION_POINTS / 72 * DPI * NOTE_WIDTH)))
    head, foot = MARGIN + TITLE_LINE * len(heading) + 4, MARGIN + (CAPTION_LINE * len(notes) + 6 if notes else 0)
    height = head + mosaic_height + foot

    figure, _ = new_figure(width / DPI, height / DPI, rows=0)
    left = (width - mosaic_width) // 2
    text_left = (left if mosaic_width + 2 * MARGIN >= MIN_WIDTH else MARGIN) / width
    figure.suptitle("\n".join(heading), x=text_left, y=1 - MARGIN / height, ha="left", va="top", fontsize=TITLE_POINTS)
    if notes:
        figure.text(text_left, MARGIN / 2 / height, "\n".join(notes), fontsize=CAPTION_POINTS, color=QUIET, va="bottom")
    if not len(pictures):
        return figure

    axes = figure.add_axes((left / width, foot / height, mosaic_width / width, mosaic_height / height))
    axes.set_axis_off()
    drawn = mosaic(pictures, columns, cell, cell_height)
    axes.imshow(drawn, interpolation="nearest", extent=(0, mosaic_width, mosaic_height, 0), aspect="auto")
    look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": CAPTION_POINTS, "linespacing": 1.15}
    for index, caption in enumerate(captions or ()):
        top, side = _corner(index, columns, cell, cell_height)
        colour = BLACK if caption_colours is None else caption_colours[index]
        axes.text(side + cell / 2, top + cell + 3, caption, color=colour, **look)
    return figure
