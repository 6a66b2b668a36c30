"""Files that are whole or not there, folders tried before they are needed; a path as a shell's word, values as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from shlex import quote
from typing import Any

from trainer.errors import DISK_FULL, RunFailed, UserError


def file_mode() -> int:
    """Permission bits of a new file under the process's umask, e.g. 0o644."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut."""
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part.

    Args:
        path: The file; its folder exists.
        text: Content, written as UTF-8; bytes of file names that are not UTF-8 come out as they are on the disk.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, file_mode())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def probe(folder: Path) -> None:
    """Write, read back and delete a small file in ``folder``, which is made when it is missing.

    Raises:
        UserError: If that fails; the message names the folder and the cause.
        RunFailed: If the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".probe.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"probe")
            if Path(name).read_bytes() != b"probe":
                raise OSError("what was written could not be read back")
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise RunFailed(f"cannot write to {folder}: the disk is full") from error
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


def probe_nearest(folder: str | os.PathLike[str]) -> None:
    """Prove, before long work, that a folder can be written to that may still be missing; nothing is left behind.

    Args:
        folder: The folder; the nearest one above it that exists stands for it.

    Raises:
        UserError: If it cannot be made or written to.
        RunFailed: If the disk is full.
    """
    there = Path(folder).absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{there} is no folder")
    probe(there)


def json_text(value: Any) -> str:
    """JSON that is valid UTF-8: a file name that is not UTF-8 is written with escapes, which Python reads back."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=2, allow_nan=False)
    return text


def as_word(path: Path) -> str:
    """A path as one word of a command that a person may copy: quoted for the shell, and never like an option."""
    return quote(f"{'./' * str(path).startswith('-')}{path}")
