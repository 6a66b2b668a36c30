"""THE evaluation preprocessing: from a picture to the pixels a network is asked about, in validation and in prediction.

Settings are a dict of primitives that travels in the checkpoint, so that a machine without the data prepares a picture
exactly as the validation set was prepared. Four kinds:

    resize-crop   the largest centred window of the right shape, ``crop`` of its full side, resampled once
    stretch       the whole picture, each side resampled on its own
    pad           the whole picture in its own proportions, as large as the frame allows, on the background
    ink           a drawing of one character, as MNIST was made: light ink on dark, its box scaled to a share of the
                  frame, its centre of mass in the middle

A file is decoded in full, so that it gives what the same picture opened by another program gives; checkpoints of
earlier versions were validated on JPEGs decoded smaller (``reduce_jpeg``), and go on so.

Windows are cut in whole pixels and resampled in one step, antialiased, in 8 bits. The filters are torch's, which take a
quarter of the time of Pillow's and differ from these where Pillow takes rows before columns, in how the values between
the two are rounded; Lanczos, which torch lacks, is Pillow's.
Letters: H height, W width, C channels, N pictures.

Source: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition, section III.A
(the normalisation of MNIST's digits).
"""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from data.files.decode import MAX_PIXELS, background_colour, read_picture
from data.files.modes import SEEN, check_channels

KINDS = ("resize-crop", "stretch", "pad", "ink")
FITS = {"crop": "resize-crop", "stretch": "stretch", "pad": "pad"}  # by the names of `--data.fit`
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
# How the pictures of a data set were made, where that is not "resize-crop". Shares are of the frame's (height, width).
_MADE = {
    "mnist": {"kind": "ink", "box": [20 / 28, 20 / 28], "centre": "mass", "peak": 255, "pen": 0.12},
    "kmnist": {"kind": "ink", "box": [1.0, 1.0], "centre": "box", "peak": 255},
    "fashion-mnist": {"kind": "ink", "box": [1.0, 1.0], "centre": "box", "peak": 255},
    # The UCI digits went through NIST's form programme, which stretches a character to 32×20 pixels and then takes its
    # slant away; 240 is the count 16 on the set's 8-bit scale.
    "digits": {
        "kind": "ink",
        "box": [1.0, 0.65],
        "centre": "box",
        "peak": 240,
        "pen": 0.15,
        "stretch": True,
        "deslant": True,
    },
    "faces": {"kind": "stretch"},
    "olivetti": {"kind": "stretch"},
}


def preprocessing(
    kind: str = "resize-crop",
    image_size: tuple[int, int] | list[int] = (224, 224),
    channels: int = 3,
    *,
    crop: float = 0.875,
    interpolation: str = "bicubic",
    background: str = "white",
    max_pixels: int = MAX_PIXELS,
    reduce_jpeg: bool = False,
    box: list[float] | None = None,
    centre: str = "mass",
    peak: int = 255,
    pen: float = 0.0,
    stretch: bool = False,
    deslant: bool = False,
) -> dict[str, Any]:
    """Checked settings as a dict of primitives, to be kept in a checkpoint and given to :func:`preprocess`.

    Args:
        kind: "resize-crop", "stretch", "pad" or "ink".
        image_size: (H, W) of the result, at least 1 each.
        channels: 3 for RGB, 1 for grey; another number, at most 32, for all channels of files that have so many.
        crop: Share of the window's side that is kept by "resize-crop", in (0, 1]; 0.875 = 224 / 256 is usual.
        interpolation: "bilinear", "bicubic" or "lanczos".
        background: Colour under transparent pixels and beside padded pictures: a name or ``#rrggbb``. Of other channels
            than 1 and 3 it says nothing: these have 0 beside them.
        max_pixels: Pictures with more pixels are refused by name.
        reduce_jpeg: Whether a JPEG is decoded at 1/2, 1/4 or 1/8 as long as both sides keep the pixels that are needed:
            as earlier versions did, which is quicker and not what the full picture gives. "ink", which first looks
            for the character in a small picture, always decodes so.
        box: Share of the frame's height and width that "ink" may fill, in (0, 1]; MNIST's 20/28 without it.
        centre: What "ink" puts in the middle of the frame: the centre of "mass", or of the "box".
        peak: Value of full ink, 1..255.
        pen: Least width of a stroke, as a share of the character's longer side, in [0, 0.5]; thinner ones are widened.
        stretch: Whether "ink" fills the box in both directions, and so changes proportions (never those of a bar).
        deslant: Whether "ink" takes the slant away first.

    Returns:
        The settings.

    Raises:
        ValueError: If a setting is not one of those allowed.
    """
    height, width = (int(side) for side in image_size)
    box = [20 / 28, 20 / 28] if box is None else [float(share) for share in box]
    if kind not in KINDS:
        raise ValueError(f"preprocessing kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if height < 1 or width < 1:
        raise ValueError(f"image_size must be at least 1×1, got {height}×{width}")
    check_channels(channels)
    if kind == "ink" and channels not in SEEN:
        raise ValueError(f"channels of a drawing in ink must be 1 or 3, got {channels}")
    if not 0 < crop <= 1:
        raise ValueError(f"crop must be in (0, 1], got {crop}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    if max_pixels < 1:
        raise ValueError(f"max_pixels must be at least 1, got {max_pixels}")
    if len(box) != 2 or not all(0 < share <= 1 for share in box):
        raise ValueError(f"box must be two shares in (0, 1], got {box}")
    if centre not in ("mass", "box"):
        raise ValueError(f"centre must be mass or box, got {centre!r}")
    if not 1 <= peak <= 255:
        raise ValueError(f"peak must be in 1..255, got {peak}")
    if not 0 <= pen <= 0.5:
        raise ValueError(f"pen must be in [0, 0.5], got {pen}")
    background_colour(background)
    settings: dict[str, Any] = {"kind": kind, "image_size": [height, width], "channels": channels}
    settings |= {"background": background, "max_pixels": int(max_pixels)}
    if kind == "ink":
        settings |= {"box": box, "centre": centre, "peak": int(peak), "pen": float(pen)}
        return settings | {"stretch": bool(stretch), "deslant": bool(deslant)}
    settings |= {"interpolation": interpolation, "reduce_jpeg": bool(reduce_jpeg)}
    return settings | ({"crop": float(crop)} if kind == "resize-crop" else {})


def preprocessing_of(data: str, image_size: tuple[int, int] | list[int], channels: int) -> dict[str, Any]:
    """Settings for a network trained on one of the built-in sets, by the set's command-line name."""
    return preprocessing(image_size=image_size, channels=channels, **_MADE.get(data, {}))  # type: ignore[arg-type]


def stored_preprocessing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings out of a checkpoint, checked: those of a version that had no ``reduce_jpeg`` did reduce.

    Raises:
        TypeError: If there is a setting that :func:`preprocessing` does not know.
        ValueError: If a setting is not one of those allowed.
    """
    return preprocessing(**{"reduce_jpeg": True, **settings})


def preprocess(source: str | os.PathLike[str] | bytes, settings: Mapping[str, Any]) -> Tensor:
    """A picture file as the network sees it.

    Args:
        source: A path, or the bytes of a file.
        settings: What :func:`preprocessing` gave.

    Returns:
        uint8 in 0..255, shape (C, H, W).

    Raises:
        PictureError: If the picture cannot be decoded, with its path and the cause.
    """
    options = {"background": settings["background"], "max_pixels": settings["max_pixels"]}
    if settings["kind"] == "ink":
        from data.files.ink import ink_pixels

        pixels = ink_pixels(source, settings, options)  # (H, W)
        return torch.from_numpy(pixels).expand(settings["channels"], -1, -1).clone()  # (C, H, W)
    short_side = needed_side(settings) if settings["reduce_jpeg"] else None
    picture = read_picture(source, channels=settings["channels"], short_side=short_side, **options)
    return prepare(picture.pixels, settings)


def needed_side(settings: Mapping[str, Any]) -> int:
    """Both sides of a picture keep at least this many pixels where a JPEG is decoded smaller."""
    return math.ceil(max(settings["image_size"]) / settings.get("crop", 1.0))


def prepare(pixels: np.ndarray, settings: Mapping[str, Any]) -> Tensor:
    """A decoded picture as the network sees it (not for kind "ink").

    Args:
        pixels: uint8 in 0..255, shape (h, w, C).
        settings: What :func:`preprocessing` gave.

    Returns:
        uint8 in 0..255, shape (C, H, W), contiguous.
    """
    height, width = settings["image_size"]
    if settings["kind"] == "resize-crop":
        left, top, right, bottom = centre_window(pixels.shape[1], pixels.shape[0], width, height, settings["crop"])
        pixels = pixels[top:bottom, left:right]
    if settings["kind"] == "pad":
        framed = pad(pixels, height, width, settings["interpolation"], settings["background"])
        return framed.permute(2, 0, 1).contiguous()
    return resample(pixels, height, width, settings["interpolation"]).permute(2, 0, 1).contiguous()


def centre_window(width: int, height: int, target_width: int, target_height: int, crop: float) -> tuple[int, ...]:
    """The centred window of the target's shape whose side is ``crop`` of the largest one that fits.

    This is "resize the short side to target / crop, then cut the middle", without the intermediate picture. As many
    whole pixels are left out on the right as on the left, and below as above: the middle stays the middle, and each
    edge is at most half a pixel from where it is due.

    Args:
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
        target_width: Width of the result, in pixels.
        target_height: Height of the result, in pixels.
        crop: Share of the largest window's side, in (0, 1].

    Returns:
        left, top, right, bottom in pixels; at least one pixel wide and high.
    """
    scale = min(width / target_width, height / target_height) * crop  # source pixels per target pixel
    left = min(round((width - target_width * scale) / 2), (width - 1) // 2)
    top = min(round((height - target_height * scale) / 2), (height - 1) // 2)
    return left, top, width - left, height - top


def seen_share(width: int, height: int, settings: Mapping[str, Any]) -> float:
    """Share of a picture's area, in (0, 1], that the network sees of it."""
    if settings["kind"] != "resize-crop":
        return 1.0
    target_height, target_width = settings["image_size"]
    left, top, right, bottom = centre_window(width, height, target_width, target_height, settings["crop"])
    return (right - left) * (bottom - top) / (width * height)


def pad(pixels: np.ndarray, height: int, width: int, interpolation: str, background: str) -> Tensor:
    """A picture at another size in its own proportions, in the middle of a frame.

    Args:
        pixels: uint8, shape (h, w, C).
        height: H of the frame, which the picture fills in one direction.
        width: W of the frame.
        interpolation: "bilinear", "bicubic" or "lanczos".
        background: Colour of the rest, of which a grey frame gets the luma; of other channels than grey and colour it
            is 0.

    Returns:
        uint8, shape (H, W, C).
    """
    scale, channels = min(height / pixels.shape[0], width / pixels.shape[1]), pixels.shape[2]
    rows, columns = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    colour = Image.new("RGB", (1, 1), background_colour(background) if channels in SEEN else (0, 0, 0))
    fill = torch.from_numpy(np.array(colour if channels == 3 else colour.convert("L")).flatten())  # (3,) or (1,)
    framed = fill.repeat(height, width, channels // len(fill))  # (H, W, C)
    top, left = (height - rows) // 2, (width - columns) // 2
    framed[top : top + rows, left : left + columns] = resample(pixels, rows, columns, interpolation)
    return framed


def resample(pixels: np.ndarray, height: int, width: int, interpolation: str) -> Tensor:
    """A picture at another size, antialiased.

    Args:
        pixels: uint8, shape (h, w, C).
        height: H.
        width: W.
        interpolation: "bilinear", "bicubic" or "lanczos".

    Returns:
        uint8, shape (H, W, C).
    """
    if interpolation == "lanczos":
        # Neither grey nor colour: one by one, or Pillow would take the last of two or four channels for transparency.
        parts = [pixels] if pixels.shape[2] == 3 else np.split(pixels, pixels.shape[2], axis=2)
        pictures = [Image.fromarray(part[..., 0] if part.shape[2] == 1 else part) for part in parts]
        resized = [np.array(one.resize((width, height), Image.Resampling.LANCZOS), dtype=np.uint8) for one in pictures]
        return torch.from_numpy(np.concatenate([one.reshape(height, width, -1) for one in resized], axis=2))
    layers = as_layers(torch.from_numpy(pixels)[None])
    return F.interpolate(layers, (height, width), mode=interpolation, antialias=True).flatten(0, 1).permute(1, 2, 0)


def as_layers(picture: Tensor) -> Tensor:
    """A picture in the order in which torch resamples bytes fastest.

    Grey and colour stay one picture whose batch axis makes torch see that the channels lie last in memory. Other
    channels become as many grey pictures: each gets, bit for bit, what it would get alone.

    Args:
        picture: uint8, shape (1, H, W, C).

    Returns:
        Shape (1, C, H, W) with C = 1 or 3, else (C, 1, H, W).
    """
    return picture.permute(0, 3, 1, 2) if picture.shape[3] in SEEN else picture.permute(3, 0, 1, 2)
