"""Units of different sizes in an automatic split: none is preferred, and the size of a part is the due one."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest

from data.files.partition import assign_splits, folds, hold_out, ordered_units

SEEDS = range(40)


def patients() -> tuple[list[str], list[str], list[str]]:
    """Names, classes and groups: of each of two classes groups of 1, 2, ..., 20 files, 420 files in all."""
    rows = [(label, size, index) for label in "ab" for size in range(1, 21) for index in range(size)]
    return [f"{row}" for row in rows], [row[0] for row in rows], [f"{row[0]}{row[1]}" for row in rows]


@pytest.mark.parametrize(("part", "test_fraction"), [("val", 0.0), ("val", 0.2), ("test", 0.2)])
def test_seeds_hold_out_other_groups_however_unequal_these_are(part: str, test_fraction: float) -> None:
    names, classes, groups = patients()
    chosen, often = set(), Counter[str]()
    for seed in SEEDS:
        parts = assign_splits(
            names, classes, groups, [""] * 420, val_fraction=0.2, test_fraction=test_fraction, seed=seed
        )
        held = {group for group, one in zip(groups, parts, strict=True) if one == part}
        assert 76 <= parts.count(part) <= 84, "of 84 that are due"
        chosen.add(frozenset(held))
        often.update(held)
    assert len(chosen) == len(SEEDS)
    assert len(often) == 40, "every group is held out by some seed"
    for label in "ab":  # of twenty groups a class a fifth is held out: the five largest not much more often than others
        largest = sum(often[f"{label}{size}"] for size in range(16, 21)) / (5 * len(SEEDS))
        assert 0.05 <= largest <= 0.35


def test_copies_are_held_out_as_often_as_other_pictures() -> None:
    rows = [(label, index) for label in "ab" for index in range(100)]
    names, classes = [f"{row}" for row in rows], [label for label, _ in rows]
    shown = [f"{label}{index if index < 80 else -(index // 2)}" for label, index in rows]  # the last 20 are 10 pairs
    shares = []
    for seed in range(100):
        parts = assign_splits(names, classes, [""] * 200, shown, val_fraction=0.2, seed=seed)
        held = [index for (_, index), part in zip(rows, parts, strict=True) if part == "val"]
        assert len(held) == 40
        shares.append(sum(index >= 80 for index in held) / 40)
    # A fifth of all files are copies. The deviation of one share is about 0.085, of the mean of 100 a tenth of that.
    assert statistics.mean(shares) == pytest.approx(0.2, abs=0.035)


def test_a_group_larger_than_what_is_due_stays_where_others_fit() -> None:
    groups = ["large"] * 100 + [""] * 100
    names, classes = [f"{index}" for index in range(200)], ["a", "b"] * 100
    for seed in SEEDS:
        parts = assign_splits(names, classes, groups, [""] * 200, val_fraction=0.2, seed=seed)
        held = [index for index, part in enumerate(parts) if part == "val"]
        assert len(held) == 40
        assert min(held) >= 100
        assert Counter(classes[index] for index in held) == {"a": 20, "b": 20}


def test_where_no_group_fits_the_smallest_one_goes_over() -> None:
    groups = [name for name, size in (("x", 12), ("y", 9), ("z", 15)) for _ in range(size)]
    names = [f"{index}" for index in range(36)]
    for seed in SEEDS:
        parts = assign_splits(names, ["a"] * 36, groups, [""] * 36, val_fraction=0.1, seed=seed)
        assert {group for group, part in zip(groups, parts, strict=True) if part == "val"} == {"y"}


def test_the_order_knows_no_size_and_folds_are_even_whatever_the_order() -> None:
    names, classes, groups = patients()
    first = [len(ordered_units(names, groups, [""] * 420, seed)[0]) for seed in SEEDS]
    assert len(set(first)) > 10
    together = ordered_units(names, groups, [""] * 420, 0)
    dealt = folds(together, classes, 5)
    sizes = [sum(len(unit) for unit, part in zip(together, dealt, strict=True) if part == fold) for fold in range(5)]
    assert sum(sizes) == 420
    assert max(sizes) - min(sizes) <= 2
    assert hold_out(together, classes, 0) == set()
