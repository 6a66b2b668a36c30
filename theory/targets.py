"""Curves on [-1, 1] that noisy samples are drawn from: one that is a polynomial, one that is smooth, one that jumps."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from theory.evidence import legendre

Target = Literal["cubic", "sine", "step"]
TARGETS: tuple[Target, ...] = get_args(Target)
DEGREES: dict[Target, int | None] = {"cubic": 3, "sine": None, "step": None}  # None: no polynomial


def target(name: Target, x: Tensor) -> Tensor:
    """A curve of mean 0 and mean square 1/2 on [-1, 1].

    Args:
        name: ``cubic``: (P_1 + P_2 + P_3) / sqrt 6, orthonormal Legendre polynomials; ``sine``: sin 2 pi x;
            ``step``: ±1 / sqrt 2.
        x: Points in [-1, 1], shape (n,).
    """
    if name == "cubic":
        return legendre(x, 3)[:, 1:].sum(1) / math.sqrt(6)
    if name == "sine":
        return torch.sin(2 * math.pi * x)
    if name == "step":
        return torch.where(x > 0, 1.0, -1.0).to(x.dtype) / math.sqrt(2)
    raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {name!r}")
