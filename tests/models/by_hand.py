"""Optimisers and schedules written out, to set beside those that a task configures."""
# T steps

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

Rates = list[float]  # learning rate of each step
Rule = Callable[[Tensor, list[Tensor]], Tensor]  # start and the slope of each step to where the parameter ends


def falling(peak: float, total: int, shape: str = "cosine") -> Rates:
    """From the peak to 0 in ``total`` steps, along half a cosine or a line."""
    shares = [step / total for step in range(total)]
    return [peak * ((1 + math.cos(math.pi * u)) / 2 if shape == "cosine" else 1 - u) for u in shares]


def one_cycle(peak: float, total: int, climb: int, shape: str) -> Rates:
    """``climb`` steps up, the others down."""
    return [peak * (step + 1) / (climb + 1) for step in range(climb)] + falling(peak, total - climb, shape)


def nesterov(rates: Rates, momentum: float, decay: float = 0.0) -> Rule:
    """v <- mu v + g, w <- w - a (g + mu v), where decay joins the gradient g."""

    def rule(weight: Tensor, slopes: list[Tensor]) -> Tensor:
        velocity = torch.zeros_like(weight)
        for rate, slope in zip(rates, slopes, strict=True):
            gradient = slope + decay * weight
            velocity = momentum * velocity + gradient
            weight = weight - rate * (gradient + momentum * velocity)
        return weight

    return rule


def heavy_ball(rates: Rates, momentum: float) -> Rule:
    """v <- mu v + g, w <- w - a v."""

    def rule(weight: Tensor, slopes: list[Tensor]) -> Tensor:
        velocity = torch.zeros_like(weight)
        for rate, slope in zip(rates, slopes, strict=True):
            velocity = momentum * velocity + slope
            weight = weight - rate * velocity
        return weight

    return rule


def adam(rates: Rates, first: float = 0.9, second: float = 0.999, decay: float = 0.0) -> Rule:
    """w <- (1 - a decay) w - a m / sqrt(s), with the running means m of g and s of g² over their weights so far."""

    def rule(weight: Tensor, slopes: list[Tensor]) -> Tensor:
        mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
        for step, (rate, slope) in enumerate(zip(rates, slopes, strict=True), 1):
            mean = first * mean + (1 - first) * slope
            square = second * square + (1 - second) * slope**2
            move = (mean / (1 - first**step)) / ((square / (1 - second**step)).sqrt() + 1e-8)
            weight = (1 - rate * decay) * weight - rate * move
        return weight

    return rule


def assert_steps(task: LightningModule, total: int, rule_of: Callable[[str, Tensor], Rule]) -> None:
    """Takes all steps of a run with invented gradients, and compares every parameter with its rule.

    Args:
        task: Configures one optimiser, and a schedule of its steps or none.
        total: T.
        rule_of: The rule that is due for a parameter of a name.
    """
    trainer: Any = SimpleNamespace(estimated_stepping_batches=total, precision="32-true", gradient_clip_val=None)
    task._trainer = trainer
    configured: Any = task.configure_optimizers()
    optimiser, scheduler = configured, None
    if isinstance(configured, dict):
        optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
        assert configured["lr_scheduler"]["interval"] == "step"
    generator = torch.Generator().manual_seed(0)
    parameters = dict(task.named_parameters())
    starts = {name: parameter.detach().double().clone() for name, parameter in parameters.items()}
    slopes = {name: [torch.randn(start.shape, generator=generator).double() for _ in range(total)]
              for name, start in starts.items()}  # fmt: skip
    for step in range(total):
        for name, parameter in parameters.items():
            # In the parameter's own order of memory, as autograd gives it: a fused step takes it for granted.
            parameter.grad = torch.empty_like(parameter).copy_(slopes[name][step])
        optimiser.step()
        if scheduler is not None:
            scheduler.step()
    for name, parameter in parameters.items():
        due = rule_of(name, parameter)(starts[name], slopes[name])
        torch.testing.assert_close(
            parameter.detach().double(), due, rtol=2e-5, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
