"""Batch normalisation of a frozen network folded into the convolution before it.

With its statistics fixed, batch normalisation is affine per channel, and so is the sum of a convolution's products:

    gamma * (w x + b - mu) / sqrt(var + eps) + beta  =  w' x + b'
    w' = w * gamma / sqrt(var + eps)        b' = beta + (b - mu) * gamma / sqrt(var + eps)

One pass over memory per layer is saved; on a CPU, where EfficientNet-Lite0 mostly moves memory, much of the time.

Source:
    Jacob et al. (2018), Quantization and training of neural networks for efficient inference, section 3.2.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_normalisation(network: nn.Module) -> nn.Module:
    """A copy in ``eval()`` whose batch normalisations are folded where a convolution is registered just before them.

    Args:
        network: Any network; it is left as it is.

    Returns:
        The copy. It computes the same only if each of those normalisations really reads the convolution before it:
        compare, or use `folded_if_equal`.
    """
    folded = copy.deepcopy(network).eval()
    for parent in list(folded.modules()):
        before: tuple[str, nn.Module] = ("", nn.Identity())
        for name, child in list(parent.named_children()):
            convolution = before[1]
            if (
                isinstance(child, nn.BatchNorm2d)
                and child.running_mean is not None
                and isinstance(convolution, nn.Conv2d)
                and convolution.out_channels == child.num_features
            ):
                parent.register_module(before[0], fuse_conv_bn_eval(convolution, child))
                # timm's normalisation carries the activation that follows it.
                parent.register_module(name, getattr(child, "act", nn.Identity()))
            before = (name, child)
    return folded


def folded_if_equal(network: nn.Module, x: Tensor, tolerance: float = 1e-4) -> nn.Module:
    """The folded copy if it computes what the network computes, else the network itself.

    Args:
        network: In ``eval()``; maps ``x`` to one tensor.
        x: A few inputs on the network's device.
        tolerance: Largest difference allowed, as a share of the largest output; float32 rounding stays below 1e-5.

    Returns:
        The network to use for features.
    """
    folded = fold_normalisation(network)
    with torch.inference_mode():
        expected, actual = network(x), folded(x)
    equal = bool((expected - actual).abs().max() <= tolerance * expected.abs().max())
    return folded if equal else network
