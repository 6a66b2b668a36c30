"""Grey pictures as black and white ones: what a model of binary pixels learns from and is judged on.

A likelihood depends on the scheme by tens of nats, so the scheme and its seed go beside every such number. Literature
on MNIST draws each pixel of the test with its grey value as the probability. It must be drawn once, or two numbers are
not of the same pictures; the training pictures may be drawn anew whenever they are seen, so that no draw is learnt by
heart.

Source: Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 5.
"""

from typing import Literal

import torch
from torch import Tensor

Scheme = Literal["none", "sample", "redraw", "threshold"]


def binarise(images: Tensor, scheme: Scheme, seed: int) -> Tensor:
    """Pictures of the values 0 and 255 only.

    Args:
        images: uint8 in 0..255, any shape.
        scheme: ``sample`` and ``redraw`` turn a pixel on with probability value / 255, ``threshold`` above one half,
            ``none`` leaves the pictures as they are.
        seed: Of the draw.

    Returns:
        uint8, the shape of ``images``.
    """
    if scheme == "none":
        return images
    if scheme == "threshold":
        return (images > 127).to(torch.uint8) * 255
    return draw(images, torch.Generator().manual_seed(seed))


def draw(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of full and empty pixels, each full with its grey value as the probability.

    Args:
        images: uint8 in 0..255 or floating point in 0..1, any shape.
        generator: On the device of ``images``.

    Returns:
        Of the type and on the scale of ``images``.
    """
    full = 255 if images.dtype == torch.uint8 else 1
    draws = torch.rand(images.shape, generator=generator, device=images.device, dtype=torch.float32)  # in [0, 1)
    return (draws * full < images).to(images.dtype) * full


def in_words(scheme: Scheme, seed: int) -> str:
    """What to print beside a likelihood."""
    if scheme in ("sample", "redraw"):
        anew = ", those of training anew in each batch" if scheme == "redraw" else ""
        return f"pixels sampled once, seed {seed}{anew}"
    return "pixels cut at 1/2" if scheme == "threshold" else "grey pixels"
