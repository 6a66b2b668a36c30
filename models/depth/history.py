"""Linear regions of all networks while they train, beside bounds.

Letters: S networks of each shape, T times counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from models.depth.counting import Slice
from models.depth.stack import BIAS_DEVIATION, Stack
from theory.regions import bounds
from theory.regions.planar_map import TooManyRegionsError


def counting_epochs(last: int) -> list[int]:
    """Epochs after which to count: 0, 1, 2, 4, … and the last."""
    return sorted({0, last, *(2**k for k in range(last.bit_length()) if 2**k <= last)})


@dataclass
class History:
    """Counts of every network by shape.

    Attributes:
        epochs: When was counted, 0 before training.
        counts: For each time, for each shape, the regions of each network; NaN where there were too many.
        most: What was said about too many regions, or empty.
    """

    epochs: list[int] = field(default_factory=list)
    counts: list[list[list[float]]] = field(default_factory=list)
    most: str = ""

    def add(self, epoch: int, stacks: list[Stack], where: Slice) -> None:
        """Counts all networks now."""
        row: list[list[float]] = []
        for stack in stacks:
            found = []
            for network in range(len(stack.weights[0])):
                try:
                    found.append(float(where.count(stack.layers(network))))
                except TooManyRegionsError as error:
                    found.append(math.nan)
                    self.most = str(error)
            row.append(found)
        self.epochs.append(epoch)
        self.counts.append(row)

    def array(self) -> np.ndarray:
        """Counts, shape (T, shapes, S)."""
        return np.asarray(self.counts)

    def state(self) -> dict[str, object]:
        """For a checkpoint, as primitives."""
        return {
            "epochs": list(self.epochs),
            "counts": [[list(s) for s in row] for row in self.counts],
            "most": self.most,
        }

    @classmethod
    def of(cls, state: dict[str, object]) -> History:
        """From a checkpoint."""
        return cls(**state)  # type: ignore[arg-type]


@dataclass
class Bounds:
    """What theory says of one shape on the slice.

    Attributes:
        upper: No network of the shape has more.
        lower: Some network of the shape has so many; None where the source states nothing: for leaky ReLU, or where a
            layer but the last is narrower than the slice has dimensions.
        typical: Order, without its constant, that the mean count at random weights does not exceed.
        expected: Exact mean at the random start, where it is known: one layer on its own input, else None.
    """

    upper: int
    lower: int | None
    typical: float
    expected: float | None


def bounds_of(widths: list[int], where: Slice, slope: float) -> Bounds:
    """Bounds of a shape on a slice."""
    dimension = where.dimension
    expected = None
    if len(widths) == 1 and where.plane is None:
        # Weights of the first layer have variance 2/((1 + slope²) inputs), see `Stack`.
        ratio = BIAS_DEVIATION / math.sqrt(2 / ((1 + slope**2) * dimension))
        if dimension == 1:
            expected = 1 + bounds.expected_breakpoints(widths[0], where.low, where.high, ratio)
        elif where.low == -where.high:
            expected = bounds.expected_regions(widths[0], where.high, ratio)
    return Bounds(
        bounds.upper_bound(widths, dimension, slope),
        (bounds.lower_bound(widths, dimension) or None) if not slope else None,
        bounds.typical_order(widths, dimension),
        expected,
    )
