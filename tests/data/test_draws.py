"""Random numbers of a batch: SplitMix64 to the bit, uniform, and the same for a picture in whatever batch it stands."""

import numpy as np
import pytest
import torch
from scipy import stats

from data.batches.draws import Draws, hashed

# B: pictures.


def reference(number: int) -> int:
    """SplitMix64's finaliser of one number, in Python's unbounded integers."""
    mask = 2**64 - 1
    state = number & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def draws(numbers: torch.Tensor, seed: int = 0, epoch: int = 0, batch: int = 0, rank: int = 0) -> Draws:
    return Draws(seed, epoch, batch, numbers, rank)


def test_the_hash_is_that_of_the_paper() -> None:
    numbers = [0, 1, 2, 17, 2**62 - 1, 2**63 - 1, -1, -(2**63), 0x9E3779B97F4A7C15 - 2**64]
    found = hashed(torch.tensor(numbers)).tolist()
    assert [value & (2**64 - 1) for value in found] == [reference(number) for number in numbers]


def test_numbers_are_uniform_and_unrelated() -> None:
    values = draws(torch.arange(20_000)).uniform(5).double().numpy()  # (5, B)
    assert values.min() >= 0
    assert values.max() < 1
    for row in values:
        assert stats.kstest(row, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(row[:-1], row[1:])[0, 1]) < 0.03, "of pictures next to each other"
    between = np.corrcoef(np.vstack([values, draws(torch.arange(20_000), epoch=1).uniform(5)]))
    assert np.abs(between - np.eye(10)).max() < 0.03, "of one picture, and of one epoch and the next"


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_gives_other_numbers(other: dict[str, int]) -> None:
    numbers = torch.arange(100)
    assert not (draws(numbers).uniform(3) == draws(numbers, **other).uniform(3)).any()
    assert not set(draws(numbers).seeds()) & set(draws(numbers, **other).seeds())


def test_a_picture_has_its_numbers_in_every_batch_and_process() -> None:
    numbers = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    whole = draws(numbers)
    part = draws(numbers[3::2], batch=9, rank=1)
    assert torch.equal(part.uniform(4), whole.uniform(4)[:, 3::2])
    assert part.seeds() == whole.seeds()[3::2]
    assert len(set(whole.seeds())) == 50


def test_the_generator_is_that_of_the_batch_and_the_process() -> None:
    numbers = torch.arange(4)
    first = [
        torch.rand(3, generator=draws(numbers, **where).generator()) for where in ({}, {}, {"batch": 1}, {"rank": 1})
    ]
    assert torch.equal(first[0], first[1])
    assert not any(torch.equal(first[0], other) for other in first[2:])
