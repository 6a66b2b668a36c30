"""Back-propagation written out for a plain network with tanh units: the residuals δ and the gradients they give.

    z_l = W_l h_{l−1} + b_l,  h_l = tanh z_l,  the last layer linear,  L = ½ Σ (z_last − y)² / N
    δ_last = ∂L/∂z_last = (z_last − y)/N,   δ_l = (δ_{l+1} W_{l+1}) ⊙ (1 − h_l²),   ∂L/∂W_l = δ_lᵀ h_{l−1}

Source:
    Linnainmaa (1970); Rumelhart, Hinton and Williams (1986), equations 5 to 7.
"""

# N samples, H units of a layer

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Layer = tuple[Tensor, Tensor]  # weight (H_out, H_in), bias (H_out,)


def forward(layers: Sequence[Layer], x: Tensor) -> list[Tensor]:
    """Pre-activations of every layer, each of shape (N, H)."""
    hidden, outputs = x, []
    for weight, bias in layers:
        outputs.append(hidden @ weight.T + bias)
        hidden = outputs[-1].tanh()
    return outputs


def loss(layers: Sequence[Layer], x: Tensor, y: Tensor) -> Tensor:
    """Half the mean squared distance from y, shape (N, H), a scalar."""
    return (forward(layers, x)[-1] - y).square().sum() / (2 * len(x))


def residuals(layers: Sequence[Layer], x: Tensor, y: Tensor) -> list[Tensor]:
    """δ_l = ∂L/∂z_l of every layer, each of shape (N, H)."""
    outputs = forward(layers, x)
    deltas = [(outputs[-1] - y) / len(x)]
    for (weight, _), below in zip(reversed(layers), reversed(outputs[:-1]), strict=False):
        deltas.append((deltas[-1] @ weight) * (1 - below.tanh() ** 2))
    return deltas[::-1]


def gradients(layers: Sequence[Layer], x: Tensor, y: Tensor) -> list[Layer]:
    """Gradients of the loss in the weights and biases of every layer."""
    hidden = [x, *(z.tanh() for z in forward(layers, x)[:-1])]
    return [(delta.T @ below, delta.sum(0)) for delta, below in zip(residuals(layers, x, y), hidden, strict=True)]


def random_layers(sizes: Sequence[int], generator: torch.Generator) -> list[Layer]:
    """Layers of normal weights of variance 1/fan-in, float64."""
    return [
        (
            torch.randn(wide, narrow, generator=generator, dtype=torch.float64) / narrow**0.5,
            0.1 * torch.randn(wide, generator=generator, dtype=torch.float64),
        )
        for narrow, wide in pairwise(sizes)
    ]
