"""What a convolutional network sees: its first filters, its feature maps, and where Grad-CAM says it looked.

Signed values are drawn blue below zero, white at zero and red-orange above, on one scale for the whole figure, so that
sizes can be compared between the small pictures.
"""

# N pictures, F filters or maps, K channels, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.grid import caption_characters, picture_grid
from dashboard.heat import heat_tiles, signed_colours
from dashboard.names import short_names
from dashboard.style import BLUE, VERMILLION, as_pictures, counted, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEAK = 0.1  # a filter below this share of the strongest one's norm does next to nothing
SILENT = 0.01  # so is a map whose largest activation is below this share of the largest of all maps


def filters_figure(weight: ArrayLike, *, limit: int = 64) -> Figure:
    """The filters of the first layer.

    Args:
        weight: Kernels, shape (F, K, H, W); with K = 3 a filter is drawn in its own colours around grey, otherwise the
            first channel is drawn in blue and red-orange.
        limit: At most so many filters are drawn.

    Returns:
        A figure; the title counts the filters that are next to zero.

    Raises:
        ValueError: If the weight is not of four axes.
    """
    weight = np.asarray(weight, dtype=np.float64)
    if weight.ndim != 4 or not weight.size:
        raise ValueError(f"filters have shape {weight.shape}; allowed: (F, K, H, W), none of them 0")
    count, channels, height, width = weight.shape
    norms = np.sqrt((weight**2).sum((1, 2, 3)))
    weak = int((norms < WEAK * norms.max()).sum()) if norms.max() > 0 else count
    largest = float(np.abs(weight).max()) or 1.0
    if channels == 3:
        pictures = np.rint(255 * (0.5 + weight[:limit].transpose(0, 2, 3, 1) / (2 * largest))).astype(np.uint8)
        note = f"grey = 0, full colour = ±{largest:.2f}, one scale for all; below each its norm"
    else:
        pictures = signed_colours(weight[:limit, 0], largest)
        which = "" if channels == 1 else f", channel 1 of {channels}"
        note = f"blue −{largest:.2f}, white 0, red-orange +{largest:.2f}, one scale for all{which}; below each its norm"
    some = f" (first {limit} shown)" if count > limit else ""
    lengths = f"{norms.min():.2f}" + f" to {norms.max():.2f}" * (count > 1)
    title = (
        f"{counted(count, 'first filter')} {channels}×{height}×{width}{some}: norm {lengths}; "
        f"{weak if weak else 'none'} below a tenth of the largest"
    )
    captions = [f"{norm:.2f}" for norm in norms[:limit]]
    return picture_grid(pictures, captions, title, columns=16, cell=52, note=note)


def feature_maps_figure(image: ArrayLike, maps: ArrayLike, name: str = "", *, limit: int = 63) -> Figure:
    """One picture and the feature maps that it makes.

    Args:
        image: uint8 in 0..255 or floating point in 0..1, shape (K, H, W).
        maps: Activations of one layer, shape (F, H', W').
        name: What the picture is, such as its class.
        limit: At most so many maps are drawn.

    Returns:
        A figure: the picture first, then the maps, each with its largest activation; the title counts the silent maps.

    Raises:
        ValueError: If the maps are not of three axes or not finite.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim != 3 or not maps.size or not np.isfinite(maps).all():
        raise ValueError(f"feature maps have shape {maps.shape}; allowed: (F, H, W), none of them 0, all finite")
    count, height, width = maps.shape
    peaks = np.abs(maps).max((1, 2))
    largest = float(peaks.max()) or 1.0
    silent = int((peaks < SILENT * largest).sum())
    decimals = min(max(2, 2 - int(np.floor(np.log10(largest)))), 5)  # a map that is not silent does not read 0.00
    pictures = [as_pictures(np.asarray(image)[None])[0], *signed_colours(maps[:limit], largest)]
    cell = 64
    captions = [plain(name, caption_characters(cell)) or "picture", *(f"{peak:.{decimals}f}" for peak in peaks[:limit])]
    of = f" of a picture of “{plain(name)}”" if name else ""
    some = f" (first {limit} shown)" if count > limit else ""
    return picture_grid(
        pictures,
        captions,
        f"{counted(count, 'feature map')} {height}×{width}{of}{some}: {silent if silent else 'none'} silent "
        f"(below {100 * SILENT:.0f} % of the largest)",
        columns=12,
        cell=cell,
        note=f"blue −{largest:.{decimals}f}, white 0, red-orange +{largest:.{decimals}f}; "
        "below each map its largest absolute activation",
    )


def half_heat_share(heat: ArrayLike) -> float:
    """The smallest share of the area that holds half of the heat: 0.5 for even heat, near 0 for one hot spot.

    Args:
        heat: At least 0, any shape.

    Returns:
        In 0..1; NaN when there is no heat at all.
    """
    sorted_heat = np.sort(np.asarray(heat, dtype=np.float64).ravel())[::-1]
    total = sorted_heat.sum()
    if not total > 0:
        return float("nan")
    cells = int(np.searchsorted(np.cumsum(sorted_heat), total / 2 * (1 - 1e-12))) + 1
    return cells / sorted_heat.size


def _concentration(heat: NDArray[np.floating]) -> str:
    """On how little of a picture half of its heat lies, and how many of the maps (N, h, w) have none, in words."""
    shares = [half_heat_share(one) for one in heat]
    share = float(np.nanmedian(shares)) if np.isfinite(shares).any() else float("nan")
    area = f"half of the heat lies on {100 * share:.0f} % of the picture (median)" if share == share else "no heat"
    blank = int(np.isnan(shares).sum())
    if 0 < blank < len(shares):
        area += f", no heat on {blank} of them: nothing speaks for the guess"
    return area


def grad_cam_figure(
    images: ArrayLike,
    heat: ArrayLike,
    truth: ArrayLike,
    guess: ArrayLike,
    class_names: Sequence[str],
    *,
    limit: int = 12,
    chosen: str = "",
) -> Figure:
    """For each picture: itself, its heat map, and both together.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, shape (N, K, H, W).
        heat: Grad-CAM, at least 0, shape (N, H', W'); each map is scaled by its own maximum and smoothly enlarged.
        truth: True classes, shape (N,).
        guess: Guessed classes, shape (N,); the heat explains the guess.
        class_names: C names.
        limit: At most so many pictures are drawn.
        chosen: How these pictures were chosen, for the title.

    Returns:
        A figure of three small pictures per sample; the title tells how concentrated the heat is, and a map without
        any heat is called so.

    Raises:
        ValueError: If a heat is negative or not finite, or the numbers of pictures and maps differ.
    """
    heat = np.asarray(heat, dtype=np.float64)
    pictures = as_pictures(images)
    if heat.ndim != 3 or len(heat) != len(pictures):
        raise ValueError(
            f"heat has shape {heat.shape} for {len(pictures)} pictures; allowed: (N, H, W) with the same N"
        )
    if heat.size and not (np.isfinite(heat).all() and heat.min() >= 0):
        raise ValueError(f"heat lies in {heat.min():g}..{heat.max():g}; allowed: finite values from 0 on")
    truth, guess = np.asarray(truth), np.asarray(guess)
    cell = 84
    names = short_names(class_names, caption_characters(cell) - 2)  # the guess has a verdict before it
    tiles: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    colours: list[str] = []
    for picture, one_heat, t, g in zip(pictures[:limit], heat[:limit], truth[:limit], guess[:limit], strict=True):
        tiles += heat_tiles(picture, one_heat, cell)
        verdict = "✓ " if t == g else "✗ "
        captions += [names[t], "heat" if one_heat.any() else "no heat", verdict + names[g]]
        colours += ["black", "black", BLUE if t == g else VERMILLION]
    count = counted(len(pictures), "picture") + (f" ({chosen})" if chosen else "")
    title = f"Grad-CAM of {count}, {int((truth == guess).sum())} right; {_concentration(heat)}"
    return picture_grid(
        tiles,
        captions,
        title if len(pictures) else "Grad-CAM: no picture",
        columns=9,
        cell=cell,
        caption_colours=colours,
        note="picture and truth | heat: white 0, red-orange its maximum | both, with the guess that the heat explains",
    )
