"""Batches that come back to what the network finds hard: online batch selection.

After a few epochs nearly every digit is learnt, and a batch drawn evenly spends most of its work on what the network
knows. Here an epoch shows M of the N pictures, and picture i with the probability

    p_i = min(1, max(p₀, c h_i)),   c such that Σ p_i = M,   p₀ = M / 3N

where h_i, its hardness, is a running mean of the errors ‖p − t‖₂ that the network made on it: p the probabilities it
gave, t the target. That is the length of the loss's gradient in the logits, so h_i says how much a step would learn
from the picture. A picture not yet seen is harder than any other. In the loss picture i counts

    w_i ∝ 1 / √p_i,   mean 1 over the epoch.

1 / p_i would make the gradient an unbiased estimate of that of the whole set, a constant would train on the hard
pictures as if they were all there is; the square root stands between, and did best on held-out digits.

Letters: N pictures, M pictures an epoch, B pictures of a batch.

Source: Loshchilov, Hutter (2016), Online batch selection for faster training of neural networks; Katharopoulos, Fleuret
(2018), Not all samples are created equal; Madow (1949), On the theory of systematic sampling, II.
"""

from typing import Any

import torch
from torch import Tensor

from data.loader import Augment, TensorLoader, batch_bounds
from theory.seeds import mix_seed

NOT_SEEN = 2.0  # two points of the probability simplex are at most √2 apart
_MEMORY = 0.5  # weight of the past in the running mean of a picture's errors
_DRAW = 3  # a stream of random numbers of its own, beside those of `data.loader`


def inclusion_probabilities(hardness: Tensor, size: int, least: float) -> Tensor:
    """Probabilities min(1, max(least, c h)) with sum M.

    Args:
        hardness: h, positive, shape (N,).
        size: M, from N · least to N.
        least: p₀, the smallest probability, above 0.

    Returns:
        float64, shape (N,).
    """
    h = hardness.double()
    low, high = least / float(h.max()), 1 / float(h.min())  # all are p₀; all are 1
    for _ in range(100):
        middle = (low * high) ** 0.5
        if float((h * middle).clamp(least, 1).sum()) < size:
            low = middle
        else:
            high = middle
    return (h * high).clamp(least, 1)


def systematic_sample(probabilities: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draws exactly M of N, each with its own probability: steps of length 1 along their sums in random order.

    Args:
        probabilities: In (0, 1], with sum M, shape (N,).
        size: M.
        generator: Source of the order and of the first step's place, on the CPU.

    Returns:
        Different numbers from 0 to N - 1 in random order, int64, shape (M,).
    """
    order = torch.randperm(len(probabilities), generator=generator)
    sums = probabilities.double().cpu()[order].cumsum(0)
    sums[-1] = size  # without the rounding of N additions
    steps = (sums + torch.rand(1, generator=generator, dtype=torch.float64)).floor()
    return order[steps.diff(prepend=steps.new_zeros(1)) > 0]


class FocusedLoader(TensorLoader):
    """Training batches of which each epoch shows a share of the pictures, the hard ones more often.

    After each batch the one who trains tells the errors by `learn`. The hardness and what was drawn from it lie in
    `state_dict`, so that a resumed run draws the same.

    Args:
        images: See `TensorLoader`.
        labels: See `TensorLoader`.
        batch_size: Pictures a batch.
        share: M / N, above 0 and below 1.
        seed: Seed of the draw and of the augmentation.
        augment: See `TensorLoader`.

    Raises:
        ValueError: If there are several processes, each of which would know only the errors of its own pictures.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        share: float,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(images, labels, batch_size, shuffle=True, seed=seed, augment=augment)
        if self.world_size > 1:
            raise ValueError(f"--data.focus works in one process, here are {self.world_size}")
        self.share = share
        self.size = max(1, round(share * len(images)))
        self.bounds = batch_bounds(self.size, batch_size, equal=True)
        self.hardness = torch.full((len(images),), NOT_SEEN, device=images.device)
        self._drawn: tuple[int, Tensor, Tensor] | None = None  # the epoch, its pictures (M,) and their weights (M,)

    def order(self, epoch: int) -> Tensor:
        """The pictures of an epoch, drawn when it begins, int64, shape (M,)."""
        if self._drawn is None or self._drawn[0] != epoch:
            generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch, _DRAW))
            chances = inclusion_probabilities(self.hardness, self.size, self.size / len(self.images) / 3)
            chosen = systematic_sample(chances, self.size, generator).to(self.images.device)
            weights = chances[chosen].rsqrt()
            self._drawn = epoch, chosen, (weights / weights.mean()).float()
        return self._drawn[1]

    @property
    def last_weights(self) -> Tensor:
        """The w of the pictures of the batch handed out last, float32, shape (B,)."""
        assert self._drawn is not None
        return self._drawn[2][self.bounds[self.position - 1] : self.bounds[self.position]]

    def learn(self, errors: Tensor) -> None:
        """Takes how far the network was from its targets on the batch handed out last.

        Args:
            errors: ‖p − t‖₂ of each picture, shape (B,).
        """
        before = self.hardness[self.last_indices]
        mean = _MEMORY * before + (1 - _MEMORY) * errors
        self.hardness[self.last_indices] = torch.where(before == NOT_SEEN, errors, mean).clamp_min(1e-6)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, what it knows of the pictures and what it drew for this epoch."""
        drawn = None if self._drawn is None else [self._drawn[0], *(part.cpu() for part in self._drawn[1:])]
        return {**super().state_dict(), "hardness": self.hardness.clone().cpu(), "drawn": drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        super().load_state_dict(state)
        device = self.images.device
        self.hardness = state["hardness"].to(device)
        if state["drawn"] is not None:
            epoch, chosen, weights = state["drawn"]
            self._drawn = epoch, chosen.to(device), weights.to(device)
