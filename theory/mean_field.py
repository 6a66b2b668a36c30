"""How signals and gradients grow or die with depth, in the limit of wide layers.

A deep network z_{l+1} = W_l φ(z_l) with W_ij ~ N(0, σ_w²/n) has, for n → ∞, Gaussian pre-activations; all that is left
of a layer is their mean square q, and all that is left of back-propagation is one factor a layer:

    plain      z_{l+1} = W_l φ(z_l)            q_{l+1} = σ_w² E φ(√q_l Z)²            χ_l = σ_w² E φ'(√q_l Z)²
    residual   z_{l+1} = z_l + α W_l φ(z_l)    q_{l+1} = q_l + α² σ_w² E φ(√q_l Z)²   χ_l = 1 + α² σ_w² E φ'(√q_l Z)²
    batch      z_{l+1} = BN(W_l φ(z_l))        q_{l+1} = 1                            χ_l = E φ'(Z)² / Var φ(Z)

    E ‖δ_l‖² = χ_l E ‖δ_{l+1}‖²,      δ_l = ∂loss / ∂z_l,      ‖δ_1‖ / ‖δ_L‖ = √(χ_1 χ_2 … χ_{L-1})

Above 1 gradients explode, below 1 they vanish, both exponentially. The gradient of a *weight* is no substitute: that of
one sample is δ_{l+1} h_lᵀ with h = φ(z), and a shrinking δ beside a growing h hides the decay.

Symbols: Z ~ N(0, 1); σ_w weight scale; q mean square of a pre-activation; χ factor of one layer; α branch scale.

Sources:
    Poole, Lahiri, Raghu, Sohl-Dickstein, Ganguli (2016), Exponential expressivity in deep neural networks, equation 3.
    Schoenholz, Gilmer, Ganguli, Sohl-Dickstein (2017), Deep information propagation, section 4.
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz (2019), A mean field theory of batch normalization, corollary 3.3:
        a ReLU network with batch normalisation explodes by π/(π-1) a layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAKY_SLOPE = 0.2
NODES, REACH = 120, 12.0  # of the quadrature, in each part of each side of 0; P(|Z| > 12) is 4e-33

Wiring = Literal["plain", "residual", "batch"]


class Activation(NamedTuple):
    """A function of one variable and its derivative, both elementwise."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _leaky(z: Tensor) -> Tensor:
    return torch.nn.functional.leaky_relu(z, LEAKY_SLOPE)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda z: z, torch.ones_like),
    "relu": Activation(torch.relu, lambda z: (z > 0).to(z.dtype)),
    "leaky": Activation(_leaky, lambda z: LEAKY_SLOPE + (1 - LEAKY_SLOPE) * (z > 0).to(z.dtype)),
    "tanh": Activation(torch.tanh, lambda z: 1 - torch.tanh(z).square()),
    "sigmoid": Activation(torch.sigmoid, lambda z: torch.sigmoid(z) * torch.sigmoid(-z)),
}


def gaussian_mean(function: Callable[[Tensor], Tensor], q: float) -> float:
    """E f(√q Z) by Gauss-Legendre quadrature on each side of 0.

    Gauss-Hermite nodes would integrate across the kink of ReLU, with an error of 0.2 % at 200 nodes; here the function
    is smooth on either side. For large q it changes near 0 alone, on the scale 1/√q of Z: there the range is cut at
    1, 4, 16, … of that, and the error is that of rounding at every q.

    Args:
        function: Elementwise, on float64 tensors; smooth, but for a kink at 0, on the scale of 1.
        q: Variance of the argument, at least 0.
    """
    deviation = math.sqrt(q)
    cuts = [0.0, REACH]
    while cuts[-2] * 4 < REACH and deviation > 1:
        cuts.insert(-1, max(4 * cuts[-2], 1 / deviation))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)  # on [-1, 1]
    total = 0.0
    for low, high in itertools.pairwise(cuts):
        z = torch.from_numpy(low + (high - low) / 2 * (nodes + 1))
        density = torch.from_numpy((high - low) / 2 * weights) * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        total += float(density @ (function(deviation * z) + function(-deviation * z)))
    return total


def he_gain(activation: str) -> float:
    """σ_w of He's initialisation: it keeps the gradient's size exactly where half of the line has slope 1.

    Returns:
        √2 for ReLU and the smooth activations, √(2 / (1 + a²)) for leaky ReLU of slope a.

    Source:
        He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, equations 10 and 15.
    """
    return math.sqrt(2 / (1 + LEAKY_SLOPE**2)) if activation == "leaky" else math.sqrt(2)


class Layers(NamedTuple):
    """What mean field theory says about the layers 1..L.

    Attributes:
        variance: q_l, mean square of the pre-activations, shape (L,).
        activity: E φ(z_l)², mean square of the activations, shape (L,).
        factor: χ_l, from layer l+1 to layer l, shape (L - 1,).
    """

    variance: np.ndarray
    activity: np.ndarray
    factor: np.ndarray

    @property
    def delta(self) -> np.ndarray:
        """‖δ_l‖ / ‖δ_L‖, shape (L,); 1 at its end."""
        backwards = np.append(self.factor, 1.0)[::-1]
        return np.sqrt(np.cumprod(backwards))[::-1]

    @property
    def delta_ratio(self) -> float:
        """‖δ_1‖ / ‖δ_L‖."""
        return float(self.delta[0])

    @property
    def weight_ratio(self) -> float:
        """‖∂loss/∂W_1‖ / ‖∂loss/∂W_{L-1}‖ of one sample, for the plain and the residual wiring; NaN of one layer."""
        if len(self.delta) < 2:
            return math.nan
        return float(self.delta[1] * np.sqrt(self.activity[0] / self.activity[-2]))


def layers(
    activation: str,
    weight_scale: float,
    depth: int,
    *,
    mean_square: float = 1.0,
    wiring: Wiring = "plain",
    branch_scale: float = 1.0,
) -> Layers:
    """The recursion above over ``depth`` layers.

    Args:
        activation: One of `ACTIVATIONS`.
        weight_scale: σ_w; a weight has variance σ_w²/n. 1 is Glorot's choice for square layers, √2 He's.
        depth: L, number of layers with an activation, at least 1.
        mean_square: Mean square of the input's entries, above 0; q_1 = σ_w² times it.
        wiring: How a layer follows the one before.
        branch_scale: α of the residual wiring; 1/√L keeps q within a factor of e.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if depth < 1 or weight_scale < 0 or mean_square <= 0:
        raise ValueError(
            f"depth must be at least 1, weight_scale at least 0 and mean_square above 0, "
            f"got {depth}, {weight_scale} and {mean_square}"
        )
    value, slope = ACTIVATIONS[activation]
    variance, activity, factor = [], [], []
    q = 1.0 if wiring == "batch" else weight_scale**2 * mean_square
    for _ in range(depth):
        second = gaussian_mean(lambda z: value(z).square(), q)
        gain = gaussian_mean(lambda z: slope(z).square(), q)
        variance.append(q)
        activity.append(second)
        if wiring == "batch":
            factor.append(gain / (second - gaussian_mean(value, q) ** 2))
        elif wiring == "residual":
            factor.append(1 + (branch_scale * weight_scale) ** 2 * gain)
            q += (branch_scale * weight_scale) ** 2 * second
        else:
            factor.append(weight_scale**2 * gain)
            q = weight_scale**2 * second
    return Layers(np.array(variance), np.array(activity), np.array(factor[:-1]))
