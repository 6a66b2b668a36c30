"""A family of networks, of several widths and from several seeds, as one tensor programme.

    f(x) = offset + Σ_n outer_n φ(z_n),      z = Wx + b of one hidden layer, or of the last of L.

The parameters of a network are one row of a matrix, so that an optimiser is a few lines on rows, and a product over all
networks is one batched product. Networks narrower than the widest carry units whose output weight stays 0.
"""

# P networks, N most units, D inputs, L hidden layers, M samples, Q parameters a row = count_numbers(N, D, L)

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["relu", "leaky_relu", "sigmoid", "tanh", "sin", "gaussian", "gelu", "polynomial"]
LEAKY_SLOPE = 0.2
FURTHER = 0.8  # of √(6/fan-in), with which a sine layer hands on values of the spread it received (Sitzmann 2020)
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


def count_numbers(width: int, num_inputs: int, depth: int) -> int:
    """Weights and biases of a network with one output.

    Args:
        width: N, units of each hidden layer.
        num_inputs: D.
        depth: L, hidden layers.
    """
    return width * (num_inputs + 1) + (depth - 1) * width * (width + 1) + width + 1


class Family(nn.Module):
    """Networks of equal hidden layers, one of each width from each seed.

    Args:
        widths: Units of each hidden layer of the networks.
        seeds: Networks of each width, at least 1.
        activation: φ.
        num_inputs: D.
        degree: Of the activation ``polynomial``.
        spread: Take the places to [-1, 1], lay the knees -b/w over it with slopes of the order of the width, and those
            of further layers over the range of what comes in, instead of PyTorch's usual uniform weights in
            ±1/√fan-in, which leave most knees outside.
        seed: Of the weights.
        dtype: float64 or float32.
        depth: Hidden layers, at least 1.
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
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.widths, self.seeds, self.num_inputs, self.depth = list(widths), seeds, num_inputs, depth
        self.spread = spread
        self.units = max(widths)
        self.activation = activation_function(activation, degree)
        self.pitch = math.pi if activation == "sin" else 1.0  # half a wave where the others have a knee
        generator = torch.Generator().manual_seed(seed)
        rows, masks = [], []
        for width in self.widths:
            for _ in range(seeds):
                layers = [self._first(width, generator)]
                layers += [self._further(width, generator) for _ in range(depth - 1)]
                outer = self._uniform((1, width), width, generator)
                offset = self._uniform((1,), width, generator)
                rows.append(self._row([*layers, (outer, offset)]))
                masks.append(
                    self._row([(torch.ones_like(w), torch.ones_like(b)) for w, b in [*layers, (outer, offset)]])
                )
        self.rows = nn.Parameter(torch.stack(rows).to(dtype))
        self.register_buffer("mask", torch.stack(masks).to(dtype), persistent=False)

    def _uniform(self, shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) / math.sqrt(fan_in)

    def _first(self, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Weights (n, D) and biases (n,) of the first layer."""
        shape = (width, self.num_inputs)
        if not self.spread:
            return self._uniform(shape, self.num_inputs, generator), self._uniform((width,), self.num_inputs, generator)
        # On [-1, 1] a density of knees of one every 2/width; in two dimensions of one every 2/√width along a direction.
        slope = max(2.0, width ** (1 / self.num_inputs)) / 2
        direction = torch.randn(shape, generator=generator, dtype=torch.float64)
        scale = self.pitch * slope * (0.5 + torch.rand(width, 1, generator=generator, dtype=torch.float64))
        weight = scale * F.normalize(direction)
        return weight, -(weight * self._uniform(shape, 1, generator)).sum(1)

    def _further(self, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Weights (n, n) and biases (n,) of a layer behind the first."""
        weight = self._uniform((width, width), width, generator)
        if not self.spread:
            return weight, self._uniform((width,), width, generator)
        return FURTHER * math.sqrt(6) * weight, self.pitch * self._uniform((width,), 1, generator)

    def _shapes(self) -> list[tuple[int, int]]:
        """Units and inputs of each layer, the output's last."""
        inner = [(self.units, self.units)] * (self.depth - 1)
        return [(self.units, self.num_inputs), *inner, (1, self.units)]

    def _row(self, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One row: each layer's weights, padded to N units and inputs, and its biases, padded to N. Returns: (Q,)."""
        parts = []
        for (weight, bias), (units, inputs) in zip(layers, self._shapes(), strict=True):
            wanted = (0, inputs - weight.shape[1], 0, units - weight.shape[0])
            parts += [F.pad(weight, wanted).flatten(), F.pad(bias, (0, units - len(bias)))]
        return torch.cat(parts)

    def layers(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Weights (P, units, inputs) and biases (P, units) of every layer of rows (P, Q), the output's last."""
        shapes = self._shapes()
        parts = rows.split([size for units, inputs in shapes for size in (units * inputs, units)], 1)
        weights = [part.unflatten(1, shape) for part, shape in zip(parts[::2], shapes, strict=True)]
        return list(zip(weights, parts[1::2], strict=True))

    def inputs(self, x: Tensor) -> Tensor:
        """What the first layer is given for places in [0, 1] or its square, shape (1, M, D)."""
        places = x.reshape(1, len(x), self.num_inputs)
        return 2 * places - 1 if self.spread else places

    def before_activation(self, rows: Tensor, x: Tensor) -> list[Tensor]:
        """Sums z = Wx + b of every hidden layer, each of shape (P, M, N). Args: rows (P, Q), x (M,) or (M, D)."""
        values = self.inputs(x).to(rows.dtype).expand(len(rows), -1, -1)
        found: list[Tensor] = []
        for weight, bias in self.layers(rows)[:-1]:
            values = self.activation(found[-1]) if found else values
            found.append(torch.baddbmm(bias[:, None], values, weight.mT))
        return found

    def evaluate(self, rows: Tensor, x: Tensor) -> Tensor:
        """Values of the networks given by rows (P, Q) at x (M,) or (M, D): shape (P, M)."""
        outer, offset = self.layers(rows)[-1]
        hidden = self.activation(self.before_activation(rows, x)[-1])  # (P, M, N)
        return torch.baddbmm(offset[:, None], hidden, outer.mT).squeeze(2)

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
