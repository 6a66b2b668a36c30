"""New files of a cache folder, whole or not there at all: readable by whom the umask lets read, as other files are.

`tempfile.mkstemp` makes files for their owner alone, and a file keeps that when it is given its name: others who share
the folder could not use it.
"""

import os
import secrets
from pathlib import Path


def fresh_file(folder: Path, prefix: str) -> tuple[int, str]:
    """Makes a file that nobody else has, to be renamed or deleted; the folder is made when it is missing.

    Args:
        folder: Where it goes.
        prefix: What its name begins with; the name ends in ``.tmp``.

    Returns:
        Its descriptor, open for writing, and its path.

    Raises:
        OSError: If it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        name = str(folder / f"{prefix}{secrets.token_hex(8)}.tmp")
        try:
            return os.open(name, flags, 0o666), name
        except FileExistsError:
            continue


def write_whole(path: Path, content: bytes) -> bool:
    """Write a cache file so that it is there whole or not at all; False when the folder cannot be written."""
    try:
        handle, name = fresh_file(path.parent, f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError:
        return False
    return True
