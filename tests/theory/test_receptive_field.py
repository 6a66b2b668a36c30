"""Receptive field: the formula against the pixels whose gradient is not zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from theory.receptive_field import ReceptiveField, Window, chain_sizes, receptive_field


def chain(layers: list[Window], pool: set[int]) -> nn.Sequential:
    """One-dimensional layers: mean pools at the places in ``pool``, else convolutions whose weights are all one."""
    modules: list[nn.Module] = []
    for place, layer in enumerate(layers):
        if place in pool:
            modules.append(nn.AvgPool1d(layer.kernel, layer.stride, layer.padding))
        else:
            modules.append(nn.Conv1d(1, 1, layer.kernel, layer.stride, layer.padding, layer.dilation, bias=False))
            nn.init.ones_(modules[-1].weight)
    return nn.Sequential(*modules)


def seen(network: nn.Module, size: int, unit: int) -> list[int]:
    """First and last pixel with a gradient that is not zero."""
    pixels = torch.zeros(1, 1, size, requires_grad=True)
    network(pixels)[0, 0, unit].backward()
    return pixels.grad[0, 0].nonzero().flatten().tolist()


CHAINS: dict[str, tuple[list[Window], set[int]]] = {
    "empty": ([], set()),
    "one": ([Window(5)], set()),
    "three of three": ([Window(3, 1, 1)] * 3, set()),
    "strides": ([Window(3, 2, 1), Window(3, 2, 1), Window(3)], set()),
    "pooling": ([Window(5, 1, 2), Window(2, 2), Window(5, 1, 2), Window(2, 2)], {1, 3}),
    "padded pooling": ([Window(7, 2, 3), Window(3, 2, 1), Window(3, 1, 1), Window(3, 1, 1)], {1}),
    "dilation": ([Window(3), Window(3, 1, 2, 2), Window(3, 1, 4, 4)], set()),
    "all": ([Window(4, 2, 1), Window(3, 3, 1), Window(3, 1, 3, 3), Window(2, 2)], {1, 3}),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_gradient_is_not_zero_on_the_receptive_field(name: str) -> None:
    layers, pool = CHAINS[name]
    size = 97
    field = receptive_field(layers)
    network = chain(layers, pool)
    units = chain_sizes(size, layers)[-1] if layers else size
    assert network(torch.zeros(1, 1, size)).shape[-1] == units
    assert units > 2
    for unit in (0, units // 2, units - 1):
        found, due = seen(network, size, unit), field.pixels(unit, size)
        # Dilation leaves holes, so the ends count; at the border a hole may lie on the first pixel.
        if unit == units // 2:
            assert (found[0], found[-1]) == (due[0], due[-1])
            assert len(due) == field.size
        assert set(found) <= set(due)
        if all(layer.dilation == 1 for layer in layers):
            assert found == list(due)


def test_known_fields() -> None:
    # Two 3×3 layers see 5×5 and three see 7×7 (Simonyan, Zisserman 2015, section 2.3).
    assert receptive_field([Window(3)] * 2).size == 5
    assert receptive_field([Window(3)] * 3).size == 7
    # Stem of a ResNet: 7×7 at stride 2, then a 3×3 pool at stride 2.
    assert receptive_field([Window(7, 2, 3), Window(3, 2, 1)]) == ReceptiveField(size=11, jump=4, start=-5)


def test_units_in_the_padding_alone_see_nothing() -> None:
    field = receptive_field([Window(1, 1, 2)])
    assert [len(field.pixels(unit, 3)) for unit in range(7)] == [0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("layer", [Window(0), Window(1, 0), Window(1, 1, -1), Window(1, 1, 0, 0)])
def test_impossible_windows_are_refused(layer: Window) -> None:
    with pytest.raises(ValueError, match="a window needs"):
        receptive_field([layer])
