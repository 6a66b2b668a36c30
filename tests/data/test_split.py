"""Splits: nothing overlaps, nothing is lost, the same seed gives the same split."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from data.split import identification_split, stratified_counts, stratified_split, verification_split


def disjoint(*parts: Tensor) -> bool:
    return len(torch.cat(parts).unique()) == sum(len(part) for part in parts)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=12), st.floats(0, 1))
def test_counts_are_the_largest_remainder_within_bounds(sizes: list[int], fraction: float) -> None:
    total = round(fraction * sum(sizes))
    assume(len(sizes) <= total <= sum(sizes) - len(sizes))
    counts = stratified_counts(sizes, total)
    assert sum(counts) == total
    assert all(1 <= count < size for count, size in zip(counts, sizes, strict=True))
    quotas = [total * size / sum(sizes) for size in sizes]
    if all(1 <= quota <= size - 1 for quota, size in zip(quotas, sizes, strict=True)):
        # No bound acts: every count is its quota rounded down or up (the textbook's quota rule).
        assert all(abs(count - quota) < 1 for count, quota in zip(counts, quotas, strict=True))


def test_counts_by_hand() -> None:
    # Quotas 4.0, 2.4, 0.6, 1.0: floors 4, 2, 1 (at least one), 1 make 8.
    assert stratified_counts([40, 24, 6, 10], 8) == [4, 2, 1, 1]
    # Quotas 4.5, 2.7, 1.8: floors 4, 2, 1, then the largest remainders, the third and the second class.
    assert stratified_counts([5, 3, 2], 7) == [4, 2, 1]
    assert stratified_counts([50, 30, 20], 9) == [4, 3, 2]


@given(st.lists(st.integers(0, 4), min_size=20, max_size=80), st.integers(0, 5))
def test_stratified_split(classes: list[int], seed: int) -> None:
    labels = torch.tensor(classes + [0, 1, 2, 3, 4] * 2)
    kept, held_out = stratified_split(labels, len(labels) // 3, seed)
    assert len(held_out) == len(labels) // 3
    assert torch.equal(torch.cat([kept, held_out]).sort().values, torch.arange(len(labels)))
    assert set(labels[kept].tolist()) == set(labels[held_out].tolist()) == {0, 1, 2, 3, 4}
    again = stratified_split(labels, len(labels) // 3, seed)
    assert torch.equal(kept, again[0])
    assert torch.equal(held_out, again[1])


def test_split_depends_on_the_seed_and_on_nothing_else() -> None:
    labels = torch.arange(10).repeat(20)
    torch.manual_seed(0)
    first = stratified_split(labels, 40, 0)[1]
    torch.manual_seed(1)
    assert torch.equal(stratified_split(labels, 40, 0)[1], first)
    assert not torch.equal(stratified_split(labels, 40, 1)[1], first)


def test_every_picture_is_held_out_equally_often() -> None:
    labels = torch.arange(4).repeat(5)
    times = torch.zeros(20)
    for seed in range(1000):
        times[stratified_split(labels, 8, seed)[1]] += 1
    # Binomial, mean 400, deviation sqrt(1000 · 0.4 · 0.6) = 15.5; 20 of them within 4.
    assert (times - 400).abs().max() < 62


@pytest.mark.parametrize(
    ("sizes", "total", "message"),
    [
        ([5, 1, 5], 3, "class 1 has 1 picture; a stratified split needs at least 2"),
        ([5, 5], 1, "cannot hold out 1 of 10 .* allowed: 2 to 8"),
        ([5, 5], 9, "cannot hold out 9 of 10 .* allowed: 2 to 8"),
    ],
)
def test_counts_refuse(sizes: list[int], total: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stratified_counts(sizes, total)


@given(st.integers(2, 8), st.integers(2, 10), st.integers(0, 3), st.data())
def test_identification(num_people: int, pictures: int, seed: int, data: st.DataObject) -> None:
    per_person = data.draw(st.integers(1, pictures - 1))
    people = torch.arange(num_people).repeat(pictures)
    train, test = identification_split(people, per_person, seed)
    assert disjoint(train, test)
    assert torch.bincount(people[train]).tolist() == [per_person] * num_people
    assert torch.bincount(people[test]).tolist() == [pictures - per_person] * num_people
    assert torch.equal(train, identification_split(people, per_person, seed)[0])


@given(st.integers(1, 5), st.integers(0, 5), st.integers(1, 5), st.integers(0, 3))
def test_verification(num_train: int, num_val: int, num_test: int, seed: int) -> None:
    people = torch.arange(15).repeat_interleave(4)
    parts = verification_split(people, num_train, num_val, num_test, seed)
    groups = [set(people[part].tolist()) for part in parts]
    assert [len(group) for group in groups] == [num_train, num_val, num_test]
    assert [len(part) for part in parts] == [4 * num_train, 4 * num_val, 4 * num_test]  # all pictures of a person
    assert len(groups[0] | groups[1] | groups[2]) == num_train + num_val + num_test
    again = verification_split(people, num_train, num_val, num_test, seed)
    assert all(torch.equal(part, other) for part, other in zip(parts, again, strict=True))


def test_face_splits_differ_by_seed() -> None:
    people = torch.arange(40).repeat_interleave(10)
    assert not torch.equal(identification_split(people, 5, 0)[0], identification_split(people, 5, 1)[0])
    assert not torch.equal(verification_split(people, 20, 10, 10, 0)[2], verification_split(people, 20, 10, 10, 1)[2])


@pytest.mark.parametrize("per_person", [0, 10, -1])
def test_identification_refuses(per_person: int) -> None:
    with pytest.raises(ValueError, match=rf"must be in 1\.\.9, got {per_person}"):
        identification_split(torch.arange(40).repeat_interleave(10), per_person, 0)


@pytest.mark.parametrize("counts", [(0, 10, 10), (20, -1, 10), (20, 10, 0), (20, 11, 10)])
def test_verification_refuses(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"together at most 40; got {counts[0]} train"):
        verification_split(torch.arange(40).repeat_interleave(10), *counts, seed=0)
