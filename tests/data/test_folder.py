from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data.folder import Folder, balanced
from data.preprocess import preprocess
from data.store import PixelStore, square
from data.views import Views, cut_on_cpu, cut_on_device, pixel_windows, random_windows
from tests.data.pictures import folder, noise, write

Make = Callable[..., Folder]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(path: Path | None, **options: object) -> Folder:
        options = {"image_size": 16, "cache_dir": str(tmp_path / "cache"), **options}
        return Folder(path=None if path is None else str(path), **options)  # type: ignore[arg-type]

    return build


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return folder(tmp_path / "photos", {"cat": 10, "dog": 5})


def test_flat_folder_is_split_and_served(make: Make, flat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make(flat, batch_size=4, val_fraction=0.2, test_fraction=0.2)
    assert data.summary()["splits"] == {"train": 9, "val": 3, "test": 3}
    assert data.facts()["class_names"] == ["cat", "dog"]
    assert data.facts()["image_size"] == [16, 16]
    assert set(data.facts()) == set(data.FACTS)
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (4, 3, 16, 16)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert sum(len(labels) for _, labels in data.train_dataloader()) == 9
    assert Counter(data.labels("val").tolist()) == {0: 2, 1: 1}
    assert data.class_counts() == [6, 3]
    said = capsys.readouterr().err
    assert "2 classes: cat, dog" in said
    assert "cat: 10 pictures" in said


@pytest.mark.parametrize("aug", ["none", "light"])
def test_validation_is_prediction_to_the_last_pixel(make: Make, tmp_path: Path, aug: str) -> None:
    root = folder(tmp_path / "p", {"train/a": 2, "train/b": 2, "val/a": 2, "val/b": 2})
    write(root / "val" / "a" / "big.jpg", 77, 300, 500)
    data = make(root, aug=aug, background="black", crop=0.9)
    images = torch.cat([images for images, _ in data.val_dataloader()])
    expected = torch.stack([preprocess(path, data.preprocessing()) for path in data.paths("val")])
    assert torch.equal(images, expected)
    names = [data.class_names[label] for label in data.labels("val")]
    assert names == [Path(path).parent.name for path in data.paths("val")]
    assert torch.equal(
        data.plain("train"), torch.stack([preprocess(p, data.preprocessing()) for p in data.paths("train")])
    )


def test_automatic_validation_is_prediction_too(make: Make, flat: Path) -> None:
    data = make(flat)
    images = torch.cat([images for images, _ in data.val_dataloader()])
    assert torch.equal(images, torch.stack([preprocess(path, data.preprocessing()) for path in data.paths("val")]))


def test_each_file_is_decoded_once_and_by_the_next_run_never(make: Make, flat: Path) -> None:
    first = make(flat)
    first.setup()
    assert first.collection.decoded == 15
    for epoch in range(2):
        loader = first.train_dataloader()
        loader.sampler.set_epoch(epoch)
        list(loader)
    assert first.collection.decoded == 15
    list(first.val_dataloader())  # the validation pictures of an automatic split: once more, in their own form
    assert first.collection.decoded == 15 + 3
    second = make(flat)
    assert torch.equal(next(iter(second.train_dataloader()))[0], next(iter(first.train_dataloader()))[0])
    assert torch.equal(next(iter(second.val_dataloader()))[0], next(iter(first.val_dataloader()))[0])
    assert second.collection.decoded == 0


def test_a_changed_picture_is_read_again(make: Make, flat: Path) -> None:
    before = make(flat, aug="none")
    before.setup()
    write(flat / "cat" / "0.png", 500)
    after = make(flat, aug="none")
    assert torch.equal(
        after.plain("train"), torch.stack([preprocess(p, after.preprocessing()) for p in after.paths("train")])
    )


def test_a_damaged_array_in_the_cache_is_made_again(make: Make, flat: Path, tmp_path: Path) -> None:
    first = make(flat, aug="none")
    expected = first.plain("train").clone()
    for file in (tmp_path / "cache").glob("*.npy"):
        file.write_bytes(file.read_bytes()[:200])
    assert torch.equal(make(flat, aug="none").plain("train"), expected)


def test_without_a_writable_cache_it_works_and_says_so(make: Make, flat: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    data = make(flat, cache_dir=str(tmp_path / "file" / "cache"))
    assert data.summary()["splits"] == {"train": 12, "val": 3, "test": 0}
    assert any("cannot be written" in warning for warning in data.summary()["warnings"])
    assert len(next(iter(data.val_dataloader()))[0]) == 3


def test_arrays_beyond_memory_lie_in_a_file(make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = make(flat)
    monkeypatch.setattr("data.store.memory_limit", lambda: 100)
    for cache in ("mapped", "mapped"):  # made, then found
        data = make(flat, cache_dir=str(Path(reference.cache).parent / cache))
        assert torch.equal(next(iter(data.train_dataloader()))[0], next(iter(reference.train_dataloader()))[0])
        assert torch.equal(data.plain("val"), reference.plain("val"))
    assert not list((Path(reference.cache).parent / "mapped").glob("*.tmp"))


def test_what_neither_disk_nor_memory_can_hold_is_refused(
    make: Make, flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("data.store.memory_limit", lambda: 100)
    with pytest.raises(ValueError, match=r"15 pictures need 0\.0 GiB.* choose another --data\.cache_dir"):
        make(flat, cache_dir=str(tmp_path / "file" / "cache")).setup()


def test_a_full_disk_falls_back_to_memory(make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    data = make(flat)
    assert len(next(iter(data.train_dataloader()))[0]) == 12
    assert not list(data.cache.glob(".array.*"))


def test_epochs_differ_and_repeat_and_resume(make: Make, flat: Path) -> None:
    def epoch(number: int, data: Folder) -> list[Tensor]:
        loader = data.train_dataloader()
        loader.sampler.set_epoch(number)
        return [images.clone() for images, _ in loader]

    for aug in ("light", "trivial", "rand"):
        data = make(flat, aug=aug, batch_size=4, seed=3)
        first = epoch(0, data)
        state = torch.random.get_rng_state()
        assert all(
            torch.equal(a, b) for a, b in zip(epoch(0, make(flat, aug=aug, batch_size=4, seed=3)), first, strict=True)
        )
        assert torch.equal(torch.random.get_rng_state(), state)  # the global generator is not touched
        assert not torch.equal(epoch(1, data)[0], first[0])
        assert not torch.equal(epoch(0, make(flat, aug=aug, batch_size=4, seed=4))[0], first[0])
        resumed = data.train_dataloader()
        resumed.load_state_dict({"epoch": 0, "batch": 1})
        assert all(torch.equal(a, b[0]) for a, b in zip(first[1:], resumed, strict=True))


def test_labels_follow_their_pictures_through_the_shuffle(make: Make, tmp_path: Path) -> None:
    for name, colour in (("black", 0), ("grey", 128), ("white", 255)):
        for index in range(4):
            (tmp_path / "p" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + index, 30), (colour,) * 3).save(tmp_path / "p" / name / f"{index}.png")
    data = make(tmp_path / "p", batch_size=5)
    for images, labels in data.train_dataloader():
        assert torch.equal(images[:, 0, 8, 8].long(), torch.tensor([0, 128, 255])[labels])


def test_csv_groups_and_saved_split(make: Make, tmp_path: Path) -> None:
    folder(tmp_path / "p", {".": 12})
    rows = [f"p/{index}.png,{'ab'[index % 2]},{index // 2}" for index in range(12)]
    (tmp_path / "list.csv").write_text("path,label,person\n" + "\n".join(rows))
    data = make(None, csv=str(tmp_path / "list.csv"), group_column="person", val_fraction=0.3)
    data.setup()
    people = {part: {entry.group for entry in data.entries if entry.split == part} for part in ("train", "val")}
    assert people["train"]
    assert people["val"]
    assert not people["train"] & people["val"]
    data.save_split(tmp_path / "split.csv")
    again = make(data.root, csv=str(tmp_path / "split.csv"), val_fraction=0.9)
    for part in ("train", "val"):
        assert list(map(os.path.abspath, again.paths(part))) == list(map(os.path.abspath, data.paths(part)))


def test_folds_partition_the_pictures(make: Make, flat: Path) -> None:
    parts = [make(flat, num_folds=5, fold=fold).paths("val") for fold in range(5)]
    assert sorted(path for part in parts for path in part) == sorted(str(path) for path in flat.rglob("*.png"))
    split = folder(flat.parent / "s", {"train/a": 2, "train/b": 2, "val/a": 1})
    with pytest.raises(ValueError, match="num_folds 5 needs pictures without val"):
        make(split, num_folds=5).setup()


def test_balance_shows_classes_equally_often(make: Make, flat: Path) -> None:
    for aug in ("none", "light"):
        data = make(flat, balance="sampler", val_fraction=0.0, aug=aug)
        seen = torch.cat([labels for _, labels in data.train_dataloader()])
        assert torch.bincount(seen).tolist() == [10, 10]
    assert Counter(balanced(torch.tensor([0, 1, 1, 1, 0])).tolist()) == {0: 2, 4: 1, 1: 1, 2: 1, 3: 1}


def test_statistics_of_constant_pictures(make: Make, tmp_path: Path) -> None:
    for name, colour in (("a", (51, 102, 0)), ("b", (51, 204, 0))):
        (tmp_path / "p" / name).mkdir(parents=True)
        Image.new("RGB", (20, 30), colour).save(tmp_path / "p" / name / "x.png")
    for aug in ("none", "light"):
        facts = make(tmp_path / "p", val_fraction=0.0, aug=aug).facts()
        assert facts["mean"] == pytest.approx([0.2, 0.6, 0.0])
        assert facts["std"] == pytest.approx([0.0, 0.2, 0.0])


def test_grey_pictures(make: Make, flat: Path) -> None:
    data = make(flat, channels=1)
    assert next(iter(data.train_dataloader()))[0].shape[1] == 1
    assert next(iter(data.val_dataloader()))[0].shape[1] == 1
    assert data.facts()["in_channels"] == 1
    assert len(data.facts()["mean"]) == 1


def test_no_validation_and_no_test_give_empty_lists(make: Make, flat: Path) -> None:
    data = make(flat, val_fraction=0.0)
    assert data.val_dataloader() == []
    assert data.test_dataloader() == []
    assert data.summary()["warnings"] == []


def test_wrong_options_are_named(make: Make, flat: Path) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"val_fraction": 1.0}, r"val_fraction must be in \[0, 1\), got 1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, r"below 1, got 0\.5 \+ 0\.5"),
        ({"num_folds": 1}, "num_folds must be 0 or at least 2, got 1"),
        ({"num_folds": 3, "fold": 3}, r"fold must be in 0\.\.2, got 3"),
        ({"fold": 1}, r"fold must be in 0\.\.0, got 1"),
        ({"flip": 2.0}, r"flip must be in \[0, 1\]"),
        ({"min_area": 0.0}, r"min_area must be in \(0, 1\]"),
        ({"aug": "heavy"}, "aug must be one of none, light, trivial, rand, got 'heavy'"),
        ({"on_bad": "ignore"}, "on_bad must be one of skip, error"),
        ({"balance": "heavy"}, "balance must be one of none, "),
        ({"channels": 4}, "channels must be 1 or 3"),
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"background": "nocolour"}, "background must be a colour"),
        ({"group_column": "x"}, "group_column 'x' needs --data.csv"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            make(flat, **options)
    with pytest.raises(ValueError, match=r"--data\.path .* or --data\.csv .* is needed"):
        Folder()


# Views: B views, S side of a stored picture.


def test_windows_lie_inside_have_the_right_area_and_are_never_distorted() -> None:
    generator = torch.Generator().manual_seed(0)
    draw, aspect = torch.rand((4, 4000), generator=generator), torch.logspace(-2, 2, 4000)
    windows = random_windows(draw, aspect, 1.5, 0.35)
    left, top, width, height = windows.unbind(1)
    assert windows.min() >= 0
    assert (left + width).max() <= 1 + 1e-6
    assert (top + height).max() <= 1 + 1e-6
    shape = width / height * aspect  # true proportions of the window
    assert shape.min() >= 1.5 * 3 / 4 - 1e-3
    assert shape.max() <= 1.5 * 4 / 3 + 1e-3
    usual = (aspect > 1.4) & (aspect < 1.6)
    assert (width * height)[usual].max() <= 1
    assert (width * height)[usual].min() >= 0.35 - 1e-6


def test_mean_area_of_windows_is_that_of_a_uniform_draw() -> None:
    draw = torch.rand((4, 20_000), generator=torch.Generator().manual_seed(1))
    windows = random_windows(draw, torch.ones(20_000), 1.0, 0.2)
    # E min(u, r, 1/r) with u uniform in [0.2, 1] and log r uniform in ±log(4/3), by quadrature.
    u, r = np.meshgrid(np.linspace(0.2, 1, 1001), np.exp(np.linspace(-1, 1, 1001) * np.log(4 / 3)))
    expected = np.minimum(u, np.minimum(r, 1 / r)).mean()
    area = (windows[:, 2] * windows[:, 3]).mean()
    assert float(area) == pytest.approx(expected, abs=0.006)


def test_whole_window_is_the_stored_picture_and_flips_are_mirrors() -> None:
    store = torch.from_numpy(noise(12, 12)).repeat(3, 1, 1, 1)
    whole = torch.tensor([[0, 0, 12, 12]] * 3)
    flips = torch.tensor([False, True, False])
    views = cut_on_cpu(store, torch.arange(3), whole, flips, 12, 12)
    assert torch.equal(views[0], store[0].permute(2, 0, 1))
    assert torch.equal(views[1], store[0].permute(2, 0, 1).flip(2))


def test_cpu_and_gpu_path_show_the_same_window() -> None:
    pixels = Image.fromarray(noise(5, 5)).resize((40, 40), Image.Resampling.BICUBIC)
    store = square(pixels, 40).repeat(4, 1, 1, 1)
    rows = torch.arange(4)
    boxes = torch.tensor([[0, 0, 40, 40], [3, 5, 20, 30], [10, 0, 33, 12], [39, 39, 40, 40]])
    flips = torch.tensor([False, True, True, False])
    one = cut_on_cpu(store, rows, boxes, flips, 48, 48).float() / 255
    two = cut_on_device(store, rows, boxes, flips, 48, 48)
    # The CPU repeats the window's edge, the GPU reads on beyond it: the outermost pixels may differ.
    inner = (one - two)[:, :, 3:-3, 3:-3].abs()
    assert inner.max() < 0.02
    assert (one - two).abs().mean() < 0.01


def test_threads_give_the_same_views_as_one() -> None:
    store = torch.from_numpy(noise(20, 20)).repeat(9, 1, 1, 1)
    views = Views(store, torch.ones(9), (8, 8), "light", 0.35)
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(views(torch.arange(9), torch.Generator().manual_seed(0)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_a_window_is_at_least_one_pixel() -> None:
    boxes = pixel_windows(torch.tensor([[0.999, 0.0, 0.0001, 1.0], [0.5, 0.5, 0.0, 0.0]]), 10)
    assert boxes.tolist() == [[9, 0, 10, 10], [5, 5, 6, 6]]


def test_store_keeps_the_whole_picture() -> None:
    wide = np.zeros((10, 40, 3), dtype="uint8")
    wide[:, :2], wide[:, -2:] = (255, 0, 0), (0, 0, 255)
    stored = square(Image.fromarray(wide), 20)
    assert stored.shape == (20, 20, 3)
    assert stored[10, 0].tolist()[0] > 150  # both ends are still there
    assert stored[10, -1].tolist()[2] > 150


def test_old_arrays_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.preprocess import preprocessing

    store = PixelStore(tmp_path, preprocessing(image_size=(8, 8)), 8)
    monkeypatch.setattr("data.store._KEPT_BYTES", 1000)
    for index, digest in enumerate(("old", "middle", "new")):
        assert store.save("plain", [digest], store.allocate("plain", 1))
        os.utime(store.file("plain", [digest]), ns=(index, index))
        monkeypatch.setattr("data.store._KEPT_BYTES", 1000 if index < 1 else 700)
    assert store.load("plain", ["old"]) is None
    assert store.load("plain", ["new"]) is not None


def test_ants_and_bees_without_the_placeholder(make: Make) -> None:
    root = os.environ.get("DATA_ROOT")
    if not root:
        pytest.skip("DATA_ROOT is not set: needs hymenoptera_data")
    data = make(Path(root) / "hymenoptera_data", image_size=32)
    assert data.summary()["splits"] == {"train": 244, "val": 153, "test": 0}
    assert data.class_counts() == [123, 121]
    assert data.bad == []
