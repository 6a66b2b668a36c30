"""Batches sliced from tensors that stay in memory, in an order that a resumed run repeats exactly.

A ``DataLoader`` over a ``TensorDataset`` calls Python once per picture; for small pictures that costs more than
the network. Here the whole set is one tensor, an epoch is one permutation, and a batch is one ``index_select``.

Everything random is a function of where the run stands, never of what it did before:

    order of epoch e          = permutation seeded by (seed, e)
    augmentation of batch k   = `data.batches.draws.Draws` of (seed, e, k, process) and the numbers of its pictures

so a run that restarts at batch k of epoch e sees the same pictures as one that was never stopped. With several
processes each takes every W-th picture of the *same* batch: the batch the optimiser sees is that of one process.

Letters: N pictures, C channels, H height, W processes, B batch size.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Self

import torch
from torch import Tensor

from data.batches.draws import Draws
from theory.seeds import mix_seed

Augment = Callable[[Tensor, Draws], Tensor]

_ORDER = 1  # a stream of its own: augmentation never reuses the bits that made the order


def epoch_order(size: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch: a permutation that depends on (seed, epoch) only, the same on every device.

    Args:
        size: Number of pictures.
        seed: The run's seed.
        epoch: Epoch, from 0.

    Returns:
        Permutation of 0..size-1 on the CPU, int64, shape (N,).
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch, _ORDER))
    return torch.randperm(size, generator=generator)


def batch_bounds(size: int, batch_size: int, world_size: int = 1, equal: bool = False) -> list[int]:
    """Where batches begin and end: batch k is ``bounds[k]:bounds[k + 1]`` of the order.

    There is always at least one batch. With several processes all get the same number of batches and none gets an empty
    one.

    Args:
        size: Number of pictures, at least 1.
        batch_size: Pictures a batch, over all processes together.
        world_size: Number of processes.
        equal: For training. Cut the last batch to a multiple of ``world_size`` (at most ``world_size - 1`` pictures of
            an epoch are left out), so that the mean of the processes' gradients is the gradient of the whole batch. In
            one process a remainder of one picture joins the batch before it: batch normalisation has no deviation of
            one. Otherwise a remainder smaller than ``world_size`` joins the batch before it and none is left out.

    Returns:
        Increasing list of B + 1 positions, from 0.
    """
    full, rest = divmod(size, batch_size)
    if equal:
        rest -= rest % world_size
    bounds = [batch * batch_size for batch in range(full + 1)]
    if rest:
        alone = equal and rest == world_size == 1
        if full and (rest < world_size or alone):
            bounds[-1] += rest
        else:
            bounds.append(full * batch_size + rest)
    return bounds


class EpochSampler:
    """Remembers the epoch; Lightning calls ``set_epoch`` on ``loader.sampler`` before each one."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch


class ResumableLoader:
    """Knows how many batches of which epoch it has handed out; Lightning keeps that in its checkpoints by itself."""

    batch_sampler = None  # Lightning asks every loader that has a sampler for it

    def __init__(self) -> None:
        self.sampler = EpochSampler()
        self.position = 0  # batches of this epoch already handed out
        self._resume: tuple[int, int] | None = None

    def from_the_start(self) -> Self:
        """A copy before its first epoch; the place of this one in the run stays as it is."""
        again = copy.copy(self)
        again.sampler, again.position, again._resume = EpochSampler(), 0, None
        return again

    def first_batch(self, count: int) -> int:
        """The batch, of ``count`` an epoch, to begin the sampler's epoch with: the next one after a resume, else 0."""
        resume, self._resume = self._resume, None
        # Another epoch than the stored one starts afresh (limit_train_batches stores a position below count); the
        # modulo does the same for a state stored after the last batch, when this epoch is repeated.
        return resume[1] % count if resume is not None and resume[0] == self.sampler.epoch else 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.sampler.epoch, "batch": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that ``state`` says were handed out."""
        self.sampler.epoch, self.position = state["epoch"], state["batch"]
        self._resume = (state["epoch"], state["batch"])


class WholeSetLoader(ResumableLoader):
    """Yields the same batch again and again, once a step.

    Args:
        batch: What each step gets.
        steps: Steps an epoch, at least 1.
    """

    def __init__(self, batch: tuple[Tensor, ...], steps: int = 1) -> None:
        super().__init__()
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        """Steps an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """The rest of the epoch after a resume, else all of it."""
        for step in range(self.first_batch(self.steps), self.steps):
            self.position = step + 1
            yield self.batch


class TensorLoader(ResumableLoader):
    """Iterable over ``(images, labels)`` batches of resident tensors.

    Args:
        images: Pictures, uint8 in 0..255 or floating point in 0..1, shape (N, C, H, W).
        labels: Class of each picture, int64, shape (N,), on the same device.
        batch_size: Pictures a batch, over all processes together, at least 1.
        shuffle: A new order each epoch; otherwise the order of the tensors, sliced without copying.
        seed: Seed of the order and of the augmentation.
        augment: Function of a batch and its random numbers, on the batch's device; gives the pictures to train on.
        rank: This process among ``world_size``; None asks ``torch.distributed``, when it is initialised.
        world_size: Number of processes; None asks ``torch.distributed``.

    Raises:
        ValueError: If a size does not fit: no pictures, not a label for each, ``batch_size`` below 1 or, when
            shuffling for several processes, not a multiple of ``world_size``.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images but {len(labels)} labels: there must be one label for each image")
        if len(images) == 0:
            raise ValueError("a loader needs at least 1 image, got 0")
        in_group = torch.distributed.is_available() and torch.distributed.is_initialized()
        if world_size is None:
            world_size = torch.distributed.get_world_size() if in_group else 1
        if rank is None:
            rank = torch.distributed.get_rank() if in_group and world_size > 1 else 0
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0..{world_size - 1} for world_size {world_size}, got {rank}")
        if shuffle and batch_size % world_size:
            raise ValueError(
                f"batch_size {batch_size} cannot be divided among {world_size} processes, each an equal share"
            )
        if min(batch_size, len(images)) < world_size:
            raise ValueError(f"batch_size {batch_size} of {len(images)} images is too small for {world_size} processes")
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.shuffle, self.seed, self.augment = shuffle, seed, augment
        self.rank, self.world_size = rank, world_size
        self.bounds = batch_bounds(len(images), batch_size, world_size, equal=shuffle)
        self.last_indices: slice | Tensor = slice(0, 0)  # the pictures of the batch handed out last

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of the sampler's epoch, from the position of a loaded state on."""
        # A generator: nothing below runs before the first batch is asked for. Lightning makes the iterator of the
        # first epoch before it calls set_epoch.
        epoch = self.sampler.epoch
        first = self.first_batch(len(self))
        order = epoch_order(len(self.images), self.seed, epoch).to(self.images.device) if self.shuffle else None
        for batch in range(first, len(self)):
            part = slice(self.bounds[batch] + self.rank, self.bounds[batch + 1], self.world_size)
            images, labels = self.images, self.labels
            if order is None:
                self.last_indices = part
                images, labels = images[part], labels[part]
            else:
                self.last_indices = order[part]
                images, labels = images.index_select(0, order[part]), labels.index_select(0, order[part])
            if self.augment is not None:
                with torch.autocast(images.device.type, enabled=False):  # bfloat16 knows places to 1 in 256
                    images = self.augment(images, self.draws(epoch, batch, self.last_numbers()))
            self.position = batch + 1
            yield images, labels

    def views(self, count: int, shuffle: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of all pictures, ``count`` times over, augmented afresh: the same in any process and at any time.

        In their order or, with ``shuffle``, in others.
        """
        whole = self.from_the_start()
        whole.shuffle, whole.rank, whole.world_size = shuffle, 0, 1
        whole.bounds = batch_bounds(len(self.images), self.batch_size, 1, equal=shuffle)
        for view in range(count):
            whole.sampler.set_epoch(-1 - view)  # no epoch of training: that one has other views
            yield from whole

    def last_numbers(self) -> Tensor:
        """Numbers of the pictures of the batch handed out last, int64, shape (N,)."""
        chosen = self.last_indices
        return torch.arange(len(self.labels))[chosen] if isinstance(chosen, slice) else chosen

    def draws(self, epoch: int, batch: int, numbers: Tensor) -> Draws:
        """Random numbers for a batch of the pictures with these numbers, int64, shape (N,)."""
        return Draws(self.seed, epoch, batch, numbers.to(self.images.device), self.rank)
