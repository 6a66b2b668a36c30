"""An automatic split of labelled files: stratified, repeatable, and nothing that belongs together is torn apart.

Files with the same content or of one group form a unit (data/files/units.py), and a unit lies in one split: else a
picture in training would be asked for in validation. Units are taken in the order of a hash of (seed, names of the
unit's files), which no machine, library version or renamed parent folder changes, and which one added file changes
little. Their size has no part in that order. One that no longer fits into what is due is passed over: a large group is
held out less often than a small one, and what is held out is never more than is due but where a class has nothing
smaller.

Letters: N files, C classes.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

from data.files.units import units


def ordered_units(names: Sequence[str], groups: Sequence[str], contents: Sequence[str], seed: int) -> list[list[int]]:
    """Units in the order of a hash of the seed and the names, whatever their size."""

    def key(unit: list[int]) -> bytes:
        text = "\0".join(sorted(names[position] for position in unit))
        content = f"{seed}\0{text}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(content, digest_size=16).digest()

    return sorted(units(groups, contents), key=key)


def hold_out(together: Sequence[list[int]], labels: Sequence[str], fraction: float) -> set[int]:
    """Positions to hold out so that every class gives ``fraction`` of its files, as far as units allow.

    A class gives round(fraction · size), at least 1 file where it can, and always keeps at least one unit.

    Args:
        together: Units in the order in which they are considered.
        labels: Class of each file, length N.
        fraction: Share to hold out, in [0, 1).

    Returns:
        The positions held out.
    """
    if fraction == 0:
        return set()
    sizes = Counter(labels[position] for unit in together for position in unit)
    target = {label: max(1, round(fraction * size)) for label, size in sizes.items()}
    kept = Counter(label for unit in together for label in {labels[position] for position in unit})  # units a class
    held: Counter[str] = Counter()
    chosen: set[int] = set()

    def take(unit: list[int]) -> None:
        chosen.update(unit)
        held.update(labels[position] for position in unit)
        kept.subtract({labels[position] for position in unit})

    for unit in together:
        share = Counter(labels[position] for position in unit)
        if all(held[label] + count <= target[label] and kept[label] > 1 for label, count in share.items()):
            take(unit)
    # A class of few large units may have found none that fits: it gives its smallest.
    for label in sorted(sizes):
        if held[label] == 0:
            able = [
                unit
                for unit in together
                if any(labels[position] == label for position in unit)
                and all(kept[labels[position]] > 1 for position in unit)
            ]
            if able:
                take(min(able, key=len))
    return chosen


def assign_splits(
    names: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    contents: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int = 0,
    num_folds: int = 0,
    fold: int = 0,
) -> list[str]:
    """The split of every file: "train", "val" or "test".

    Args:
        names: Path of each file within the data set, length N.
        labels: Class of each file.
        groups: Group of each file; empty for none.
        contents: Name of what each file shows; copies share it.
        val_fraction: Share to validate on, in [0, 1); not used with folds.
        test_fraction: Share to test on, in [0, 1), taken first.
        seed: Seed of the choice.
        num_folds: k of k-fold cross-validation; 0 for a single split.
        fold: Which fold is validated on, in 0..k-1.

    Returns:
        Splits, length N. A class that cannot be divided lies in train.
    """
    together = ordered_units(names, groups, contents, seed)
    test = hold_out(together, labels, test_fraction)
    rest = [unit for unit in together if unit[0] not in test]
    if num_folds:
        val = {position for unit, part in zip(rest, folds(rest, labels, num_folds), strict=True) if part == fold
               for position in unit}  # fmt: skip
    else:
        # The share of the whole, out of what the test left.
        val = hold_out(rest, labels, min(val_fraction / (1 - test_fraction), 1 - 1e-9))
    return ["test" if i in test else "val" if i in val else "train" for i in range(len(names))]


def folds(together: Sequence[list[int]], labels: Sequence[str], num_folds: int) -> list[int]:
    """Deal units to k folds so that each fold gets the same share of every class.

    The largest are dealt first, so that the small ones can even the folds out; all of them are dealt, so that none is
    preferred.

    Returns:
        The fold of each unit, in 0..k-1.
    """
    counts = [Counter[str]() for _ in range(num_folds)]
    dealt = [0] * len(together)
    for number in sorted(range(len(together)), key=lambda number: -len(together[number])):
        share = Counter(labels[position] for position in together[number])
        # The fold that has least of these classes; then the smallest fold; then the first.
        part = min(range(num_folds), key=lambda k: (sum(counts[k][label] for label in share), counts[k].total(), k))
        counts[part].update(share)
        dealt[number] = part
    return dealt
