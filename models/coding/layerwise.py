"""Greedy layer-wise pretraining: each layer first learns to restore its own input, from the picture inwards.

Pair l of layers (encoder layer l and its partner in the decoder) is trained as a small autoencoder of what the l pairs
below it make of the picture; those stay as they are. Afterwards all layers learn together. Which pair learns is a
function of the step alone, so that a resumed run goes on exactly.

Source:
    Bengio, Lamblin, Popovici, Larochelle (2007), Greedy layer-wise training of deep networks.
    Hinton, Salakhutdinov (2006) do the same with restricted Boltzmann machines.
"""

import torch
from torch import Tensor

from models.coding.networks import Autoencoder, Dense
from models.optimisation import learning_rate_factor


def stage_at(step: int, total: int, share: float, layers: int) -> int | None:
    """Which pair of layers learns at a step.

    Args:
        step: Step from 0.
        total: Steps of the run.
        share: Share of them spent on pretraining, in [0, 1).
        layers: Number of pairs.

    Returns:
        The pair, from 0, or None when all learn together.
    """
    return min(int(step * layers / (share * total)), layers - 1) if step < share * total else None


def staged_factor(step: int, total: int, share: float, layers: int, warmup: float) -> float:
    """Learning-rate factor: the one-cycle of `learning_rate_factor` anew for each stage and for the rest."""
    stage = stage_at(step, total, share, layers)
    if stage is None:
        begin, length = share * total, (1 - share) * total
    else:
        length = share * total / layers
        begin = stage * length
    return learning_rate_factor(int(step - begin), max(1, round(length)), warmup, "linear")


def layer_error(model: Autoencoder, clean: Tensor, noise: float, place: int) -> Tensor:
    """Squared error of each picture with which pair ``place`` restores its input.

    Args:
        model: With a `Dense` network.
        clean: Pictures in 0..1, shape (N, C, H, W).
        noise: Standard deviation of the noise on the input of the pair.
        place: The pair, from 0.

    Returns:
        Shape (N,).
    """
    network = model.network
    assert isinstance(network, Dense)
    with torch.no_grad():
        seen = (clean - model.mean).flatten(1)
        for below in range(place):
            seen = network.activate(network.up(below, seen))
    noisy = seen + noise * torch.randn_like(seen) if noise else seen
    hidden = network.up(place, noisy)
    if place + 1 < len(network.encoder):
        hidden = network.activate(hidden)
    restored = network.down(place, hidden)
    if place:
        return (network.activate(restored) - seen).square().sum(1)
    return (model.output_of(restored) - clean).square().flatten(1).sum(1)
