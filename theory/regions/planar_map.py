"""A planar map of convex regions by half-edges: which lie around a region, and the map of a part of the regions.

Half-edge 2e runs along edge e, 2e + 1 back; each has the region on its left and knows the half-edge that follows there.

Letters: V vertices, E edges, F regions, H half-edges with a region on their left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from theory.regions.network import Floats, Ints


class TooManyRegionsError(ValueError):
    """There are more regions than allowed.

    Args:
        found: Regions counted before it was given up.
        limit: Regions allowed.
    """

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(f"more than {limit:,} linear regions: at least {found:,}, counted until it was given up")
        self.found = found


class Map(NamedTuple):
    """A planar map: ``points`` (V, 2); ``hidden`` (V, m), what goes into the next layer there; ``origin`` and
    ``follows`` (2E,), the first vertex of each half-edge and the half-edge after it, -1 outside the polygon.
    """  # noqa: D205

    points: Floats
    hidden: Floats
    origin: Ints
    follows: Ints


def offsets(counts: Ints) -> Ints:
    """0, c_0, c_0 + c_1, … Args: counts (N,). Returns: (N + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def polygon_map(corners: Floats) -> Map:
    """One region: a convex polygon, its corners counter-clockwise, shape (V, 2)."""
    size = len(corners)
    origin, follows = np.empty(2 * size, np.intp), np.full(2 * size, -1, np.intp)
    origin[0::2] = np.arange(size)
    origin[1::2] = follows[0::2] = np.arange(1, size + 1) % size
    follows[0::2] *= 2
    return Map(corners, corners, origin, follows)


def tours(follows: Ints) -> tuple[Ints, Ints]:
    """Half-edges region by region, each region's in counter-clockwise order; and where each region begins.

    Cycles are found by doubling: after r rounds every half-edge has looked 2^r steps ahead.

    Returns:
        Half-edges, shape (H,), and offsets, shape (F + 1,).
    """
    inside = follows >= 0
    own = np.arange(len(follows))
    ahead, root = np.where(inside, follows, own), own
    while True:
        lower = np.minimum(root, root[ahead])
        if np.array_equal(lower, root):
            break
        root, ahead = lower, ahead[ahead]
    is_root = (root == own) & inside
    # Steps to the root, by doubling again.
    steps = (~is_root & inside).astype(np.intp)
    ahead = np.where(is_root | ~inside, own, follows)
    while True:
        further = steps[ahead]
        if not further.any():
            break
        steps, ahead = steps + further, ahead[ahead]
    region = np.cumsum(is_root) - 1
    region = region[root]
    sizes = np.bincount(region[inside], minlength=int(is_root.sum()))
    begins = offsets(sizes)
    place = begins[region] + np.where(is_root, 0, sizes[region] - steps)
    tour = np.empty(begins[-1], np.intp)
    tour[place[inside]] = own[inside]
    return tour, begins


def halves(cells: Map) -> list[tuple[Map, int]]:
    """The regions left and right of their median, as two maps with their numbers; edges between belong to both."""
    tour, begins = tours(cells.follows)
    sizes = np.diff(begins)
    centre = np.add.reduceat(cells.points[cells.origin[tour], 0], begins[:-1]) / sizes
    left = np.zeros(len(sizes), bool)
    left[np.argpartition(centre, len(sizes) // 2)[: len(sizes) // 2]] = True
    return [(part_of(cells, tour[np.repeat(side, sizes)]), int(side.sum())) for side in (left, ~left)]


def part_of(cells: Map, half_edges: Ints) -> Map:
    """The map of those regions whose half-edges these are, renumbered."""
    kept = np.zeros(len(cells.origin) // 2, bool)
    kept[half_edges >> 1] = True
    edges = np.flatnonzero(kept)
    old = np.stack([2 * edges, 2 * edges + 1], 1).ravel()
    number = np.full(len(cells.origin), -1, np.intp)
    number[old] = np.arange(len(old))
    follows = np.full(len(old), -1, np.intp)
    follows[number[half_edges]] = number[cells.follows[half_edges]]
    used = np.zeros(len(cells.points), bool)
    used[cells.origin[old]] = True
    vertex = np.cumsum(used) - 1
    return Map(cells.points[used], cells.hidden[used], vertex[cells.origin[old]], follows)
