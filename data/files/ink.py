"""A drawing of one character, in any size and colours, brought to the convention of MNIST: light ink on a dark frame.

A network trained on MNIST knows one kind of picture only. A user's scan or photo differs in polarity, light, size,
place and thickness of the pen, and each of these alone makes the network guess. In this order:

    ink        |grey - paper|, where the paper is the plane of light fitted to the picture's border
    threshold  Otsu's between paper and ink; specks far smaller than the character go
    pen        strokes much thinner than MNIST's are widened, else they fade when the picture shrinks
    slant      sheared away where the training set's was ("deslant")
    box        scaled to a share of the frame, antialiased, keeping its proportions unless the set was stretched
    place      the centre of mass (or of the box) goes to the middle, without pushing ink out of the frame

Letters: H height, W width of the frame in pixels.

Source: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition, section III.A;
Otsu (1979), A threshold selection method from gray-level histograms.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from data.files.decode import PictureError, background_colour, read_picture

_WORKING_SIDE = 256  # pixels of the longer side while the ink is found
_CONTRAST = 12  # grey levels between paper and ink below which a picture counts as empty
_BAR = 2.5  # a character this many times as high as wide is a bar such as "1", and is not stretched
_FINE = 112  # pixels a frame's side has at least while the character is placed, before block means


def ink_pixels(
    source: str | os.PathLike[str] | bytes, settings: Mapping[str, Any], options: dict[str, Any]
) -> np.ndarray:
    """The character in ``source`` in the training convention.

    Args:
        source: A path, or the bytes of a file.
        settings: Preprocessing of kind "ink".
        options: Further arguments of ``read_picture``.

    Returns:
        uint8 in 0..peak, shape (H, W).

    Raises:
        PictureError: If the picture cannot be decoded, or shows no ink.
    """
    height, width = settings["image_size"]
    picture = read_picture(source, channels=1, short_side=_WORKING_SIDE, **options)
    grey = picture.pixels[..., 0].astype(np.float32)
    if grey.shape == (height, width) and grey.min() == 0 and _border(grey).max() < 255 and _mostly_dark(grey):
        return grey.astype(np.uint8)  # already in the convention: what was trained on is left alone
    ink = find_ink(grey)
    if ink is None:  # white ink on a transparent ground cannot be seen on white paper: lay it on the opposite colour
        opposite = "#{:02x}{:02x}{:02x}".format(*(255 - value for value in background_colour(options["background"])))
        other = read_picture(source, channels=1, short_side=_WORKING_SIDE, **options | {"background": opposite})
        ink = find_ink(other.pixels[..., 0].astype(np.float32))
    if ink is None:
        path = None if isinstance(source, bytes) else os.fspath(source)
        raise PictureError(path, f"shows no ink: its grey levels differ by less than {_CONTRAST} of 255")
    if settings["deslant"]:
        ink = deslant(ink)
    return place_ink(widen(ink, settings["pen"]), settings)


def _border(grey: np.ndarray) -> np.ndarray:
    """The outermost pixels, about a twentieth of the picture on each side."""
    rim = np.zeros(grey.shape, dtype=bool)
    depth = [max(1, side // 20) for side in grey.shape]
    rim[: depth[0]] = rim[-depth[0] :] = True
    rim[:, : depth[1]] = rim[:, -depth[1] :] = True
    return grey[rim]


def _mostly_dark(grey: np.ndarray) -> bool:
    return float(np.median(grey)) < 128 and float(np.median(_border(grey))) < 64


def find_ink(grey: np.ndarray) -> np.ndarray | None:
    """Ink in 0..1, cut to its bounding box; None when there is none.

    Args:
        grey: Grey levels in 0..255, any polarity, shape (h, w).
    """
    from scipy import ndimage

    scale = _WORKING_SIDE / max(grey.shape)
    if scale < 1:
        size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    difference = grey - paper_plane(grey)
    # Ink is what departs from the paper; its side is the one with the greater departure.
    if -np.percentile(difference, 0.5) > np.percentile(difference, 99.5):
        difference = -difference
    difference = np.clip(difference, 0, None)
    if difference.max() < _CONTRAST:
        return None
    threshold = otsu(difference)
    parts, count = ndimage.label(difference > threshold, structure=np.ones((3, 3)))
    if count == 0:
        return None
    areas = np.bincount(parts.ravel())[1:]
    kept = np.isin(parts, 1 + np.flatnonzero(areas >= 0.02 * areas.max()))
    full = float(np.median(difference[kept]))
    # Half-covered pixels at the edge of a stroke are ink too; a margin of one pixel keeps them, specks stay out.
    near = ndimage.binary_dilation(kept, structure=np.ones((3, 3)))
    ink = np.where(near & (difference > 0.15 * full), np.minimum(difference / full, 1), 0).astype(np.float32)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def paper_plane(grey: np.ndarray) -> np.ndarray:
    """The paper's brightness: a plane through the border's grey levels, robust to ink that touches the border.

    Args:
        grey: Grey levels, shape (h, w).

    Returns:
        Brightness of the paper, shape (h, w).
    """
    height, width = grey.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    levels = _border(grey).astype(np.float64)
    design = np.stack([np.ones_like(levels), _border(x), _border(y)], axis=1)  # (B, 3)
    plane = np.array([np.median(levels), 0.0, 0.0])
    for _ in range(3):  # refit without what departs from the paper
        residual = np.abs(levels - design @ plane)
        paper = residual <= max(2.5 * float(np.median(residual)), 8.0)
        if paper.sum() < 8:
            break
        plane = np.linalg.lstsq(design[paper], levels[paper], rcond=None)[0]
    return (plane[0] + plane[1] * x + plane[2] * y).astype(np.float32)


def otsu(values: np.ndarray) -> float:
    """The threshold that splits values into two classes with the greatest variance between them."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][np.nanargmax(between)])


def pen_width(strokes: np.ndarray) -> float:
    """Mean width of the strokes in pixels, from a Boolean mask, shape (h, w); 1 for an empty one.

    In a long strip w pixels wide (w even), these lie on average (w + 2) / 4 from the nearest pixel outside it.
    """
    from scipy import ndimage

    if not strokes.any():
        return 1.0
    distance = ndimage.distance_transform_edt(np.pad(strokes, 1))[1:-1, 1:-1]  # outside the box there is no ink
    return max(1.0, 4 * float(distance[strokes].mean()) - 2)


def widen(ink: np.ndarray, pen: float) -> np.ndarray:
    """Widen strokes thinner than ``pen``.

    A stroke of width w in a character of length L, widened by d on either side, has the share (w + 2d) / (L + 2d) = pen
    for d = (pen L - w) / (2 - 2 pen).

    Args:
        ink: Ink in 0..1, cut to its bounding box, shape (h, w).
        pen: Width of a stroke over the character's longer side.

    Returns:
        Ink in 0..1, cut to its new bounding box.
    """
    from scipy import ndimage

    more = (pen * max(ink.shape) - pen_width(ink > 0.5)) / (2 - 2 * pen)
    if more < 0.5 or not (ink > 0.5).any():
        return ink
    padded = np.pad(ink, round(more))
    distance = ndimage.distance_transform_edt(padded <= 0.5)  # from each pixel to the ink
    return np.maximum(padded, (more + 1 - distance).clip(0, 1)).astype(np.float32)


def deslant(ink: np.ndarray) -> np.ndarray:
    """Shear a character so that its columns' centres no longer drift from row to row: covariance of x and y is 0.

    Args:
        ink: Ink in 0..1, cut to its bounding box, shape (h, w).

    Returns:
        Ink in 0..1, cut to its new bounding box.
    """
    from scipy import ndimage

    height = ink.shape[0]
    y, x = np.mgrid[:height, : ink.shape[1]]
    centre = np.average(y, weights=ink)
    spread = float((ink * (y - centre) ** 2).sum())
    slope = float((ink * (y - centre) * x).sum()) / spread if spread > 0 else 0.0  # right per row down
    margin = int(abs(slope) * height) + 1
    padded = np.pad(ink, ((0, 0), (margin, margin)))
    sheared = ndimage.affine_transform(padded, [[1, 0], [slope, 1]], offset=[0, -slope * centre], order=1)
    inside = sheared > 0.3
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return sheared[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else ink


def place_ink(ink: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Scale a character to its share of the frame and put it in the middle.

    Args:
        ink: Ink in 0..1, cut to its bounding box, shape (h, w).
        settings: image_size (H, W), box, stretch, centre, peak and pen of the preprocessing.

    Returns:
        uint8 in 0..peak, shape (H, W).
    """
    from scipy import ndimage

    height, width = settings["image_size"]
    fine = -(-_FINE // min(height, width))  # fine pixels along a pixel's side
    frame = np.zeros((height * fine, width * fine), dtype=np.float32)
    room = [side * share for side, share in zip(frame.shape, settings["box"], strict=True)]
    scales = [space / side for space, side in zip(room, ink.shape, strict=True)]
    if not (settings["stretch"] and ink.shape[0] < _BAR * ink.shape[1]):
        scales = [min(scales)] * 2
    size = [max(1, round(side * scale)) for side, scale in zip(ink.shape, scales, strict=True)]  # (h, w)
    character = np.asarray(Image.fromarray(ink).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    if settings["centre"] == "mass":
        middle = ndimage.center_of_mass(character)
    else:
        middle = tuple((side - 1) / 2 for side in character.shape)
    corner = []
    for axis in (0, 1):
        start = round((frame.shape[axis] - 1) / 2 - middle[axis])
        corner.append(min(max(start, 0), frame.shape[axis] - character.shape[axis]))
    frame[corner[0] : corner[0] + character.shape[0], corner[1] : corner[1] + character.shape[1]] = character
    blocks = frame.reshape(height, fine, width, fine).mean(axis=(1, 3))  # (H, W)
    return np.round(blocks * settings["peak"]).astype(np.uint8)
