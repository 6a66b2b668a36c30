"""Gradients of depthwise convolutions in float32, where a CPU would compute them in bfloat16, and slowly.

A depthwise convolution moves memory and multiplies little. A CPU answers it faster in bfloat16, but takes longer for
its gradients than in float32, so that a mobile network such as EfficientNet loses more there than it gains elsewhere.
All other layers, and the answers of these too, stay in the precision that was asked for.

Source:
    Howard et al. (2017), MobileNets, section 3.1: depthwise convolutions.
"""
# N batch, C channels, H height, W width

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Depthwise(torch.autograd.Function):
    """The convolution as it is, with gradients computed in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *shape: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.bias_sizes = shape, None if bias is None else list(bias.shape)
        return F.conv2d(x, weight, bias, *shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.shape
        wanted = list(ctx.needs_input_grad[:3])
        with torch.autocast(x.device.type, enabled=False):
            found = torch.ops.aten.convolution_backward(
                grads[0].float(), x.float(), weight.float(), ctx.bias_sizes,
                stride, padding, dilation, False, [0, 0], groups, wanted,
            )  # fmt: skip
        kinds = (x.dtype, weight.dtype, weight.dtype)
        return *(grad if grad is None else grad.to(kind) for grad, kind in zip(found, kinds, strict=True)), *[None] * 4


class _Mode(TorchFunctionMode):
    """Puts `_Depthwise` in the place of depthwise convolutions that would have gradients in bfloat16."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Any other function is called as it is."""
        if func is torch.conv2d:
            return _conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    depthwise = groups > 1 and weight.shape[1] == 1 and not isinstance(padding, str)
    if not depthwise or not torch.is_grad_enabled():
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    pairs = [list(value) if isinstance(value, Sequence) else [value] * 2 for value in (stride, padding, dilation)]
    return _Depthwise.apply(input, weight, bias, *pairs, groups)


def float32_depthwise(device: torch.device | str) -> AbstractContextManager[Any]:
    """While it lasts, depthwise convolutions on a CPU under autocast to bfloat16 are recorded with float32 gradients.

    Args:
        device: Where the network computes.

    Returns:
        A context for the forward pass; one that does nothing on any other device or in any other precision.
    """
    kind = torch.device(device).type
    slow = kind == "cpu" and torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16
    return _Mode() if slow else nullcontext()
