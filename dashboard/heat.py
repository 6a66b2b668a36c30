"""Heat over a picture: where something speaks for a class, as tiles and as a file of its own."""

# H height, W width, K channels

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.style import BLUE, VERMILLION, as_pictures

EXPLAINED_SIDE = 224  # pixels that a small picture is enlarged to, about


def signed_colours(values: ArrayLike, limit: float) -> NDArray[np.uint8]:
    """Blue for -limit, white for 0, red-orange for +limit, straight in between.

    Args:
        values: Any shape.
        limit: Largest absolute value, above 0.

    Returns:
        uint8, the shape of ``values`` and 3 at its end.
    """
    from matplotlib.colors import to_rgb

    amount = np.clip(np.asarray(values, dtype=np.float64) / limit, -1, 1)[..., None]
    end = np.where(amount < 0, to_rgb(BLUE), to_rgb(VERMILLION))
    return np.rint(255 * (1 - np.abs(amount) * (1 - end))).astype(np.uint8)


def heat_tiles(picture: NDArray[np.uint8], heat: NDArray[np.floating], side: int) -> list[NDArray[np.uint8]]:
    """A picture, its heat, and both together.

    Args:
        picture: Shape (H, W, 3).
        heat: At least 0, shape (H', W'); scaled by its maximum and smoothly enlarged.
        side: A smaller picture is first enlarged to about so many pixels, by a whole factor.

    Returns:
        Three pictures of one size, each (H'', W'', 3).
    """
    from PIL import Image

    factor = max(1, side // max(picture.shape[:2]))
    large = picture.repeat(factor, 0).repeat(factor, 1)  # (H, W, 3)
    scaled = (heat / (heat.max() or 1.0)).astype(np.float32)
    smooth = Image.fromarray(scaled).resize((large.shape[1], large.shape[0]), Image.Resampling.BILINEAR)
    amount = np.clip(np.asarray(smooth), 0, 1)
    grey = large.mean(-1, keepdims=True)
    # The hotter a place, the more of its colour: cold places show the plain picture in grey.
    strength = 0.8 * amount[..., None]
    mixed = grey * (1 - strength) + strength * signed_colours(1.0, 1.0).astype(np.float64)
    return [large, signed_colours(amount, 1.0), np.rint(mixed).astype(np.uint8)]


def save_explanation(image: ArrayLike, heat: ArrayLike, title: str, path: Path) -> None:
    """Writes a picture beside itself under its heat.

    Args:
        image: uint8 in 0..255, shape (K, H, W); see `dashboard.bands` for what is shown.
        heat: At least 0, shape (H', W').
        title: Kept in the file as its description.
        path: A PNG file.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    picture = as_pictures(np.asarray(image)[None])[0]
    plain, _, mixed = heat_tiles(picture, np.asarray(heat, dtype=np.float64), EXPLAINED_SIDE)
    about = PngInfo()
    about.add_itxt("Title", title.encode(errors="replace").decode())  # a file name may be no UTF-8
    Image.fromarray(np.concatenate([plain, mixed], 1)).save(path, pnginfo=about)
