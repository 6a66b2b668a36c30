"""Seeded splits: pure functions from labels to indices. The same seed gives the same split on every machine.

Stratified means that every class gives the same share of its pictures, up to rounding: a random split of the Olivetti
faces (10 pictures a person) leaves people unseen, one that is stratified cannot.

All functions give sorted int64 indices into the pictures; the sets they give never overlap.
Letters: N pictures, C classes.
"""

import torch
from torch import Tensor


def stratified_counts(class_sizes: list[int], total: int) -> list[int]:
    """How many pictures of each class to hold out so that they are ``total`` together.

    Each class gives its share total · size / N, rounded by largest remainder, at least 1 and at most all but 1.

    Args:
        class_sizes: Pictures in each class, each at least 2, length C.
        total: Pictures to hold out, in C..N - C.

    Returns:
        Counts, length C, with sum ``total``.

    Raises:
        ValueError: If a class has fewer than 2 pictures, or ``total`` is out of range.
    """
    size, num_classes = sum(class_sizes), len(class_sizes)
    if min(class_sizes) < 2:
        small = min(range(num_classes), key=class_sizes.__getitem__)
        has = f"{class_sizes[small]} picture{'s' * (class_sizes[small] != 1)}"
        raise ValueError(f"class {small} has {has}; a stratified split needs at least 2 in each")
    if not num_classes <= total <= size - num_classes:
        raise ValueError(
            f"cannot hold out {total} of {size} pictures and have each of {num_classes} classes on both sides; "
            f"allowed: {num_classes} to {size - num_classes}"
        )
    quotas = [total * class_size / size for class_size in class_sizes]
    counts = [min(max(int(quota), 1), class_size - 1) for quota, class_size in zip(quotas, class_sizes, strict=True)]
    while (missing := total - sum(counts)) != 0:
        step = 1 if missing > 0 else -1
        free = [c for c in range(num_classes) if 1 <= counts[c] + step <= class_sizes[c] - 1]
        # The class that is furthest from its quota moves first; the lower class wins a tie.
        counts[max(free, key=lambda c: step * (quotas[c] - counts[c]))] += step
    return counts


def stratified_split(labels: Tensor, num_held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Hold out pictures so that every class gives the same share.

    Args:
        labels: Class of each picture, int64 in 0..C-1, each present at least twice, shape (N,).
        num_held_out: Pictures to hold out, in C..N - C.
        seed: Seed of the choice.

    Returns:
        Indices kept, and indices held out (``num_held_out`` of them), both sorted.

    Raises:
        ValueError: As ``stratified_counts``.
    """
    counts = stratified_counts(torch.bincount(labels).tolist(), num_held_out)
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(counts):
        members = torch.nonzero(labels == label)[:, 0]
        held_out[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return torch.nonzero(~held_out)[:, 0], torch.nonzero(held_out)[:, 0]


def identification_split(people: Tensor, per_person_train: int, seed: int) -> tuple[Tensor, Tensor]:
    """Known people, unseen pictures: of every person the same number of pictures to train on, the others to test on.

    Args:
        people: Person of each picture, int64, shape (N,).
        per_person_train: Training pictures a person, at least 1 and fewer than each person has.
        seed: Seed of the choice.

    Returns:
        Training and test indices, both sorted.

    Raises:
        ValueError: If a person would have no training or no test picture.
    """
    sizes = torch.bincount(people)
    fewest = int(sizes[sizes > 0].min())
    if not 1 <= per_person_train < fewest:
        raise ValueError(f"per_person_train must be in 1..{fewest - 1}, got {per_person_train}")
    generator = torch.Generator().manual_seed(seed)
    train = torch.zeros(len(people), dtype=torch.bool)
    for person in torch.unique(people).tolist():
        members = torch.nonzero(people == person)[:, 0]
        train[members[torch.randperm(len(members), generator=generator)[:per_person_train]]] = True
    return torch.nonzero(train)[:, 0], torch.nonzero(~train)[:, 0]


def verification_split(
    people: Tensor, num_train: int, num_val: int, num_test: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Unseen people: each person's pictures lie all in training, all in validation, all in test, or in none.

    Args:
        people: Person of each picture, int64, shape (N,).
        num_train: People to train on, at least 1.
        num_val: People to validate on, 0 or more.
        num_test: People to test on, at least 1.
        seed: Seed of the choice.

    Returns:
        Training, validation and test indices, all sorted.

    Raises:
        ValueError: If there are not so many people.
    """
    names = torch.unique(people)
    wanted = {"train": num_train, "val": num_val, "test": num_test}
    if num_train < 1 or num_val < 0 or num_test < 1 or sum(wanted.values()) > len(names):
        given = ", ".join(f"{count} {name}" for name, count in wanted.items())
        raise ValueError(
            f"train_people must be at least 1, val_people 0, test_people 1, together at most {len(names)}; got {given}"
        )
    order = names[torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))]
    groups = order[: sum(wanted.values())].split(list(wanted.values()))
    train, val, test = (torch.nonzero(torch.isin(people, group))[:, 0] for group in groups)
    return train, val, test


def balanced(labels: Tensor) -> Tensor:
    """Positions in which every class appears as often as the largest one, each picture nearly equally often.

    Args:
        labels: Class of each picture, int64, shape (N,).

    Returns:
        int64, shape (C · largest,).
    """
    members = [torch.nonzero(labels == label)[:, 0] for label in range(int(labels.max()) + 1)]
    most = max(len(group) for group in members)
    return torch.cat([group[torch.arange(most) % len(group)] for group in members])
