"""A family of networks of one hidden layer, of several widths and from several seeds, as one tensor programme.

    f(x) = offset + Σ_n outer_n φ(w_n·x + b_n)

The parameters of a network are one row of a matrix, so that an optimiser is a few lines on rows, and a product over all
networks is one batched product. Networks narrower than the widest carry units whose output weight stays 0.
"""

# P networks, N most units, D inputs, M samples, Q parameters a row = N (D + 2) + 1

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh", "sin", "gaussian", "gelu", "polynomial"]
LEAKY_SLOPE = 0.2
BROKEN_LINES = {"relu": 0.0, "leaky_relu": LEAKY_SLOPE}  # slope for negative arguments


def polynomial(z: Tensor, degree: int) -> Tensor:
    """Chebyshev's T_degree(z): a polynomial whose shifts and scalings span those of its degree, tame on [-1, 1]."""
    before, now = torch.ones_like(z), z
    for _ in range(degree - 1):
        before, now = now, 2 * z * now - before
    return now if degree else before


def activation_function(name: Activation, degree: int = 4) -> Callable[[Tensor], Tensor]:
    """The activation φ by its name. Args: name; degree, of ``polynomial``."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": torch.relu,
        "leaky_relu": lambda z: F.leaky_relu(z, LEAKY_SLOPE),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "sin": torch.sin,
        "gaussian": lambda z: torch.exp(-z * z),
        "gelu": F.gelu,
        "polynomial": lambda z: polynomial(z, degree),
    }
    return functions[name]


class Family(nn.Module):
    """Networks of one hidden layer, one of each width from each seed.

    Args:
        widths: Units of the networks.
        seeds: Networks of each width, at least 1.
        activation: φ.
        num_inputs: D.
        degree: Of the activation ``polynomial``.
        spread: Lay the knees -b/w over the unit interval with slopes of the order of the width, instead of PyTorch's
            usual uniform weights in ±1/√fan-in, which leave most knees outside.
        seed: Of the weights.
        dtype: float64 or float32.
    """

    mask: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        seeds: int,
        activation: Activation,
        num_inputs: int = 1,
        degree: int = 4,
        spread: bool = False,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.widths, self.seeds, self.num_inputs = list(widths), seeds, num_inputs
        self.units = max(widths)
        self.activation = activation_function(activation, degree)
        self.pitch = math.pi if activation == "sin" else 1.0  # half a wave where the others have a knee
        generator = torch.Generator().manual_seed(seed)
        rows, masks = [], []
        for width in self.widths:
            for _ in range(seeds):
                weight, bias = self._inner(width, spread, generator)
                outer = self._uniform((width,), width, generator)
                offset = self._uniform((1,), width, generator)
                rows.append(self._row(weight, bias, outer, offset))
                ones = torch.ones(width, dtype=torch.float64)
                masks.append(self._row(ones[:, None].expand(-1, num_inputs), ones, ones, ones[:1]))
        self.rows = nn.Parameter(torch.stack(rows).to(dtype))
        self.register_buffer("mask", torch.stack(masks).to(dtype), persistent=False)

    def _uniform(self, shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) / math.sqrt(fan_in)

    def _inner(self, width: int, spread: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if not spread:
            shape = (width, self.num_inputs)
            return self._uniform(shape, self.num_inputs, generator), self._uniform((width,), self.num_inputs, generator)
        # Density of knees of one every 1/width; in two dimensions of one every 1/√width along a direction.
        slope = max(2.0, width ** (1 / self.num_inputs))
        direction = torch.randn(width, self.num_inputs, generator=generator, dtype=torch.float64)
        scale = self.pitch * slope * (0.5 + torch.rand(width, 1, generator=generator, dtype=torch.float64))
        weight = scale * F.normalize(direction)
        place = torch.rand(width, self.num_inputs, generator=generator, dtype=torch.float64)
        return weight, -(weight * place).sum(1)

    def _row(self, weight: Tensor, bias: Tensor, outer: Tensor, offset: Tensor) -> Tensor:
        """One row: weights (n, D), biases, output weights (n,), each padded to N units, and the offset (1,)."""
        padded = [F.pad(part, (0, 0) * (part.ndim - 1) + (0, self.units - len(part))).flatten()
                  for part in (weight, bias, outer)]  # fmt: skip
        return torch.cat([*padded, offset])

    def parts(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights (P, N, D), biases (P, N), output weights (P, N) and offsets (P,) of rows (P, Q)."""
        sizes = (self.units * self.num_inputs, self.units, self.units, 1)
        weight, bias, outer, offset = rows.split(sizes, 1)
        return weight.unflatten(1, (self.units, self.num_inputs)), bias, outer, offset[:, 0]

    def before_activation(self, rows: Tensor, x: Tensor) -> Tensor:
        """w_n·x + b_n, shape (P, M, N). Args: rows (P, Q), x (M,) or (M, D)."""
        weight, bias, _, _ = self.parts(rows)
        places = x.to(rows.dtype).reshape(len(x), self.num_inputs)
        if self.num_inputs == 1:
            return places * weight.mT + bias[:, None]
        return torch.baddbmm(bias[:, None], places.expand(len(rows), -1, -1), weight.mT)

    def evaluate(self, rows: Tensor, x: Tensor) -> Tensor:
        """Values of the networks given by rows (P, Q) at x (M,) or (M, D): shape (P, M)."""
        _, _, outer, offset = self.parts(rows)
        hidden = self.activation(self.before_activation(rows, x))  # (P, M, N)
        return torch.baddbmm(offset[:, None, None], hidden, outer.unsqueeze(2)).squeeze(2)

    def forward(self, x: Tensor) -> Tensor:
        """Values of the networks at x (M,) or (M, D): shape (P, M)."""
        return self.evaluate(self.rows, x)

    def loss_and_gradient(self, rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared error of each network (P,) and its gradient (P, Q); units that a network lacks get none."""
        with torch.enable_grad():
            rows = rows.detach().requires_grad_()
            loss = (self.evaluate(rows, x) - y.to(rows.dtype)).square().mean(1)
            (gradient,) = torch.autograd.grad(loss.sum(), rows)
        return loss.detach(), gradient * self.mask
