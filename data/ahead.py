"""Pictures made ready in threads while the caller works on those before them, and how far it is.

Decoders release Python's lock, so that threads decode at once, and beside the network.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Sequence[Item], batch_size: int) -> Iterator[list[Made]]:
    """What ``make`` gives for each item, in order, so many at a time; the next ones are made meanwhile.

    Args:
        make: Called in threads; what it raises is raised here.
        items: Any number.
        batch_size: At least 1.
    """
    pool = ThreadPoolExecutor()

    def begun(start: int) -> list[Future[Made]]:
        return [pool.submit(make, item) for item in items[start : start + batch_size]]

    try:
        coming = begun(0)
        for start in range(0, len(items), batch_size):
            batch, coming = coming, begun(start + batch_size)
            yield [one.result() for one in batch]
    finally:
        pool.shutdown(cancel_futures=True)


def with_progress(items: Iterable[Item], total: int, description: str) -> Iterable[Item]:
    """The same items, with a bar on stderr where that is a terminal."""
    if total == 0 or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, description=description, total=total, transient=True, console=Console(stderr=True))
