"""No free lunch, by enumeration: averaged over all targets, every learner is right on unseen points half the time.

The domain has 4 bits, hence 16 points and 2^16 Boolean targets. A deterministic learner sees the labels of the training
points only, so it is fitted once for each labelling, and its error is counted on all targets. On the points not seen
its number of errors is Binomial(unseen, 1/2) over the targets: exactly, whatever the learner does. What makes learning
possible is that the targets of this world are not uniform.

Source:
    Wolpert (1996), The lack of a priori distinctions between learning algorithms, theorem 1.
"""

# T training points, U unseen points, 16 = T + U

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BITS = 4
POINTS = 2**BITS
TARGETS = 2**POINTS

# Points (T, 4) and labels (L, T) of L labellings, and the points asked (U, 4), to answers 0 or 1 of shape (L, U).
Learner = Callable[[Tensor, Tensor, Tensor], Tensor]


def binary(codes: Tensor, bits: int) -> Tensor:
    """The bits of whole numbers, lowest first: int64 0 or 1, shape (..., bits)."""
    return codes[..., None] >> torch.arange(bits) & 1


def error_counts(learner: Learner, training: list[int]) -> Tensor:
    """Errors on the unseen points for each of the 65,536 targets, int64, shape (65536,).

    Args:
        learner: Deterministic; it is given all labellings of the training points at once.
        training: Different points in 0..15, between 1 and 15 of them.

    Raises:
        ValueError: If the points are not as said, or an answer is neither 0 nor 1.
    """
    if not 1 <= len(training) < POINTS or len({*training}) < len(training) or not {*training} <= {*range(POINTS)}:
        raise ValueError(f"training points must be 1 to 15 different numbers in 0..15, got {training}")
    domain = binary(torch.arange(POINTS), BITS)  # (16, 4)
    unseen = [point for point in range(POINTS) if point not in training]
    labellings = binary(torch.arange(2 ** len(training)), len(training))  # (L, T)
    answers = learner(domain[training], labellings, domain[unseen])  # (L, U)
    if not bool(((answers == 0) | (answers == 1)).all()):
        raise ValueError("a learner must answer 0 or 1")
    targets = binary(torch.arange(TARGETS), POINTS)  # (65536, 16)
    seen = (targets[:, training] << torch.arange(len(training))).sum(1)  # which labelling this target gives
    return (answers[seen] != targets[:, unseen]).sum(1)


def nearest_neighbours(k: int) -> Learner:
    """The majority of the k nearest training points by Hamming distance; ties go to the point that comes first.

    The learner raises a ValueError where k is not in 1..T.
    """

    def learner(points: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
        if not 1 <= k <= len(points):
            raise ValueError(f"k must be in 1..{len(points)}, the number of training points, got {k}")
        distance = (asked[:, None] != points).sum(2)  # (U, T)
        nearest = (distance * len(points) + torch.arange(len(points))).argsort(1)[:, :k]  # (U, k)
        return (2 * labels[:, nearest].sum(2) > k).long()

    return learner
