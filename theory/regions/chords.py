"""Where a layer cuts the regions of the layers before it: chords, and which of them cross.

Two chords of a convex region cross just when their ends interleave along its boundary. Ends are numbered along a tour
of all boundaries, region after region, so that the test compares whole numbers and nothing is rounded.

Letters: V vertices, E edges, n units of the layer, K ends of chords, C chords, X crossings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from theory.regions.network import Floats, Ints
from theory.regions.planar_map import Map, offsets, tours

BLOCK = 1 << 22  # pairs of chords looked at together


class Chords(NamedTuple):
    """What a layer cuts, before anything is cut.

    Attributes:
        edge: Edge of each end of a chord, in order along each edge, shape (K,).
        unit: Unit that has its kink there, shape (K,).
        t: Its place on the edge in [0, 1], shape (K,).
        rank: Place of each end in the tour of all boundaries, seen from the left and the right side, shape (K, 2); -1
            where that side lies outside.
        start: Rank of each chord's first end, increasing, shape (C,).
        stop: Rank of its other end, shape (C,).
        first: Chord of each crossing that starts first, shape (X,).
        second: The other chord, shape (X,).
        least: Smallest size of a pre-activation at either vertex of an edge that is cut; infinite if none is.
        num_crossings: X, also when the crossings themselves were not asked for.
    """

    edge: Ints
    unit: Ints
    t: Floats
    rank: Ints
    start: Ints
    stop: Ints
    first: Ints
    second: Ints
    least: float
    num_crossings: int


def ragged(starts: Ints, counts: Ints) -> Ints:
    """The ranges start, …, start + count - 1 one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)


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
    least = min(float(np.abs(at).min(initial=np.inf)) for at in (at_a, at_b))
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
    return Chords(
        edge=edge,
        unit=unit,
        t=t,
        rank=rank,
        start=start,
        stop=stop,
        first=first,
        second=second,
        least=least,
        num_crossings=crossings,
    )


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
