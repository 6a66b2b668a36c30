"""Pictures that are in several files: equal files, equal pixels in two formats, one JPEG with other metadata.

Three digests say so, and none depends on the size, the channels or the background that a run asks for:

    of the file    every byte
    of the pixels  upright and as the file stores them, without loss: a PNG and a BMP have the same
    of a JPEG      its tables and its compressed picture, without what cameras and programs write beside them

JPEGs are compared by their data. The digest of a JPEG's pixels takes time and serves only where a file of another kind
has the same width and height: only then it is made.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data.files.modes import transparent
from data.files.units import units

if TYPE_CHECKING:
    from data.files.scan import Scanned

_ADOBE = 0xEE  # says in which colours the data is, unlike the other application segments
_COMMENT, _SCAN = 0xFE, 0xDA


def is_jpeg(content: bytes) -> bool:
    """Whether a file's bytes begin as those of a JPEG do."""
    return content.startswith(b"\xff\xd8")


def jpeg_digest(content: bytes, turn: int) -> str:
    """Digest of a JPEG without its metadata, hexadecimal.

    Args:
        content: The file.
        turn: Its EXIF orientation, 1 to 8: the only metadata that decides what is seen.
    """
    found, place = hashlib.blake2b(bytes([turn]), digest_size=16), 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] not in (b"", b"\xff"):
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker == _SCAN:
            break
        if not (0xE0 <= marker <= 0xEF and marker != _ADOBE) and marker != _COMMENT:
            found.update(content[place : place + 2 + length])
        place += 2 + max(length, 2)
    found.update(memoryview(content)[place:])
    return found.hexdigest()


def pixel_digest(pixels: np.ndarray) -> str:
    """Digest of upright pixels with their size and type, hexadecimal; shape (H, W) or (H, W, C)."""
    found = hashlib.blake2b(f"{pixels.shape} {pixels.dtype.str}".encode(), digest_size=16)
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()


def stored_pixels(image: Image.Image, colour: np.ndarray | None = None) -> np.ndarray:
    """The pixels of a picture without loss, as any format for them gives them: not yet upright.

    Args:
        image: Loaded, unless ``colour`` is given and it is a JPEG.
        colour: The picture as eyes see it, uint8, shape (H, W, 3), where it is there already.

    Returns:
        16 bits or floating point, shape (H, W); colour with transparency, (H, W, 4), where a pixel lets light through;
        else colour, uint8, (H, W, 3).
    """
    if image.mode.startswith("I"):
        return np.asarray(image).astype("<u2")
    if image.mode == "F":
        return np.asarray(image)
    if transparent(image):
        pixels = np.asarray((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
        return pixels if pixels[..., 3].min() < 255 else pixels[..., :3]
    return np.asarray(image.convert("RGB")) if colour is None else colour


def whole_wanted(scanned: Sequence[Scanned]) -> list[int]:
    """Positions of JPEGs whose own pixels must be known: those as large as a file of another kind."""
    others = {(one.width, one.height) for one in scanned if one.pixels and not one.jpeg}
    return [
        position
        for position, one in enumerate(scanned)
        if one.jpeg and not one.pixels and (one.width, one.height) in others
    ]


def contents(scanned: Sequence[Scanned]) -> list[str]:
    """For each file a name of what it shows, which its copies share: its digest where there is no other copy.

    Pixels of a JPEG count only where a file of another kind has the same ones. Which JPEGs were read in full depends
    on earlier runs; what belongs together does not.
    """
    stored = {one.pixels for one in scanned if not one.jpeg}
    pixels = [one.pixels if one.pixels in stored else "" for one in scanned]
    names = [one.digest for one in scanned]
    for together in units(names, [one.jpeg for one in scanned], pixels):
        for position in together[1:]:
            names[position] = names[together[0]]
    return names


@dataclass(frozen=True)
class Duplicate:
    """Files with the same content: their positions, and whether they lie in several splits or classes."""

    positions: tuple[int, ...]
    across_splits: bool
    across_classes: bool


def duplicates(names: Sequence[str], labels: Sequence[str], splits: Sequence[str | None]) -> list[Duplicate]:
    """Files with the same content. Those whose name is empty are left out.

    Args:
        names: What :func:`contents` gave, or a digest of each file.
        labels: Class of each file.
        splits: "train", "val" or "test" of each file; None where it is not decided yet.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        if name:
            same[name].append(position)
    return [
        Duplicate(tuple(group), len({splits[i] for i in group}) > 1, len({labels[i] for i in group}) > 1)
        for group in same.values()
        if len(group) > 1
    ]
