"""Receptive field: which input pixels can one unit of a chain of layers see.

Going back through a layer, one position widens to a window of k = d (f - 1) + 1 positions, and neighbouring positions
are s positions of the layer below apart. So after layers 1..l

    r_l = 1 + Σ_i (k_i - 1) Π_{j<i} s_j        size, in input pixels
    J_l = Π_i s_i                              jump: distance of neighbouring units, in input pixels
    a_l = -Σ_i p_i Π_{j<i} s_j                 start: first pixel that unit 0 sees (negative: in the padding)

and unit i sees the pixels a_l + i J_l … a_l + i J_l + r_l - 1. The size is an upper bound on what matters: kernels that
are near zero, and the middle being seen through many more paths than the edge, make the effective field smaller.

Sources:
    Dumoulin, Visin (2016), arXiv:1603.07285.
    Araujo, Norris, Sim (2019), Computing receptive fields of convolutional neural networks, Distill, equations 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from theory.convolution import output_size


class Window(NamedTuple):
    """One layer with a sliding window, convolution or pooling, along one axis.

    Args:
        kernel: f, at least 1.
        stride: s, at least 1.
        padding: p on each side, at least 0.
        dilation: d, at least 1.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


class ReceptiveField(NamedTuple):
    """What unit 0 of the last layer sees: pixels start..start + size - 1; unit 1 sees ``jump`` pixels further."""

    size: int
    jump: int
    start: int

    def pixels(self, unit: int, input_size: int) -> range:
        """Input pixels inside the picture that a unit sees.

        Args:
            unit: Index of the unit in the last layer.
            input_size: n of the first layer.

        Returns:
            The pixels, empty if the unit sees padding alone.
        """
        first = self.start + unit * self.jump
        return range(min(max(first, 0), input_size), max(min(first + self.size, input_size), 0))


def receptive_field(layers: Iterable[Window]) -> ReceptiveField:
    """Size, jump and start of a chain of layers, first layer first.

    Args:
        layers: The chain; an empty one sees its own pixel.

    Returns:
        Size r, jump J and start a, in input pixels.

    Raises:
        ValueError: If a layer has a value out of its range.
    """
    size, jump, start = 1, 1, 0
    for layer in layers:
        if min(layer.kernel, layer.stride, layer.dilation) < 1 or layer.padding < 0:
            raise ValueError(f"a window needs kernel, stride, dilation >= 1 and padding >= 0, not {layer}")
        size += layer.dilation * (layer.kernel - 1) * jump
        start -= layer.padding * jump
        jump *= layer.stride
    return ReceptiveField(size, jump, start)


def chain_sizes(size: int, layers: Sequence[Window]) -> list[int]:
    """Size after each layer of a chain.

    Args:
        size: n of the input.
        layers: The chain, first layer first.

    Returns:
        One output size a layer.

    Raises:
        ValueError: If a window does not fit; see ``theory.convolution.output_size``.
    """
    sizes = []
    for layer in layers:
        size = output_size(size, *layer)
        sizes.append(size)
    return sizes
