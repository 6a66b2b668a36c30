"""One picture file to upright 8-bit pixels, whatever its size, mode and suffix; every failure names the file.

Training and prediction read pictures through this file only, so that a picture looks the same in both. What it settles:

    suffix       ignored: the first bytes say what a file is
    EXIF         orientations 1 to 8 are undone, as the camera's owner sees the picture
    16-bit grey  divided by 65535 (``convert("RGB")`` would clip nearly all of it to white)
    float        [0, 1] is scaled to 0..255; another range has no agreed meaning and is refused
    alpha        laid on a stated background colour; CMYK, palettes, 1-bit and grey become RGB (or grey)
    animation    the first frame
    channels     1 is grey and 3 is colour, to which all is converted; another number is what a file must have
                 (data/files/modes.py)
    size         refused from the header when there are more than ``max_pixels``, before any pixel is decoded
    JPEG         decoded at 1/2, 1/4 or 1/8 when ``short_side`` allows it (the DCT makes that nearly free), which is
                 sharper than the full picture averaged to that size

Pillow reads every header and decodes all but plain colour JPEGs. Those go through simplejpeg: the same library, equal
bytes a quarter sooner, without Pillow's copy from four bytes a pixel to three. What it refuses is Pillow's again, whose
cause is told. ``torchvision.io`` has crashed on damaged PNGs, which no ``except`` can catch.
Letters: H height, W width, C channels.
"""

import functools
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from data.files.copies import pixel_digest, stored_pixels
from data.files.modes import (
    SEEN,
    PictureError,
    all_channels,
    check_channels,
    count_frames,
    eye_pixels,
    largest_value,
    refuse_other_channels,
)

try:
    from simplejpeg import decode_jpeg
except ImportError:  # no build for this machine: all is Pillow's then
    decode_jpeg = None

MAX_PIXELS = 178_956_970  # where Pillow itself refuses; 0.5 GB as RGB
MAX_BYTES = 2**30  # nobody trains on a picture file of 1 GiB; a video in the folder should not fill the memory

# Formats that start another programme (EPS: Ghostscript) or only Windows can draw; such files are no photographs.
_NOT_DECODED = {"EPS", "WMF", "MPEG", "PDF", "BUFR", "GRIB", "HDF5"}
_TIFF_HINT = " (channels of one TIFF are read when each is a frame)"
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # of pixels, shape (H, W, C)
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        pixels: Upright, uint8 in 0..255, shape (H, W, C), contiguous; smaller than the file's when it was draft-scaled.
        width: Width of the upright picture as stored, in pixels.
        height: Height of the upright picture as stored, in pixels.
        mode: Pillow's name for how the file stores a pixel, such as "RGB", "I;16" or "CMYK"; "I;16×5" for the channels
            of five frames.
        format: Pillow's name of the file format, such as "JPEG".
        turn: The EXIF orientation that was undone; 1 where there was nothing to do.
        largest: Largest value as stored where a channel has 16 bits, else 0.
        identity: Digest of all upright pixels as the file stores them (data/files/copies.py), where it was asked for.
    """

    pixels: np.ndarray
    width: int
    height: int
    mode: str
    format: str
    turn: int = 1
    largest: int = 0
    identity: str = ""


def background_colour(name: str) -> tuple[int, int, int]:
    """The RGB value, 0..255, of a colour name or ``#rrggbb``.

    Raises:
        ValueError: If there is no such colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"background must be a colour such as white, black or #808080, got {name!r}") from None
    return red, green, blue


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a regular file of at most ``MAX_BYTES``.

    Raises:
        PictureError: If there is no such file, or it cannot be read, or is no regular file (a pipe would block).
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise PictureError(name, "is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(name, "is no regular file")
        if status.st_size > MAX_BYTES:
            raise PictureError(name, f"has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        with open(name, "rb", buffering=0) as file:
            content = file.readall()
    except MemoryError:
        raise PictureError(name, "does not fit into memory", lasting=False) from None
    except FileNotFoundError:
        dangling = os.path.islink(name)
        raise PictureError(name, "is a link to a file that does not exist" if dangling else "no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(name, getattr(error, "strerror", None) or str(error)) from None
    return content


def read_picture(
    source: str | os.PathLike[str] | bytes,
    *,
    channels: int = 3,
    background: str = "white",
    max_pixels: int = MAX_PIXELS,
    short_side: int | None = None,
    name: str | None = None,
    identify: bool = False,
) -> Picture:
    """Decode one picture.

    Args:
        source: A path, or the bytes of a file.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma of a colour picture); another number, at most 32, is that of
            the channels that the file must have.
        background: Colour under transparent pixels: a name or ``#rrggbb``.
        max_pixels: Largest width · height that is decoded; of frames that are channels, width · height · frames.
        short_side: A JPEG may be decoded smaller as long as both sides keep at least this many pixels.
        name: What to call ``source`` in errors when it is bytes.
        identify: Give the digest of the pixels too; not for a JPEG that may be decoded smaller.

    Returns:
        The upright picture with what its header said.

    Raises:
        PictureError: If the file cannot be decoded, with its path and the cause.
        ValueError: If ``channels`` or ``background`` is not one of those allowed.
    """
    check_channels(channels)
    colour = background_colour(background)
    path = name if isinstance(source, bytes) else os.fspath(source)
    content = source if isinstance(source, bytes) else read_bytes(source)
    if not content:
        raise PictureError(path, "is empty (0 bytes)")
    with _pillow_settings(max_pixels):
        try:
            with Image.open(io.BytesIO(content), formats=_formats()) as image:
                return _decode(image, content, channels, colour, max_pixels, short_side, identify)
        except Image.UnidentifiedImageError:
            hint = _TIFF_HINT if channels not in SEEN and content[:4] in (b"II*\0", b"MM\0*") else ""
            raise PictureError(
                path, f"is no picture that Pillow knows; it begins with {content[:12]!r}{hint}"
            ) from None
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d{4,}", str(error))  # Pillow names the number of pixels first
            many = f"{int(pixels[0]):,}" if pixels else "too many"
            raise PictureError(path, f"has {many} pixels, more than max_pixels = {max_pixels:,}") from None
        except MemoryError:
            raise PictureError(path, "does not fit into memory", lasting=False) from None
        except PictureError as error:
            raise PictureError(path, error.cause) from None
        except Exception as error:  # a damaged file makes Pillow raise nearly anything
            raise PictureError(path, f"cannot be decoded: {str(error) or type(error).__name__}") from None


def _decode(
    image: Image.Image,
    content: bytes,
    channels: int,
    background: tuple[int, int, int],
    max_pixels: int,
    short_side: int | None,
    identify: bool,
) -> Picture:
    mode, file_format = image.mode, image.format or "?"
    width, height = size = image.size
    if width * height > max_pixels:
        raise PictureError(None, f"has {width}×{height} pixels, more than max_pixels = {max_pixels:,}")
    if width < 1 or height < 1:
        raise PictureError(None, f"has no pixels ({width}×{height})")
    if channels not in SEEN:
        refuse_other_channels(image, channels)
        frames = count_frames(image)
        mode += f"×{frames}" if frames > 1 else ""
    elif file_format == "TIFF" and (frames := count_frames(image)) > 1:
        mode += f"×{frames}"  # told, since the first alone is read
    elif short_side is not None and file_format in ("JPEG", "MPO"):
        image.draft("L" if channels == 1 and mode in ("L", "RGB") else mode, (short_side, short_side))
    scaled = image.size != size
    plain = file_format == "JPEG" and mode == "RGB" and channels == 3 and not scaled
    pixels, largest = _plain_jpeg(content) if plain else None, 0
    stored: list[np.ndarray] = []
    if pixels is None and channels in SEEN:
        image.load()
        pixels, largest = eye_pixels(image, channels, background), largest_value(image)
    elif pixels is None:
        pixels, largest, stored = all_channels(image, max_pixels)
    turn = _orientation(image)
    identity = ""
    if identify:
        if not stored:
            stored = [stored_pixels(image, pixels if channels == 3 else None) if channels in SEEN else pixels]
        identity = " ".join(pixel_digest(_upright(one, turn)) for one in stored)
    pixels = _upright(pixels, turn)
    if not scaled:
        height, width = pixels.shape[:2]
    elif turn >= 5:
        width, height = height, width
    return Picture(
        pixels=pixels,
        width=width,
        height=height,
        mode=mode,
        format=file_format,
        turn=turn,
        largest=largest,
        identity=identity,
    )


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(_TURNS[turn](pixels)) if turn in _TURNS else pixels


def _plain_jpeg(content: bytes) -> np.ndarray | None:
    """Pixels of a colour JPEG as stored, shape (H, W, 3); None when the decoder is not there or does not take it."""
    if decode_jpeg is None:
        return None
    try:
        pixels: np.ndarray = decode_jpeg(content)
    except ValueError:  # it warns of something: Pillow knows whether that can be helped
        return None
    return pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be undone; 1 where there is nothing to do.

    TIFF has undone its own when it was loaded, and then says 1.
    """
    try:
        value = image.getexif().get(0x0112, 1)
        return int(value) if value in _TURNS else 1
    except Exception:  # a damaged EXIF block does not make the pixels wrong
        return 1


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    first = ("JPEG", "PNG")  # Pillow tries one after the other, and most files are one of these
    return first + tuple(name for name in Image.ID if name not in {*_NOT_DECODED, *first})


_lock = threading.Lock()
_active: list[int] = []
_restore: list[Any] = []


@contextmanager
def _pillow_settings(max_pixels: int) -> Iterator[None]:
    """Our pixel limit instead of Pillow's, and no warnings that name no file; put back when the last thread leaves.

    Both are global in Python, so threads share one change: the first one in makes it, the last one out undoes it.
    """
    with _lock:
        if not _active:
            quiet = warnings.catch_warnings()
            quiet.__enter__()
            warnings.simplefilter("ignore")
            _restore[:] = [quiet, Image.MAX_IMAGE_PIXELS]
        _active.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_active) // 2 + 1  # Pillow warns above this and raises above twice this
    try:
        yield
    finally:
        with _lock:
            _active.remove(max_pixels)
            if not _active:
                quiet, Image.MAX_IMAGE_PIXELS = _restore
                quiet.__exit__(None, None, None)
