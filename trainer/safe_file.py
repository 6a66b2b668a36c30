"""Checkpoint files that are whole or not there, and that run nothing when they are read.

A checkpoint is written beside its target, synced, read back with ``weights_only=True`` and only then renamed over the
old one: after a crash, a kill or a full disk the old file or the new one loads, never neither. Reading with
``weights_only=True`` refuses everything but tensors and plain values, so a file from a stranger cannot run code.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from theory.finite import not_finite
from trainer.errors import DISK_FULL, RunFailed, UserError
from trainer.files import file_mode, sync_folder


def read_size(path: Path) -> str:
    """Size of a file for a message, e.g. "5,312 bytes"."""
    return f"{path.stat().st_size:,} bytes"


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU without running anything in it.

    Args:
        path: A file on this machine.

    Returns:
        The checkpoint, at least with the key ``state_dict``.

    Raises:
        UserError: If it is a URL, is missing, empty, damaged or not a checkpoint, or holds more than tensors and plain
            values. The message names the file and its size.
    """
    if "://" in str(path):
        raise UserError(f"checkpoints are read from this machine's disk only, not from {path}: download it first")
    file = Path(path)
    if not file.is_file():
        last = file.with_name("last.ckpt")
        beside = f"; {last} is there" if last.is_file() else ""
        raise UserError(f"no checkpoint at {file}" + (": it is a folder" if file.is_dir() else beside))
    if file.stat().st_size == 0:
        raise UserError(f"the checkpoint {file} is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; the file is refused all the same
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "global" in str(error):
            raise UserError(
                f"refused {file} ({read_size(file)}): it holds more than tensors and plain values; nothing was executed"
            ) from error
        raise UserError(
            f"refused {file} ({read_size(file)}): not a checkpoint of tensors and plain values; nothing was executed"
        ) from error
    except PermissionError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except Exception as error:  # torch raises many types for a damaged file
        raise UserError(f"the checkpoint {file} ({read_size(file)}) is damaged or cut off") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UserError(f"{file} ({read_size(file)}) is not a checkpoint: it has no state_dict")
    house = checkpoint.get("house", {})
    parts = {name: checkpoint.get(name, {}) for name in ("state_dict", "hyper_parameters", "house")}
    parts |= {name: house.get(name, {}) for name in ("recipe", "preprocessing") if isinstance(house, dict)}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise UserError(f"{file} ({read_size(file)}) is not a checkpoint: its {name} holds no names with values")
    for name, value in parts["state_dict"].items():
        if isinstance(value, Tensor) and (value.layout != torch.strided or value.is_complex()):
            kind = "complex" if value.is_complex() else "sparse"
            raise UserError(f"{file} ({read_size(file)}) is not a checkpoint of ours: its tensor {name} is {kind}")
    return checkpoint


def remove_litter(folder: Path) -> list[Path]:
    """Delete the temporary files that a killed process of ours left in ``folder``; give their paths."""
    litter = [path for path in folder.glob(".*.tmp") if path.is_file()]
    for path in litter:
        path.unlink(missing_ok=True)
    return litter


def save_safely(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside ``path``, sync it, read it back, rename it over ``path``.

    Args:
        checkpoint: Tensors and plain values only.
        path: Target; what is there stays until the new file has been read back.

    Raises:
        RunFailed: If the weights are not finite, the disk is full, or the file cannot be read back. The old file and
            its content are then untouched.
    """
    bad = not_finite(checkpoint.get("state_dict", {}))
    if bad:
        raise RunFailed(f"weights are not finite ({', '.join(bad[:3])}): {path} is not written, the last one is kept")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")  # same disk: atomic rename
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        torch.load(name, weights_only=True, map_location="cpu")
        os.chmod(name, file_mode())  # mkstemp makes 0600
        os.replace(name, path)
        sync_folder(path.parent)
    except pickle.UnpicklingError as error:
        raise RunFailed(
            f"{path} is not written: it would hold more than tensors, str, int, float, bool, None, list and dict"
            f"{''.join(f'; {name}' for name in foreign(checkpoint)[:3])}"
        ) from error
    except (OSError, RuntimeError) as error:
        cause = disk_error(error)
        why = "the disk is full" if cause is not None and cause.errno in DISK_FULL else str(cause or error)
        kept = "the one before it is intact" if path.exists() else "no earlier one exists"
        raise RunFailed(f"could not write the checkpoint {path}: {why} ({kept})") from error
    finally:
        Path(name).unlink(missing_ok=True)


def foreign(value: Any, place: str = "") -> list[str]:
    """Places in a checkpoint of what is neither a tensor nor a plain value: ``lr_schedulers[0].base is float64``."""
    if isinstance(value, Mapping):
        return [found for key, one in value.items() for found in foreign(one, f"{place}.{key}" if place else str(key))]
    if isinstance(value, list | tuple | set):
        return [found for index, one in enumerate(value) for found in foreign(one, f"{place}[{index}]")]
    kind = type(value)
    plain = isinstance(value, Tensor) or kind in (str, int, float, bool, type(None), complex, bytes, torch.Size)
    return [] if plain else [f"{place} is {kind.__module__}.{kind.__qualname__}"]


def disk_error(error: BaseException | None) -> OSError | None:
    """The OSError at the root of an error; ``torch.save`` hides it behind a RuntimeError of its archive writer."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


class SafeCheckpointIO(TorchCheckpointIO):
    """Lightning's way to our files: ``Trainer(plugins=[SafeCheckpointIO()])``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write safely, see :func:`save_safely`."""
        save_safely(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read without running anything, see :func:`load_checkpoint`; always on the CPU and ``weights_only``."""
        return load_checkpoint(path)
