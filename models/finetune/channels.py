"""Pretrained networks read RGB; this adapts their first convolution to any number of channels.

A convolution is linear in its channels, so for a grey picture g, repeated as RGB, the output depends only on the sum of
the weights over the channels: w_R * g + w_G * g + w_B * g = (w_R + w_G + w_B) * g. Every rule below keeps that sum.
"""
# O output channels, C input channels, h height, w width of the kernel

from __future__ import annotations

import torch
from torch import Tensor, nn


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """The convolution that reads the picture: the first one with three input channels.

    Raises:
        ValueError: If there is none.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1:
            return name, module
    raise ValueError(f"{type(network).__name__} has no first convolution of 3 channels, so in_channels must stay 3")


def adapt_channels(weight: Tensor, in_channels: int) -> Tensor:
    """Weights of an RGB convolution for another number of channels, such that a grey picture gives the same output.

    One channel gets the sum over R, G and B; two get half of it each. More are named R, G, B, R, G, ... in turn, and
    each copy of a colour gets that colour's weight divided by the number of its copies.

    Args:
        weight: Shape (O, 3, h, w).
        in_channels: C, at least 1.

    Returns:
        Shape (O, C, h, w); its sum over the channels is that of ``weight``.
    """
    if in_channels < 3:
        return weight.sum(1, keepdim=True).repeat(1, in_channels, 1, 1) / in_channels  # (O, C, h, w)
    colours = torch.arange(in_channels, device=weight.device) % 3  # (C,)
    copies = torch.bincount(colours)[colours]
    return weight[:, colours] / copies.to(weight).view(1, -1, 1, 1)  # (O, C, h, w)


def channel_values(values: list[float], in_channels: int) -> list[float]:
    """Mean or deviation per channel, dealt out as in `adapt_channels`. Args: three values. Returns: C values."""
    if in_channels < 3:
        return [sum(values) / len(values)] * in_channels
    return [values[channel % 3] for channel in range(in_channels)]
