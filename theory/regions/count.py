"""Linear regions on a polygon of the plane: their number, or every one as a polygon.

    layers = on_slice(network, origin, directions)      # the network on a plane of its inputs
    count_regions(layers, square(1.0))                  # how many, without drawing the last layer
    regions(layers, square(1.0))                        # all of them

A map that grows too large is cut in two and each half finished by itself, so that memory stays bounded; from then on
the pieces are worked on by as many threads as BLAS would use.

Where kinks meet at a corner, along an edge or three at a point, as all do at 0 in a network without biases, rounding
would decide the number. Such networks are counted in whole numbers instead, see `theory.regions.exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_info, threadpool_limits

from theory.regions.chords import find_chords
from theory.regions.exact import exact_polygons
from theory.regions.network import Floats, Ints, Layer, check_layers
from theory.regions.planar_map import Map, TooManyRegionsError, halves, offsets, polygon_map, tours
from theory.regions.plane import cross, cut
from theory.regions.position import is_general

VALUES = 1 << 22  # pre-activations held at once
EXACT = 50_000  # regions that are looked for in whole numbers, one by one
LOOKED_AT = 1 << 20  # vertices times pairs of units up to which crossings are compared where only their number is due


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


class Piece(NamedTuple):
    """A part of the polygon: its map, how many layers have cut it, its regions, and which halves lead to it."""

    cells: Map
    depth: int
    num: int
    place: tuple[int, ...]


class Step(NamedTuple):
    """What became of a piece: pieces to go on with, regions won, and the outlines of those that are finished."""

    pieces: list[Piece]
    grown: int = 0
    outlines: tuple[Floats, Ints] | None = None


def _bending(layers: Sequence[Layer]) -> list[Layer]:
    """The layers that bend, of a network whose regions can be counted on the polygon."""
    layers = check_layers(layers)
    bending, inputs = [layer for layer in layers if layer.slope != 1], layers[0].weight.shape[1]
    if inputs != 2:
        raise ValueError(f"a plane needs a network of 2 inputs, this one takes {inputs}; see on_slice")
    return bending


class _UndecidedError(Exception):
    """Rounding would decide how many regions there are."""


def _too_large(piece: Piece, layer: Layer) -> bool:
    return piece.num > 1 and len(piece.cells.points) * sum(layer.weight.shape) > VALUES


def _next(cells: Map, layer: Layer) -> Floats:
    """Pre-activations of the next layer at the vertices, (V, n), without the units that are silent all over the map."""
    weight, hidden = layer.weight, cells.hidden
    loud = hidden.any(axis=0)
    if loud.mean() < 0.8:
        weight, hidden = weight[:, loud], hidden[:, loud]
    return hidden @ weight.T + layer.bias


def _grow(
    layers: Sequence[Layer], corners: ArrayLike, limit: int, drawn: bool
) -> tuple[int, list[tuple[Floats, Ints]]]:
    """Number of regions; with ``drawn`` also their corners, piece by piece, and how many each region has."""
    corners, bending = check_polygon(corners), _bending(layers)
    try:
        return _grow_rounded(bending, corners, limit, drawn)
    except _UndecidedError:
        try:
            polygons = exact_polygons(bending, corners, min(limit, EXACT))
        except TooManyRegionsError as error:
            if limit <= EXACT:
                raise
            raise ValueError(
                "kinks run through a corner or a crossing of others, or along an edge, where rounding would decide "
                f"the number of regions; of such networks {EXACT:,} are counted at most, and there are more"
            ) from error
        return len(polygons), [(polygon, np.array([len(polygon)])) for polygon in polygons]


def _grow_rounded(
    bending: Sequence[Layer], corners: Floats, limit: int, drawn: bool
) -> tuple[int, list[tuple[Floats, Ints]]]:
    """The same in floating point.

    Raises:
        _UndecidedError: If kinks meet within rounding.
    """

    def step(piece: Piece) -> Step:
        cells, depth, num, place = piece
        if depth == len(bending):
            tour, begins = tours(cells.follows)
            return Step([], outlines=(cells.points[cells.origin[tour]], np.diff(begins)))
        if _too_large(piece, bending[depth]):
            return Step([Piece(half, depth, n, (*place, side)) for side, (half, n) in enumerate(halves(cells))])
        z = _next(cells, bending[depth])
        counted = not drawn and depth == len(bending) - 1
        few = len(cells.points) * z.shape[1] ** 2 <= LOOKED_AT
        chords = find_chords(cells, z, pairs=few or not counted)
        if not is_general(cells, z, chords, bending[depth]):
            raise _UndecidedError
        grown = len(chords.start) + chords.num_crossings
        return Step(
            [] if counted else [Piece(cut(cells, z, chords, bending[depth]), depth + 1, num + grown, place)], grown
        )

    if not bending and not drawn:
        return 1, []
    return _work_through(Piece(polygon_map(corners), 0, 1, ()), step, limit)


def _work_through(first: Piece, step: Callable[[Piece], Step], limit: int) -> tuple[int, list[tuple[Floats, Ints]]]:
    """Steps until nothing is left, newest pieces first; a single piece in this thread, several in many."""
    found, waiting, finished = 1, [first], {}
    running: dict[Future[Step], Piece] = {}
    with ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        threads = 1
        while waiting or running:
            if pool is None and len(waiting) > 1:
                blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
                threads = max(blas, default=1)
                stack.enter_context(
                    threadpool_limits(1, "blas")
                )  # the pieces share the cores, not the products within one
                pool = stack.enter_context(ThreadPoolExecutor(threads))
            if pool is None:
                piece = waiting.pop()
                done = [(piece, step(piece))]
            else:
                while waiting and len(running) < threads:
                    piece = waiting.pop()
                    running[pool.submit(step, piece)] = piece
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                done = [(running.pop(future), future.result()) for future in ready]
            for piece, result in done:
                waiting += result.pieces
                found += result.grown
                if result.outlines is not None:
                    finished[piece.place] = result.outlines
            if found > limit:
                raise TooManyRegionsError(found, limit)
    return found, [finished[place] for place in sorted(finished)]


def count_regions(layers: Sequence[Layer], corners: ArrayLike, limit: int = 100_000_000) -> int:
    """Number of linear regions of a network on a convex polygon, those with an area.

    It is exact, but that three kinks of the last layer through one inner point are noticed in small counts alone.
    Regions are those of the activation pattern: two neighbours on which the output happens to be the same map, as
    behind a layer that is dead there, count as two.

    Args:
        layers: A network of 2 inputs, such as of `on_slice`.
        corners: The polygon, counter-clockwise, shape (V, 2).
        limit: Give up beyond so many regions.

    Raises:
        ValueError: If the network does not take 2 inputs, the polygon is not convex, or many kinks are not in general
            position.
        TooManyRegionsError: Beyond ``limit``, with the count so far.
    """
    return _grow(layers, corners, limit, drawn=False)[0]


def regions(layers: Sequence[Layer], corners: ArrayLike, limit: int = 5_000_000) -> Regions:
    """Every linear region of a network on a convex polygon, as a polygon.

    Args:
        layers: A network of 2 inputs, such as of `on_slice`.
        corners: The polygon, counter-clockwise, shape (V, 2).
        limit: Give up beyond so many regions; each takes about a kilobyte while it is found.

    Returns:
        The regions, in the same order however many threads found them.

    Raises:
        ValueError: If the network does not take 2 inputs, the polygon is not convex, or many kinks are not in general
            position.
        TooManyRegionsError: Beyond ``limit``, with the count so far.
    """
    parts = _grow(layers, corners, limit, drawn=True)[1]
    return Regions(
        np.concatenate([corner for corner, _ in parts]), offsets(np.concatenate([size for _, size in parts]))
    )
