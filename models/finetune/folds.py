"""Which training pictures judge which head: folds, or a part of them, each class in proportion.

Pictures that belong together, as copies or as those of one group, lie in one fold: else a head is judged by pictures
that it has nearly seen, and the weakest pull looks best. They are folded as one, by the class of the first of them.
"""
# N pictures, U units, K classes, M folds

from __future__ import annotations

import torch
from torch import Tensor

MOST_PICTURES, PER_CLASS = 1_000, 10  # with which the strength of a head is chosen


def whole_units(labels: Tensor, units: Tensor | None) -> tuple[Tensor, Tensor]:
    """What goes over as one: units, but each picture for itself of a unit that is all that a class has.

    Without that class no head could be judged by it.

    Args:
        labels: Class of each picture, shape (N,).
        units: What each picture belongs to, shape (N,); None where nothing is together.

    Returns:
        The first picture of each, increasing, shape (U,), and which of them each picture belongs to, shape (N,).
    """
    numbers = torch.arange(len(labels))
    if units is None:
        return numbers, numbers
    units = units.unique(return_inverse=True)[1]
    first = torch.full((len(labels),), len(labels)).scatter_reduce_(0, units, numbers, "amin")
    pairs = torch.stack([labels, units]).unique(dim=1)  # (2, P), the classes that each unit has
    alone = pairs[1, torch.bincount(pairs[0])[pairs[0]] == 1]
    return torch.where(torch.isin(units, alone), numbers, first[units]).unique(return_inverse=True)


def stratified_folds(labels: Tensor, num_folds: int, units: Tensor | None = None) -> Tensor:
    """Fold of each picture; the units of a class are spread evenly, and so are the remainders of the classes.

    Args:
        labels: Class of each picture, shape (N,).
        num_folds: M, at least 2; fewer folds are used where there are fewer units.
        units: What each picture belongs to, shape (N,); None where nothing is together.

    Returns:
        int64 in 0..M-1, shape (N,).
    """
    first, index = whole_units(labels, units)
    labels = labels[first]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    order = order[torch.argsort(labels[order], stable=True)]  # class by class, shuffled inside
    folds = torch.empty_like(order)
    folds[order] = torch.arange(len(labels)) % num_folds
    return folds[index]


def choosing(labels: Tensor, num_classes: int, units: Tensor | None = None) -> Tensor:
    """The pictures that choose the strength: of many the share `choice_size` of the units, but `PER_CLASS` of a class.

    Args:
        labels: Shape (N,).
        num_classes: K.
        units: As for `stratified_folds`.

    Returns:
        Boolean, shape (N,); never a part of a unit.
    """
    count, size = len(labels), choice_size(len(labels), num_classes)
    if size == count:
        return torch.ones(count, dtype=torch.bool)
    first, index = whole_units(labels, units)
    due = max(size * len(first) // count, min(len(first), PER_CLASS * num_classes))
    return stratified_part(labels[first], due)[index]


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
