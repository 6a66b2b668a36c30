"""A folder of small pictures of any number of channels, one a frame of a TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32


def save_frames(path: Path, frames: np.ndarray) -> Path:
    """Writes channels as frames: uint8, uint16 or float32, shape (C, H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, "TIFF", save_all=True, append_images=rest, compression="tiff_lzw")
    return path


def make_bands(root: Path, channels: int = 5, counts: tuple[int, int] = (12, 6)) -> Path:
    """Noise whose last channel is brighter in one class: so many of each class to train on and to validate."""
    generator = np.random.default_rng(0)
    for split, count in zip(("train", "val"), counts, strict=True):
        for name, tint in (("dull", 0), ("bright", 90)):
            for index in range(count):
                frames = generator.integers(0, 160, (channels, SIDE, SIDE))
                frames[-1] += tint
                save_frames(root / split / name / f"{index}.tif", frames.astype(np.uint8))
    return root
