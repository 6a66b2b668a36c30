"""A network as a list of affine maps with kinks, and what it is on a line or a plane of its input space.

A layer is x → a(Wx + b) with a(z) = max(z, 0) + slope · min(z, 0): slope 0 is ReLU, slope 1 no activation at all. On
the plane x = o + s u + t v the first layer reads W[u v](s, t) + (Wo + b): a network again, now of two inputs. So
everything is counted for one or two inputs, whatever the number of pixels.

Letters: n units of a layer, m inputs of a layer, D inputs of the network, d dimension of the slice, P points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
BLOCK = 1 << 16  # points evaluated at once


class Layer(NamedTuple):
    """Weight (n, m), bias (n,) and slope of the activation below zero."""

    weight: Floats
    bias: Floats
    slope: float


def check_layers(layers: Sequence[Layer]) -> list[Layer]:
    """The layers in float64, with those that have no activation merged into the next.

    Args:
        layers: Weight (n, m), bias (n,), slope; each layer's m is the n of the one before.

    Returns:
        Equivalent layers, of which only the last may have slope 1.

    Raises:
        ValueError: If there is no layer, a layer has no units, shapes do not fit or a number is not finite.
    """
    if not layers:
        raise ValueError("a network needs at least one layer, got none")
    checked: list[Layer] = []
    for place, (weight, bias, slope) in enumerate(layers):
        weight, bias = np.asarray(weight, np.float64), np.asarray(bias, np.float64)
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or 0 in weight.shape:
            raise ValueError(
                f"layer {place}: weight {weight.shape} and bias {bias.shape}; allowed: (n, m), (n,), n ≥ 1"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all() and np.isfinite(slope)):
            raise ValueError(f"layer {place} holds numbers that are not finite")
        if place and weight.shape[1] != layers[place - 1][0].shape[0]:
            raise ValueError(
                f"layer {place} takes {weight.shape[1]} inputs, the one before gives {len(layers[place - 1][0])}"
            )
        if checked and checked[-1].slope == 1:
            before = checked.pop()
            weight, bias = weight @ before.weight, weight @ before.bias + bias
        checked.append(Layer(weight, bias, float(slope)))
    return checked


def on_slice(layers: Sequence[Layer], origin: ArrayLike, directions: ArrayLike) -> list[Layer]:
    """The network on x = origin + coordinates @ directions.

    Args:
        layers: The network, of D inputs.
        origin: o, shape (D,).
        directions: One row an axis of the slice, shape (d, D), linearly independent.

    Returns:
        A network of d inputs.

    Raises:
        ValueError: If shapes do not fit or the directions are dependent.
    """
    first, *others = check_layers(layers)
    origin, directions = np.asarray(origin, np.float64), np.atleast_2d(np.asarray(directions, np.float64))
    inputs = first.weight.shape[1]
    if origin.shape != (inputs,) or directions.shape[1] != inputs:
        raise ValueError(f"the slice lies in {directions.shape[1]} dimensions, the network takes {inputs} inputs")
    if np.linalg.matrix_rank(directions) < len(directions):
        raise ValueError(f"the {len(directions)} directions of the slice are linearly dependent")
    return [Layer(first.weight @ directions.T, first.weight @ origin + first.bias, first.slope), *others]


def activate(values: Floats, slope: float) -> Floats:
    """max(z, 0) + slope · min(z, 0); may be written over ``values``."""
    if slope > 1:
        return np.where(values > 0, values, slope * values)
    return np.maximum(values, slope * values if slope else 0.0, out=values)


def pre_activations(layers: Sequence[Layer], points: Floats, depth: int) -> Floats:
    """W h + b of layer ``depth`` (from 0) at the points. Args: points (P, d). Returns: (P, n)."""
    hidden = points
    for layer in layers[:depth]:
        hidden = activate(hidden @ layer.weight.T + layer.bias, layer.slope)
    return hidden @ layers[depth].weight.T + layers[depth].bias


def outputs(layers: Sequence[Layer], points: Floats) -> Floats:
    """Output of the network at the points. Args: points (P, d). Returns: (P, outputs)."""
    blocks = [points[first : first + BLOCK] for first in range(0, max(len(points), 1), BLOCK)]
    last = len(layers) - 1
    return np.concatenate([activate(pre_activations(layers, block, last), layers[last].slope) for block in blocks])


def affine_maps(layers: Sequence[Layer], points: Floats) -> tuple[Floats, Floats]:
    """The affine map A x + c that the network is around each point, by the chain rule through its activation pattern.

    Args:
        layers: The network.
        points: Interior points of regions, shape (P, d).

    Returns:
        A of shape (P, outputs, d) and c of shape (P, outputs).
    """
    maps, offsets = [], []
    for first in range(0, max(len(points), 1), BLOCK):
        block = points[first : first + BLOCK]
        hidden, gains = block, []
        for layer in layers:
            hidden = hidden @ layer.weight.T + layer.bias
            gains.append(np.where(hidden > 0, 1.0, layer.slope))  # (P, n)
            hidden = activate(hidden, layer.slope)
        # Backwards one output at a time: a row vector through each layer, O(n²) and not O(n³).
        rows = []
        for output in range(hidden.shape[1]):
            row = gains[-1][:, output, None] * layers[-1].weight[output]  # (P, n)
            for layer, gain in zip(layers[-2::-1], gains[-2::-1], strict=True):
                row = (row * gain) @ layer.weight
            rows.append(row)
        matrix = np.stack(rows, 1)  # (P, outputs, d)
        maps.append(matrix)
        offsets.append(hidden - np.einsum("pod,pd->po", matrix, block))
    return np.concatenate(maps), np.concatenate(offsets)


def random_network(widths: Sequence[int], seed: int = 0, inputs: int = 2, slope: float = 0.0) -> list[Layer]:
    """A network as it is before training: weights N(0, 2/fan-in), biases N(0, 0.3²).

    Args:
        widths: Units of each layer.
        seed: Of NumPy's generator.
        inputs: Inputs of the first layer.
        slope: Of the activation for negative arguments, in each layer.
    """
    draw = np.random.default_rng(seed)
    return [
        Layer(draw.normal(0, math.sqrt(2 / before), (after, before)), draw.normal(0, 0.3, after), slope)
        for before, after in itertools.pairwise([inputs, *widths])
    ]
