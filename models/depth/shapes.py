"""Networks of the same budget, from one wide layer to many narrow ones.

Letters: L hidden layers, w units in each, m inputs, k outputs.
"""

from __future__ import annotations

import itertools


def parameters(widths: list[int], inputs: int, outputs: int) -> int:
    """Weights and biases of a dense network."""
    sizes = [inputs, *widths, outputs]
    return sum(after * (before + 1) for before, after in itertools.pairwise(sizes))


def equal_neurons(neurons: int, depth: int) -> list[int]:
    """So many neurons in so many layers, as evenly as can be, the wider layers first.

    Raises:
        ValueError: If a layer would be empty.
    """
    if not 1 <= depth <= neurons:
        raise ValueError(f"--model.depths: {neurons} neurons fill 1 to {neurons} layers, not {depth}")
    return [neurons // depth + (layer < neurons % depth) for layer in range(depth)]


def equal_parameters(limit: int, depth: int, inputs: int, outputs: int) -> list[int]:
    """The widest network of ``depth`` layers that has no more than ``limit`` parameters; layers differ by one at most.

    Raises:
        ValueError: If even layers of one neuron have more.
    """
    if depth < 1 or parameters([1] * depth, inputs, outputs) > limit:
        raise ValueError(
            f"--model.depths: no network of {depth} hidden layers has {limit} parameters or fewer, those of "
            "--model.neurons in one layer"
        )
    neurons = depth
    while parameters(equal_neurons(neurons + 1, depth), inputs, outputs) <= limit:
        neurons += 1
    return equal_neurons(neurons, depth)


def same_budget(budget: str, neurons: int, depths: list[int], inputs: int, outputs: int) -> list[list[int]]:
    """Widths of a network for each depth; all have the neurons, or at most the parameters, of one layer of ``neurons``.

    Raises:
        ValueError: If there is no depth, one comes twice, or a layer would be empty.
    """
    if not depths or len(set(depths)) < len(depths) or min(depths) < 1:
        raise ValueError(f"--model.depths must be different whole numbers from 1, got {depths}")
    if budget == "neurons":
        return [equal_neurons(neurons, depth) for depth in sorted(depths)]
    limit = parameters([neurons], inputs, outputs)
    return [equal_parameters(limit, depth, inputs, outputs) for depth in sorted(depths)]


def shape_name(widths: list[int]) -> str:
    """``48``, ``4×12`` (layers × units), or ``3×4–5`` where the widths differ (the last and the first)."""
    if len(widths) == 1:
        return f"{widths[0]}"
    if len(set(widths)) == 1:
        return f"{len(widths)}×{widths[0]}"
    return f"{len(widths)}×{widths[-1]}–{widths[0]}"


def picture_inputs(in_channels: int, image_size: list[int]) -> int:
    """Numbers of a picture.

    Raises:
        ValueError: If the sizes are none.
    """
    if len(image_size) != 2 or min(*image_size, in_channels) < 1:
        raise ValueError(
            f"image_size must be [height, width] from 1 and in_channels at least 1, got {image_size} and {in_channels}"
        )
    return in_channels * image_size[0] * image_size[1]
