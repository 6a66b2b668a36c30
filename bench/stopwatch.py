"""The time of a training step, taken inside the loader: from one request for a batch to the next.

Whoever trains, a loop by hand or a framework, asks the loader for each batch once; so a step means the same for all.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.harness import Sample, spread

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class Stopwatch:
    """A loader that notes when each batch is asked for; everything else is the loader's.

    Args:
        loader: The loader.
        epochs: Gets a list of moments for each pass over it.
        clock: Tells the moment, in seconds.
    """

    def __init__(self, loader: Any, epochs: list[list[float]], clock: Callable[[], float] = time.perf_counter) -> None:
        self.loader, self.epochs, self.clock = loader, epochs, clock

    def __iter__(self) -> Iterator[Any]:
        """Batches; the moment is noted before a batch is made."""
        moments: list[float] = []
        self.epochs.append(moments)
        batches = iter(self.loader)
        while True:
            moments.append(self.clock())
            try:
                batch = next(batches)
            except StopIteration:
                moments.pop()
                return
            yield batch

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def figures(epochs: list[list[float]]) -> Sample:
    """Step and epoch from the moments of the batches.

    Args:
        epochs: Moments of at least 3 epochs; the first warms up, the last only marks the end of the one before.

    Returns:
        Seconds a step (mean), and as figures the median step and the seconds of an epoch, validation included.
    """
    steps = [after - before for moments in epochs[1:] for before, after in itertools.pairwise(moments)]
    starts = [moments[0] for moments in epochs[1:]]
    found = spread(steps)
    return Sample(found.mean, {"step/median": found.median, "epoch": (starts[-1] - starts[0]) / (len(starts) - 1)})
