"""Random numbers for a batch that depend on where the run stands and on nothing it did before.

    as a whole      a generator seeded by (seed, epoch, batch, process)
    each picture    a hash of (seed, epoch, its number)

The second kind is the same whatever the size of a batch and however many processes share it: a picture has one view in
an epoch. It is a counter made into noise: SplitMix64's finaliser of number times an odd constant, a few vectorised
operations where a generator a picture would cost more than its view.

Source: Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators; Salmon et al. (2011), Parallel random
numbers: as easy as 1, 2, 3 (random numbers as a function of a counter).

Letters: B pictures of the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from theory.seeds import mix_seed

_BATCH, _PICTURE = 2, 3  # separate streams; the loader's order has the first
SCHEME = 2  # how views are drawn, kept in checkpoints; 1 drew those of a batch from one generator

_STEP, _FIRST, _SECOND = (
    constant - 2**64 for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)  # as int64, whose products wrap as those of unsigned numbers do


def _shifted(state: Tensor, bits: int) -> Tensor:
    """To the right with zeros, where int64 would repeat its sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


def hashed(state: Tensor) -> Tensor:
    """SplitMix64's finaliser of every int64, a bijection whose every bit depends on all bits of its argument."""
    state = (state ^ _shifted(state, 30)) * _FIRST
    state = (state ^ _shifted(state, 27)) * _SECOND
    return state ^ _shifted(state, 31)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch.

    Args:
        seed: Of the run's augmentation.
        epoch: From 0.
        batch: From 0, of the epoch.
        numbers: Each picture's number in the set, int64, shape (B,), on the device where numbers are wanted.
        rank: The process, from 0; each draws its own numbers for its part of the batch as a whole.
    """

    seed: int
    epoch: int
    batch: int
    numbers: Tensor
    rank: int = 0

    def generator(self) -> torch.Generator:
        """For the batch as a whole, on the device of ``numbers``."""
        seed = mix_seed(self.seed, self.epoch, _BATCH, self.batch, self.rank)
        return torch.Generator(self.numbers.device).manual_seed(seed)

    def uniform(self, count: int) -> Tensor:
        """For each picture ``count`` numbers in [0, 1), float32, shape (count, B)."""
        columns = torch.arange(1, count + 1, device=self.numbers.device)[:, None]  # (count, 1)
        return _shifted(hashed(self._states() + columns * _STEP), 40).float() / 2**24

    def seeds(self) -> list[int]:
        """For each picture a seed in 0..2^63-1, unrelated to its uniform numbers."""
        found: list[int] = _shifted(hashed(self._states()), 1).tolist()
        return found

    def _states(self) -> Tensor:
        key = mix_seed(self.seed, self.epoch, _PICTURE)
        return hashed((self.numbers + 1) * _STEP + key)  # (B,)
