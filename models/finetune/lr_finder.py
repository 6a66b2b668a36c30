"""A learning rate from one short trial: raise it at every step until the loss grows, and stay well below.

    lr_i = low * (high / low)^(i / (steps - 1))

As long as the rate is too small the smoothed loss hardly moves; where it is right the loss falls; where it is too large
the loss grows. The rate of the smallest loss is the edge; a tenth of it is a safe peak for a whole run. The trial works
on a copy of the network: nothing of it stays, in memory or on disk.

Source:
    Smith (2017), Cyclical learning rates for training neural networks, section 3.3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

LOW, HIGH, STEPS = 1e-6, 1.0, 30
_MEMORY = 0.8  # of the smoothed loss
_GROWTH = 3.0  # times the smallest loss at which the trial ends
_SAFETY = 10.0  # edge over suggestion


def trial_rates(low: float = LOW, high: float = HIGH, steps: int = STEPS) -> list[float]:
    """Rates of the trial, each the same factor above the one before."""
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def smoothed(losses: Iterable[float], memory: float = _MEMORY) -> list[float]:
    """Exponential mean of a sequence, corrected for its start: sum_i m^(n-i) x_i / sum_i m^(n-i)."""
    total = weight = 0.0
    result = []
    for loss in losses:
        total, weight = memory * total + loss, memory * weight + 1
        result.append(total / weight)
    return result


def suggest(rates: list[float], losses: list[float]) -> float:
    """A tenth of the rate with the smallest smoothed loss.

    Args:
        rates: Increasing learning rates.
        losses: Loss of the batch at each; as many as rates.

    Returns:
        The peak learning rate.

    Raises:
        ValueError: If no loss is finite.
    """
    curve = [(loss, rate) for loss, rate in zip(smoothed(losses), rates, strict=True) if math.isfinite(loss)]
    if not curve:
        raise ValueError("lr auto found no learning rate: the loss is not finite even at the smallest one; give --lr")
    return min(curve)[1] / _SAFETY


def run_trial(
    network: nn.Module,
    optimiser_of: Callable[[nn.Module], Optimizer],
    loss_of: Callable[[nn.Module, Any], Tensor],
    batches: Iterable[Any],
    rates: list[float],
    scaler: GradScaler | None = None,
) -> tuple[list[float], list[float]]:
    """Losses of a copy of the network while the rate rises.

    Args:
        network: It is left as it is.
        optimiser_of: Gives the optimiser of a network, with learning rates for a peak of 1.
        loss_of: Loss of a network on a batch.
        batches: At least as many as rates.
        rates: From `trial_rates`.
        scaler: That of training in float16: the trial scales its loss too, and passes over steps whose gradients
            overflow. It is left as it is.

    Returns:
        The rates that were tried, and the losses.
    """
    trial, scaler = copy.deepcopy(network), scaler or GradScaler(enabled=False)
    before = scaler.state_dict()
    optimiser = optimiser_of(trial)
    shares = [group["lr"] for group in optimiser.param_groups]
    losses: list[float] = []
    for rate, batch in zip(rates, batches, strict=False):
        loss = loss_of(trial, batch)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or smoothed(losses)[-1] > _GROWTH * min(smoothed(losses)):
            break
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        for group, share in zip(optimiser.param_groups, shares, strict=True):
            group["lr"] = rate * share
        scaler.step(optimiser)
        scaler.update()
    scaler.load_state_dict(before)
    del optimiser, trial
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return rates[: len(losses)], losses
