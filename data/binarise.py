"""Grey pictures as black and white ones, drawn once: what a model of binary pixels learns from and is judged on.

A likelihood depends on the scheme by tens of nats, so the scheme and its seed go beside every such number. Literature
on MNIST draws each pixel once with its grey value as the probability.

Source: Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 5.
"""

from typing import Literal

import torch
from torch import Tensor

Scheme = Literal["none", "sample", "threshold"]


def binarise(images: Tensor, scheme: Scheme, seed: int) -> Tensor:
    """Pictures of the values 0 and 255 only.

    Args:
        images: uint8 in 0..255, any shape.
        scheme: ``sample`` turns a pixel on with probability value / 255, ``threshold`` above one half, ``none`` leaves
            the pictures as they are.
        seed: Of the draw.

    Returns:
        uint8, the shape of ``images``.
    """
    if scheme == "none":
        return images
    if scheme == "threshold":
        return (images > 127).to(torch.uint8) * 255
    draws = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))  # in [0, 1)
    return (draws * 255 < images).to(torch.uint8) * 255


def in_words(scheme: Scheme, seed: int) -> str:
    """What to print beside a likelihood."""
    if scheme == "sample":
        return f"pixels sampled once, seed {seed}"
    return "pixels cut at 1/2" if scheme == "threshold" else "grey pixels"
