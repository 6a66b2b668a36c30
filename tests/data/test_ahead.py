"""Things made in threads while the caller works: their order, their errors, and no more of them than the next batch."""

import time
from threading import Event

import pytest

from data.files.ahead import ahead


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (6, 3), (7, 3)])
def test_batches_are_in_order(count: int, size: int) -> None:
    def make(item: int) -> int:
        time.sleep(0.002 * (count - item))  # the last is ready first
        return item * item

    batches = list(ahead(make, range(count), size))
    assert [one for batch in batches for one in batch] == [item * item for item in range(count)]
    assert [len(batch) for batch in batches] == [min(size, count - start) for start in range(0, count, size)]


def test_only_the_next_batch_is_made_meanwhile() -> None:
    made: list[int] = []
    batches = ahead(lambda item: made.append(item), range(10), 2)
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert sorted(made) == [0, 1, 2, 3]


def test_an_error_is_raised_where_its_batch_is_asked_for() -> None:
    batches = ahead(lambda item: 1 // item, [1, 1, 0, 1], 2)
    assert next(batches) == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_who_stops_asking_does_not_wait_for_the_rest() -> None:
    gate, made = Event(), list[int]()

    def make(item: int) -> None:
        if item >= 1:
            gate.wait(5)
        made.append(item)

    batches = ahead(make, range(200), 1)
    next(batches)
    gate.set()
    batches.close()
    assert len(made) <= 2
