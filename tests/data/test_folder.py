"""A user's folder as batches: splits, preprocessing, and what is refused."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from data.files.preprocess import preprocess
from data.folder import Folder
from data.split import balanced
from tests.data.pictures import Make, folder, write


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
    assert data.labels("train").bincount().tolist() == [6, 3]
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


def test_a_list_is_a_list_however_it_is_given(flat: Path, tmp_path: Path) -> None:
    files = sorted(flat.glob("*/*.png"))
    table = tmp_path / "list.csv"
    for mark in ",;\t":
        rows = [f"{file}{mark}{file.parent.name}{mark}{number // 2}" for number, file in enumerate(files)]
        table.write_text("\n".join([f"path{mark}label{mark}who", *rows]) + "\n")
        grouped = Folder(str(table), group_column="who", image_size=16)
        assert len(grouped.labels("train")) + len(grouped.labels("val")) == len(files)
        assert {entry.group for entry in grouped.entries} == {str(number // 2) for number in range(len(files))}
    with pytest.raises(ValueError, match=rf"csv other.csv: --data {table} is a list already"):
        Folder(str(table), csv="other.csv")


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
    again = make(data.root, csv=str(tmp_path / "split.csv"))
    for part in ("train", "val"):
        assert list(map(os.path.abspath, again.paths(part))) == list(map(os.path.abspath, data.paths(part)))


def test_folds_partition_the_pictures(make: Make, flat: Path) -> None:
    parts = [make(flat, num_folds=5, fold=fold).paths("val") for fold in range(5)]
    assert sorted(path for part in parts for path in part) == sorted(str(path) for path in flat.rglob("*.png"))
    split = folder(flat.parent / "s", {"train/a": 2, "train/b": 2, "val/a": 1})
    with pytest.raises(ValueError, match=r"num_folds 11 is more than any class of .* has pictures \(cat: 10\)"):
        make(flat, num_folds=11).setup()
    with pytest.raises(ValueError, match="num_folds 5 needs pictures without val"):
        make(split, num_folds=5).setup()


def test_what_is_held_out_is_the_test_and_a_fold_of_the_rest(make: Make, tmp_path: Path) -> None:
    pictures = folder(tmp_path / "many", {"cat": 40, "dog": 40})
    data = make(pictures, num_folds=5, test_fraction=0.75)  # more than 0.9 with the val_fraction that folds do not read
    assert data.summary()["splits"] == {"train": 16, "val": 4, "test": 60}
    with pytest.raises(ValueError, match=r"val_fraction \+ test_fraction must be at most 0\.9, got 0\.2 \+ 0\.75"):
        make(pictures, test_fraction=0.75)


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
        ({"val_fraction": 0.5, "test_fraction": 0.5}, r"at most 0\.9, got 0\.5 \+ 0\.5"),
        ({"val_fraction": 0.99}, r"val_fraction must be at most 0\.9, got 0\.99: hardly a picture would train"),
        (
            {"num_folds": 2, "test_fraction": 0.85},
            r"^test_fraction \+ \(1 - test_fraction\) / num_folds must be at most 0\.9, got 0\.85 \+ \(1 - 0\.85",
        ),
        ({"num_workers": -1}, "num_workers must be at least 0, got -1"),
        ({"num_folds": 1}, "num_folds must be 0 or at least 2, got 1"),
        ({"num_folds": 3, "fold": 3}, r"fold must be in 0\.\.2, got 3"),
        ({"fold": 1}, r"fold 1 needs the number of folds"),
        ({"flip": 2.0}, "flip must be between 0 and 1, got 2.0"),
        ({"min_area": 0.0}, r"min_area must be in \(0, 1\]"),
        ({"aug": "heavy"}, "aug must be one of none, light, trivial, rand, got 'heavy'"),
        ({"on_bad": "ignore"}, "on_bad must be one of skip, error"),
        ({"balance": "heavy"}, "balance must be one of none, "),
        ({"channels": 33}, r"channels must be a whole number in 1\.\.32, got 33"),
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"background": "nocolour"}, "background must be a colour"),
        ({"group_column": "x"}, "group_column .x. needs a list"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            make(flat, **options)
    with pytest.raises(ValueError, match=r"--data\.path .* or --data\.csv .* is needed"):
        Folder()


def test_ants_and_bees_without_the_placeholder(make: Make) -> None:
    root = os.environ.get("DATA_ROOT")
    if not root:
        pytest.skip("DATA_ROOT is not set: needs hymenoptera_data")
    data = make(Path(root) / "hymenoptera_data", image_size=32)
    assert data.summary()["splits"] == {"train": 244, "val": 153, "test": 0}
    assert data.labels("train").bincount().tolist() == [123, 121]
    assert data.bad == []


def test_a_folder_of_bad_files_alone_names_one_and_its_cause(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "x.jpg").write_text("no")
    with pytest.raises(ValueError, match=r"no usable picture\); .* bad: .*a/x\.jpg: is no picture .* \(and 1 more\)"):
        Folder(str(tmp_path / "pictures"), cache_dir=str(tmp_path / "cache")).setup()


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_of_bad_files_alone_is_not_made_up_from_train(make: Make, tmp_path: Path, part: str) -> None:
    folder(tmp_path / "p" / "train", {"a": 9, "b": 9})
    for name in ("a", "b"):
        (tmp_path / "p" / part / name).mkdir(parents=True)
        (tmp_path / "p" / part / name / "x.jpg").write_text("no")
    with pytest.raises(ValueError, match=rf"no picture of {part} can be read; .*a/x\.jpg: is no picture"):
        make(tmp_path / "p").setup()


def test_pictures_with_more_pixels_than_asked_for_are_left_out(make: Make, flat: Path) -> None:
    large = write(flat / "cat" / "large.png", 99, 40, 30)  # the others have 24 × 32 pixels
    assert make(flat, max_pixels=1200).summary()["bad"] == []
    data = make(flat, max_pixels=1199)
    assert data.summary()["bad"] == [f"{large}: has 30×40 pixels, more than max_pixels = 1,199"]
    assert data.preprocessing()["max_pixels"] == 1199, "prediction refuses them too"


def test_as_many_threads_decode_as_asked_for(make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Counted(ThreadPoolExecutor):
        def __init__(self, max_workers: int) -> None:
            asked.append(max_workers)
            super().__init__(max_workers)

    monkeypatch.setattr("data.files.scan.ThreadPoolExecutor", Counted)
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    for number in (3, None):
        asked.clear()
        data = make(flat, num_workers=number, cache_dir=str(flat.parent / f"cache {number}"))
        data.plain("val")  # chosen after the first pass, and decoded again in their own form
        assert asked == [number or 5] * 2
