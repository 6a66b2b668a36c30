"""Functions that lie in files: tables of two columns, and pictures."""

import csv
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.bundled import package_file
from data.files import decode

LARGEST = 1e100  # value in a table
LEAST, MOST = 2, 8192
PICTURES = {"camera": "data/camera.png", "face": "data/lfw_subset.npy"}  # bundled with scikit-image
PICTURE_FILES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm")


def read_pairs(path: Path) -> tuple[Tensor, Tensor]:
    """Places and values of a table with two columns, sorted by place.

    Args:
        path: Text, numbers parted by commas, semicolons, tabs or blanks; the first line may name the columns, of which
            x stands first unless the names are y and x.

    Returns:
        x and y, float64, each of shape (M,), 2 to 8,192 of them.

    Raises:
        ValueError: If the file cannot be read, a line is no pair of finite numbers, or there are too few or too many.
    """
    named = f"--data.function {path}"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{named} is no text file") from None
    except OSError as error:
        raise ValueError(f"{named}: {error.strerror}") from None
    rows, swapped = [], False
    for number, line in enumerate(lines, 1):
        fields = next(csv.reader([line.replace(";", ",").replace("\t", ",")]), [])
        fields = fields if len(fields) > 1 else line.split()
        if not any(field.strip() for field in fields):
            continue
        try:
            x, y = (float(field) for field in fields)
        except ValueError:
            if number == 1 and not any(map(_is_number, fields)):
                swapped = [field.strip().lower() for field in fields] == ["y", "x"]
                continue
            raise ValueError(f"{named}, line {number}: expected two numbers x, y, got {line[:60]!r}") from None
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"{named}, line {number}: {line[:60]!r} is not finite")
        if max(abs(x), abs(y)) > LARGEST:
            raise ValueError(f"{named}, line {number}: {line[:60]!r} is beyond {LARGEST:g}, whose square overflows")
        rows.append((y, x) if swapped else (x, y))
    if not LEAST <= len(rows) <= MOST:
        raise ValueError(f"{named}: the number of samples is {len(rows):,}; allowed: {LEAST} to {MOST:,}")
    pairs = torch.tensor(sorted(rows), dtype=torch.float64)
    if pairs[0, 0] == pairs[-1, 0]:
        raise ValueError(f"{named}: all samples lie at x = {float(pairs[0, 0]):g}")
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous()


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_grey_square(name: str, side: int) -> Tensor:
    """A picture as grey values in 0..1, cut to a square in its middle and reduced to at most ``side`` pixels a side.

    Args:
        name: Of a bundled picture, or the path of a file.
        side: At least 2.

    Returns:
        float64, shape (n, n), n at most ``side``, row by row from the top.

    Raises:
        ValueError: If the file cannot be read, or is no picture.
        FileNotFoundError: If a bundled picture is missing.
    """
    path = package_file("skimage", PICTURES[name], "scikit-image") if name in PICTURES else Path(name).expanduser()
    if path.suffix == ".npy":
        grey = Image.fromarray(np.rint(255 * np.load(path)[0]).astype(np.uint8))
    else:
        try:
            grey = Image.fromarray(decode.read_picture(path, channels=1).pixels[..., 0])
        except decode.PictureError as error:
            raise ValueError(f"--data.function {error}") from None
    edge = min(grey.size)
    left, top = (grey.width - edge) // 2, (grey.height - edge) // 2
    square = grey.crop((left, top, left + edge, top + edge))
    if edge > side:
        square = square.resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(square, dtype=np.float64) / 255)
