"""The binary restricted Boltzmann machine, exactly: free energy, conditionals, and what counting gives of small ones.

    E(v, h) = -aᵀv - bᵀh - vᵀWh,     p(v, h) = e^{-E(v, h)} / Z,     v ∈ {0, 1}^V, h ∈ {0, 1}^H

No unit is joined to a unit of its own side, so each side is independent given the other, and one side can be summed
out in closed form:

    p(h_j = 1 | v) = σ(b_j + (vW)_j),     p(v) = e^{-F(v)} / Z,     F(v) = -aᵀv - Σ_j softplus(b_j + (vW)_j)

Z itself is a sum over 2^min(V, H) states: possible up to 20 units, hopeless for 500.

Letters: N samples, V visible units, H hidden units, S states.

Source: Smolensky (1986), Information processing in dynamical systems: foundations of harmony theory; Hinton (2012),
A practical guide to training restricted Boltzmann machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_COUNTABLE_UNITS = 20  # 2^20 states: a second
_CHUNK = 2**14  # states at a time
_TERMS = 2**20  # softplus terms at a time: 4 MB, which a processor's cache holds


class Moments(NamedTuple):
    """Means under a distribution: E[v hᵀ] (V, H), E[v] (V,) and E[h] (H,).

    They are the expectations of -∂E/∂W, -∂E/∂a and -∂E/∂b, where E(v, h) is the energy.
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor


def energy(v: Tensor, h: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """Energy E(v, h) = -aᵀv - bᵀh - vᵀWh.

    Args:
        v: Visible units, shape (..., V).
        h: Hidden units, shape (..., H).
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Returns:
        Energy in nats, shape (...).
    """
    return -(v @ visible_bias) - h @ hidden_bias - (v @ weight * h).sum(-1)


def free_energy(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """Free energy F(v) = -aᵀv - Σ_j softplus(b_j + (vW)_j), so that p(v) = e^{-F(v)} / Z.

    With the transposed weight and the biases exchanged it is the free energy of the hidden units.

    Args:
        v: Visible units, shape (N, V).
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Returns:
        Free energy in nats, shape (N,).

    Source:
        Hinton (2012), section 16.1.
    """
    return -(v @ visible_bias) - F.softplus(torch.addmm(hidden_bias, v, weight)).sum(-1)


def hidden_probabilities(v: Tensor, weight: Tensor, hidden_bias: Tensor) -> Tensor:
    """p(h_j = 1 | v) = σ(b_j + (vW)_j), shape (N, H), of visible units (N, V)."""
    return torch.addmm(hidden_bias, v, weight).sigmoid_()


def visible_probabilities(h: Tensor, weight: Tensor, visible_bias: Tensor) -> Tensor:
    """p(v_i = 1 | h) = σ(a_i + (Wh)_i), shape (N, V), of hidden units (N, H)."""
    return torch.addmm(visible_bias, h, weight.T).sigmoid_()


def check_countable(units: int, what: str = "the smaller side") -> None:
    """Refuses to enumerate more than 2^20 states.

    Raises:
        ValueError: With the number of units and the limit.
    """
    if units > MOST_COUNTABLE_UNITS:
        raise ValueError(
            f"{what} has {units} units, 2^{units} states: at most {MOST_COUNTABLE_UNITS} units can be enumerated; "
            "estimate log Z by annealed importance sampling instead"
        )


def binary_states(units: int, *, dtype: torch.dtype = torch.float64, device: torch.device | None = None) -> Tensor:
    """All states of some binary units in the order of binary numbers, the first unit the lowest bit: (2^units, units).

    Raises:
        ValueError: If there are more than 20 units.
    """
    return torch.cat(list(state_chunks(units, dtype, device)))


def state_chunks(units: int, dtype: torch.dtype, device: torch.device | None = None) -> Iterator[Tensor]:
    """The rows of `binary_states`, some 16,000 at a time."""
    check_countable(units)
    places = torch.arange(units, device=device)
    for start in range(0, 2**units, _CHUNK):
        numbers = torch.arange(start, min(start + _CHUNK, 2**units), device=device)
        yield ((numbers[:, None] >> places) & 1).to(dtype)  # (S, units)


def log_partition(weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """The logarithm of Z by enumeration of the smaller side, in float64, whatever the precision of the parameters.

    Args:
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Returns:
        log Z in nats, a scalar.

    Raises:
        ValueError: If both sides have more than 20 units.
    """
    w, a, b = weight.detach().double(), visible_bias.detach().double(), hidden_bias.detach().double()
    if len(b) < len(a):
        w, a, b = w.T, b, a
    check_countable(len(a))
    parts = [torch.logsumexp(-free_energy(v, w, a, b), 0) for v in state_chunks(len(a), w.dtype, w.device)]
    return torch.logsumexp(torch.stack(parts), 0)


def log_likelihood(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """The logarithm of p(v), -F(v) - log Z, in nats, shape (N,). Raises ValueError when Z cannot be enumerated."""
    log_z = log_partition(weight, visible_bias, hidden_bias)
    return -free_energy(v, weight, visible_bias, hidden_bias) - log_z.to(v.dtype)


def moments(v: Tensor, share: Tensor, weight: Tensor, hidden_bias: Tensor) -> Moments:
    """Moments when v has the given distribution and h follows from it.

    Args:
        v: Visible states, shape (S, V).
        share: Probability of each, shape (S,).
        weight: W, shape (V, H).
        hidden_bias: b, shape (H,).

    Returns:
        E[v hᵀ], E[v], E[h].
    """
    h = hidden_probabilities(v, weight, hidden_bias)
    weighted = share[:, None] * v  # (S, V)
    return Moments(weighted.T @ h, weighted.sum(0), share @ h)


def likelihood_gradient(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Moments:
    """Gradient of the mean of log p(v): moments under the data minus moments under the model, exact.

    Args:
        v: Data, shape (N, V), V at most 20.
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).

    Returns:
        Derivatives by W, a and b.

    Raises:
        ValueError: If there are more than 20 visible units.
    """
    states = binary_states(len(visible_bias), dtype=v.dtype, device=v.device)
    model = torch.softmax(-free_energy(states, weight, visible_bias, hidden_bias), 0)  # (S,)
    positive = moments(v, v.new_full((len(v),), 1 / len(v)), weight, hidden_bias)
    negative = moments(states, model, weight, hidden_bias)
    return Moments(*(data - due for data, due in zip(positive, negative, strict=True)))


def pseudo_log_likelihood(
    v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, pixels: Tensor | None = None
) -> Tensor:
    """Pseudo-log-likelihood Σ_i log p(v_i | the other pixels) = Σ_i log σ(F(v with v_i turned) - F(v)).

    Turning one pixel moves the input of the hidden units by a row of W, so that F changes by

        F(v with v_i turned) - F(v) = Σ_j [softplus(f_j) - softplus(f_j + t W_ij)] - t a_i,    f = b + vW, t = 1 - 2v_i

    at H steps a pixel, and N·V·H for all pixels of all samples.

    Args:
        v: Binary pixels, shape (N, V).
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).
        pixels: Those turned in each sample, int64, shape (N, P), in place of all: V/P times the sum over them, which is
            the whole sum in expectation where each pixel is as likely as any other.

    Returns:
        The sum in nats, shape (N,).

    Raises:
        ValueError: If a pixel is neither 0 nor 1: turning it would be no turn of a unit.

    Source:
        Besag (1975), Statistical analysis of non-lattice data; scikit-learn's `BernoulliRBM.score_samples`.
    """
    if not bool(((v == 0) | (v == 1)).all()):
        raise ValueError("the pseudo-likelihood needs pixels of 0 and 1, got values between")
    count, visible = v.shape
    chosen = torch.arange(visible, device=v.device).expand(count, -1) if pixels is None else pixels.to(v.device)
    turn = 1 - 2 * v.gather(1, chosen)  # (N, P): +1 turns on, -1 off
    field = torch.addmm(hidden_bias, v, weight)  # (N, H)
    at_rest = F.softplus(field)
    change = -turn * visible_bias[chosen]  # (N, P)
    columns = max(1, _TERMS // max(field.numel(), 1))
    for part in torch.arange(chosen.shape[1], device=v.device).split(columns):
        rows = weight[part] if pixels is None else weight[chosen[:, part]]  # (P, H), or (N, P, H)
        moved = torch.addcmul(field[:, None], turn[:, part, None], rows)  # (N, P, H)
        change[:, part] += (at_rest[:, None] - F.softplus(moved)).sum(-1)  # differences first: the sums are large
    return visible / chosen.shape[1] * F.logsigmoid(change).sum(1)


def exact_samples(
    count: int, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Independent samples of p(v): the smaller side drawn from all its states, then the other side given it.

    Returns:
        Visible units, shape (count, V).

    Raises:
        ValueError: If both sides have more than 20 units.
    """
    few_visible = len(visible_bias) <= len(hidden_bias)
    w, a, b = (weight, visible_bias, hidden_bias) if few_visible else (weight.T, hidden_bias, visible_bias)
    w, a, b = w.detach(), a.detach(), b.detach()
    states = binary_states(len(a), dtype=w.dtype, device=w.device)  # (S, smaller)
    share = torch.softmax(-free_energy(states, w, a, b).double(), 0)
    # The inverse of the distribution function: torch.multinomial takes at most 2^24 states, and loses digits.
    draws = torch.rand(count, dtype=torch.float64, generator=generator, device=w.device)
    chosen = torch.searchsorted(share.cumsum(0), draws).clamp_max_(len(states) - 1)
    smaller = states[chosen]
    return smaller if few_visible else torch.bernoulli(hidden_probabilities(smaller, w, b), generator=generator)
