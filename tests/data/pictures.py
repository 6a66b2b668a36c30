"""Small pictures and folders that the tests of the data room make for themselves."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.files.decode import read_picture
from data.folder import Folder

Make = Callable[..., Folder]


def noise(height: int = 64, width: int = 48, seed: int = 0) -> np.ndarray:
    """Random RGB pixels, uint8, shape (H, W, 3)."""
    return (np.random.default_rng(seed).random((height, width, 3)) * 255).astype("uint8")


def planes(channels: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Random channels, uint8, shape (C, H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def decode(source: str | os.PathLike[str] | bytes, **options: Any) -> np.ndarray:
    """Pixels of a file or of its bytes, uint8, shape (H, W, C)."""
    return read_picture(source, **options).pixels


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def write(path: Path, seed: int = 0, height: int = 24, width: int = 32) -> Path:
    """A smooth picture that no other seed has, in the format of the path's suffix."""
    small = Image.fromarray(noise(4, 5, seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def folder(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """``{"train/a": 3}`` makes root/train/a/0.png … 2.png, all different."""
    seed = first_seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write(root / name / f"{index}.png", seed)
            seed += 1
    return root
