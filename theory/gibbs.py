"""The Gibbs kernel of a small machine, its second eigenvalue, and the bias of contrastive divergence.

One sweep v → h → v' has the kernel T(v, v') = Σ_h p(h | v) p(v' | h). With A(v, h) = p(v, h) / √(p(v) p(h)),

    √p(v) T(v, v') / √p(v') = (A Aᵀ)(v, v')

so T is reversible with respect to p(v), its eigenvalues are the squared singular values of A (all in [0, 1], the first
is 1), and the second, λ₂, is the squared maximal correlation between the two sides. CD-k replaces the model's
moments by those k sweeps after the data, and what is wrong with them shrinks like λ₂ᵏ.

Letters: S = 2^V visible states, R = 2^H hidden states, N samples.

Source: Hinton (2002), Training products of experts by minimizing contrastive divergence; Fischer and Igel (2011),
Bounding the bias of contrastive divergence learning; Rényi (1959) for the maximal correlation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from theory.rbm import Moments, binary_states, free_energy, moments

MOST_STATES = 12  # units a side: a kernel of 4096 × 4096


def joint(weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """p(v, h) of all states in the order of `binary_states`, shape (S, R).

    Args:
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Raises:
        ValueError: If a side has more than 12 units.
    """
    for units, what in ((len(visible_bias), "the visible side"), (len(hidden_bias), "the hidden side")):
        if units > MOST_STATES:
            raise ValueError(f"{what} has {units} units: a Gibbs kernel is computed for at most {MOST_STATES}")
    v = binary_states(len(visible_bias), dtype=weight.dtype, device=weight.device)  # (S, V)
    h = binary_states(len(hidden_bias), dtype=weight.dtype, device=weight.device)  # (R, H)
    minus_energy = (v @ visible_bias)[:, None] + (h @ hidden_bias)[None] + v @ weight @ h.T  # (S, R)
    return torch.softmax(minus_energy.flatten(), 0).view_as(minus_energy)


def gibbs_kernel(weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """T(v, v') = Σ_h p(h | v) p(v' | h), rows summing to 1, shape (S, S)."""
    p = joint(weight, visible_bias, hidden_bias)
    return (p / p.sum(1, keepdim=True)) @ (p / p.sum(0)).T


def gibbs_eigenvalues(weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """Eigenvalues of the Gibbs kernel, largest first: 1, λ₂, …; shape (min(S, R),)."""
    p = joint(weight, visible_bias, hidden_bias)
    return torch.linalg.svdvals(p / (p.sum(1)[:, None] * p.sum(0)).sqrt()).square()


def contrastive_moments(
    v: Tensor, steps: int, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor
) -> list[Moments]:
    """Exact negative phases of CD-0 … CD-k: the expected moments k sweeps after the data.

    Args:
        v: Binary data, shape (N, V).
        steps: k, from 0.
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Returns:
        k + 1 moments; the first is the positive phase, and the model's own are their limit.
    """
    kernel = gibbs_kernel(weight, visible_bias, hidden_bias)
    states = binary_states(len(visible_bias), dtype=v.dtype, device=v.device)
    numbers = (v.long() << torch.arange(v.shape[1], device=v.device)).sum(1)  # (N,)
    share = torch.bincount(numbers, minlength=len(states)).to(v.dtype) / len(v)  # (S,)
    phases = []
    for _ in range(steps + 1):
        phases.append(moments(states, share, weight, hidden_bias))
        share = share @ kernel
    return phases


def contrastive_bias(v: Tensor, steps: int, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """Length of what CD-k's expected gradient lacks to the likelihood's, for k = 0 … steps, shape (steps + 1,)."""
    states = binary_states(len(visible_bias), dtype=v.dtype, device=v.device)
    model = torch.softmax(-free_energy(states, weight, visible_bias, hidden_bias), 0)
    due = flat(moments(states, model, weight, hidden_bias))
    phases = contrastive_moments(v, steps, weight, visible_bias, hidden_bias)
    return torch.stack([(flat(phase) - due).norm() for phase in phases])


def flat(parts: Moments) -> Tensor:
    """All moments in one vector, shape (V·H + V + H,)."""
    return torch.cat([part.flatten() for part in parts])
