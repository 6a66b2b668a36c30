"""Whether the kinks of a layer are in general position, beyond what rounding leaves open.

Numbers of regions follow from signs and from the order of places on a line. Neither can be told where a kink runs
through a vertex of the map, where two meet on an edge, or where three meet at a point.

Letters: V vertices, E edges, n units of the layer, K ends of chords, C chords, X crossings.
"""

from __future__ import annotations

import numpy as np

from theory.regions.chords import Chords
from theory.regions.network import Floats, Layer
from theory.regions.planar_map import Map
from theory.regions.plane import crossing_places, ends_of_chords

ROUNDING = 16 * float(np.finfo(np.float64).eps)  # below this share a pre-activation or a distance may be 0
CROSSINGS = 1 << 17  # compared up to this number


def is_general(cells: Map, z: Floats, chords: Chords, layer: Layer) -> bool:
    """Whether a layer cuts the map through no vertex, and no two of its kinks at the same place of a third.

    Args:
        cells: The map before the layer.
        z: Its pre-activations at the vertices, (V, n).
        chords: Where it cuts. Crossings are compared if they are given one by one, and not too many.
        layer: The layer.
    """
    largest = np.maximum(cells.hidden.max(axis=0), -cells.hidden.min(axis=0))
    size = largest @ np.abs(layer.weight).T + np.abs(layer.bias)  # (n,)
    if chords.least < ROUNDING * size.max():  # so that every end need be looked at
        ends = np.stack([cells.origin[0::2][chords.edge], cells.origin[1::2][chords.edge]])
        if (np.abs(z[ends, chords.unit]) < ROUNDING * size[chords.unit]).any():  # (2, K): a vertex on the kink
            return False
    if ((np.diff(chords.t) < ROUNDING) & (chords.edge[1:] == chords.edge[:-1])).any():
        return False
    i, j = chords.first, chords.second
    if len(i) < 2 or len(i) > CROSSINGS:
        return True
    _, on_i, on_j = crossing_places(cells, chords, *ends_of_chords(chords))
    chord, place = np.concatenate([i, j]), np.concatenate([on_i, on_j])
    order = np.lexsort((place, chord))
    same_chord = np.diff(chord[order]) == 0
    return not (np.diff(place[order])[same_chord] < ROUNDING).any()
