"""Where data sets and caches lie, unless the user says so."""

import os
from pathlib import Path

DEFAULT_ROOT = "~/.cache/deep-learning-mathematics"


def usual_root() -> Path:
    """`DEFAULT_ROOT`; below /, where hardly anybody may write, for a user of whom the system knows no home folder."""
    try:
        return Path(DEFAULT_ROOT).expanduser()
    except RuntimeError:
        return Path(DEFAULT_ROOT.removeprefix("~"))


def resolve_root(root: str | None) -> Path:
    """The folder of the data sets: the one given, else ``$DATA_ROOT``, else a cache in the home folder.

    Raises:
        ValueError: If it is a file.
    """
    given = root or os.environ.get("DATA_ROOT")
    place = Path(given).expanduser() if given else usual_root()
    if place.exists() and not place.is_dir():
        raise ValueError(f"root must be the folder that holds the data sets, got the file {place}")
    return place
