"""The loader: the order it promises, exact resume, and the shares of several processes."""

import warnings
from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from data.batches.augment import Augmentation
from data.batches.draws import Draws
from data.batches.loader import TensorLoader, batch_bounds, epoch_order
from theory.seeds import mix_seed


def numbered(size: int) -> tuple[Tensor, Tensor]:
    """Pictures whose only pixel is their label."""
    labels = torch.arange(size)
    return labels.to(torch.uint8).view(size, 1, 1, 1), labels


def seen(loader: TensorLoader) -> list[list[int]]:
    return [labels.tolist() for _, labels in loader]


def test_unshuffled_is_slices_in_order() -> None:
    images, labels = numbered(10)
    loader = TensorLoader(images, labels, 4)
    assert seen(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    first, _ = next(iter(loader))
    assert first.data_ptr() == images.data_ptr()  # a slice, not a copy


def test_shuffled_is_the_epochs_permutation_and_keeps_pairs() -> None:
    loader = TensorLoader(*numbered(23), 5, shuffle=True, seed=7)
    loader.sampler.set_epoch(3)
    order = [label for batch in seen(loader) for label in batch]
    assert order == epoch_order(23, 7, 3).tolist()
    assert sorted(order) == list(range(23))
    assert all(torch.equal(images.view(-1).long(), labels) for images, labels in loader)


def test_order_depends_on_seed_and_epoch_only() -> None:
    loader = TensorLoader(*numbered(50), 8, shuffle=True, seed=1)
    orders = {}
    for epoch in (0, 1, 2, 1, 0):  # the same epoch again gives the same order, whatever came between
        torch.manual_seed(epoch)
        torch.rand(epoch)
        loader.sampler.set_epoch(epoch)
        assert orders.setdefault(epoch, seen(loader)) == seen(loader)
    other = TensorLoader(*numbered(50), 8, shuffle=True, seed=2)
    assert len({str(order) for order in [*orders.values(), seen(other)]}) == 4


def test_a_loop_that_does_not_name_the_epoch_sees_the_first_one_again() -> None:
    loader = TensorLoader(*numbered(50), 8, shuffle=True, seed=1)
    first = seen(loader)
    assert seen(loader) == first
    loader.sampler.set_epoch(1)
    assert seen(loader) != first


def test_neighbouring_seeds_do_not_repeat_each_others_epochs() -> None:
    seeds = {mix_seed(seed, epoch, stream) for seed in range(-5, 60) for epoch in range(60) for stream in (1, 2)}
    assert len(seeds) == 65 * 60 * 2
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_mix_seed_is_splitmix64() -> None:
    # The first output of the published generator with state 0 is 0xE220A8397B1DCDAF; ours keeps its upper 63 bits.
    assert mix_seed(0) == 0xE220A8397B1DCDAF >> 1


@pytest.mark.parametrize("stop", range(6))
def test_resume_at_any_batch(stop: int) -> None:
    bent = Augmentation("elastic", flip=0.5, erase=2)

    def make() -> TensorLoader:
        images = torch.randint(0, 256, (23, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        return TensorLoader(
            images, torch.arange(23), 5, shuffle=True, seed=3, augment=lambda x, draws: bent(x, draws.generator())
        )

    whole = make()
    whole.sampler.set_epoch(2)
    batches = list(whole)
    first = make()
    first.sampler.set_epoch(2)
    iterator = iter(first)
    for _ in range(stop):
        next(iterator)
    second = make()
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == {"epoch": 2, "batch": stop}  # a state saved again at once is the same
    rest = list(second)
    # After the last batch the repeated epoch starts again: it must not train on nothing.
    expected = batches[stop % len(whole) :]
    assert len(rest) == len(expected) > 0
    for (images, labels), (images_due, labels_due) in zip(rest, expected, strict=True):
        assert torch.equal(labels, labels_due)
        assert torch.equal(images, images_due)
    assert len(list(second)) == len(whole)  # the skip holds once


def test_state_of_another_epoch_skips_nothing() -> None:
    """``limit_train_batches`` leaves a position below the length at an epoch's end."""
    loader = TensorLoader(*numbered(20), 4, shuffle=True)
    loader.load_state_dict({"epoch": 0, "batch": 2})
    loader.sampler.set_epoch(1)
    assert len(seen(loader)) == 5


def test_a_copy_from_the_start_is_at_the_start_and_moves_nothing() -> None:
    loader = TensorLoader(*numbered(10), 2, shuffle=True, seed=3)
    whole = seen(loader)
    loader.load_state_dict({"epoch": 0, "batch": 2})
    assert seen(loader.from_the_start()) == whole
    assert seen(loader) == whole[2:]


def test_views_are_all_pictures_in_order_again_and_again_and_the_same_in_any_process() -> None:
    def augment(images: Tensor, draws: Draws) -> Tensor:
        return images + torch.rand(len(images), 1, 1, 1, generator=draws.generator())

    images, labels = numbered(12)
    loader = TensorLoader(images.float(), labels, 4, shuffle=True, seed=5, augment=augment, rank=1, world_size=2)
    loader.load_state_dict({"epoch": 1, "batch": 2})
    seen, named = (torch.cat(parts) for parts in zip(*loader.views(2), strict=True))
    assert named.tolist() == labels.repeat(2).tolist()
    first, second = (seen - images.float().repeat(2, 1, 1, 1)).flatten(1)[:, 0].split(12)
    assert len({*first.tolist(), *second.tolist()}) == 24
    assert loader.state_dict() == {"epoch": 1, "batch": 2}
    single = TensorLoader(images.float(), labels, 4, shuffle=True, seed=5, augment=augment)
    assert torch.equal(torch.cat([part for part, _ in single.views(2)]), seen)
    mixed = [torch.cat([named for _, named in each.views(1, shuffle=True)]) for each in (loader, single)]
    assert torch.equal(*mixed)
    assert sorted(mixed[0].tolist()) == labels.tolist() != mixed[0].tolist()
    odd = TensorLoader(*numbered(5), 2, shuffle=True)
    assert [len(named) for _, named in odd.views(1, shuffle=True)] == [2, 3]  # one picture alone has no deviation


def test_augmentation_gets_a_generator_of_its_own_batch() -> None:
    draws: list[float] = []

    def augment(images: Tensor, given: Draws) -> Tensor:
        draws.append(float(torch.rand((), generator=given.generator())))
        return images

    loader = TensorLoader(*numbered(12), 4, seed=5, augment=augment)
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        list(loader)
    assert draws[:3] == draws[6:]
    assert len(set(draws)) == 6
    for rank in (0, 1):
        list(TensorLoader(*numbered(12), 4, seed=5, augment=augment, rank=rank, world_size=2))
    assert draws[9:12] == draws[:3]  # the first process draws what a single one does
    assert not set(draws[12:]) & set(draws[:12])


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 5), st.booleans())
def test_bounds(size: int, batch_size: int, world_size: int, equal: bool) -> None:
    if min(size, batch_size) < world_size or (equal and batch_size % world_size):
        return
    bounds = batch_bounds(size, batch_size, world_size, equal)
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert bounds[0] == 0
    assert sizes
    assert min(sizes) >= world_size  # nobody gets an empty batch
    assert all(count == batch_size for count in sizes[:-1])
    if equal:
        assert all(count % world_size == 0 for count in sizes)
        if len(sizes) > 1 and batch_size > world_size == 1:
            assert min(sizes) > 1  # nobody normalises by the statistics of one picture
    assert 0 <= size - bounds[-1] <= (world_size - 1 if equal else 0)


@pytest.mark.parametrize(
    ("size", "batch_size", "last"), [(1293, 64, 13), (60_000, 128, 96), (1293, 323, 324), (1, 8, 1), (9, 8, 9)]
)
def test_a_remainder_of_one_joins_the_batch_before_it_in_training_only(size: int, batch_size: int, last: int) -> None:
    """Recipes with other remainders keep their batches: digits 1293 = 20·64 + 13, MNIST 60000 = 468·128 + 96."""
    bounds = batch_bounds(size, batch_size, equal=True)
    assert bounds[-1] == size
    assert bounds[-1] - bounds[-2] == last
    shown = batch_bounds(size, batch_size)
    assert shown[-1] - shown[-2] == (size % batch_size or batch_size)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [24, 29, 12, 5])
def test_processes_share_the_batches_of_a_single_one(size: int, shuffle: bool) -> None:
    single = seen(TensorLoader(*numbered(size), 6, shuffle=shuffle, seed=9))
    shares = [seen(TensorLoader(*numbered(size), 6, shuffle=shuffle, seed=9, rank=r, world_size=3)) for r in range(3)]
    assert len({len(share) for share in shares}) == 1
    together = [sorted(chain(*parts)) for parts in zip(*shares, strict=True)]
    if shuffle:
        assert all(len({len(part) for part in parts}) == 1 for parts in zip(*shares, strict=True))
        assert all(set(batch) <= set(due) for batch, due in zip(together, single, strict=False))
        assert sum(map(len, together)) == size - size % 3
    else:
        assert sorted(chain(*together)) == list(range(size))
    for batch, due in list(zip(together, single, strict=False))[:-1]:
        assert batch == sorted(due)


@pytest.mark.parametrize(
    ("size", "batch_size", "options", "message"),
    [
        (4, 0, {}, "batch_size must be at least 1, got 0"),
        (0, 4, {}, "at least 1 image"),
        (9, 4, {"shuffle": True, "rank": 0, "world_size": 3}, "batch_size 4 cannot be divided among 3 processes"),
        (9, 2, {"rank": 0, "world_size": 3}, "too small for 3 processes"),
        (9, 3, {"rank": 3, "world_size": 3}, r"rank must be in 0\.\.2"),
    ],
)
def test_refuses(size: int, batch_size: int, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorLoader(*numbered(size), batch_size, **options)


def test_refuses_a_missing_label() -> None:
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        TensorLoader(torch.zeros(3, 1, 1, 1), torch.zeros(2), 1)


class Recorder(LightningModule):
    """Remembers the labels of every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[list[int]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.batches.append(batch[1].tolist())
        return self.weight * 1.0

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("limit", [1.0, 3])
def test_lightning_resumes_exactly(tmp_path, limit: float) -> None:
    """From every step's checkpoint, the last batch of an epoch among them, and from the epochs' ends."""

    def fit(checkpoint: str | None, callbacks: list) -> list[list[int]]:
        recorder = Recorder()
        trainer = Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            limit_train_batches=limit, callbacks=callbacks, enable_checkpointing=bool(callbacks),
        )  # fmt: skip
        images, labels = numbered(18)
        train = TensorLoader(images, labels, 4, shuffle=True, seed=4)
        trainer.fit(recorder, train, TensorLoader(images, labels, 9), ckpt_path=checkpoint)
        return recorder.batches

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(LeafSpec|callbacks used to create the checkpoint).*")
        steps = ModelCheckpoint(tmp_path, "step-{step}", save_top_k=-1, every_n_train_steps=1, monitor=None)
        ends = ModelCheckpoint(tmp_path, "end-{step}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
        whole = fit(None, [steps, ends])
        per_epoch = 5 if limit == 1.0 else 3
        assert len(whole) == 3 * per_epoch
        assert sorted(chain(*whole[:per_epoch])) == list(range(18)) or limit == 3
        checkpoints = sorted(tmp_path.glob("*.ckpt"))
        assert len(checkpoints) == 3 * per_epoch + 3
        for checkpoint in checkpoints:
            step = torch.load(checkpoint, weights_only=True)["global_step"]
            assert fit(str(checkpoint), []) == whole[step:], checkpoint.name


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_loader_knows_which_pictures_it_handed_out_last(shuffle: bool, rank: int) -> None:
    values = torch.arange(30.0).reshape(30, 1, 1, 1)
    loader = TensorLoader(values, torch.arange(30), 8, shuffle=shuffle, seed=5, rank=rank, world_size=2)
    for images, labels in loader:
        assert torch.equal(labels, loader.last_numbers())
        assert torch.equal(images, values[loader.last_numbers()])


@pytest.mark.parametrize("shuffle", [True, False])
def test_augmentation_is_told_which_pictures_it_gets(shuffle: bool) -> None:
    def augment(images: Tensor, draws: Draws) -> Tensor:
        assert torch.equal(images.flatten(), draws.numbers.float())
        return images

    values = torch.arange(30.0).reshape(30, 1, 1, 1)
    for rank in (0, 1):
        told = (8, shuffle, 5, augment, rank, 2)
        names = ("batch_size", "shuffle", "seed", "augment", "rank", "world_size")
        loader = TensorLoader(values, torch.arange(30), **dict(zip(names, told, strict=True)))  # type: ignore[arg-type]
        assert sum(len(labels) for _, labels in loader) == 15
