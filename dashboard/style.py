"""One look for every figure: colours, fonts, sizes, and one rendering for both the PNG file and TensorBoard.

The colours are the eight of Okabe and Ito, which stay apart for a colour-blind reader; theory is always dashed and
dark. Figures are built on matplotlib's objects (Figure + FigureCanvasAgg), never on pyplot: nothing is global, nothing
leaks. matplotlib is imported inside the functions: its import costs half a second and a fast run may draw nothing.

Source: Okabe and Ito (2008), Color Universal Design, "Set of colours that is friendly to colour-blind people".
"""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.bands import shown_bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
# Yellow comes last: a thin yellow line on white is hard to see.
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK, YELLOW)
THEORY: dict[str, Any] = {"color": "#333333", "linestyle": (0, (5, 3)), "linewidth": 1.2}
GRID = "#DDDDDD"
QUIET = "#555555"

DPI = 110
TITLE_POINTS, LABEL_POINTS, SMALL_POINTS = 10.5, 9.0, 8.0
# Mean width of a character of DejaVu Sans in units of its size; used to wrap and shorten without a rendering.
CHARACTER_WIDTH = 0.52


def new_figure(
    width: float = 6.4,
    height: float = 4.0,
    *,
    rows: int = 1,
    columns: int = 1,
    width_ratios: list[float] | None = None,
    height_ratios: list[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure with an Agg canvas and ``rows`` x ``columns`` styled axes.

    Args:
        width: Inches, usually 4 to 10.
        height: Inches, usually 3 to 8.
        rows: Number of rows of axes; 0 gives an empty figure.
        columns: Number of columns of axes.
        width_ratios: Relative widths of the columns.
        height_ratios: Relative heights of the rows.

    Returns:
        The figure and its axes, row by row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    if rows == 0:
        return figure, []
    grid = figure.subplots(
        rows, columns, squeeze=False, gridspec_kw={"width_ratios": width_ratios, "height_ratios": height_ratios}
    )
    axes = [one for row in grid for one in row]
    for one in axes:
        dress(one)
    return figure, axes


def dress(axes: Axes) -> None:
    """Give axes the house's look: light grid below the data, thin frame, small ticks."""
    axes.set_axisbelow(True)
    axes.grid(True, color=GRID, linewidth=0.7)
    axes.tick_params(labelsize=SMALL_POINTS, color=QUIET, length=3)
    for side, spine in axes.spines.items():
        spine.set_color("#888888")
        spine.set_visible(side in ("left", "bottom"))


def whole_numbers(axes: Axes, values: Sequence[float] | NDArray[np.floating]) -> None:
    """Tick the first axis at whole numbers only, as epochs are; a single one gets room at both sides."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if np.size(values) == 1:
        axes.set_xlim(float(np.asarray(values).item()) - 1, float(np.asarray(values).item()) + 1)


def signed(value: float, digits: int = 3, *, plus: bool = False) -> str:
    """A number with fixed decimals and a true minus sign; ``plus`` writes the other sign too."""
    return true_minus(f"{value:{'+' if plus else ''}.{digits}f}")


def true_minus(text: str) -> str:
    """A text whose numbers have true minus signs, also in their exponents; hyphens stay."""
    return re.sub(r"(?<![\w)\]])-(?=[\d.])|(?<=\de)-(?=\d)", "−", text)


def label(axes: Axes, x: str, y: str, title: str | None = None) -> None:
    """Name both axes (with their units) and, where several axes share a figure, the panel."""
    axes.set_xlabel(x, fontsize=LABEL_POINTS)
    axes.set_ylabel(y, fontsize=LABEL_POINTS)
    if title is not None:
        axes.set_title(title, fontsize=LABEL_POINTS, loc="left", color=QUIET)


def wrapped(text: str, characters: int) -> list[str]:
    """A text in lines of at most so many characters, with true minus signs.

    A number stays with its sign, its unit and its error, and a word with a hyphen in one piece, where there is room.
    """
    said = true_minus(text)
    bound = re.sub(r" (?=[%±×→=])|(?<=[±×→=]) ", "\N{NO-BREAK SPACE}", said)
    if any(len(word) > characters for word in bound.split(" ")):
        return textwrap.wrap(said, characters)
    lines = textwrap.wrap(bound, characters, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def finding(
    figure: Figure,
    text: str,
    *,
    left: float = 0.68,
    right: float = 0.15,
    bottom: float = 0.5,
    between: float = 0.75,
    below: float = 0.5,
    header: float | None = None,
) -> None:
    """Write the figure's finding as its title and place the axes below it; the last call on a figure.

    The margins are given and not measured: matplotlib's own layouts measure every label twice, a third of the time.

    Args:
        figure: A figure of ``new_figure``.
        text: The finding; wrapped to the figure's width.
        left: Inches for the labels of the y axis.
        right: Inches free at the right.
        bottom: Inches for the labels of the x axis.
        between: Inches between columns of axes.
        below: Inches between rows of axes.
        header: Inches between the title and the axes; room for panel titles by default where there are any.
    """
    width, height = figure.get_size_inches()
    characters = int((width - 0.2) * 72 / (TITLE_POINTS * CHARACTER_WIDTH))
    lines = wrapped(text, max(characters, 20))
    figure.suptitle("\n".join(lines), x=0.1 / width, y=1 - 0.08 / height, ha="left", va="top", fontsize=TITLE_POINTS)
    if header is None:
        header = 0.24 if any(axes.get_title(loc="left") for axes in figure.axes) else 0.08
    top = 0.1 + 0.19 * len(lines) + header
    grid = figure.axes[0].get_gridspec() if figure.axes else None
    columns, rows = (grid.ncols, grid.nrows) if grid is not None else (1, 1)
    axes_width = max((width - left - right - between * (columns - 1)) / columns, 0.5)
    axes_height = max((height - top - bottom - below * (rows - 1)) / rows, 0.3)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=between / axes_width,
        hspace=below / axes_height,
    )


def text_inches(texts: Iterable[str], points: float) -> float:
    """Inches that the longest of the texts takes, estimated by its number of characters."""
    return max((len(text) for text in texts), default=0) * points * 0.64 / 72  # digits are wider than the mean letter


def names_along(
    axes: Axes, *, x: Sequence[str] = (), y: Sequence[str] = (), points: float = SMALL_POINTS, upright: bool = False
) -> None:
    """Write names at 0, 1, 2, ... along the axes; an empty name is left out.

    Plain texts do what tick labels do at a third of their time: a tick is five objects, and there may be forty classes.

    Args:
        axes: Limits are set already; y may run downwards.
        x: Names below the axes.
        y: Names left of the axes.
        points: Size of the letters.
        upright: Turn the names along x by a quarter.
    """
    from matplotlib.transforms import ScaledTranslation

    shared: dict[str, Any] = {"fontsize": points, "clip_on": False}
    if x:
        axes.set_xticks([])
        axes.xaxis.labelpad = 6 + (72 * text_inches(x, points) if upright else points)
        down = axes.get_xaxis_transform() + ScaledTranslation(0, -0.05, axes.figure.dpi_scale_trans)
        for place, name in enumerate(x):
            if name:
                axes.text(
                    place, 0, name, transform=down, ha="center", va="top", rotation=90 if upright else 0, **shared
                )
    if y:
        axes.set_yticks([])
        axes.yaxis.labelpad = 6 + 72 * text_inches(y, points)
        aside = axes.get_yaxis_transform() + ScaledTranslation(-0.05, 0, axes.figure.dpi_scale_trans)
        for place, name in enumerate(y):
            if name:
                axes.text(0, place, name, transform=aside, ha="right", va="center_baseline", **shared)


def legend(axes: Axes, **options: Any) -> None:
    """A small legend on a plain ground, when there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**{"fontsize": SMALL_POINTS, "frameon": True, "edgecolor": "none", "framealpha": 0.85, **options})


def plain(text: object, width: int = 24) -> str:
    """A name that is safe to draw: one line, at most ``width`` characters, no formula signs.

    A longer one keeps its beginning and its end: names that differ by a number have it there.

    A class is named after a user's folder, so it may hold a dollar sign (matplotlib would read a formula), a line
    break, or bytes that are no UTF-8 (Python keeps them as surrogates, which no font can draw).
    """
    one_line = " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())
    printable = "".join(character if character.isprintable() else "?" for character in one_line)
    if len(printable) > width:
        head, tail = (width - 1) // 2, width // 2
        printable = printable[:head].rstrip() + "…" + printable[len(printable) - tail :].lstrip()
    return printable.replace("$", r"\$")


def counted(number: int, noun: str) -> str:
    """A number and what is counted, "1 picture" or "1,293 pictures"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def percent(fraction: float) -> str:
    """A fraction as text with one decimal, "98.9 %"; never rounded up to 100 % or down to 0 % when it is neither."""
    if 0.9995 <= fraction < 1:
        return "> 99.9 %"
    if 0 < fraction < 0.0005:
        return "< 0.1 %"
    return f"{100 * fraction:.1f} %"


def to_image(figure: Figure) -> NDArray[np.uint8]:
    """Render the figure once.

    Returns:
        Red, green, blue in 0..255, shape (height, width, 3), as ``add_image(tag, image, dataformats="HWC")`` takes it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A name in a script that the bundled font lacks is drawn as boxes; no reason to warn at each character.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def save(figure: Figure, path: str | Path) -> NDArray[np.uint8]:
    """Render the figure once, write it as PNG and return the picture for TensorBoard.

    Args:
        figure: From any function of this room.
        path: The PNG file; missing parent folders are made.

    Returns:
        The picture as of ``to_image``.
    """
    from PIL import Image

    image = to_image(figure)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG", compress_level=4)
    return image


def as_pictures(images: ArrayLike) -> NDArray[np.uint8]:
    """Pictures of a batch as red, green, blue bytes.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, shape (N, C, H, W); of other C than 1 and 3 some are shown,
            see `dashboard.bands`.

    Returns:
        uint8, shape (N, H, W, 3).

    Raises:
        ValueError: On another shape, another type, or values outside the range.
    """
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[1] < 1:
        raise ValueError(f"pictures have shape {array.shape}; allowed: (N, C, H, W) with C at least 1")
    array = shown_bands(array)
    if np.issubdtype(array.dtype, np.floating):
        # Interpolation of an augmentation may leave the range by a rounding error, never by more.
        if array.size and not (array.min() >= -1e-3 and array.max() <= 1 + 1e-3):
            raise ValueError(f"floating point pictures lie in {array.min():g}..{array.max():g}; allowed: 0..1")
        array = np.rint(array.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"pictures have type {array.dtype}; allowed: uint8 in 0..255, floating point in 0..1")
    array = array.transpose(0, 2, 3, 1)  # (N, H, W, C)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:3], 3)))
