"""Statements about what a single layer and its activation can do (article 000)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, claim, equals


@claim(
    "000-28",
    "many classes are equally hard",
    IMPRECISE,
    "chance gets worse with the number C of classes: a network that knows nothing has the cross entropy ln C",
    "Good 1952",
)
def uninformed_loss() -> Numbers:
    for classes in (2, 10, 1000):
        logits = torch.zeros(1, classes, dtype=torch.float64)
        # -log(e^0 / sum_c e^0) = ln C
        loss = F.cross_entropy(logits, torch.tensor([1]))
        yield equals(f"cross entropy of {classes} equal logits", loss, math.log(classes), 1e-12)


@claim(
    "000-32",
    "a high pass after a low pass is a band pass",
    RIGHT,
    "linear time-invariant systems in series multiply their transfer functions",
    "Oppenheim and Schafer 1975",
)
def cascade() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    n = 64
    signal = torch.randn(n, generator=generator, dtype=torch.float64)
    low = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    high = torch.tensor([-0.25, 0.5, -0.25], dtype=torch.float64)

    def filtered(x: Tensor, kernel: Tensor) -> Tensor:  # circular convolution, by its definition
        return sum(weight * x.roll(k) for k, weight in enumerate(kernel))

    # FFT(h1 * (h2 * x)) = H1 H2 FFT(x)
    product = torch.fft.rfft(low, n) * torch.fft.rfft(high, n)  # (33,)
    in_series = torch.fft.rfft(filtered(filtered(signal, low), high))
    yield equals(
        "max |FFT of the cascade − H₁H₂ FFT|", (in_series - product * torch.fft.rfft(signal)).abs().max(), 0, 1e-13
    )
    gain = product.abs()
    yield at_least("peak over the gain at both ends", gain.max() / max(gain[0], gain[-1], 1e-6), 1e4)
