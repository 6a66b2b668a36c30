"""Decoded pictures kept at training size, in memory or in a memory-mapped file, so that later epochs never decode.

Two forms of a picture:

    plain    exactly what the evaluation preprocessing gives: validation, test, and training without augmentation
    source   the whole picture, warped to a square S×S. The warp is only how it is stored: views are cut as windows of
             the true shape (data/batches/views.py), so nothing is distorted and nothing beyond the centre is lost.
             Where the network is to see stretched or padded pictures, views are windows of the stretched or padded
             square

An array is saved in the cache folder under a hash of its pictures' contents and of the settings: the same pictures
under other names, or in another place, need not be decoded again. The folder keeps the arrays used last.

Letters: N pictures, S side of the stored square, C channels, H height, W width.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import __version__ as pillow_version
from torch import Tensor

from data.files.fresh import fresh_file
from data.files.memory import memory_limit
from data.files.preprocess import pad, prepare, resample

Form = Literal["plain", "source"]
_KEPT_BYTES = 16 << 30
_DAY_S = 24 * 3600
_AT_ONCE = 256  # pictures copied at a time
_WRITTEN_AT_ONCE = 16 << 20  # bytes


def check_cache(folder: Path) -> None:
    """Makes a cache folder that was asked for by name; one that nobody named may be missing.

    Raises:
        ValueError: If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"cache_dir {folder} cannot be written to: {error.strerror}") from None


def reserve(name: str, shape: tuple[int, ...]) -> None:
    """Makes a file of an array of bytes, all 0, with its room: writing to a mapped file on a full disk kills a process.

    Raises:
        OSError: If there is not so much room.
    """
    with open(name, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        begin, size = file.tell(), math.prod(shape)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, begin + size)
            return
        for left in range(size, 0, -_WRITTEN_AT_ONCE):  # macOS and Windows have no such call
            file.write(bytes(min(left, _WRITTEN_AT_ONCE)))


def to_disk(name: str) -> None:
    """Waits until a file is on the disk.

    A name may survive a power cut that the bytes under it do not: a reserved file reads as black pictures then.
    """
    with open(name, "rb+") as file:
        os.fsync(file.fileno())


class PixelStore:
    """Makes, keeps and finds arrays of pictures.

    Args:
        cache_folder: Where arrays are kept between runs.
        settings: Evaluation preprocessing (``data.files.preprocess.preprocessing``).
        side: S, side of a stored source picture.
        limit: Bytes of an array above which it lies in a memory-mapped file; None asks the machine.
    """

    def __init__(self, cache_folder: Path, settings: Mapping[str, Any], side: int, limit: int | None = None) -> None:
        self.folder, self.settings, self.side = cache_folder, dict(settings), side
        self.limit = memory_limit() if limit is None else limit
        self._temporary: dict[int, str] = {}

    def shape(self, form: Form) -> tuple[int, ...]:
        """Shape of one picture."""
        if form == "source":
            return self.side, self.side, self.settings["channels"]
        return self.settings["channels"], *self.settings["image_size"]

    def convert(self, form: Form, pixels: np.ndarray) -> Tensor:
        """Decoded pixels, uint8, shape (h, w, C), as they are stored."""
        if form == "source" and self.settings["kind"] == "pad":  # in the network's frame, which is a square as well
            return pad(pixels, self.side, self.side, "bilinear", self.settings["background"])
        if form == "source":
            return resample(pixels, self.side, self.side, "bilinear")
        return prepare(pixels, self.settings)

    def allocate(self, form: Form, size: int) -> Tensor:
        """Room for ``size`` pictures, all 0: a file of the cache folder, so that saving costs nothing, else memory.

        Raises:
            ValueError: If neither the cache folder nor the memory can hold it.
        """
        shape = (size, *self.shape(form))
        need = math.prod(shape)
        name = None
        try:
            if size > 0:
                name = self._new_file()
                if need > shutil.disk_usage(self.folder).free:  # a reservation takes all there is before it fails
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                reserve(name, shape)
                pixels = torch.from_numpy(np.lib.format.open_memmap(name, mode="r+"))
                self._temporary[pixels.data_ptr()] = name
                return pixels
        except OSError as error:
            if name is not None:
                Path(name).unlink(missing_ok=True)
            if need > self.limit:
                raise ValueError(
                    f"{size} pictures need {need / 2**30:.1f} GiB, more than half of the free memory, and "
                    f"{self.folder} cannot hold them: {error}; choose another --data.cache_dir"
                ) from None
        return torch.zeros(shape, dtype=torch.uint8)

    def _new_file(self) -> str:
        handle, name = fresh_file(self.folder, ".array.")
        os.close(handle)
        return name

    def file(self, form: Form, digests: Sequence[str]) -> Path:
        """Where the array of these pictures is kept."""
        heading = json.dumps(
            [2, pillow_version, torch.__version__, form, self.side if form == "source" else 0, self.settings]
        )
        key = hashlib.sha256("\n".join([heading, *digests]).encode()).hexdigest()
        return self.folder / f"{form}-{key[:32]}.npy"

    def load(self, form: Form, digests: Sequence[str]) -> Tensor | None:
        """The array of an earlier run; None when there is none or it is damaged."""
        path = self.file(form, digests)
        shape = (len(digests), *self.shape(form))
        try:
            # Copy on write: pages are read when they are needed, and nothing can change the file.
            array = np.load(path, mmap_mode="c", allow_pickle=False)
            if array.shape != shape or array.dtype != np.uint8:
                return None
            with contextlib.suppress(PermissionError):  # the file of somebody else who shares the folder
                os.utime(path)
            return torch.from_numpy(array if array.nbytes > self.limit else np.array(array))
        except (OSError, ValueError, EOFError):  # the last is NumPy's word for an empty file
            return None

    def select(self, form: Form, pixels: Tensor, rows: Tensor) -> Tensor:
        """Some rows of an array: in memory, or beyond the limit in a file that ends with its last reader.

        Raises:
            ValueError: If neither the cache folder nor the memory can hold them.
        """
        if math.prod(self.shape(form)) * len(rows) <= self.limit:
            return pixels.index_select(0, rows)
        chosen = self.allocate(form, len(rows))
        for there, here in zip(chosen.split(_AT_ONCE), rows.split(_AT_ONCE), strict=True):
            there.copy_(pixels.index_select(0, here))
        self.discard(chosen)
        return chosen

    def discard(self, pixels: Tensor) -> None:
        """Take the file of an array that is not to be saved from the cache folder; who has the array can still read."""
        name = self._temporary.pop(pixels.data_ptr(), None)
        if name is not None:
            with contextlib.suppress(OSError):  # Windows keeps it until the process ends; `_forget_oldest` finds it
                Path(name).unlink()

    def save(self, form: Form, digests: Sequence[str], pixels: Tensor) -> bool:
        """Keep an array for later runs; False when the cache folder cannot be written."""
        path = self.file(form, digests)
        name = self._temporary.pop(pixels.data_ptr(), None)
        try:
            if name is None:
                name = self._new_file()
                with open(name, "wb") as file:
                    np.lib.format.write_array(file, pixels.numpy(), allow_pickle=False)
            to_disk(name)
            os.replace(name, path)
        except OSError:
            if name is not None:
                Path(name).unlink(missing_ok=True)
            return False
        self._forget_oldest(path)
        return True

    def _forget_oldest(self, newest: Path) -> None:
        """Delete the arrays unused for longest until the folder is small enough; a mapped file stays readable."""
        try:
            files = sorted(self.folder.glob("*.npy"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
            for file in self.folder.glob(".array.*.tmp"):  # left behind by a run that was killed
                if time.time() - file.stat().st_mtime > _DAY_S:
                    file.unlink()
            total = 0
            for file in files:
                total += file.stat().st_size
                if total > _KEPT_BYTES and file != newest:
                    file.unlink()
        except OSError:
            pass  # another run deleted the same file
