"""Optimisers and learning-rate schedules as plain functions.

Step t of T; the learning rate is the peak times a factor that climbs from 0 to 1 in the first ``warmup`` share of the
steps and then falls to 0, along a line or half a cosine:

    t <  wT:  (t + 1) / (wT + 1)          t >= wT:  1 - u   or   (1 + cos(pi u)) / 2,   u = (t - wT) / (T - wT)

A rate that ends at 0 is what lets a short run finish: the noise of the last steps goes with it.

Source:
    Nesterov (1983); Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum, eq. 3-4.
    Loshchilov, Hutter (2019), Decoupled weight decay regularization; Smith, Topin (2018), Super-convergence.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer


def learning_rate_factor(step: int, total: int, warmup: float, schedule: Literal["linear", "cosine"]) -> float:
    """Share of the peak learning rate at one step.

    Args:
        step: Step from 0.
        total: Number of steps of the run.
        warmup: Share of the steps spent climbing, 0 to 1.
        schedule: Shape of the way down.

    Returns:
        Factor in [0, 1].
    """
    climb = warmup * total
    if step < climb:
        return (step + 1) / (climb + 1)
    fallen = min(1.0, (step - climb) / max(1.0, total - climb))
    return 1 - fallen if schedule == "linear" else (1 + math.cos(math.pi * fallen)) / 2


def with_schedule(optimiser: Optimizer, factor: Callable[[int], float]) -> OptimizerLRScheduler:
    """What a task's ``configure_optimizers`` returns: the optimiser, its rates times ``factor`` of the step."""
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def cycle(
    optimiser: Optimizer, trainer: Any, warmup: float, schedule: Literal["linear", "cosine"]
) -> OptimizerLRScheduler:
    """As `with_schedule`, with `learning_rate_factor` over all steps of the trainer's run."""
    total = int(trainer.estimated_stepping_batches)
    return with_schedule(optimiser, lambda step: learning_rate_factor(step, total, warmup, schedule))


def parameter_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights (two axes or more) are decayed, biases and normalisation are not.

    Decay pulls a function towards zero only through the weights that multiply the input; a decayed bias or
    normalisation gain moves the function without making it smoother.

    Args:
        modules: Modules whose trainable parameters are grouped.
        weight_decay: Decay of the first group.

    Returns:
        Groups as `torch.optim` takes them, named ``decayed`` and ``free``.
    """
    parameters = [parameter for module in modules for parameter in module.parameters()]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    free = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay, "name": "decayed"},
        {"params": free, "weight_decay": 0.0, "name": "free"},
    ]


def may_fuse(trainer: Any) -> bool:
    """Whether one kernel may update all parameters of a run.

    Lightning unscales gradients in float16 itself, and clips none in mixed precision that a fused optimiser is going to
    use: it stops with an error instead. bfloat16 needs no scale, so there only clipping stands in the way.

    Args:
        trainer: Says ``precision`` and ``gradient_clip_val``.
    """
    if trainer.precision == "bf16-mixed":
        return not trainer.gradient_clip_val
    return trainer.precision != "16-mixed"


def build_optimiser(
    name: Literal["sgd", "adamw"], groups: list[dict[str, Any]], lr: float, momentum: float, fused: bool = True
) -> Optimizer:
    """An optimiser by name.

    Args:
        name: ``sgd`` with Nesterov momentum, or ``adamw``.
        groups: Parameter groups with their weight decay.
        lr: Peak learning rate.
        momentum: Momentum, or the first beta of AdamW; the second is 0.99, which forgets within an epoch of small data.
        fused: One kernel updates all parameters, see `may_fuse`.

    Returns:
        The optimiser.
    """
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=fused)
    return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.99), fused=fused)


def peak_rate(trainer: Any) -> float:
    """Largest learning rate of all groups of all optimisers at this step."""
    groups = [group for optimiser in trainer.optimizers for group in optimiser.param_groups]
    return max((float(group["lr"]) for group in groups), default=0.0)
