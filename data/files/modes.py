"""What a picture file stores for a pixel, as bytes: grey, colour, or all of its channels as they are.

Grey and colour are what eyes see: other modes are converted, transparency is laid on a colour. Any other number of
channels is a measurement, such as the bands of a multispectral camera or the stains of a microscope: no channel is
converted, composited, dropped or invented, so a file must have exactly as many. They are either the bands of its only
frame (LA 2, RGBA and CMYK 4), or the frames of a TIFF, each of one band and all of one size.

A channel is a byte: 16 bits are divided by 65535, and floating point in [0, 1] is scaled to 0..255. Several bands of 16
bits in one frame come as Pillow gives them, their high bytes.
Letters: H height, W width, C channels.
"""

from pathlib import Path

import numpy as np
from PIL import Image

# A stored picture takes a byte a channel: 32 take ten times the room of colour. Cameras of bands have fewer, Sentinel-2
# 13, and a stem trained on three says little of the hundreds of a spectrum.
MOST_CHANNELS = 32
SEEN = (1, 3)  # grey and colour
_ONE_BAND = ("1", "L", "I", "F")  # and "I;16" in either order of bytes
_SAMPLES_PER_PIXEL = 277  # tag of a TIFF: Pillow passes over samples for which it has no mode
_EXTRA_SAMPLES, _ASSOCIATED_ALPHA = 338, 1  # another: the other bands were multiplied by this one, and Pillow divides


class PictureError(ValueError):
    """A picture that cannot be used: ``path`` says which (None for bytes), ``cause`` why.

    Attributes:
        lasting: Whether the cause lies in the file; False where another attempt may succeed.
    """

    def __init__(self, path: str | None, cause: str, lasting: bool = True) -> None:
        super().__init__(path, cause, lasting)
        self.path, self.cause, self.lasting = path, cause, lasting

    def __str__(self) -> str:
        return f"{self.path or 'picture'}: {self.cause}"


def is_single_band(mode: str) -> bool:
    """Whether a picture of this mode of Pillow has one number a pixel that is no place in a palette."""
    return mode in _ONE_BAND or mode.startswith("I;16")


def check_channels(channels: int) -> None:
    """Refuses a number of channels that no picture is read with.

    Raises:
        ValueError: Naming the numbers allowed.
    """
    if isinstance(channels, bool) or not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels must be a whole number in 1..{MOST_CHANNELS}, got {channels}")


def eye_pixels(image: Image.Image, channels: int, background: tuple[int, int, int]) -> np.ndarray:
    """A loaded picture as eyes see it: uint8, shape (H, W, C) with C = 1 or 3.

    Raises:
        PictureError: If its numbers have no agreed meaning.
    """
    stored = to_8_bit(image, image.format or "?", channels, background)
    return np.array(stored, dtype=np.uint8).reshape(stored.height, stored.width, channels)


def to_8_bit(image: Image.Image, file_format: str, channels: int, background: tuple[int, int, int]) -> Image.Image:
    """The picture in mode "L" or "RGB"."""
    target = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.float32)  # (H, W)
        image = Image.fromarray(np.round(values * (255 / 65535)).clip(0, 255).astype(np.uint8))
    elif image.mode == "I":
        low, high = _range(np.asarray(image))
        raise PictureError(None, f"has 32-bit integers in {low:g}..{high:g}; save it with 8 or 16 bits a channel")
    elif image.mode == "F":
        values = np.asarray(image)
        low, high = _range(values)
        if not (low >= 0 and high <= 1):
            raise PictureError(None, f"has floating-point values in {low:g}..{high:g}; only 0..1 has a known meaning")
        image = Image.fromarray(np.round(values * 255).astype(np.uint8))
    elif transparent(image):
        picture = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        below = Image.new("RGBA", picture.size, (*background, 255))
        image = Image.alpha_composite(below, picture)
    return image if image.mode == target else image.convert(target)


def largest_value(image: Image.Image) -> int:
    """Largest value of a loaded picture of 16 bits; 0 for other pictures, whose range is known."""
    return int(np.asarray(image).max()) if image.mode.startswith("I") else 0


def transparent(image: Image.Image) -> bool:
    """Whether a picture says how much light its pixels let through."""
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value; NaN when one is not finite."""
    if not np.isfinite(values).all():
        return float("nan"), float("nan")
    return float(values.min()), float(values.max())


def count_frames(image: Image.Image) -> int:
    """Frames of a picture: pages of a TIFF, moments of an animation; 1 where the format has no such thing."""
    return int(getattr(image, "n_frames", 1))


def frames_left_out(file: Path, channels: int) -> int:
    """Frames of a TIFF beyond the first, which alone is read where the eye's channels are asked for; else 0."""
    if channels not in SEEN or file.suffix.lower() not in (".tif", ".tiff"):
        return 0
    try:
        with Image.open(file) as image:
            return count_frames(image) - 1 if image.format == "TIFF" else 0
    except (OSError, ValueError, SyntaxError):  # what cannot be read is told elsewhere
        return 0


def refuse_other_channels(image: Image.Image, channels: int) -> None:
    """Refuses, before a pixel is decoded, a picture that has not exactly so many channels.

    Args:
        image: Opened, at its first frame, where it is left.
        channels: C, neither 1 nor 3.

    Raises:
        PictureError: Saying what it has, and what is wanted.
    """
    wanted = f"{channels} are wanted (--data.channels)"
    frames, bands = count_frames(image), len(image.getbands())
    if image.mode.startswith("P"):
        raise PictureError(None, f"has colours of a palette, which are no channels; {wanted}")
    samples = int(getattr(image, "tag_v2", {}).get(_SAMPLES_PER_PIXEL, bands))
    if samples > bands:
        raise PictureError(
            None, f"has {samples} channels in one frame, of which Pillow reads {bands}; {wanted}, each in its own"
        )
    if _ASSOCIATED_ALPHA in getattr(image, "tag_v2", {}).get(_EXTRA_SAMPLES, ()):
        raise PictureError(None, f"has transparency that its colours are multiplied by; {wanted} as they are")
    pages = image.format == "TIFF" and bands == 1  # what moves in an animation is no channel
    if frames > 1 and not pages:
        raise PictureError(None, f"has {frames} frames of {_counted(bands)}, {wanted}")
    if frames * bands != channels:
        raise PictureError(None, f"has {_counted(frames * bands)}, {wanted}")


def _counted(channels: int) -> str:
    """``1 channel``, ``2 channels``."""
    return f"{channels} channel{'s' * (channels != 1)}"


def all_channels(image: Image.Image, max_pixels: int) -> tuple[np.ndarray, int, list[np.ndarray]]:
    """Every channel of a picture that `refuse_other_channels` let through, loaded here.

    Args:
        image: Opened.
        max_pixels: Largest width · height · frames that is decoded.

    Returns:
        uint8, shape (H, W, C); the largest value of its frames of 16 bits; and each frame as it is stored, where there
        are several.

    Raises:
        PictureError: If it has more pixels, its frames differ in size, one of them has several bands, or its numbers
            have no agreed meaning.
    """
    frames, (width, height) = count_frames(image), image.size
    if width * height * frames > max_pixels:
        each = f"{frames} frames of {width}×{height} pixels"
        raise PictureError(None, f"has {each}, more than max_pixels = {max_pixels:,}")
    if frames == 1:
        image.load()
        return np.array(image, dtype=np.uint8), 0, []
    for number in range(frames):  # the headers alone: nothing is decoded of a file that is refused
        image.seek(number)
        if image.size != (width, height):
            other = f"{image.width}×{image.height}"
            raise PictureError(None, f"has frames of different sizes: {width}×{height}, frame {number + 1} {other}")
        if not is_single_band(image.mode):
            raise PictureError(None, f"has a frame that is no single band: frame {number + 1} is {image.mode}")
    planes, stored, largest = [], [], 0
    for number in range(frames):
        image.seek(number)
        image.load()
        largest = max(largest, largest_value(image))
        stored.append(np.array(image))
        planes.append(np.asarray(to_8_bit(image, "TIFF", 1, (0, 0, 0)), dtype=np.uint8))  # (H, W)
    return np.stack(planes, axis=2), largest, stored
