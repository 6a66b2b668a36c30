"""A training step that fits into memory: the batch in parts, one after the other, with the gradient of the whole batch.

The loss is a mean over pictures, so the gradient of a batch is the mean of the gradients of its parts, weighted by
their sizes. Memory falls with the size of a part; what is learnt does not change, except that batch normalisation in
training sees the statistics of a part.

Source:
    The chain rule; Ott et al. (2018), Scaling neural machine translation, section 3 (delayed updates).
"""
# N batch

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


class _Known(torch.autograd.Function):
    """A value whose gradient has already been computed."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *parameters: Tensor) -> Tensor:
        """The value."""
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Any:
        """The kept gradients times the slope that comes from above."""
        kept = ctx.gradients
        return None, None, *(None if gradient is None else gradient * outputs[0] for gradient in kept)


def loss_in_parts(
    loss_of: Callable[[slice], Tensor], size: int, parts: int, parameters: Sequence[Tensor], scale: float = 1.0
) -> Tensor:
    """Mean loss of a batch, with its gradient, from parts that are each forgotten before the next.

    Args:
        loss_of: Mean loss of a part of the batch.
        size: N.
        parts: Number of parts, 1..N.
        parameters: What the gradient is taken of; those that need none are left out.
        scale: Factor on the loss inside, against underflow in 16 bits; it is taken out again.

    Returns:
        Scalar; ``backward()`` on it costs nothing and adds the gradient to ``parameters``.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    total: Tensor | None = None
    sums: list[Tensor | None] = [None] * len(learning)
    bounds = [size * part // parts for part in range(parts + 1)]
    for first, last in pairwise(bounds):
        share = (last - first) / size
        loss = loss_of(slice(first, last)) * share
        gradients = torch.autograd.grad(loss * scale, learning, allow_unused=True)
        for index, gradient in enumerate(gradients):
            if gradient is not None:
                part = gradient / scale
                before = sums[index]
                sums[index] = part if before is None else before.add_(part)
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None
    result: Tensor = _Known.apply(total, sums, *learning)
    return result


def loss_within_memory(
    loss_of: Callable[[slice], Tensor],
    size: int,
    parts: int,
    parameters: Sequence[Tensor],
    scale: float = 1.0,
    whole: bool = False,
) -> tuple[Tensor, int]:
    """The loss of a batch in the fewest parts, from ``parts`` on, that fit into memory.

    Args:
        loss_of: Mean loss of a part of the batch.
        size: N.
        parts: Number of parts to begin with; doubled each time memory runs out.
        parameters: See `loss_in_parts`.
        scale: See `loss_in_parts`.
        whole: Whether a batch in one part may be left to an ordinary ``backward()``, where running out of memory could
            not be mended: right for a CPU, which does not raise.

    Returns:
        The loss, and the number of parts it took.

    Raises:
        torch.OutOfMemoryError: If a single picture does not fit.
    """
    parts = min(parts, size)
    while True:
        try:
            if parts == 1 and whole:
                return loss_of(slice(0, size)), 1
            return loss_in_parts(loss_of, size, parts, parameters, scale), parts
        except torch.OutOfMemoryError:
            if parts >= size:
                raise
            parts = min(2 * parts, size)
        # Outside the handler, whose traceback holds on to the tensors that did not fit.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
