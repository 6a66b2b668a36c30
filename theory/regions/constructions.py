"""Deep networks written down, not trained, that no shallow one of the same size can equal.

The hat g(x) = 2 relu(x) - 4 relu(x - 1/2) maps [0, 1] onto itself twice. Composed L times it is a sawtooth of 2^L
pieces made of 2L units; one hidden layer needs a unit for each kink. All weights are dyadic: float64 is exact here.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

from theory.regions.line import kinks
from theory.regions.network import Floats, Layer, check_layers, outputs

_HAT = np.array([2.0, -4.0])
Numbers = TypeVar("Numbers", Floats, Tensor)


def _check(stages: int) -> None:
    if not 1 <= stages <= 50:
        raise ValueError(f"stages must be in 1..50, beyond which the dyadic weights leave float64; got {stages}")


def sawtooth(stages: int) -> list[Layer]:
    """The hat composed with itself: 2 units a layer, 2^L pieces on [0, 1].

    Args:
        stages: L, in 1..50.

    Raises:
        ValueError: If ``stages`` is out of range.

    Source:
        Telgarsky (2016), Benefits of depth in neural networks, lemma 3.11.
    """
    _check(stages)
    bias = np.array([0.0, -0.5])
    first = Layer(np.ones((2, 1)), bias, 0.0)
    return [first, *[Layer(np.stack([_HAT, _HAT]), bias, 0.0)] * (stages - 1), Layer(_HAT[None], np.zeros(1), 1.0)]


def sawtooth_values(x: Numbers, stages: int) -> Numbers:
    """The same function as a triangle wave, without a network. Args: x in [0, 1], any shape; L."""
    phase = (x * 2.0 ** (stages - 1)) % 1
    wave: Numbers = 1 - abs(2 * phase - 1)
    return wave


def folded(folds: int, lines: Floats, offsets: Floats) -> list[Layer]:
    """A layer that folds [0, 1]² onto itself p² times, and a layer of units on what it gives.

    Along each coordinate relu(p x), relu(2 (p x - 1)), … with signs + - + … is a zigzag of p pieces between 0 and 1.
    Every region of the units in [0, 1]² is there once in each of the p² cells.

    Args:
        folds: p, at least 1; 2p units fold.
        lines: Normals of the units' kinks, shape (n, 2).
        offsets: c, the kinks are where lines · x = c, shape (n,).

    Source:
        Montúfar, Pascanu, Cho, Bengio (2014), On the number of linear regions of deep neural networks, theorem 4.
    """
    if folds < 1:
        raise ValueError(f"folds must be at least 1, got {folds}")
    slopes = np.array([folds, *[2 * folds] * (folds - 1)], np.float64)
    signs = (-1.0) ** np.arange(folds)
    columns = np.repeat(np.eye(2), folds, axis=0)  # (2p, 2): the coordinate of each folding unit
    first = Layer(columns * np.tile(slopes, 2)[:, None], np.tile(-2.0 * np.arange(folds), 2), 0.0)
    return [first, Layer(lines @ (columns * np.tile(signs, 2)[:, None]).T, -offsets, 0.0)]


def square(stages: int) -> list[Layer]:
    """x² on [0, 1] interpolated at the multiples of 2^{-m}: x - Σ_{s≤m} 4^{-s} g_s(x), g_s the s-fold hat.

    A stage takes 3 units. The third unit carries the sum, which is at least x² ≥ 0 and so passes a ReLU unchanged.

    Args:
        stages: m, in 1..25.

    Raises:
        ValueError: If ``stages`` is out of range.

    Source:
        Yarotsky (2017), Error bounds for approximations with deep ReLU networks, proposition 2.
    """
    _check(2 * stages)
    bias = np.array([0.0, -0.5, 0.0])
    layers = [Layer(np.ones((3, 1)), bias, 0.0)]
    for stage in range(1, stages + 1):
        total = np.array([-(4.0**-stage) * _HAT[0], -(4.0**-stage) * _HAT[1], 1.0])
        if stage == stages:
            return [*layers, Layer(total[None], np.zeros(1), 1.0)]
        hat = np.append(_HAT, 0.0)
        layers.append(Layer(np.stack([hat, hat, total]), bias, 0.0))
    raise AssertionError


def square_error(stages: int) -> float:
    """Sup error of `square`: 2^{-(2m+2)}, at the middle of every piece."""
    return 2.0 ** -(2 * stages + 2)


def shallow_square_error(pieces: int) -> float:
    """Least sup error of any broken line of N pieces for x² on [0, 1]: 1/(8N²).

    On a cell of length h the best line is h²/8 away from x², above and below in turn; equal cells are best.
    """
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, got {pieces}")
    return 1 / (8 * pieces**2)


def shallow_pieces_needed(error: float) -> int:
    """Pieces that a broken line needs for x² on [0, 1] with this sup error, above 0."""
    if not 0 < error < math.inf:
        raise ValueError(f"error must be above 0 and finite, got {error:g}")
    pieces = max(1, math.floor(math.sqrt(1 / (8 * error))))
    while shallow_square_error(pieces) > error:
        pieces += 1
    return pieces


def measured_square_error(stages: int) -> float:
    """Largest distance of `square` from x² on [0, 1]: on a piece it is largest in the middle, so nothing is sampled."""
    layers = check_layers(square(stages))
    places = kinks(layers, 0.0, 1.0)
    middles = (places[1:] + places[:-1]) / 2
    x = np.concatenate([places, middles])
    return float(np.abs(outputs(layers, x[:, None])[:, 0] - x**2).max())
