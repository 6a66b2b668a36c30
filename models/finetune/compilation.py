"""Compiles a network where that works, and goes on without where it does not."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import nn


def compile_if_possible(
    network: nn.Module,
    in_channels: int,
    image_size: list[int],
    context: AbstractContextManager[object],
    *further: object,
) -> bool:
    """Lets ``network(x)`` run compiled from now on, after a trial on a copy; says in one line why it does not.

    Args:
        network: It keeps its parameters, names and statistics.
        in_channels: C of its pictures.
        image_size: [H, W] of its pictures.
        context: The run's precision, in which training will call the network.
        further: What training passes it beside the pictures.

    Returns:
        Whether it runs compiled.
    """
    try:
        weight = next(network.parameters())
        x = torch.zeros(2, in_channels, *image_size, device=weight.device, dtype=weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        trial = copy.deepcopy(network).train()
        trial.compile()
        with context:
            loss = trial(x, *further).float().sum()
        loss.backward()
    except Exception as error:  # whatever a compiler raises: the network works without it
        torch.compiler.reset()
        stop_if_told(error)
        cause = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        rank_zero_info(f"compile: not possible here, going on without ({type(error).__name__}: {cause.strip()[:200]})")
        return False
    network.compile()
    return True


def stop_if_told(error: BaseException) -> None:
    """Raises what a compiler wrapped although it was none of its errors: a signal that ends the run."""
    cause: BaseException | None = error
    while cause is not None:
        if hasattr(cause, "exit_code"):
            raise cause
        cause = cause.__cause__ or cause.__context__


def forget_compiled(network: nn.Module) -> None:
    """Lets ``network(x)`` run as it is written again: what explains a network hooks into its layers."""
    network._compiled_call_impl = None
