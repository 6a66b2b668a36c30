"""Where the regions of a network are counted: its line, its plane, or a plane through three training points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theory.regions.count import Regions, count_regions, regions, square
from theory.regions.line import kinks
from theory.regions.network import Floats, Layer, affine_maps, check_layers, on_slice

FARTHEST = 1e9  # end of a view: beyond, regions of the size of the data are lost in rounding
TRIANGLE = (-0.25, 1.25)  # coordinates on a plane through three points, which have (0, 0), (1, 0), (0, 1)


class Slice:
    """A segment or a square of the input space.

    Args:
        low: Left and lower end of the coordinates.
        high: Right and upper end.
        plane: Three points that span it, shape (3, D), when the input has more than two numbers.
        dimension: 1 for a segment, 2 for a square.
        limit: Regions beyond which counting is given up.
    """

    def __init__(self, low: float, high: float, dimension: int, limit: int, plane: Floats | None = None) -> None:
        self.low, self.high, self.dimension, self.limit, self.plane = low, high, dimension, limit, plane

    def restrict(self, layers: Sequence[Layer]) -> list[Layer]:
        """The network on the slice."""
        if self.plane is None:
            return check_layers(layers)
        return on_slice(layers, self.plane[0], self.plane[1:] - self.plane[0])

    def corners(self) -> Floats:
        """Corners of the square, shape (4, 2)."""
        middle = (self.low + self.high) / 2
        return square((self.high - self.low) / 2, (middle, middle))

    def count(self, layers: Sequence[Layer]) -> int:
        """Linear regions.

        Raises:
            TooManyRegionsError: Beyond the limit, with the count so far.
        """
        if self.dimension == 1:
            return len(kinks(self.restrict(layers), self.low, self.high, self.limit)) - 1
        return count_regions(self.restrict(layers), self.corners(), self.limit)

    def polygons(self, layers: Sequence[Layer]) -> tuple[Regions, Floats]:
        """Every region of a plane, and the slope of the network on it: the length of the gradient.

        With several outputs it is the gradient of the largest minus the second, what a class is decided by.
        """
        on_plane = self.restrict(layers)
        found = regions(on_plane, self.corners(), self.limit)
        matrix, offset = affine_maps(on_plane, found.centres())  # (F, k, 2), (F, k)
        if matrix.shape[1] > 1:
            values = np.einsum("fkd,fd->fk", matrix, found.centres()) + offset
            order = np.argsort(values, axis=1)
            rows = np.arange(len(matrix))
            matrix = (matrix[rows, order[:, -1]] - matrix[rows, order[:, -2]])[:, None]
        return found, np.linalg.norm(matrix[:, 0], axis=1)

    def words(self) -> str:
        """What it is, for a sentence."""
        if self.plane is not None:
            return "the plane through three training points"
        return f"[{self.low:g}, {self.high:g}]" + ("²" if self.dimension == 2 else "")


def check_view(view: list[float], data: list[float]) -> list[float]:
    """The view, if it is an interval that meets the data; an empty one stays empty.

    Raises:
        ValueError: If it is not.
    """
    if view and (len(view) != 2 or not -FARTHEST < view[0] < view[1] < FARTHEST):
        raise ValueError(f"--model.view must be [low, high] with {-FARTHEST:g} < low < high < {FARTHEST:g}, got {view}")
    if view and data and (view[1] <= data[0] or view[0] >= data[1]):
        raise ValueError(f"--model.view {view} lies outside the data, which fills [{data[0]:g}, {data[1]:g}]")
    return list(view)
