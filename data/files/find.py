"""Pictures to predict: files as they were named, folders searched; and which names are nobody's pictures."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})  # of Windows, and of archives made by macOS


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """Files in the order given; a folder gives all files below it by name, hidden ones left out, links followed.

    Raises:
        ValueError: If a path is empty, does not exist or begins with ``~`` and nobody's name, a folder cannot be read,
            or nothing was found.
    """
    found: list[Path] = []
    for text in paths:
        if not text.strip():  # an unset variable of a shell; it would stand for all of this folder
            raise ValueError("the path of a picture is empty")
        try:
            path = Path(text).expanduser()
        except RuntimeError as error:
            raise ValueError(f"{text}: there is no home folder of {Path(text).parts[0]!r} on this machine") from error
        if path.is_dir():
            found += sorted(_files_below(path, frozenset()))
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            address = "; an address of the network is not fetched" if "://" in text else ""
            raise ValueError(f"there is no picture or folder at {text if address else path}{address}")
    if not found:
        raise ValueError(f"no picture in {', '.join(paths)}")
    return found


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All that is no folder; a link back to one of the folders ``above``, real paths, counts as a file."""
    above |= {os.path.realpath(folder)}
    try:
        children = list(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror or error}") from error
    for child in children:
        if is_hidden(child.name):
            continue
        if child.is_dir() and not (child.is_symlink() and os.path.realpath(child) in above):
            yield from _files_below(child, above)
        else:
            yield child


def is_hidden(name: str) -> bool:
    """Whether the name of a file or folder begins with a dot, or is what a system leaves in folders."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES
