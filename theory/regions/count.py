"""Linear regions on a polygon of the plane: their number, or every one as a polygon.

    layers = on_slice(network, origin, directions)      # the network on a plane of its inputs
    count_regions(layers, square(1.0))                  # how many, without drawing the last layer
    regions(layers, square(1.0))                        # all of them

A map that grows too large is cut in two and each half finished by itself, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from theory.regions.chords import find_chords
from theory.regions.network import Floats, Ints, Layer, check_layers
from theory.regions.planar_map import Map, TooManyRegionsError, halves, offsets, polygon_map, tours
from theory.regions.plane import cross, cut

VALUES = 1 << 22  # pre-activations held at once


class Regions(NamedTuple):
    """Convex polygons one after another: corners (N, 2) counter-clockwise; ``begins`` (F + 1,)."""

    corners: Floats
    begins: Ints

    def __len__(self) -> int:
        return len(self.begins) - 1

    def polygon(self, index: int) -> Floats:
        """Corners of one region."""
        return self.corners[self.begins[index] : self.begins[index + 1]]

    def areas(self) -> Floats:
        """Area of each region, shape (F,), by the shoelace formula around the first corner."""
        starts = self.begins[:-1]
        here = self.corners - np.repeat(self.corners[starts], np.diff(self.begins), axis=0)
        after = np.roll(here, -1, axis=0)
        after[self.begins[1:] - 1] = 0.0
        return 0.5 * np.add.reduceat(cross(here, after), starts)

    def centres(self) -> Floats:
        """Mean of the corners of each region, an interior point, shape (F, 2)."""
        return np.add.reduceat(self.corners, self.begins[:-1], axis=0) / np.diff(self.begins)[:, None]


def square(half_width: float, centre: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """Corners of an upright square, counter-clockwise, shape (4, 2)."""
    return np.asarray(centre) + half_width * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def check_polygon(corners: ArrayLike) -> Floats:
    """The corners, if they are those of a convex polygon in counter-clockwise order.

    Raises:
        ValueError: If they are not.
    """
    corners = np.asarray(corners, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a polygon needs 3 or more finite corners of 2 coordinates, got shape {corners.shape}")
    sides = np.roll(corners, -1, axis=0) - corners
    if not (cross(sides, np.roll(sides, -1, axis=0)) > 0).all():
        raise ValueError("the polygon must be strictly convex, its corners counter-clockwise")
    return corners


def _open(layers: Sequence[Layer], corners: ArrayLike) -> tuple[list[Layer], list[tuple[Map, int, int]]]:
    """Layers that bend, and the list of what is to do: the polygon as one region, at layer 0."""
    bending = [layer for layer in check_layers(layers) if layer.slope != 1]
    inputs = check_layers(layers)[0].weight.shape[1]
    if inputs != 2:
        raise ValueError(f"a plane needs a network of 2 inputs, this one takes {inputs}; see on_slice")
    corners = check_polygon(corners)
    origin_inside = bool((cross(corners, np.roll(corners, -1, axis=0)) > 0).all())
    if bending and len(bending[0].bias) > 2 and not bending[0].bias.any() and origin_inside:
        raise ValueError(
            f"all {len(bending[0].bias)} units of the first layer bend along lines through one point, as they have no "
            "bias: regions are counted in general position; choose a polygon without that point"
        )
    return bending, [(polygon_map(corners), 0, 1)]


def _too_large(cells: Map, num: int, layer: Layer) -> bool:
    return num > 1 and len(cells.points) * sum(layer.weight.shape) > VALUES


def _next(cells: Map, layer: Layer) -> Floats:
    """Pre-activations of the next layer at the vertices, (V, n), without the units that are silent all over the map."""
    weight, hidden = layer.weight, cells.hidden
    loud = hidden.any(axis=0)
    if loud.mean() < 0.8:
        weight, hidden = weight[:, loud], hidden[:, loud]
    return hidden @ weight.T + layer.bias


def count_regions(layers: Sequence[Layer], corners: ArrayLike, limit: int = 100_000_000) -> int:
    """Number of linear regions of a network on a convex polygon, exact in general position.

    Regions are those of the activation pattern: two neighbours on which the output happens to be the same map, as
    behind a layer that is dead there, count as two.

    Args:
        layers: A network of 2 inputs, such as of `on_slice`.
        corners: The polygon, counter-clockwise, shape (V, 2).
        limit: Give up beyond so many regions.

    Raises:
        ValueError: If the network does not take 2 inputs or the polygon is not convex.
        TooManyRegionsError: Beyond ``limit``, with the count so far.
    """
    bending, waiting = _open(layers, corners)
    found = 1
    while bending and waiting:
        cells, depth, num = waiting.pop()
        if _too_large(cells, num, bending[depth]):
            waiting += [(half, depth, size) for half, size in halves(cells)]
            continue
        z = _next(cells, bending[depth])
        last = depth == len(bending) - 1
        chords = find_chords(cells, z, pairs=not last)
        grown = len(chords.start) + chords.num_crossings
        found += grown
        if found > limit:
            raise TooManyRegionsError(found, limit)
        if not last:
            waiting.append((cut(cells, z, chords, bending[depth]), depth + 1, num + grown))
    return found


def regions(layers: Sequence[Layer], corners: ArrayLike, limit: int = 5_000_000) -> Regions:
    """Every linear region of a network on a convex polygon, as a polygon.

    Args:
        layers: A network of 2 inputs, such as of `on_slice`.
        corners: The polygon, counter-clockwise, shape (V, 2).
        limit: Give up beyond so many regions; each takes about a kilobyte while it is found.

    Raises:
        ValueError: If the network does not take 2 inputs or the polygon is not convex.
        TooManyRegionsError: Beyond ``limit``, with the count so far.
    """
    bending, waiting = _open(layers, corners)
    found, parts = 1, []
    while waiting:
        cells, depth, num = waiting.pop()
        if depth == len(bending):
            tour, begins = tours(cells.follows)
            parts.append((cells.points[cells.origin[tour]], np.diff(begins)))
            continue
        if _too_large(cells, num, bending[depth]):
            waiting += [(half, depth, size) for half, size in halves(cells)]
            continue
        z = _next(cells, bending[depth])
        chords = find_chords(cells, z, pairs=True)
        grown = len(chords.start) + chords.num_crossings
        found += grown
        if found > limit:
            raise TooManyRegionsError(found, limit)
        waiting.append((cut(cells, z, chords, bending[depth]), depth + 1, num + grown))
    return Regions(
        np.concatenate([corner for corner, _ in parts]), offsets(np.concatenate([size for _, size in parts]))
    )
