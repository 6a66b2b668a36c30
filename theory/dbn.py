"""The deep belief network: what a stack of restricted Boltzmann machines says of a picture, at least.

Only the top two layers are a Boltzmann machine; below it, pictures are made downwards:

    p(v, h₁, …, h_L) = p(v | h₁) p(h₁ | h₂) … p(h_{L-1}, h_L)

Its likelihood cannot be computed, but any guess q of the hidden units bounds it from below (Jensen); here q is the
upward pass through the machines:

    log p(v) ≥ E_q[log p(v | h₁) + … + log p(h_{L-1})] + H(q),     log p(h_{L-1}) = -F_L(h_{L-1}) - log Z_L

For one machine the guess is exact. A second one that begins as the first turned upside down (W₂ = W₁ᵀ, its hidden
biases the first's visible ones) has the same p(h₁), so the bound is still exact; from there, whatever raises
E_q[log p(h₁)] raises the bound by as much. That is the case for greedy training, layer by layer.

Letters: N pictures, V visible units, H units of the first hidden layer, S = 2^V and R = 2^H states.

Source: Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets, section 4 and appendix;
Salakhutdinov and Murray (2008), section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from theory.rbm import binary_states, free_energy


class Machine(NamedTuple):
    """A restricted Boltzmann machine: W (below, above), a (below,), b (above,)."""

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor


def upside_down(machine: Machine) -> Machine:
    """The machine with its sides exchanged: what a new layer begins as to leave the bound where it is."""
    return Machine(machine.weight.T.clone(), machine.hidden_bias.clone(), machine.visible_bias.clone())


def bernoulli_log_probability(x: Tensor, logits: Tensor) -> Tensor:
    """Σ log p(x_i) of independent units with the given logits, in nats, over the last axis."""
    return (x * logits - F.softplus(logits)).sum(-1)


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Entropy of independent units with the given logits, in nats, over the last axis."""
    return (F.softplus(logits) - logits.sigmoid() * logits).sum(-1)


def variational_bound(
    v: Tensor, machines: Sequence[Machine], log_z_top: float, generator: torch.Generator | None = None
) -> Tensor:
    """An unbiased draw of the bound on log p(v): one upward pass is drawn for each picture; one machine draws nothing.

    Args:
        v: Binary pictures, shape (N, V).
        machines: From the pixels to the top, at least one.
        log_z_top: log Z of the top one, in nats.
        generator: Of the random numbers.

    Returns:
        In nats, shape (N,).
    """
    bound, below = torch.zeros(len(v), dtype=v.dtype, device=v.device), v
    for machine in machines[:-1]:
        up = torch.addmm(machine.hidden_bias, below, machine.weight)  # logits of the layer above, (N, above)
        probabilities = up.sigmoid()
        above = torch.bernoulli(probabilities, generator=generator)
        down = torch.addmm(machine.visible_bias, above, machine.weight.T)
        bound += bernoulli_log_probability(below, down) + bernoulli_entropy(up)
        below = above
    return bound - free_energy(below, *machines[-1]) - log_z_top


def hidden_log_prior(top: Machine) -> Tensor:
    """The logarithm of p(h₁) for all states under the top machine, by counting, shape (R,)."""
    states = binary_states(len(top.visible_bias), dtype=top.weight.dtype, device=top.weight.device)
    return torch.log_softmax(-free_energy(states, *top), 0)


def exact_log_likelihood(v: Tensor, bottom: Machine, top: Machine) -> Tensor:
    """The logarithm of p(v) under two layers, summed over all states of the first: log Σ_h p(v | h) p(h).

    Args:
        v: Pictures, shape (N, V).
        bottom: Pixels and first layer, at most 20 units in the latter.
        top: First and second layer.

    Returns:
        In nats, shape (N,).

    Raises:
        ValueError: If the first hidden layer has more than 20 units.
    """
    _, log_joint = _joint(v, bottom, top)
    return torch.logsumexp(log_joint, 1)


def exact_bound(v: Tensor, bottom: Machine, top: Machine) -> Tensor:
    """The bound for two layers with its expectation over q(h₁ | v) summed over all states, shape (N,).

    Raises:
        ValueError: If the first hidden layer has more than 20 units.
    """
    states, log_joint = _joint(v, bottom, top)
    up = torch.addmm(bottom.hidden_bias, v, bottom.weight)  # (N, H)
    log_q = up @ states.T - F.softplus(up).sum(-1, keepdim=True)  # (N, R)
    return (log_q.exp() * (log_joint - log_q)).sum(1)


def _joint(v: Tensor, bottom: Machine, top: Machine) -> tuple[Tensor, Tensor]:
    """All states h of the first hidden layer, shape (R, H), and the logarithm of p(v, h), shape (N, R)."""
    states = binary_states(len(bottom.hidden_bias), dtype=v.dtype, device=v.device)
    logits = torch.addmm(bottom.visible_bias, states, bottom.weight.T)  # (R, V)
    given = v @ logits.T - F.softplus(logits).sum(-1)  # log p(v | h), (N, R)
    return states, given + hidden_log_prior(top)
