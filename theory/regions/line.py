"""The pieces of a network on a line segment, exactly.

Between two neighbouring kinks of the first l layers, layer l + 1 is affine: a unit that changes sign between them has
one zero there, found by interpolation. One sorted array of kinks is refined layer by layer; nothing is sampled. Kinks
of several units at one place differ by rounding: those within it are one.

Letters: K kinks including the two ends, n units of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theory.regions.network import Floats, Layer, check_layers, outputs, pre_activations
from theory.regions.planar_map import TooManyRegionsError

ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a kink, as a share of the larger end


def kinks(layers: Sequence[Layer], low: float, high: float, max_regions: int = 1 << 22) -> Floats:
    """Where a network of one input bends within [low, high], with both ends.

    A kink of a hidden unit counts even where the output does not bend, as behind a layer that is dead there.

    Args:
        layers: The network; use `theory.regions.network.on_slice` for a segment of a higher space.
        low: Left end.
        high: Right end, above ``low``.
        max_regions: Refuse to go on beyond so many intervals.

    Returns:
        Increasing places, shape (K,), further apart than ``ROUNDING`` of the larger end; the network has K - 1
        activation regions.

    Raises:
        ValueError: If the segment is empty or the network takes more than one input.
        TooManyRegionsError: Beyond ``max_regions``, with the count so far.
    """
    layers = check_layers(layers)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"the segment must have low < high, both finite; got {low:g}, {high:g}")
    if layers[0].weight.shape[1] != 1:
        raise ValueError(f"a line needs a network of 1 input, this one takes {layers[0].weight.shape[1]}")
    places, same = np.array([low, high], np.float64), ROUNDING * max(abs(low), abs(high))
    for depth, layer in enumerate(layers):
        if layer.slope == 1:
            continue
        found, total = [places], len(places)
        step = max(1, (1 << 22) // len(layer.bias))
        for first in range(0, len(places) - 1, step):
            part = places[first : first + step + 1]
            z = pre_activations(layers, part[:, None], depth)  # (K, n)
            interval, unit = np.nonzero((z[:-1] > 0) != (z[1:] > 0))
            left, right = z[interval, unit], z[interval + 1, unit]
            at = part[interval] + (part[interval + 1] - part[interval]) * (left / (left - right))
            found.append(at)
            total += len(at)
            if total - 1 > max_regions:
                raise TooManyRegionsError(total - 1, max_regions)
        inner = np.sort(np.concatenate(found))
        inner = inner[np.diff(inner, prepend=low) > same]
        places = np.concatenate([[low], inner[high - inner > same], [high]])
    return places


def linear_pieces(layers: Sequence[Layer], low: float, high: float, tolerance: float = 1e-9) -> int:
    """Pieces of the function itself: neighbouring intervals on which the output has the same slope are one piece.

    Args:
        layers: A network of one input.
        low: Left end.
        high: Right end.
        tolerance: Slopes are equal within this share of the largest slope.

    Raises:
        ValueError: As `kinks`.
    """
    places = kinks(layers, low, high)
    values = outputs(check_layers(layers), places[:, None])  # (K, outputs)
    slopes = np.diff(values, axis=0) / np.diff(places)[:, None]
    bends = np.abs(np.diff(slopes, axis=0)).max(1) > tolerance * np.abs(slopes).max()
    return 1 + int(bends.sum())
