"""Which training pictures judge which head: folds, or a part of them, each class in proportion."""
# N pictures, K classes, M folds

from __future__ import annotations

import torch
from torch import Tensor

MOST_PICTURES, PER_CLASS = 1_000, 10  # with which the strength of a head is chosen


def stratified_folds(labels: Tensor, num_folds: int) -> Tensor:
    """Fold of each picture; the pictures of a class are spread evenly, and so are the remainders of the classes.

    Args:
        labels: Class of each picture, shape (N,).
        num_folds: M, at least 2.

    Returns:
        int64 in 0..M-1, shape (N,).
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    order = order[torch.argsort(labels[order], stable=True)]  # class by class, shuffled inside
    folds = torch.empty_like(order)
    folds[order] = torch.arange(len(labels)) % num_folds
    return folds


def choice_size(count: int, num_classes: int) -> int:
    """N_0: how many of ``count`` pictures of K classes choose the strength."""
    return min(count, max(MOST_PICTURES, PER_CLASS * num_classes))


def stratified_part(labels: Tensor, size: int) -> Tensor:
    """Some of the pictures, each class in proportion, but of none fewer than `PER_CLASS`, or all that it has.

    Args:
        labels: Shape (N,).
        size: From `PER_CLASS` for each class, as `choice_size` gives it, to N.

    Returns:
        Boolean, shape (N,), with ``size`` of them chosen.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    order = order[torch.argsort(labels[order], stable=True)]
    counts = torch.bincount(labels)
    least = counts.clamp_max(PER_CLASS)
    small = torch.zeros_like(counts, dtype=torch.bool)  # classes whose proportion would be less
    while True:
        left, others = size - int(least[small].sum()), int(counts[~small].sum())
        more = ~small & (counts * left < least * others)
        if not more.any():
            break
        small |= more
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in small.nonzero()[:, 0].tolist():
        chosen[order[labels[order] == label][: least[label]]] = True
    rest = order[~small[labels[order]]]
    chosen[rest[torch.arange(left) * len(rest) // max(left, 1)]] = True
    return chosen
