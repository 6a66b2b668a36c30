"""Linear regions in whole numbers, without rounding: for networks whose kinks meet where a sign cannot be told.

Floating-point weights are whole numbers over a power of two. So a point is (X, Y, W) of whole numbers, W > 0, for
(X/W, Y/W); an affine function is (a, b, c), and the sign of aX + bY + cW is exact. Polygons are clipped one by one:

    p on the positive side with value v, q on the negative with value w:   |w| p + |v| q lies on the kink

A kink through a corner, along an edge or through the crossing of two others makes no region without area, as no polygon
is cut that does not reach to both sides. This is slow, and used only where it is needed.

Letters: n units of a layer, m inputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.regions.network import Floats, Layer
from theory.regions.planar_map import TooManyRegionsError

Point = tuple[int, int, int]
Whole = NDArray[Any]  # of Python's integers, which do not overflow


def whole(values: Floats) -> tuple[Whole, int]:
    """Whole numbers N and a power of two d with values = N / d. Args: any shape, finite."""
    ratios = [float(value).as_integer_ratio() for value in values.ravel()]
    common = max(below for _, below in ratios)
    numbers = np.empty(len(ratios), object)
    numbers[:] = [above * (common // below) for above, below in ratios]
    return numbers.reshape(values.shape), common


def split(polygon: list[Point], a: int, b: int, c: int) -> list[list[Point]]:
    """The polygon, or both its parts where a kink runs through its inside."""
    values = [a * x + b * y + c * w for x, y, w in polygon]
    if min(values) >= 0 or max(values) <= 0:
        return [polygon]
    above: list[Point] = []
    below: list[Point] = []
    for here, (p, v) in enumerate(zip(polygon, values, strict=True)):
        q, w = polygon[here - 1], values[here - 1]
        if (v > 0 > w) or (v < 0 < w):
            x, y, z = (abs(w) * i + abs(v) * j for i, j in zip(p, q, strict=True))
            shared = math.gcd(x, y, z)
            above.append((x // shared, y // shared, z // shared))
            below.append(above[-1])
        if v >= 0:
            above.append(p)
        if v <= 0:
            below.append(p)
    return [above, below]


def exact_polygons(layers: Sequence[Layer], corners: Floats, limit: int) -> list[Floats]:
    """Every region of positive area.

    Args:
        layers: Of 2 inputs, each with an activation that bends.
        corners: Of a convex polygon, counter-clockwise, shape (V, 2).
        limit: Give up beyond so many regions.

    Returns:
        Corners of each region, counter-clockwise, rounded to float64, shape (V', 2) each.

    Raises:
        TooManyRegionsError: Beyond ``limit``.
    """
    places, unit = whole(corners)
    first: list[Point] = [(x, y, unit) for x, y in places.tolist()]
    inputs = np.array([[1, 0, 0], [0, 1, 0]], object)
    cells: list[tuple[list[Point], Whole]] = [(first, inputs)]  # polygons, and `scale` times the layer's inputs there
    scale = 1
    for layer in layers:
        numbers, below = whole(np.column_stack([layer.weight, layer.bias]))
        slope, slope_below = float(layer.slope).as_integer_ratio()
        weight, bias = numbers[:, :-1], numbers[:, -1]
        after: list[tuple[list[Point], Whole]] = []
        for polygon, hidden in cells:
            rows = weight @ hidden  # (n, 3), `scale * below` times the pre-activations
            rows[:, 2] += bias * scale
            parts = [polygon]
            for row in rows:
                parts = [piece for part in parts for piece in split(part, *row)]
                if len(after) + len(parts) > limit:
                    raise TooManyRegionsError(len(after) + len(parts), limit)
            for part in parts:
                inside = np.array([sum(values) for values in zip(*part, strict=True)], object)
                gains = np.where(rows @ inside > 0, slope_below, slope)
                after.append((part, rows * gains[:, None]))
        cells, scale = after, scale * below * slope_below
    return [np.array([[x / w, y / w] for x, y, w in polygon]) for polygon, _ in cells]
