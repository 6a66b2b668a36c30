"""The restricted Boltzmann machine as a module, and the gradient by which it learns.

The likelihood's gradient is the difference of two means, ⟨v hᵀ⟩ under the data minus ⟨v hᵀ⟩ under the model. The
second is taken from k sweeps of Gibbs sampling: after the data (contrastive divergence, CD-k), or after chains that
are never set back (persistent, PCD-k), which lose the bias as the learning rate falls to 0.

Centring: with offsets μ and λ, moving averages of the means of v and h over data and model,

    ∇W = ⟨(v-μ)(h-λ)ᵀ⟩_data - ⟨(v-μ)(h-λ)ᵀ⟩_model = C - Δv λᵀ - μ Δhᵀ
    ∇a = Δv - ∇W λ,     ∇b = Δh - ∇Wᵀ μ

where C, Δv and Δh are the plain differences of ⟨v hᵀ⟩, ⟨v⟩ and ⟨h⟩. It is the same ascent whether pixels are written
as 0 and 1 or as 1 and 0. The biases here are those of the uncentred energy, so nothing else moves with the offsets.

Letters: N samples, C chains, V visible units, H hidden units.

Source: Hinton (2002), Training products of experts by minimizing contrastive divergence; Tieleman (2008), Training
restricted Boltzmann machines using approximations to the likelihood gradient; Melchior, Fischer and Wiskott (2016), How
to center deep Boltzmann machines, algorithm 1.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from models.limits import HIGHEST_RATE, HIGHEST_SEED, MOST_COPIES, MOST_STEPS, SHARE, Range
from theory.ais import base_logits
from theory.rbm import Moments, free_energy, hidden_probabilities, visible_probabilities

Algorithm = Literal["cd", "pcd"]
OFFSET_RATE = 0.01

# Of options that all tasks with such a machine have.
RANGES: dict[str, Range] = {
    "sweeps": (1, MOST_STEPS),
    "chains": (1, MOST_COPIES),
    "ais_temperatures": (20, MOST_STEPS),
    "ais_chains": (2, MOST_COPIES),
    "burn_in": (1, MOST_STEPS),
    "lr": (0, HIGHEST_RATE),
    "momentum": SHARE,
    "weight_decay": (0, HIGHEST_RATE),
    "pixels_seed": (0, HIGHEST_SEED),
}


def coin(probabilities: Tensor) -> Tensor:
    """1 with the given probabilities, else 0. Faster than `torch.bernoulli`, fivefold on a CPU."""
    draws = torch.rand_like(probabilities)
    return torch.lt(draws, probabilities, out=draws)


class RBM(nn.Module):
    """A restricted Boltzmann machine of binary units; see ``theory.rbm`` for its energy.

    Args:
        visible: V.
        hidden: H.
        scale: Standard deviation of the weights before training; 0.01 is usual.
    """

    def __init__(self, visible: int, hidden: int, scale: float = 0.01) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def terms(self) -> tuple[Tensor, Tensor, Tensor]:
        """W (V, H), a (V,) and b (H,), without gradient: what the functions of ``theory`` take."""
        return self.weight.detach(), self.visible_bias.detach(), self.hidden_bias.detach()

    def hidden_given_visible(self, v: Tensor) -> Tensor:
        """p(h = 1 | v), shape (N, H), of visible units (N, V)."""
        weight, _, b = self.terms()
        return hidden_probabilities(v, weight, b)

    def visible_given_hidden(self, h: Tensor) -> Tensor:
        """p(v = 1 | h), shape (N, V), of hidden units (N, H)."""
        weight, a, _ = self.terms()
        return visible_probabilities(h, weight, a)

    def forward(self, v: Tensor) -> Tensor:
        """What a layer above sees: `hidden_given_visible`."""
        return self.hidden_given_visible(v)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) in nats, shape (N,)."""
        return free_energy(v, *self.terms())

    @torch.no_grad()
    def gibbs(self, h: Tensor, sweeps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sweeps h → v → h.

        Args:
            h: Hidden states, shape (C, H).
            sweeps: At least 1.

        Returns:
            The last v, shape (C, V), p(h = 1 | v), and the h drawn from it, both of shape (C, H).
        """
        for _ in range(sweeps):
            v = coin(self.visible_given_hidden(h))
            probabilities = self.hidden_given_visible(v)
            h = coin(probabilities)
        return v, probabilities, h

    @torch.no_grad()
    def start_from(self, mean: Tensor, count: int) -> None:
        """Sets the visible biases so that, without weights, each pixel is on as often as in the data.

        Args:
            mean: Share of the pictures in which each pixel is on, shape (V,).
            count: Number of pictures; pixels that never change get a finite bias.
        """
        self.visible_bias.copy_(base_logits(mean, count))


class Ascent(nn.Module):
    """Estimates the gradient of the likelihood of one machine; holds its chains and offsets, so that runs resume.

    Args:
        visible: V.
        hidden: H.
        algorithm: ``cd`` starts its chains at the data in every step, ``pcd`` lets them run on.
        sweeps: k.
        chains: Number of persistent chains.
        centre: Whether offsets are used; without them μ = λ = 0.
    """

    chains: Tensor
    visible_offset: Tensor
    hidden_offset: Tensor

    def __init__(
        self, visible: int, hidden: int, algorithm: Algorithm, sweeps: int, chains: int, centre: bool = True
    ) -> None:
        super().__init__()
        self.algorithm, self.sweeps, self.centre = algorithm, sweeps, centre
        self.register_buffer("chains", torch.rand(chains if algorithm == "pcd" else 0, hidden).round_())  # hidden units
        self.register_buffer("visible_offset", torch.zeros(visible))
        self.register_buffer("hidden_offset", torch.full((hidden,), 0.5 if centre else 0.0))

    def start_from(self, mean: Tensor) -> None:
        """Sets the visible offsets to the means of the pixels, shape (V,)."""
        if self.centre:
            self.visible_offset.copy_(mean)

    def start(self, h: Tensor) -> Tensor:
        """Hidden states from which the chains of a step go on, shape (C, H). Args: h, p(h = 1) of the data, (N, H)."""
        return self.chains if self.algorithm == "pcd" else coin(h)

    def look(self, rbm: RBM, v: Tensor) -> Tensor:
        """Samples of the model to set beside a batch v (N, V), shape (C, V); the chains stay where they are."""
        model_v, _, _ = rbm.gibbs(
            self.start(rbm.hidden_given_visible(v)), 1 if self.algorithm == "pcd" else self.sweeps
        )
        return model_v

    @torch.no_grad()
    def gradient(self, rbm: RBM, v: Tensor) -> Moments:
        """Ascent direction of the mean log-likelihood; moves the chains and the offsets.

        Args:
            rbm: The machine.
            v: A batch of data, shape (N, V).

        Returns:
            Estimates of the derivatives by W, a and b.
        """
        h = rbm.hidden_given_visible(v)
        model_v, model_h, last = rbm.gibbs(self.start(h), self.sweeps)
        if self.algorithm == "pcd":
            self.chains.copy_(last)
        data_mean, model_mean = (v.mean(0), h.mean(0)), (model_v.mean(0), model_h.mean(0))
        delta_v, delta_h = (data - model for data, model in zip(data_mean, model_mean, strict=True))
        slope = (v.T @ h).div_(len(v)).addmm_(model_v.T, model_h, alpha=-1 / len(model_v))  # C, (V, H)
        if not self.centre:
            return Moments(slope, delta_v, delta_h)
        for offset, data, model in zip((self.visible_offset, self.hidden_offset), data_mean, model_mean, strict=True):
            offset.lerp_((data + model) / 2, OFFSET_RATE)
        slope.addr_(delta_v, self.hidden_offset, alpha=-1).addr_(self.visible_offset, delta_h, alpha=-1)
        delta_v = delta_v - slope @ self.hidden_offset
        delta_h = delta_h - self.visible_offset @ slope
        return Moments(slope, delta_v, delta_h)


def climb(rbm: RBM, gradient: Moments) -> None:
    """Writes the gradient where torch's optimisers look for it; they descend, so its sign is turned."""
    for parameter, slope in zip((rbm.weight, rbm.visible_bias, rbm.hidden_bias), gradient, strict=True):
        parameter.grad = slope.neg_()
