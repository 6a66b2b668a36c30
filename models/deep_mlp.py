"""Deep networks of one width, several independent copies at once, and what back-propagation makes of their gradients.

    z_1 = W_0 x,    z_{l+1} = W_l φ(z_l)  (plain; `theory.mean_field` lists the others),    logits = V φ(z_L)

A `Setting` is an activation, an initialisation and a wiring, written ``relu-he``, ``tanh-orthogonal`` or
``relu-he-batch``. `measure_gradients` draws networks and compares the size of δ_l = ∂loss/∂z_l over the layers.
"""
# S copies, N batch, n width, L depth, K classes

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from theory.mean_field import ACTIVATIONS, Layers, Wiring, he_gain, layers

INITIALISATIONS = ("glorot", "he", "orthogonal")
TOGETHER = 8  # networks drawn at once: 20 layers of 512 units take 340 MB
WIRINGS: tuple[Wiring, ...] = ("plain", "residual", "batch")


class Setting(NamedTuple):
    """What decides whether a deep network trains.

    Attributes:
        activation: One of `theory.mean_field.ACTIVATIONS`.
        initialisation: ``glorot`` (σ_w = 1), ``he`` (σ_w = √2, less for leaky ReLU) or ``orthogonal``.
        wiring: How a layer follows the one before.
    """

    activation: str
    initialisation: str
    wiring: Wiring = "plain"

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Reads ``activation-initialisation`` or ``activation-initialisation-wiring``.

        Raises:
            ValueError: If a part is unknown or missing.
        """
        parts = text.split("-")
        allowed = (tuple(ACTIVATIONS), INITIALISATIONS, WIRINGS)
        if len(parts) not in (2, 3):
            choices = "; ".join(", ".join(known) for known in allowed)
            raise ValueError(f"a setting is ACTIVATION-INITIALISATION[-WIRING] of {choices}; got {text!r}")
        for part, known in zip(parts, allowed, strict=False):
            if part not in known:
                raise ValueError(f"setting {text!r}: {part!r} is none of {', '.join(known)}")
        return cls(*parts)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return "-".join(self[:2] if self.wiring == "plain" else self)

    @property
    def words(self) -> str:
        """For tables and figures, such as ``ReLU, Glorot, batch norm``."""
        names = {"relu": "ReLU", "leaky": "leaky ReLU 0.2", "glorot": "Glorot", "he": "He", "batch": "batch norm"}
        return ", ".join(names.get(part, part) for part in str(self).split("-"))

    @property
    def weight_scale(self) -> float:
        """σ_w: an entry of a weight has variance σ_w²/n."""
        gain = 1.0 if self.initialisation == "glorot" else he_gain(self.activation)
        # What keeps a rotation a rotation is slope 1, which smooth activations have at 0.
        return 1.0 if self.initialisation == "orthogonal" and self.activation not in ("relu", "leaky") else gain

    def theory(self, depth: int) -> Layers:
        """Mean field theory of a network of this depth, for inputs of mean square 1."""
        return layers(self.activation, self.weight_scale, depth, wiring=self.wiring, branch_scale=1 / math.sqrt(depth))


def draw_weight(setting: Setting, copies: int, rows: int, columns: int, generator: torch.Generator | None) -> Tensor:
    """Weights of shape (S, rows, columns) that multiply a row of mean square 1 to one of mean square σ_w²."""
    weight = torch.randn(copies, rows, columns, generator=generator)
    if setting.initialisation != "orthogonal":
        return weight * (setting.weight_scale / math.sqrt(rows))
    tall = weight if rows >= columns else weight.mT
    q, r = torch.linalg.qr(tall)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # else Q is not uniformly distributed (Mezzadri 2007)
    return (q if rows >= columns else q.mT) * setting.weight_scale * max(1.0, math.sqrt(columns / rows))


class DeepMLP(nn.Module):
    """Independent copies of a deep fully connected network, all of one setting.

    Args:
        setting: Activation, initialisation and wiring.
        copies: S.
        in_features: Entries of an input.
        width: n.
        depth: L, number of layers with an activation, at least 1.
        num_classes: K.
        generator: Draws the weights; torch's own by default.
    """

    def __init__(
        self,
        setting: Setting,
        copies: int,
        in_features: int,
        width: int,
        depth: int,
        num_classes: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.setting = setting
        self.branch_scale = 1 / math.sqrt(depth)
        sizes = [in_features] + [width] * depth
        self.weights = nn.ParameterList(
            draw_weight(setting, copies, rows, columns, generator) for rows, columns in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(copies, 1, width) for _ in range(depth))
        self.head = nn.Parameter(torch.randn(copies, width, num_classes, generator=generator) / math.sqrt(width))
        count = depth if setting.wiring == "batch" else 0
        self.norms = nn.ModuleList(nn.BatchNorm1d(copies * width) for _ in range(count))

    def normalise(self, z: Tensor, layer: int) -> Tensor:
        """Batch normalisation of every unit of every copy. Args: z of shape (S, N, n)."""
        copies, batch, width = z.shape
        units = z.transpose(0, 1).reshape(batch, copies * width)
        normal: Tensor = self.norms[layer](units)
        return normal.view(batch, copies, width).transpose(0, 1)

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        """z_1, …, z_L, each of shape (S, N, n). Args: x of shape (S, N, in_features) or (N, in_features)."""
        found: list[Tensor] = []
        activation = ACTIVATIONS[self.setting.activation].value
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            step = (activation(found[-1]) if found else x) @ weight + bias
            if self.setting.wiring == "residual" and found:
                step = found[-1] + self.branch_scale * step
            found.append(self.normalise(step, layer) if self.setting.wiring == "batch" else step)
        return found

    def logits(self, last: Tensor) -> Tensor:
        """Logits (S, N, K) of z_L."""
        return ACTIVATIONS[self.setting.activation].value(last) @ self.head

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (S, N, K). Args: x of shape (N, in_features)."""
        return self.logits(self.pre_activations(x)[-1])


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each copy in nats, shape (S,). Args: logits (S, N, K); labels (N,)."""
    return F.cross_entropy(logits.transpose(1, 2), labels.expand(len(logits), -1), reduction="none").mean(1)


class Gradients(NamedTuple):
    """Sizes of gradients at initialisation, one row a drawn network.

    Attributes:
        delta: ‖δ_l‖ / ‖δ_L‖, shape (S, L).
        weight: Root mean square over the samples of ‖∂loss/∂W_l‖ = ‖δ_{l+1}‖ ‖φ(z_l)‖, over that of the last layer,
            for W_1, …, W_{L-1}, shape (S, L - 1).
    """

    delta: Tensor
    weight: Tensor

    @property
    def profile(self) -> Tensor:
        """Geometric mean over the networks of ‖δ_l‖ / ‖δ_L‖, shape (L,)."""
        return self.delta.log().mean(0).exp()

    @property
    def delta_ratio(self) -> float:
        """‖δ_1‖ / ‖δ_L‖, geometric mean over the networks."""
        return float(self.profile[0])

    @property
    def weight_ratio(self) -> float:
        """‖∂loss/∂W_1‖ / ‖∂loss/∂W_{L-1}‖, geometric mean over the networks."""
        return float(self.weight[:, 0].log().mean().exp())


def measure_gradients(
    setting: Setting,
    depth: int = 20,
    width: int = 512,
    batch: int = 256,
    draws: int = 8,
    seed: int = 0,
    weight_scale: float | None = None,
) -> Gradients:
    """Back-propagates the cross-entropy of random labels through freshly drawn networks.

    Args:
        setting: What is measured.
        depth: L, at least 3.
        width: n of all layers, the input's too.
        batch: Gaussian inputs, each scaled to mean square 1.
        draws: Networks.
        seed: Of inputs, labels and weights.
        weight_scale: σ_w of the hidden weights, if it is not the initialisation's own.
    """
    scale = setting.weight_scale if weight_scale is None else weight_scale
    generator = torch.Generator().manual_seed(seed)
    deltas, weights = [], []
    for first in range(0, draws, TOGETHER):
        delta, signal = _back_propagate(setting, depth, width, batch, min(TOGETHER, draws - first), scale, generator)
        deltas.append(delta.sum(2).sqrt())
        # The gradient of one sample is an outer product: its norm is the product of the two norms.
        weights.append((delta[1:] * signal[:-1]).mean(2).sqrt())
    sizes, weight = torch.cat(deltas, 1).T, torch.cat(weights, 1).T  # (S, L), (S, L - 1)
    return Gradients(sizes / sizes[:, -1:], weight / weight[:, -1:])


def _back_propagate(
    setting: Setting, depth: int, width: int, batch: int, draws: int, scale: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """‖δ_l‖² and ‖φ(z_l)‖² of each sample, each of shape (L, S, N).

    Drawn in float32 and computed in float64: 100 sigmoid layers take δ down to 1e-62, far below what float32 holds.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(draws, batch, width, generator=generator).double()
        x = x / x.square().mean(2, keepdim=True).sqrt()
        labels = torch.randint(10, (batch,), generator=generator)
        network = DeepMLP(setting, draws, width, width, depth, 10, generator).double().requires_grad_(False)
        for weight in network.weights:
            weight.mul_(scale / setting.weight_scale)
        network.weights[0].requires_grad_()  # the graph begins here; no other weight needs a gradient
        z = network.pre_activations(x)
        deltas = torch.autograd.grad(losses(network.logits(z[-1]), labels).sum(), z)
        activation = ACTIVATIONS[setting.activation].value
        return tuple(  # type: ignore[return-value]
            torch.stack([part.detach().square().sum(2) for part in parts])
            for parts in (deltas, [activation(before) for before in z])
        )
