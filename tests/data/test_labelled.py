"""Which labelled pictures a classifier is judged on, and which of them it has learnt from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data.files.labelled import check_known, list_labelled
from data.files.layout import LayoutError
from data.files.learnt import learnt_from
from data.files.lineage import NOTHING, seen_text, with_run
from data.folder import Folder
from tests.data.pictures import folder, write

THREE = {"train/a": 3, "train/b": 2, "val/a": 1, "val/b": 1, "test/a": 2}


def names(path: Path, split: str | None = None) -> list[str]:
    return [entry.name for entry in list_labelled(str(path), split).entries]


def test_the_rules_of_training_hold(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"a": 2, "b/deep": 1, ".hidden": 1})
    write(root / "a/.b.png")
    write(root / "a/image-not-found.png")
    (root / "b/again").symlink_to(root / "b/deep", target_is_directory=True)
    listing = list_labelled(str(root))
    assert [(entry.name, entry.label) for entry in listing.entries] == [
        ("a/0.png", "a"), ("a/1.png", "a"), ("b/again/0.png", "b"),
    ]  # fmt: skip
    assert {note.partition(":")[0] for note in listing.notes} == {
        "ignored, hidden", "left out, placeholders by their names", "links to a file already listed were left out",
        "folders inside class folders count for the class above",
    }  # fmt: skip


def test_a_split_is_chosen_by_any_of_its_names(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", THREE)
    assert names(root, "test") == ["test/a/0.png", "test/a/1.png"]
    assert names(root, "valid") == names(root, "Validation") == ["val/a/0.png", "val/b/0.png"]
    alone = folder(tmp_path / "alone", {"test/a": 1, "test/b": 1})
    assert names(alone) == names(alone, "test") == ["test/a/0.png", "test/b/0.png"]


def test_a_list_names_files_and_their_split(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"x": 3})
    table = root / "list.csv"
    table.write_text("path;label;split\nx/2.png;b;test\nx/0.png;a;test\nx/1.png;a;val\n")
    assert names(table, "test") == ["x/2.png", "x/0.png"], "in the order of the rows"
    table.write_text("path,label\nx/2.png,b\nx/0.png,a\n")
    assert names(table) == ["x/2.png", "x/0.png"]


@pytest.mark.parametrize(
    ("path", "split", "said"),
    [
        ("p", None, "has several splits, train (5), val (2), test (2): --split NAME says which"),
        ("p", "tset", "--split must be train, val or test, got 'tset'"),
        ("p/val", "test", "p/val has no splits; leave it out"),
        ("only", "train", "has only test (1)"),
        ("nowhere", None, "nowhere; expected FOLDER/CLASS/a.jpg, or a CSV file with the columns path,label"),
        ("empty", None, "empty has no pictures in class folders; expected"),
        ("p/val/a", None, "p/val/a has 1 file, but no class folders; expected"),
        ("x" * 300, None, "x: File name too long"),
        ("nowhere.csv", None, "no such CSV file: "),
        ("heading.csv", None, "has a heading but no rows"),
        ("wrong.csv", None, "wrong.csv, row 2: no such file: "),
        ("splits.csv", None, "has several splits, train (1), test (1): --split NAME says which"),
    ],
)
def test_what_is_not_clear_is_refused_in_one_line(tmp_path: Path, path: str, split: str | None, said: str) -> None:
    root = folder(tmp_path / "p", THREE)
    folder(tmp_path / "only", {"test/a": 1})
    (tmp_path / "empty").mkdir()
    (tmp_path / "heading.csv").write_text("path,label\n")
    (tmp_path / "wrong.csv").write_text("path,label\nnone.png,a\nnor.png,b\n")
    (tmp_path / "splits.csv").write_text(f"path,label,split\n{root}/val/a/0.png,a,train\n{root}/val/b/0.png,b,test\n")
    with pytest.raises(LayoutError) as caught:
        list_labelled(str(tmp_path / path), split)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_path_is_not_this_folder() -> None:
    with pytest.raises(LayoutError, match="the path of the pictures is empty"):
        list_labelled(" ")


def test_classes_that_are_not_known_are_named(tmp_path: Path) -> None:
    listing = list_labelled(str(folder(tmp_path / "p", {"a": 1, "c": 1, "d": 1})))
    with pytest.raises(LayoutError, match=r"does not know the classes 'c', 'd'; it knows a, b$"):
        check_known(listing, "p", ["a", "b"])
    with pytest.raises(LayoutError, match=r"does not know the class 'd'; it knows a, b, c$"):
        check_known(listing, "p", ["a", "b", "c"])
    check_known(listing, "p", ["a", "b", "c", "d"])


def test_files_are_known_by_their_bytes_and_only_if_the_checkpoint_vouches_for_the_list(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", THREE)
    shutil.copy(root / "train/a/0.png", root / "test/a/copy.png")
    (root / "train/a/bad.png").write_bytes(b"no picture")
    data = Folder(str(root), image_size=16, cache_dir=str(tmp_path / "cache"))
    data.setup()
    kept, file = data.fingerprints(), tmp_path / "files.csv"
    data.save_files(file)
    learnt = learnt_from(file, kept)
    assert {part: len(found) for part, found in learnt.items()} == {"train": 5, "val": 2}
    digests = {one.path: one.digest for one in data.collection.scanned}
    seen = [digests[path] for part in ("test", "val") for path in data.paths(part)]
    lineage = with_run(NOTHING, file, kept)
    assert seen_text(lineage, seen) == "it was trained on 1 and validated on 2 of these 5 files, which flatters it"
    unseen = [digests[str(root / f"test/a/{number}.png")] for number in range(2)]
    assert seen_text(lineage, unseen) == "none of these files is among the 7 that it was trained or validated on"

    text = file.read_text()
    assert learnt_from(file, {}) == {}
    assert learnt_from(file, kept | {"val": "0" * 32}) == {}
    file.write_text("\n".join(line for line in text.splitlines() if "/train/b/1.png" not in line))
    assert learnt_from(file, kept) == {}, "a picture is missing"
    for other in ("", "path,label\na,b\n", "\0"):
        file.write_text(other)
        assert learnt_from(file, kept) == {}
    assert learnt_from(tmp_path / "none.csv", kept) == {}
