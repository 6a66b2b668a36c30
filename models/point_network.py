"""A small network whose every stage can be looked at, one of its layers taken apart, and a stage judged.

    φ(W x + b),  W = U Σ Vᵀ:  rotate or reflect (Vᵀ), scale (Σ), rotate or reflect (U), shift (b), bend (φ)

Sources: Eckart, Young (1936); Cover (1965), Geometrical and statistical properties of systems of linear inequalities.
"""
# N points, d coordinates

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from theory.mean_field import ACTIVATIONS
from theory.separability import Plane, cover_count, separating_plane

FLAT = 1e-12  # of the points' size: rounding of a few layers in double precision stays below


class PointNetwork(nn.Module):
    """A small fully connected network whose every stage can be looked at.

    Args:
        in_features: Coordinates of an input.
        widths: Units of each hidden layer, at least one layer.
        activation: ``tanh``, ``sigmoid``, ``relu``, ``leaky`` or ``linear``.
    """

    def __init__(self, in_features: int, widths: list[int], activation: str) -> None:
        super().__init__()
        if not widths or not all(1 <= width <= 256 for width in widths):
            raise ValueError(f"--model.widths must be one or more numbers in 1..256, got {widths}")
        self.activation = ACTIVATIONS[activation].value
        sizes = [in_features, *widths]
        self.layers = nn.ModuleList(nn.Linear(rows, columns) for rows, columns in pairwise(sizes))
        self.readout = nn.Linear(sizes[-1], 1)
        for layer in self.hidden():
            nn.init.orthogonal_(layer.weight)  # begins as a rotation, and W keeps its full rank

    def hidden(self) -> list[nn.Linear]:
        """The affine maps of the hidden layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def stages(self, x: Tensor) -> list[Tensor]:
        """The inputs, then the outputs of each hidden layer, each of shape (N, width)."""
        found = [x]
        for layer in self.layers:
            found.append(self.activation(layer(found[-1])))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logit of class 1, shape (N,). Args: x of shape (N, in_features)."""
        logit: Tensor = self.readout(self.stages(x)[-1])[:, 0]
        return logit


def anatomy(weight: Tensor, bias: Tensor, x: Tensor) -> list[tuple[str, Tensor]]:
    """The affine part of a layer taken apart: rotate or reflect, scale, rotate or reflect, shift.

    Args:
        weight: W, shape (out, in).
        bias: b, shape (out,).
        x: Points, shape (N, in).

    Returns:
        What was done last, and the points after it; the dimension changes with the scaling.
    """
    u, values, vt = torch.linalg.svd(weight)
    stretch = torch.zeros_like(weight)
    stretch.diagonal().copy_(values)
    rotated = x @ vt.T
    scaled = rotated @ stretch.T
    turned = scaled @ u.T
    first, last = ("rotate" if torch.linalg.det(turn) > 0 else "reflect" for turn in (vt, u))
    return [(f"{first}, Vᵀ", rotated), ("scale, Σ", scaled), (f"{last}, U", turned), ("shift, + b", turned + bias)]


class Stage(NamedTuple):
    """One stage of the network, on the training points.

    Attributes:
        points: Shape (n, d).
        plane: The plane of least slack.
        accuracy: Share of the points on their side of it.
        chance: log10 of the probability, at most, that random labels of the points can be separated there: Cover's
            count of the labellings of ``distinct`` points in general position in ``dimension`` dimensions, over 2ⁿ.
        distinct: How many of the points differ.
        dimension: Of the smallest flat space that holds them all, at most d.
    """

    points: np.ndarray
    plane: Plane
    accuracy: float
    chance: float
    distinct: int
    dimension: int

    def chance_in_words(self) -> str:
        """The probability as a number, or as a power of ten where it is small, rounded up: it is told as a bound."""
        if self.chance <= -3:
            return f"10^{math.ceil(self.chance)}"
        unit = 10.0 ** (math.floor(self.chance) - 2)  # of the third digit
        return f"{min(math.ceil(10**self.chance / unit * (1 - 1e-12)) * unit, 1.0):.3g}"


def look(points: Tensor, labels: Tensor, exact: Tensor | None = None) -> Stage:
    """Linear separability of one stage.

    Args:
        points: Shape (n, d).
        labels: 0 or 1, shape (n,).
        exact: The same without those that coincide from the beginning, to double precision, shape (m, d), which shows
            how many dimensions they fill.
    """
    x, y = points.double().cpu().numpy(), labels.cpu().numpy()
    plane = separating_plane(x, y)
    right = ((x @ plane.normal + plane.offset > 0) == (y > 0)).mean()
    image = np.unique((x if exact is None else exact.cpu().numpy()) + 0.0, axis=0)  # -0 and 0 are one
    dimension = int(np.linalg.matrix_rank(image - image.mean(0), tol=FLAT * np.linalg.norm(image)))
    chance = math.log10(cover_count(len(image), dimension + 1)) - len(x) * math.log10(2)
    return Stage(x, plane, float(right), chance, len(image), dimension)


def grid_lines(low: float, high: float, lines: int = 13, steps: int = 61) -> Tensor:
    """Horizontal and vertical lines of a square, shape (2 · lines, steps, 2)."""
    across, along = torch.meshgrid(torch.linspace(low, high, lines), torch.linspace(low, high, steps), indexing="ij")
    return torch.cat([torch.stack([along, across], 2), torch.stack([across, along], 2)])
