"""A proof that no value of one pixel changes the answer, without trying the values.

Along one pixel the margin of a ReLU network is piecewise linear. Interval arithmetic bounds it from below: the pixel's
range, cut into pieces, goes through the network as an interval, and a positive lower end certifies every value inside,
legal or not. What is not certified is left to the exhaustive search; together they are exact.

Source: Gowal et al. (2018), On the effectiveness of interval bound propagation for training verifiably robust models.
"""

# N pictures, D pixels, V values, Q pieces

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.columns import Opinions
from models.convnet import CNN, Scale
from models.robustness.attacks import BATCH, Classifier, OnePixel, changed_margins, exhaustive_one_pixel
from theory.adversarial import Bounds, margin_bounds, through_affine


def network_bounds(network: CNN, low: Tensor, high: Tensor) -> Bounds:
    """Bounds of the features before the last layer. Args: ends of the normalised pixels, (N, C, H, W)."""
    if network.patch > 1:
        height, width = low.shape[-2:]
        pad = (0, -width % network.patch, 0, -height % network.patch)
        low, high = (F.pixel_unshuffle(F.pad(end, pad), network.patch) for end in (low, high))
    bounds = Bounds(low, high)
    for module in network.stages.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            bounds = through_affine(bounds, module)
        elif isinstance(module, nn.ReLU):
            bounds = Bounds(F.relu(bounds.low), F.relu(bounds.high))
        elif isinstance(module, nn.MaxPool2d):  # increasing in every input
            bounds = Bounds(module(bounds.low), module(bounds.high))
        elif not isinstance(module, nn.Sequential):
            raise ValueError(f"no interval goes through {type(module).__name__}")
    return Bounds(bounds.low.flatten(1), bounds.high.flatten(1))


@torch.no_grad()
def certify_pixels(
    network: CNN, mean: Tensor, std: Tensor, image: Tensor, label: Tensor, high: float, pieces: int = 8
) -> Tensor:
    """For each pixel, whether no value in [0, high] can change the answer, shape (D,).

    Args:
        network: In evaluation mode.
        mean: Subtracted from the pixels, shape (1, 1, 1).
        std: Divides the pixels, shape (1, 1, 1).
        image: Pixels in 0..high, shape (1, H, W).
        label: True class, shape ().
        high: Largest value of a pixel.
        pieces: Q, parts of the range that are bounded one by one.
    """
    scale = [module.factor for module in network.head if isinstance(module, Scale)]
    assert not scale or scale[0] > 0  # a positive factor changes no sign
    last = next(module for module in network.head if isinstance(module, nn.Linear | Opinions))
    linear = last.joined() if isinstance(last, Opinions) else last
    safe = torch.zeros(image.numel(), dtype=torch.bool, device=image.device)
    for parts in (1, pieces):  # most pixels need no cutting
        pixels = (~safe).nonzero()[:, 0]
        low, top = boxes(image, pixels, torch.linspace(0, high, parts + 1, device=image.device))
        worst = []
        for a, b in zip(low.split(BATCH), top.split(BATCH), strict=True):
            features = network_bounds(network, (a - mean) / std, (b - mean) / std)
            worst.append(margin_bounds(features, linear.weight, linear.bias, label.expand(len(a))))
        # float32 arithmetic rounds: a margin within 1e-4 of zero certifies nothing.
        safe[pixels] = (torch.cat([torch.zeros(0, device=image.device), *worst]).view(-1, parts) > 1e-4).all(1)
    return safe


def boxes(image: Tensor, pixels: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper ends of the pictures in which one pixel lies between two edges, each (D Q, 1, H, W).

    Args:
        image: Shape (1, H, W).
        pixels: The pixels that move, shape (D,).
        edges: Increasing, shape (Q + 1,).
    """
    size, pieces = image.numel(), len(edges) - 1
    low = image.flatten().expand(len(pixels), pieces, size).clone()  # (D, Q, H W)
    top = low.clone()
    rows = torch.arange(len(pixels), device=image.device)
    low[rows, :, pixels], top[rows, :, pixels] = edges[:-1], edges[1:]
    return low.view(-1, *image.shape), top.view(-1, *image.shape)


class Searched(NamedTuple):
    """What is known about one pixel.

    Attributes:
        best: A change that fools, wherever one was found.
        decided: Whether the answer is certain: fooled, certified, or searched through; shape (N,).
        spared: Share of the pixels, of the pictures that the extremes do not fool, that a certificate holds for;
            None where the extremes fool all.
    """

    best: OnePixel
    decided: Tensor
    spared: float | None


def exact_one_pixel(
    classify: Classifier,
    network: nn.Module,
    mean: Tensor,
    std: Tensor,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    search: bool = True,
) -> Searched:
    """The exhaustive search, spared where the extremes fool already or a certificate holds.

    Args:
        classify: Gives logits of pixels.
        network: The network behind ``classify``; certificates are made for a `CNN`.
        mean: Subtracted from the pixels.
        std: Divides the pixels.
        images: Pixels, shape (N, 1, H, W).
        labels: True classes, shape (N,).
        values: Every value that a pixel can hold, increasing from 0, shape (V,).
        search: Try all values at the pixels that are not certified; else only the extremes are tried.
    """
    best = exhaustive_one_pixel(classify, images, labels, values[[0, -1]])
    margin, place, value = (part.clone() for part in best)
    decided = torch.ones_like(best.fooled)
    spared, asked = 0, 0
    for index in (~best.fooled).nonzero()[:, 0].tolist():
        image, label = images[index], labels[index]
        safe = torch.zeros(image.numel(), dtype=torch.bool, device=image.device)
        if isinstance(network, CNN):
            safe = certify_pixels(network, mean, std, image, label, float(values[-1]))
        spared, asked = spared + int(safe.sum()), asked + len(safe)
        open_pixels = (~safe).nonzero()[:, 0]
        if not len(open_pixels):
            continue
        if not search:
            decided[index] = False
            continue
        places = open_pixels.repeat_interleave(len(values))[None]
        tried = values.to(image.device).repeat(len(open_pixels))[None]
        found = changed_margins(classify, image[None], label[None], places, tried)[0]
        least = found.argmin()
        if found[least] < margin[index]:
            margin[index], place[index], value[index] = found[least], places[0, least], tried[0, least]
    return Searched(OnePixel(margin, place, value), decided, spared / asked if asked else None)
