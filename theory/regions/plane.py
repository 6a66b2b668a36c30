"""Cuts a polygon into the linear regions of a network of two inputs, all regions of a layer at once.

On a region of the first l layers, layer l + 1 is affine, so that each unit changes sign along one chord at most.
Regions are kept as a planar map: half-edge 2e runs along edge e, 2e + 1 back, each has the region on its left and knows
the half-edge that follows there. A layer is then three steps without a loop over regions or units:

1. an edge whose ends have different signs of a unit carries one end of a chord, at t = z_a/(z_a - z_b);
2. two chords of a region cross just when their ends interleave along its boundary, an exact test on whole numbers;
3. the new regions are the cycles of the new "follows", which is known from 1 and 2: at the end of a chord and at a
   crossing the region to the left turns left.

For the last layer nothing need be drawn: regions of a cell = 1 + chords + crossings. That holds in general position
(no three chords through one point), where a network with random weights is with probability 1; see
`theory.regions.position`.

Letters: V vertices, E edges, F regions, n units of the layer, K ends of chords, C chords, X crossings.
"""

from __future__ import annotations

import numpy as np

from theory.regions.chords import Chords
from theory.regions.network import Floats, Ints, Layer, activate
from theory.regions.planar_map import Map, offsets


def cut(cells: Map, z: Floats, chords: Chords, layer: Layer) -> Map:
    """The map after a layer. Args: z, pre-activations (V, n); chords, from `find_chords` with pairs."""
    num_vertices, num_ends = len(cells.points), len(chords.edge)
    a, b = cells.origin[0::2], cells.origin[1::2]
    num_edges = len(a)
    seen = chords.rank >= 0
    p, q = ends_of_chords(chords)  # (C,)

    i, j = chords.first, chords.second
    points, hidden, on_i, on_j = _vertices(cells, z, chords, p, q)

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
    leave = np.empty(2 * len(p), np.intp)
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


def ends_of_chords(chords: Chords) -> tuple[Ints, Ints]:
    """The end that each chord starts from and the one that it goes to, (C,) each."""
    end_at = np.empty(int(chords.rank.max(initial=-1)) + 1, np.intp)  # end of a chord by rank
    seen = chords.rank >= 0
    end_at[chords.rank[seen]] = np.broadcast_to(np.arange(len(chords.edge))[:, None], seen.shape)[seen]
    return end_at[chords.start], end_at[chords.stop]


def crossing_places(cells: Map, chords: Chords, p: Ints, q: Ints) -> tuple[Floats, Floats, Floats]:
    """Where chords end and cross.

    Args:
        cells: The map before.
        chords: The chords.
        p: The end that each chord starts from, (C,).
        q: The end that it goes to, (C,).

    Returns:
        Points of the ends (K, 2), and where each crossing lies on its first and on its second chord, in [0, 1], both
        (X,).
    """
    ends = between(cells.points, cells.origin[0::2][chords.edge], cells.origin[1::2][chords.edge], chords.t)
    i, j = chords.first, chords.second
    along = ends[q] - ends[p]
    along_i, along_j, apart = along[i], along[j], ends[p[j]] - ends[p[i]]
    with np.errstate(divide="ignore", invalid="ignore"):
        area = cross(along_i, along_j)
        on_i = np.nan_to_num(cross(apart, along_j) / area, nan=0.5, posinf=1, neginf=0).clip(0, 1)
        on_j = np.nan_to_num(cross(apart, along_i) / area, nan=0.5, posinf=1, neginf=0).clip(0, 1)
    return ends, on_i, on_j


def _vertices(cells: Map, z: Floats, chords: Chords, p: Ints, q: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Old vertices, ends of chords, crossings, in this order.

    Whatever is affine on a region, coordinates and pre-activations alike, is interpolated.

    Args:
        cells: The map before.
        z: Pre-activations of its vertices, (V, n).
        chords: The chords.
        p: The end that each chord starts from, (C,).
        q: The end that it goes to, (C,).

    Returns:
        Points (V + K + X, 2), their pre-activations (V + K + X, n), and where each crossing lies on its first and on
        its second chord, in [0, 1], both (X,).
    """
    num_vertices, num_ends = len(cells.points), len(chords.edge)
    from_edge = (cells.origin[0::2][chords.edge], cells.origin[1::2][chords.edge], chords.t)
    i = chords.first
    ends, on_i, on_j = crossing_places(cells, chords, p, q)
    points = np.concatenate([cells.points, ends, between(ends, p[i], q[i], on_i)])
    hidden = np.empty((len(points), z.shape[1]))
    hidden[:num_vertices] = z
    made = hidden[num_vertices : num_vertices + num_ends]
    made[:] = between(z, *from_edge)
    hidden[num_vertices + num_ends :] = between(made, p[i], q[i], on_i)
    return points, hidden, on_i, on_j


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
