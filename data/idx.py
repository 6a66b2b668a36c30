"""IDX files, the format of MNIST: a big-endian header, then bytes; plain or gzip-compressed.

    byte 0, 1   0
    byte 2      type of the values, 0x08 for unsigned bytes, the only one the MNIST family uses
    byte 3      number of axes d
    4·d bytes   length of each axis, 32-bit big-endian
    rest        values, the last axis fastest

Every fault of a file is an error that names it: a short file must not become a short data set.

Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits, section "File formats".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_UNSIGNED_BYTE = 0x08


def find_idx(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, or its ``.gz`` form, or None; the plain file is preferred."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes.

    Args:
        path: The file; gzip-compressed when its name ends in ``.gz``.

    Returns:
        Values, uint8, in the shape that the header says.

    Raises:
        ValueError: If the file is corrupt, truncated or of another type; the message names it.
    """
    try:
        packed = path.suffix == ".gz"
        raw = (
            np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8)
            if packed
            else np.fromfile(path, np.uint8)
        )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is a corrupt or truncated gzip file: {error}") from None
    if len(raw) < 4 or raw[:2].any():
        raise ValueError(f"{path} is no IDX file: it must begin with two zero bytes, found {raw[:4].tobytes()!r}")
    if raw[2] != _UNSIGNED_BYTE:
        raise ValueError(f"{path} holds values of type 0x{raw[2]:02x}; only 0x08 (unsigned bytes) is read")
    num_axes = int(raw[3])
    start = 4 + 4 * num_axes
    if len(raw) < start:
        raise ValueError(f"{path} is truncated: {len(raw)} bytes, but its header alone takes {start}")
    shape = struct.unpack(f">{num_axes}I", raw[4:start].tobytes())
    if len(raw) - start != math.prod(shape):
        fault = "truncated" if len(raw) - start < math.prod(shape) else "corrupt"
        raise ValueError(
            f"{path} is {fault}: its header promises {'×'.join(map(str, shape))} values, it holds {len(raw) - start}"
        )
    return torch.from_numpy(raw[start:].reshape(shape))


def read_labelled(images: Path, labels: Path, num_classes: int) -> tuple[Tensor, Tensor]:
    """Read a pair of IDX files, pictures and their classes.

    Args:
        images: File of pictures, axes N, H, W.
        labels: File of classes, axis N, values in 0..num_classes - 1.
        num_classes: Number of classes.

    Returns:
        Pictures, uint8, shape (N, 1, H, W), and classes, int64, shape (N,).

    Raises:
        ValueError: If a file is corrupt, or the two do not belong together.
    """
    pictures, classes = read_idx(images), read_idx(labels)
    if pictures.ndim != 3 or 0 in pictures.shape:
        raise ValueError(f"{images} must hold pictures, N×H×W; found shape {tuple(pictures.shape)}")
    if classes.ndim != 1 or len(classes) != len(pictures):
        raise ValueError(
            f"{images} holds {len(pictures)} pictures but {labels} has labels of shape {tuple(classes.shape)}"
        )
    if int(classes.max()) >= num_classes:
        raise ValueError(f"{labels} must hold classes 0..{num_classes - 1}; found {int(classes.max())}")
    return pictures[:, None], classes.long()
