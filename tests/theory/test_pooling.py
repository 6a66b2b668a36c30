"""Pooling: its narrow invariance, its gradient and its costs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from theory.pooling import convolution_costs, shift_commutator, smallest_shift_difference


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_shifts_by_the_stride_move_the_output_and_others_change_it(pool, stride: int, images: torch.Tensor) -> None:
    def pooled(x: torch.Tensor) -> torch.Tensor:
        return pool(x, stride)

    for multiple in (1, 2):
        assert shift_commutator(pooled, images, multiple * stride, multiple) == 0
        assert smallest_shift_difference(pooled, images, multiple * stride) == 0
    for shift in range(1, stride):
        assert smallest_shift_difference(pooled, images, shift) > 0.1


def test_a_global_pool_is_invariant_to_every_circular_shift(images: torch.Tensor) -> None:
    for shift in range(8):
        assert shift_commutator(lambda x: F.adaptive_max_pool2d(x, 1), images, shift, 0) == 0


def test_the_gradient_of_a_maximum_goes_to_its_place_alone(images: torch.Tensor) -> None:
    images.requires_grad_()
    F.max_pool2d(images, 2).sum().backward()
    windows = images.detach().unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # (N, C, 4, 4, 4): pixels of a window last
    gradient = images.grad.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert torch.equal(gradient, F.one_hot(windows.argmax(-1), 4).double())


def test_pooling_shrinks_dense_weights_and_work_but_no_convolution() -> None:
    without, pooled = (convolution_costs(28, 1, 16, 3, 10, pool=pool) for pool in (1, 2))
    assert pooled[:2] == without[:2]  # parameters of both convolutions
    assert (without.dense, pooled.dense) == (16 * 28 * 28 * 10 + 10, 16 * 14 * 14 * 10 + 10)
    assert pooled.multiply_adds < without.multiply_adds
    with pytest.raises(ValueError, match="does not divide"):
        convolution_costs(28, 1, 16, 3, 10, pool=3)


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_costs_equal_those_of_the_network(pool: int) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4 * (8 // pool) ** 2, 5))
    network = nn.Sequential(layers[0], nn.MaxPool2d(pool), layers[1], nn.Flatten(), layers[2])
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    costs = convolution_costs(8, 1, 4, 3, 5, pool=pool)
    assert list(costs[:3]) == counts
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 8, 8))
    assert counter.get_total_flops() == 2 * costs.multiply_adds
