"""Cuts a polygon into the linear regions of a network of two inputs, all regions of a layer at once.

On a region of the first l layers, layer l + 1 is affine, so that each unit changes sign along one chord at most.
Regions are kept as a planar map: half-edge 2e runs along edge e, 2e + 1 back, each has the region on its left and knows
the half-edge that follows there. A layer is then three steps without a loop over regions or units:

1. an edge whose ends have different signs of a unit carries one end of a chord, at t = z_a/(z_a - z_b);
2. two chords of a region cross just when their ends interleave along its boundary, an exact test on whole numbers;
3. the new regions are the cycles of the new "follows", which is known from 1 and 2: at the end of a chord and at a
   crossing the region to the left turns left.

For the last layer nothing need be drawn: regions of a cell = 1 + chords + crossings. That holds in general position
(no three chords through one point), where a network with random weights is with probability 1.

Letters: V vertices, E edges, F regions, n units of the layer, K ends of chords, C chords, X crossings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from theory.regions.network import Floats, Ints, Layer, activate

BLOCK = 1 << 22  # pairs of chords looked at together


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


class Chords(NamedTuple):
    """What a layer cuts, before anything is cut.

    Attributes:
        edge: Edge of each end of a chord, in order along each edge, shape (K,).
        t: Its place on the edge in [0, 1], shape (K,).
        rank: Place of each end in the tour of all boundaries, seen from the left and the right side, shape (K, 2); -1
            where that side lies outside.
        start: Rank of each chord's first end, increasing, shape (C,).
        stop: Rank of its other end, shape (C,).
        first: Chord of each crossing that starts first, shape (X,).
        second: The other chord, shape (X,).
        num_crossings: X, also when the crossings themselves were not asked for.
    """

    edge: Ints
    t: Floats
    rank: Ints
    start: Ints
    stop: Ints
    first: Ints
    second: Ints
    num_crossings: int


def offsets(counts: Ints) -> Ints:
    """0, c_0, c_0 + c_1, … Args: counts (N,). Returns: (N + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def ragged(starts: Ints, counts: Ints) -> Ints:
    """The ranges start, …, start + count - 1 one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


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


def sign_changes(z: Floats, a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Edges and units with different signs at the two ends, by edge. Args: z (V, n), a and b (E,)."""
    words = -(-z.shape[1] // 64)
    padded = np.zeros((len(z), 8 * words), np.uint8)
    bits = np.packbits(z > 0, axis=1, bitorder="little")
    padded[:, : bits.shape[1]] = bits
    signs = padded.view(np.uint64)  # (V, words)
    differ = signs[a] ^ signs[b]  # (E, words)
    edge, word = np.nonzero(differ)
    row, bit = np.nonzero(np.unpackbits(differ[edge, word].view(np.uint8).reshape(-1, 8), axis=1, bitorder="little"))
    return edge[row], 64 * word[row] + bit


def find_chords(cells: Map, z: Floats, pairs: bool) -> Chords:
    """Ends of chords, chords and crossings of one layer.

    Args:
        cells: The map so far.
        z: Pre-activations at its vertices, shape (V, n).
        pairs: Whether the crossings are needed one by one, or only their number.
    """
    a, b = cells.origin[0::2], cells.origin[1::2]
    edge, unit = sign_changes(z, a, b)
    at_a, at_b = z[a[edge], unit], z[b[edge], unit]
    t = at_a / (at_a - at_b)
    order = np.lexsort((t, edge))
    edge, unit, t = edge[order], unit[order], t[order]

    per_edge = np.bincount(edge, minlength=len(a))
    local = np.arange(len(edge)) - offsets(per_edge)[edge]
    tour, begins = tours(cells.follows)
    along = per_edge[tour >> 1]
    before = np.full(len(cells.follows), -1, np.intp)  # ends of chords before a half-edge on the tour
    before[tour] = np.cumsum(along) - along
    left, right = before[2 * edge], before[2 * edge + 1]
    rank = np.stack(
        [np.where(left >= 0, left + local, -1), np.where(right >= 0, right + per_edge[edge] - 1 - local, -1)], 1
    )
    total = int(along.sum())
    region_of = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    key = np.empty(total, np.intp)  # region and unit: the same for both ends of a chord
    key[rank[rank >= 0]] = (np.repeat(region_of, along) * z.shape[1])[rank[rank >= 0]] + np.repeat(unit, 2).reshape(
        -1, 2
    )[rank >= 0]
    both = np.sort(np.argsort(key, kind="stable").reshape(-1, 2), axis=1)
    partner = np.full(total, -1, np.intp)
    partner[both[:, 0]] = both[:, 1]
    start = np.flatnonzero(partner >= 0)
    stop = partner[start]
    first, second, crossings = find_crossings(start, stop, np.cumsum(partner >= 0), pairs)
    return Chords(edge, t, rank, start, stop, first, second, crossings)


def find_crossings(start: Ints, stop: Ints, started: Ints, pairs: bool) -> tuple[Ints, Ints, int]:
    """Chords i, j with start_i < start_j < stop_i < stop_j; those of other regions lie elsewhere on the tour.

    Args:
        start: Increasing, shape (C,).
        stop: Shape (C,).
        started: Chords that have started at each rank or before.
        pairs: Whether to keep the pairs.

    Returns:
        i and j, shape (X,) each, empty without ``pairs``; and X.
    """
    candidates = started[stop] - np.arange(len(start)) - 1 if len(start) else np.zeros(0, np.intp)
    ends = np.cumsum(candidates)
    found: list[tuple[Ints, Ints]] = []
    total, low = 0, 0
    while low < len(start):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + BLOCK, "right")))
        counts = candidates[low:high]
        i = np.repeat(np.arange(low, high), counts)
        j = ragged(np.arange(low + 1, high + 1), counts)
        crossing = stop[j] > stop[i]
        total += int(crossing.sum())
        if pairs:
            found.append((i[crossing], j[crossing]))
        low = high
    empty = np.zeros(0, np.intp)
    first = np.concatenate([empty, *(i for i, _ in found)])
    second = np.concatenate([empty, *(j for _, j in found)])
    return first, second, total


def cut(cells: Map, z: Floats, chords: Chords, layer: Layer) -> Map:
    """The map after a layer. Args: z, pre-activations (V, n); chords, from `find_chords` with pairs."""
    num_vertices, num_ends = len(cells.points), len(chords.edge)
    a, b = cells.origin[0::2], cells.origin[1::2]
    num_edges = len(a)
    end_at = np.empty(int(chords.rank.max(initial=-1)) + 1, np.intp)  # end of a chord by rank
    seen = chords.rank >= 0
    end_at[chords.rank[seen]] = np.broadcast_to(np.arange(num_ends)[:, None], seen.shape)[seen]
    p, q = end_at[chords.start], end_at[chords.stop]  # (C,)

    # Whatever is affine on a region, coordinates and pre-activations alike, is interpolated.
    from_edge = (a[chords.edge], b[chords.edge], chords.t)
    ends = between(cells.points, *from_edge)  # (K, 2)
    i, j = chords.first, chords.second
    along = ends[q] - ends[p]
    along_i, along_j, apart = along[i], along[j], ends[p[j]] - ends[p[i]]
    with np.errstate(divide="ignore", invalid="ignore"):
        area = cross(along_i, along_j)
        on_i = np.nan_to_num(cross(apart, along_j) / area, nan=0.5, posinf=1, neginf=0).clip(0, 1)
        on_j = np.nan_to_num(cross(apart, along_i) / area, nan=0.5, posinf=1, neginf=0).clip(0, 1)
    points = np.concatenate([cells.points, ends, between(ends, p[i], q[i], on_i)])
    hidden = np.empty((len(points), z.shape[1]))
    hidden[:num_vertices] = z
    made = hidden[num_vertices : num_vertices + num_ends]
    made[:] = between(z, *from_edge)
    hidden[num_vertices + num_ends :] = between(made, p[i], q[i], on_i)

    # Numbers of the new edges: the parts of old edges, then the parts of chords.
    per_edge = np.bincount(chords.edge, minlength=num_edges)
    edge_begins = offsets(per_edge + 1)
    end_begins = offsets(per_edge)
    chord_of = np.concatenate([i, j])
    order = np.lexsort((np.concatenate([on_i, on_j]), chord_of))
    per_chord = np.bincount(chord_of, minlength=len(p))
    chord_begins = num_edges + num_ends + offsets(per_chord + 1)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order)) - offsets(per_chord)[chord_of[order]]  # of a crossing on its chord
    total = int(chord_begins[-1])
    origin, follows = np.empty(2 * total, np.intp), np.full(2 * total, -1, np.intp)

    end_vertex = num_vertices + np.arange(num_ends)
    local = np.arange(num_ends) - end_begins[chords.edge]
    part = edge_begins[chords.edge] + local  # part of the old edge that ends at this end of a chord
    origin[2 * edge_begins[:-1]] = a
    origin[2 * (part + 1)] = end_vertex
    origin[2 * part + 1] = end_vertex
    origin[2 * (edge_begins[1:] - 1) + 1] = b
    meet_vertex = num_vertices + num_ends + np.tile(np.arange(len(i)), 2)
    arrive = 2 * (chord_begins[chord_of] + place)  # part of the chord before the crossing; + 2 is the part after
    origin[2 * chord_begins[:-1]] = num_vertices + p
    origin[arrive + 2] = meet_vertex
    origin[arrive + 1] = meet_vertex
    origin[2 * (chord_begins[1:] - 1) + 1] = num_vertices + q

    # Old corners.
    half = np.flatnonzero(cells.follows >= 0)
    last = np.where(half & 1, 2 * edge_begins[half >> 1] + 1, 2 * (edge_begins[(half >> 1) + 1] - 1))
    after = cells.follows[half]
    follows[last] = np.where(after & 1, 2 * (edge_begins[(after >> 1) + 1] - 1) + 1, 2 * edge_begins[after >> 1])
    # Ends of chords: from the boundary into the chord, and from the chord on along the boundary.
    leave = np.empty(len(end_at), np.intp)
    leave[chords.start] = 2 * chord_begins[:-1]
    leave[chords.stop] = 2 * (chord_begins[1:] - 1) + 1
    for side, arriving, going in ((0, 2 * part, 2 * part + 2), (1, 2 * part + 3, 2 * part + 1)):
        here = seen[:, side]
        into = leave[chords.rank[here, side]]
        follows[arriving[here]] = into
        follows[into ^ 1] = going[here]
    # Crossings: j comes from the right of i.
    arrive_i, arrive_j = arrive[: len(i)], arrive[len(i) :]
    follows[arrive_i] = arrive_j + 2
    follows[arrive_j] = arrive_i + 1
    follows[arrive_i + 3] = arrive_j + 1
    follows[arrive_j + 3] = arrive_i + 2
    return Map(points, activate(hidden, layer.slope), origin, follows)


def between(values: Floats, first: Ints, second: Ints, t: Floats) -> Floats:
    """(1 - t) values[first] + t values[second], written so that t = 0 gives the first exactly. Returns: (len(t), m)."""
    start = values[first]
    way = values[second]
    way -= start
    way *= t[:, None]
    way += start
    return way


def cross(first: Floats, second: Floats) -> Floats:
    """x₁y₂ - x₂y₁ of vectors (N, 2)."""
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


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
