"""Compiles a network where that works, and goes on without where it does not."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def compile_if_possible(network: nn.Module, x: Tensor) -> str | None:
    """Lets ``network(x)`` run compiled from now on, after a trial on a copy.

    Args:
        network: It keeps its parameters, names and statistics.
        x: A batch as in training, shape (N, C, H, W).

    Returns:
        None, or one line that says why it runs uncompiled.
    """
    try:
        trial = copy.deepcopy(network).train()
        trial.compile()
        trial(x).sum().backward()
    except Exception as error:  # whatever a compiler raises: the network works without it
        torch.compiler.reset()
        cause = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return f"compile: not possible here, going on without ({type(error).__name__}: {cause.strip()[:200]})"
    network.compile()
    return None
