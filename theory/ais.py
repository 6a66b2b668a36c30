"""Annealed importance sampling: log Z of a machine too large to count, from below and from above.

Between independent pixels (b_A their logits, W = 0), whose log Z_A = Σ softplus(b_A) + H ln 2 is known, and the
model lies the path

    log p*_β(v) = (1 - β) b_Aᵀv + β aᵀv + Σ_j softplus(β (vW + b)_j),     β from 0 to 1

Chains walk along it, and each collects log w = Σ_k [log p*_{β_k}(v) - log p*_{β_{k-1}}(v)]. Forward, E[w] = Z / Z_A;
backward, from samples of the model, E[w] = Z_A / Z. By Jensen's inequality the mean of log w errs to a known side:

    log Z_A + E[log w forward]  ≤  log Z  ≤  log Z_A - E[log w backward]

The forward estimate alone tends to lie low, which flatters the model. Between the two expectations lies the truth; two
estimates may miss it by chance.

The error of an estimate is that of the delta method, std(w) / (w̄ √C). It is measured in the mean itself, so it cannot
exceed 1 however wrong that is: with one chain that outweighs all others it is just 1. It holds while many chains carry
the weight, (Σw)² / Σw² of them effectively, and is not given where they are few.

Letters: C chains, K temperatures, V visible units, H hidden units.

Source: Neal (2001), Annealed importance sampling; Salakhutdinov and Murray (2008), On the quantitative analysis of deep
belief networks; Burda, Grosse and Salakhutdinov (2015), Accurate and conservative estimates of MRF log-likelihood using
reverse annealing; Chatterjee and Diaconis (2018), The sample size required in importance sampling, section 2: the
variance of the weights seen tells nothing of those not seen.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

FEWEST_TEMPERATURES = 20
# A larger error is no error but a sign that few chains carry the weight: fewer than 20.2 of 100, 25 of very many. The
# errors told of 100 log-normal weights are true ones up to a deviation of log w of 1.5; where it is 2.5, and they would
# be no longer, hardly one is told (tests/theory/test_ais.py).
MOST_ERROR = 0.2


class LogZ(NamedTuple):
    """An estimate of log Z in nats.

    Attributes:
        value: The estimate, from the logarithm of the mean weight.
        error: Its standard error over the chains; nan, unknown, where too few of them carry the weight.
        bound: Mean of the logarithms: in expectation not above log Z (forward), not below it (backward).
        bound_error: Standard error of the bound.
        chains: C.
        effective: Chains that carry the weight, (Σw)² / Σw², from 1, where one outweighs all others, to C.
    """

    value: float
    error: float
    bound: float
    bound_error: float
    chains: int
    effective: float


def temperatures(count: int) -> Tensor:
    """Inverse temperatures from 0 to 1, dense where the model freezes.

    A twentieth of them lie up to 0.5, a quarter from there to 0.9, the rest up to 1.

    Args:
        count: K, at least 20.

    Returns:
        float64, shape (K + 1,).

    Raises:
        ValueError: If there are fewer than 20.

    Source:
        Salakhutdinov and Murray (2008), section 6; their code takes 500, 4,000 and 10,000 of 14,500.
    """
    if count < FEWEST_TEMPERATURES:
        raise ValueError(f"annealing needs at least {FEWEST_TEMPERATURES} temperatures, got {count}")
    first, second = count // 20, count // 4
    pieces = [(0.0, 0.5, first), (0.5, 0.9, second), (0.9, 1.0, count - first - second)]
    steps = [torch.linspace(low, high, number + 1, dtype=torch.float64)[:-1] for low, high, number in pieces]
    return torch.cat([*steps, torch.ones(1, dtype=torch.float64)])


def base_logits(mean: Tensor, count: int) -> Tensor:
    """Logits of independent pixels: as if each had been seen ten times more, five times on; finite for constant pixels.

    Args:
        mean: Share of the samples in which each pixel is on, shape (V,).
        count: Number of samples.

    Returns:
        Shape (V,).
    """
    return torch.logit((mean * count + 5) / (count + 10))


def anneal(
    v: Tensor,
    betas: Tensor,
    weight: Tensor,
    visible_bias: Tensor,
    hidden_bias: Tensor,
    base: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Log weights of chains that walk from the first inverse temperature to the last, up or down.

    Args:
        v: Samples at the first one, shape (C, V).
        betas: Inverse temperatures, shape (K + 1,).
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).
        base: b_A, shape (V,).
        generator: Of the random numbers, on the device of ``v``.

    Returns:
        Log weights in float64, shape (C,).
    """
    weights = torch.zeros(len(v), dtype=torch.float64, device=v.device)
    lift = visible_bias - base
    path = betas.tolist()
    for before, now in pairwise(path):
        field = torch.addmm(hidden_bias, v, weight)  # (C, H)
        change = F.softplus(now * field) - F.softplus(before * field)
        weights += change.sum(-1) + (now - before) * (v @ lift)
        if now != path[-1]:
            h = torch.rand(field.shape, dtype=v.dtype, device=v.device, generator=generator)
            h = torch.lt(h, field.mul_(now).sigmoid_(), out=h)
            on = torch.addmm(base + now * lift, h, weight.T, alpha=now).sigmoid_()  # (C, V)
            v = torch.rand(v.shape, dtype=v.dtype, device=v.device, generator=generator)
            v = torch.lt(v, on, out=v)
    return weights


def estimate(log_weights: Tensor, log_z_base: float, sign: int) -> LogZ:
    """The estimate log Z_A ± log mean w, by the delta method: its error is that of w over the mean of w.

    That error squared is (1 / effective - 1 / C) C / (C - 1), which is at most 1.

    Args:
        log_weights: Shape (C,), C at least 2.
        log_z_base: log Z_A.
        sign: 1 forward, -1 backward.
    """
    count = len(log_weights)
    log_sum = float(torch.logsumexp(log_weights, 0))
    log_mean = log_sum - math.log(count)
    error = float((log_weights - log_mean).exp().std()) / math.sqrt(count)
    return LogZ(
        value=log_z_base + sign * log_mean,
        error=error if error <= MOST_ERROR else math.nan,
        bound=log_z_base + sign * float(log_weights.mean()),
        bound_error=float(log_weights.std()) / math.sqrt(count),
        chains=count,
        effective=1 / float((2 * (log_weights - log_sum)).exp().sum()),
    )


def forward_log_z(
    weight: Tensor,
    visible_bias: Tensor,
    hidden_bias: Tensor,
    base: Tensor,
    *,
    steps: int,
    chains: int,
    generator: torch.Generator | None = None,
) -> LogZ:
    """Estimate from chains that walk from independent pixels to the model.

    Args:
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).
        base: Logits of the independent pixels, shape (V,); see `base_logits`.
        steps: Temperatures, at least 20; 10,000 for a figure to publish.
        chains: At least 2; usually 100.
        generator: Of the random numbers.
    """
    check_chains(chains)
    v = torch.bernoulli(base.sigmoid().expand(chains, -1), generator=generator)
    weights = anneal(v, temperatures(steps), weight, visible_bias, hidden_bias, base, generator)
    return estimate(weights, base_log_z(base, len(hidden_bias)), 1)


def backward_log_z(
    samples: Tensor,
    weight: Tensor,
    visible_bias: Tensor,
    hidden_bias: Tensor,
    base: Tensor,
    *,
    steps: int,
    generator: torch.Generator | None = None,
) -> LogZ:
    """Estimate from chains that walk from samples of the model to independent pixels; as good as the samples are.

    Args:
        samples: Of the model, shape (C, V), C at least 2.
        weight: W, shape (V, H).
        visible_bias: a, shape (V,).
        hidden_bias: b, shape (H,).
        base: Logits of the independent pixels, shape (V,).
        steps: Temperatures, at least 20.
        generator: Of the random numbers.
    """
    check_chains(len(samples))
    weights = anneal(samples, temperatures(steps).flip(0), weight, visible_bias, hidden_bias, base, generator)
    return estimate(weights, base_log_z(base, len(hidden_bias)), -1)


def base_log_z(base: Tensor, hidden: int) -> float:
    """The base's log Z_A = Σ softplus(b_A) + H ln 2."""
    return float(F.softplus(base.double()).sum()) + hidden * math.log(2)


def check_chains(chains: int) -> None:
    """A standard error needs two chains.

    Raises:
        ValueError: With the number given.
    """
    if chains < 2:
        raise ValueError(f"a standard error needs at least 2 chains, got {chains}")
