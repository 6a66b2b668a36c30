"""Pictures to predict: files as they were named, folders searched."""

from collections.abc import Sequence
from pathlib import Path


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """Files in the order given; a folder gives all files below it by name, hidden ones left out.

    Raises:
        ValueError: If a path is empty, does not exist or begins with ``~`` and nobody's name, or nothing was found.
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
            inside = (file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
            found += sorted(file for file in inside if not is_hidden(file.relative_to(path)))
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            address = "; an address of the network is not fetched" if "://" in text else ""
            raise ValueError(f"there is no picture or folder at {text if address else path}{address}")
    if not found:
        raise ValueError(f"no picture in {', '.join(paths)}")
    return found


def is_hidden(path: Path) -> bool:
    """Whether a part of the path begins with a dot, or is what macOS puts into archives."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)
