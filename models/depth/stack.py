"""Many networks of one shape as one tensor programme: a layer of S networks is one batched product.

Letters: S networks, N points, m inputs, n outputs of a layer.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

from theory.regions.network import Layer

BIAS_DEVIATION = 0.3


class Stack(nn.Module):
    """S independent dense networks with ReLU or leaky ReLU.

    Weights start as N(0, 2/((1 + slope²) m)) (He), hidden biases as N(0, 0.3²): with zero biases every kink of the
    first layer would pass through the origin.

    Args:
        num_networks: S.
        sizes: Inputs, hidden widths, outputs.
        slope: Of the activation below zero; 0 is ReLU.
    """

    def __init__(self, num_networks: int, sizes: list[int], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for place, (inputs, units) in enumerate(itertools.pairwise(sizes)):
            last = place == len(sizes) - 2
            gain = 1.0 if last else 2 / (1 + slope**2)
            self.weights.append(torch.randn(num_networks, inputs, units) * math.sqrt(gain / inputs))
            self.biases.append(torch.randn(num_networks, 1, units) * (0.0 if last else BIAS_DEVIATION))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of all networks. Args: x (N, m). Returns: (S, N, n)."""
        hidden = x.expand(self.weights[0].shape[0], *x.shape)  # (S, N, m)
        last = len(self.weights) - 1
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if place < last:
                hidden = nn.functional.leaky_relu(hidden, self.slope) if self.slope else hidden.relu()
        return hidden

    def layers(self, network: int) -> list[Layer]:
        """One of the networks as arrays, in float64."""
        last = len(self.weights) - 1
        return [
            Layer(as_array(weight[network].T), as_array(bias[network, 0]), 1.0 if place == last else self.slope)
            for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True))
        ]


def as_array(tensor: Tensor) -> np.ndarray:
    """Numbers of a tensor in float64."""
    return tensor.detach().cpu().double().numpy()


def sequential_layers(network: nn.Sequential, name: str = "network") -> list[Layer]:
    """A trained ``nn.Sequential`` as arrays for `theory.regions`.

    Args:
        network: Of Linear, ReLU and LeakyReLU; Flatten, Identity and Dropout (which is silent after training) may stand
            between them, and a Sequential may stand in a Sequential.
        name: What to call it in errors.

    Raises:
        ValueError: If it has another layer, which is named, or no Linear at all.
    """
    layers: list[Layer] = []
    for place, module in flat_modules(network, name):
        if isinstance(module, nn.Linear):
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            layers.append(Layer(as_array(module.weight), as_array(bias), 1.0))
        elif isinstance(module, nn.ReLU | nn.LeakyReLU):
            if not layers:
                raise ValueError(f"{place} ({type(module).__name__}) stands before the first Linear")
            slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            before = layers[-1]
            if before.slope != 1:  # an activation of an activation
                identity = np.eye(len(before.bias))
                layers.append(Layer(identity, np.zeros(len(before.bias)), slope))
            else:
                layers[-1] = Layer(before.weight, before.bias, slope)
        elif not isinstance(module, nn.Flatten | nn.Identity | nn.Dropout):
            raise ValueError(
                f"{place} is {type(module).__name__}; regions are counted for Linear, ReLU and LeakyReLU only"
            )
    if not layers:
        raise ValueError(f"{name} has no Linear layer")
    return layers


def flat_modules(network: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """The layers with their dotted names, nested Sequentials opened."""
    found: list[tuple[str, nn.Module]] = []
    for key, module in network.named_children():
        inner = isinstance(module, nn.Sequential)
        found += flat_modules(module, f"{name}.{key}") if inner else [(f"{name}.{key}", module)]
    return found
