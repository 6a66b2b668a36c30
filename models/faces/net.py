"""The face network: a fixed oriented-gradient front, a trained weight for each cell, a discriminant as the last layer.

    descriptions  √histograms of gradient directions       fixed, models.faces.front
    features      exp(g_c / 2) times the histogram of cell c     trained, one number g a cell
    logits        β cos in the inner product uᵀΣ⁻¹v, best view   closed form, models.faces.head; shrinkage trained

With g = 0 the network *is* the closed form. Training weighs the cells by how well they tell people apart. As five
pictures a person are all there is, and the discriminant separates the pictures it was fitted to without an error, the
loss must come from pictures it was not fitted to: each step holds one picture of every person out (for verification:
some of the people), fits the last layer to the others and asks for the held-out ones. The gradient runs through the
fit.

Letters: S splits, N pictures, V views, C cells, B directions, K people of k pictures, n = K k, M queries, D = C B.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.faces.front import HistogramFront
from models.faces.head import build_gallery, identification_logits, verification_logits


def take(descriptions: Tensor, index: Tensor) -> Tensor:
    """All views of chosen pictures.

    Args:
        descriptions: Shape (V, N, C, B).
        index: Pictures of each split, int64, shape (S, M).

    Returns:
        Shape (S, V, M, C, B).
    """
    return descriptions[:, index].transpose(0, 1)


def hold_out_pictures(pictures: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Of every person one picture to be asked for, the others to learn from.

    Args:
        pictures: Training pictures by person, shape (S, K, k).
        order: A permutation of 0..k-1 for each person; its first entry is held out, shape (S, K, k).

    Returns:
        Known pictures, shape (S, K (k - 1)), sorted by person, and held-out ones, shape (S, K), one of each person.
    """
    shuffled = pictures.gather(2, order)
    return shuffled[:, :, 1:].flatten(1), shuffled[:, :, 0]


def hold_out_people(pictures: Tensor, order: Tensor, num_held_out: int) -> tuple[Tensor, Tensor]:
    """Some people to compare with each other, the others to learn from.

    Args:
        pictures: Training pictures by person, shape (S, K, k).
        order: A permutation of the people for each split, shape (S, K).
        num_held_out: People h held out, 2..K - 2.

    Returns:
        Known pictures, shape (S, (K - h) k), and held-out ones, shape (S, h k), both sorted by person.
    """
    shuffled = pictures.gather(1, order.unsqueeze(2).expand_as(pictures))
    return shuffled[:, num_held_out:].flatten(1), shuffled[:, :num_held_out].flatten(1)


def pair_loss(logits: Tensor, people: Tensor, threshold: Tensor) -> Tensor:
    """Logistic loss of "same person", with both kinds of pairs weighing the same however many there are.

    Args:
        logits: Symmetric, shape (S, M, M).
        people: Person of each query, shape (M,).
        threshold: Logit at which same and different are equally likely, shape (S,).

    Returns:
        Mean loss of each split in nats, shape (S,); ln 2 when every logit is at the threshold.
    """
    rows, columns = torch.triu_indices(len(people), len(people), offset=1, device=logits.device)
    same = people[rows] == people[columns]
    surplus = logits[:, rows, columns] - threshold.unsqueeze(1)  # (S, M (M - 1) / 2)
    return (F.softplus(-surplus[:, same]).mean(1) + F.softplus(surplus[:, ~same]).mean(1)) / 2


class FaceNet(nn.Module):
    """One network a split, all of them in one tensor.

    Args:
        image_size: [height, width] in pixels.
        num_splits: S.
        cells: Edges of the cells in pixels.
        shrinkage: s to begin with, in (0, 1).
        sharpness: β, above 0: scale of the cosines, and how hard the best view is chosen.
        verify: Also learn a threshold between same and different.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        image_size: list[int],
        num_splits: int,
        cells: list[int],
        shrinkage: float = 0.1,
        sharpness: float = 20.0,
        verify: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < shrinkage < 1:
            raise ValueError(f"shrinkage must be between 0 and 1, got {shrinkage}")
        if sharpness <= 0:
            raise ValueError(f"sharpness must be above 0, got {sharpness}")
        self.front = HistogramFront(image_size, cells)
        self.sharpness, self.start = sharpness, math.log(shrinkage / (1 - shrinkage))
        self.log_gain = nn.Parameter(torch.zeros(num_splits, self.front.num_cells))  # g
        self.shrinkage_shift = nn.Parameter(torch.zeros(num_splits))
        # Two pictures of strangers lie near cosine 0, two of one person nearer to 1.
        self.threshold = nn.Parameter(torch.full((num_splits,), 0.3 * sharpness)) if verify else None

    def shrinkage(self) -> Tensor:
        """Shrinkage s of each split, in (0, 1), shape (S,)."""
        return torch.sigmoid(self.start + self.shrinkage_shift)

    def distance_from_closed_form(self) -> Tensor:
        """Squared length of what was learnt, Σ_c g_c² and the shift of the shrinkage, shape (S,)."""
        return self.log_gain.square().sum(1) + self.shrinkage_shift.square()

    def features(self, descriptions: Tensor, splits: slice = slice(None)) -> Tensor:
        """Weighted cells. Args: descriptions (S, ..., C, B). Returns: shape (S, ..., D)."""
        gain = torch.exp(self.log_gain[splits] / 2)  # (S, C)
        shape = (len(gain), *[1] * (descriptions.ndim - 3), gain.shape[1], 1)
        return (descriptions * gain.view(shape)).flatten(-2)

    def forward(
        self, support: Tensor, queries: Tensor, num_people: int, splits: slice = slice(None), compare: bool = False
    ) -> Tensor:
        """Fit the last layer to known pictures, and ask for others.

        Args:
            support: Descriptions of known pictures, sorted by person, shape (S, n, C, B).
            queries: Descriptions of views of other pictures, shape (S, V, M, C, B).
            num_people: K known people.
            splits: Which splits these are.
            compare: Compare the queries with each other instead of with the known people.

        Returns:
            Logits, shape (S, M, K), or (S, M, M) with ``compare``.
        """
        gallery = build_gallery(self.features(support, splits), num_people, self.shrinkage()[splits])
        answer = verification_logits if compare else identification_logits
        return answer(self.features(queries, splits), gallery, self.sharpness)
