"""Pictures made ready in threads while the caller works on those before them.

Decoders release Python's lock, so that threads decode at once, and beside the network.
"""

from collections.abc import Callable, Iterator, Sequence
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
