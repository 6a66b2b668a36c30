"""How far a pass over many pictures is."""

import sys
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], total: int, description: str) -> Iterable[Item]:
    """The same items, with a bar on stderr where that is a terminal."""
    if total == 0 or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, description=description, total=total, transient=True, console=Console(stderr=True))
