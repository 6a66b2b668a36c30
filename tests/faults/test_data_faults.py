"""D1 to D7 and D16 to D19: what can be wrong with a folder of pictures, and what is made of it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import train
from data.files.decode import PictureError
from data.files.preprocess import preprocess
from data.folder import Folder
from tests.data.pictures import folder, write
from tests.faults.folders import Make, served
from tests.faults.scores import record


def test_d1_a_class_missing_in_val_keeps_its_label(make: Make, split: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(split / "val" / "b")
    data = make(split)
    assert data.facts()["class_names"] == ["a", "b", "c"]
    labels = torch.cat([labels for _, labels in data.val_dataloader()])
    assert labels.tolist() == [0, 0, 2, 2]  # "c" is 2 although val has two classes
    assert "class b has 0 val pictures" in data.summary()["warnings"]
    assert "warning: class b has 0 val pictures" in capsys.readouterr().err
    record("D1", 3)


def test_d2_a_class_only_in_val_is_an_error(make: Make, split: Path) -> None:
    folder(split, {"val/d": 2}, first_seed=90)
    with pytest.raises(ValueError, match="class d is in val but has no usable picture in train; train has a, b, c"):
        make(split).setup()
    shutil.rmtree(split / "val" / "a")  # equal counts: train {a, b, c}, val {b, c, d}
    with pytest.raises(ValueError, match="class d is in val"):
        make(split).setup()
    record("D2", 2)


@pytest.mark.parametrize(
    ("case", "content", "cause"),
    [
        ("D3", lambda jpeg: b"", "is empty"),
        ("D4", lambda jpeg: jpeg[: len(jpeg) // 2], "truncated"),
        ("D4", lambda jpeg: jpeg[:30], "cannot be decoded|no picture"),
        ("D5", lambda jpeg: b"not an image", "no picture that Pillow knows; it begins with b'not an image'"),
    ],
)
def test_d3_to_d5_bad_files_are_named_and_left_out(
    make: Make,
    split: Path,
    case: str,
    content: Callable[[bytes], bytes],
    cause: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    jpeg = write(split / "x.jpg", 0, 200, 200).read_bytes()
    bad = [split / "train" / "a" / "bad.jpg", split / "val" / "b" / "bad.jpg"]
    for path in bad:
        path.write_bytes(content(jpeg))
    for aug in ("none", "light"):
        data = make(split, aug=aug)
        assert served(data) == 9
        assert data.summary()["splits"] == {"train": 9, "val": 6, "test": 0}
        assert [path for path, _ in data.bad] == [str(path) for path in bad]
        # Every picture that is served is a good file's own: nothing stands in for the bad ones.
        for part in ("train", "val"):
            own = torch.stack([preprocess(path, data.preprocessing()) for path in data.paths(part)])
            assert torch.equal(data.plain(part), own)
    said = capsys.readouterr().err
    assert "2 bad files, left out:" in said
    assert str(bad[0]) in said
    with pytest.raises(PictureError, match=cause) as caught:
        preprocess(bad[0], data.preprocessing())
    assert str(bad[0]) in str(caught.value)
    with pytest.raises(ValueError, match=r"2 bad files, with --data.on_bad error") as refused:
        make(split, on_bad="error").setup()
    assert str(bad[1]) in str(refused.value)
    record(case, 3)


def test_d6_hidden_folders_are_ignored_with_one_note(make: Make, split: Path) -> None:
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        write(split / "train" / hidden / "x.png", 70)
        write(split / "train" / "a" / hidden / "x.png", 71)
    write(split / "val" / "a" / ".hidden.png", 72)
    data = make(split)
    assert data.summary()["splits"] == {"train": 9, "val": 6, "test": 0}
    assert data.facts()["class_names"] == ["a", "b", "c"]
    notes = [note for note in data.summary()["notes"] if "hidden" in note]
    assert len(notes) == 1
    assert "train/.ipynb_checkpoints" in notes[0]
    assert "train/__MACOSX" in notes[0]
    record("D6", 3)


def test_d7_an_empty_class_folder_is_dropped_with_a_warning(make: Make, split: Path) -> None:
    (split / "train" / "empty").mkdir()
    folder(split, {"train/broken": 0})
    (split / "train" / "broken" / "x.jpg").write_bytes(b"")
    data = make(split)
    assert data.facts()["class_names"] == ["a", "b", "c"]
    for name in ("empty", "broken"):
        assert f"class {name} has no usable picture in train and was dropped" in data.summary()["warnings"]
    record("D7", 3)


def test_d16_what_is_no_data_set_is_refused_with_the_layout_drawn(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        "flat": (folder(tmp_path / "flat", {".": 3}), "flat has 3 files, but no class folders"),
        "missing": (tmp_path / "missing", "no such folder: .*missing"),
        "one": (folder(tmp_path / "one", {"a": 3}), "one has only the class 'a' to train on; 2 are needed"),
        "none": (folder(tmp_path / "none", {}), "none"),
    }
    (tmp_path / "none").mkdir()
    for root, message in cases.values():
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            make(root).setup()
        assert "train/cat/a.jpg" in str(caught.value)
        words = ["--model", "cnn", "--data", str(root), "--root", str(tmp_path / "runs")]
        assert train.main(words) == 2
        captured = capsys.readouterr()
        missing = f"--data {root}: there is no such folder"
        assert captured.err == f"train.py: {caught.value if root.exists() else missing}\n"
        assert captured.out == ""
    assert not (tmp_path / "runs").exists()
    record("D16", 2)


def test_d17_a_class_with_one_picture_is_trained_on(make: Make, tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"many": 10, "one": 1})
    for seed in range(5):
        data = make(root, split_seed=seed, val_fraction=0.5)
        assert Counter(entry.split for entry in data_entries(data) if entry.label == "one") == {"train": 1}
        assert "class one has 0 val pictures" in data.summary()["warnings"]
    record("D17", 3)


def data_entries(data: Folder) -> list:  # type: ignore[type-arg]
    data.setup()
    return data.entries


def test_d18_a_copy_under_another_name_is_reported_or_kept_together(make: Make, split: Path, tmp_path: Path) -> None:
    shutil.copy(split / "train" / "a" / "0.png", split / "val" / "a" / "renamed.png")
    shutil.copy(split / "train" / "b" / "1.png", split / "train" / "c" / "other label.png")
    warnings = make(split).summary()["warnings"]
    assert any("leak" in line and "train/a/0.png = val/a/renamed.png" in line for line in warnings)
    assert any("several labels" in line and "train/c/other label.png" in line for line in warnings)
    # In an automatic split copies stay on one side, so there is nothing to leak.
    flat = folder(tmp_path / "flat", {"a": 4, "b": 4})
    for index in range(4):
        shutil.copy(flat / "a" / f"{index}.png", flat / "a" / f"copy {index}.png")
    for seed in range(4):
        data = make(flat, split_seed=seed, val_fraction=0.5)
        assert not any("leak" in line for line in data.summary()["warnings"])
        assert data.summary()["splits"]["val"] > 0
    record("D18", 3)


def test_d19_csv_faults_name_their_row_and_dialects_are_read(make: Make, tmp_path: Path) -> None:
    folder(tmp_path / "p", {".": 6})
    table = tmp_path / "list.csv"
    rows = [f"p/{index}.png,{'ab'[index % 2]}" for index in range(6)]
    faults = {
        "path,label\n" + "\n".join([*rows, "p/none.png,a"]): "row 8: no such file: .*none.png",
        "path,lable\n" + "\n".join(rows): "row 1: no column 'label' .* is 'lable' meant to be it",
        "path,label\n" + "\n".join([*rows, "p/2.png,b"]): "row 8: repeats row 4",
    }
    for text, message in faults.items():
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            make(None, csv=str(table)).setup()
    with pytest.raises(FileNotFoundError, match=r"no such CSV file: .*other\.csv"):
        make(None, csv=str(tmp_path / "other.csv")).setup()
    windows = "\r\n".join(["path,label", *rows]).replace("/", "\\")
    table.write_bytes(b"\xef\xbb\xbf" + windows.encode())
    data = make(None, csv=str(table), val_fraction=0.0)
    assert data.labels("train").bincount().tolist() == [3, 3]
    assert data.facts()["class_names"] == ["a", "b"]
    assert all(os.path.exists(path) for path in data.paths("train"))
    record("D19", 3)
