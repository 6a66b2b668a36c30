"""Pooling: what it saves and what it does not, and how far it forgets where something was.

Pooling keeps one number of each window. It has no parameters and changes none of a convolution's; it shrinks the maps,
and with them the later dense weights and the work of later layers. Its invariance is narrower than often said: a
circular shift by a multiple of the stride moves the output by whole units (so a global pool above it changes nothing at
all), and any other shift may change the output, because other pixels share a window.

Symbols: N pictures, C channels, H height, W width, s stride.

Sources:
    Zhang (2019), Making convolutional networks shift-invariant again, ICML, section 3.
    Azulay, Weiss (2019), Why do deep convolutional networks generalize so poorly to small image transformations?,
    Journal of Machine Learning Research 20.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from theory.convolution import convolution_multiply_adds, convolution_parameters, dense_parameters


class Costs(NamedTuple):
    """Parameters and work of convolution → (pooling) → convolution → dense, one picture."""

    first_convolution: int
    second_convolution: int
    dense: int
    multiply_adds: int


def shift_commutator(function: Callable[[Tensor], Tensor], images: Tensor, shift: int, output_shift: int) -> Tensor:
    """How far a function is from commuting with circular shifts, max |f(T_shift x) - T_output_shift f(x)|.

    Args:
        function: Maps (N, C, H, W) to (N, C', P, Q).
        images: Shape (N, C, H, W).
        shift: Pixels that the input moves, along height and width.
        output_shift: Units that the output is due to move, for stride s and shift = a s this is a.

    Returns:
        The largest absolute difference, 0 for an equivariant function, shape ().
    """
    moved = function(images.roll((shift, shift), dims=(-2, -1)))  # (N, C', P, Q)
    due = function(images).roll((output_shift, output_shift), dims=(-2, -1))
    return (moved - due).abs().max()


def smallest_shift_difference(function: Callable[[Tensor], Tensor], images: Tensor, shift: int) -> Tensor:
    """Distance of f(T_shift x) from every circular shift of f(x), the smallest: 0 if f only moved its output.

    Args:
        function: Maps (N, C, H, W) to (N, C', P, Q).
        images: Shape (N, C, H, W).
        shift: Pixels that the input moves, along height and width.

    Returns:
        min over (a, b) of max |f(T_shift x) - T_ab f(x)|, shape ().
    """
    moved = function(images.roll((shift, shift), dims=(-2, -1)))
    output = function(images)
    rows, columns = output.shape[-2:]
    differences = [
        (moved - output.roll((a, b), dims=(-2, -1))).abs().max() for a in range(rows) for b in range(columns)
    ]
    return torch.stack(differences).min()


def convolution_costs(
    size: int, in_channels: int, channels: int, kernel: int, num_classes: int, *, pool: int = 1
) -> Costs:
    """Parameters and multiply-adds of a small network with and without pooling between its two "same" convolutions.

    Args:
        size: Edge of the square picture, divisible by ``pool``.
        in_channels: Channels of the picture.
        channels: Channels of both convolutions.
        kernel: Odd kernel size f.
        num_classes: Units of the dense layer on the flattened maps.
        pool: Window and stride of the pooling; 1 means none.

    Returns:
        The counts. Only ``dense`` and ``multiply_adds`` depend on ``pool``.

    Raises:
        ValueError: If the picture does not divide into the windows.
    """
    if pool < 1 or size % pool:
        raise ValueError(f"a picture of {size} does not divide into windows of {pool}")
    pooled = size // pool
    features = channels * pooled * pooled
    work = (
        convolution_multiply_adds(in_channels, channels, kernel, size)
        + convolution_multiply_adds(channels, channels, kernel, pooled)
        + features * num_classes
    )
    return Costs(
        first_convolution=convolution_parameters(in_channels, channels, kernel),
        second_convolution=convolution_parameters(channels, channels, kernel),
        dense=dense_parameters(features, num_classes),
        multiply_adds=work,
    )
