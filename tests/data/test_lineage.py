"""What weights from a file have learnt from: kept from run to run, and compared with the pictures to judge by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data.files.lineage import DIGITS, NOTHING, Lineage, read_record, record, seen_text, with_run
from data.folder import Folder
from tests.data.pictures import folder

PARTS = {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "test/a": 2, "test/b": 1}


def opened(root: Path, **options: object) -> Folder:
    return Folder(str(root), image_size=16, cache_dir=str(root.parent / "cache"), **options)  # type: ignore[arg-type]


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[Folder, Path]:
    """The data of a run, and the list in its folder."""
    data = opened(folder(tmp_path / "p", PARTS))
    data.setup()
    data.save_files(tmp_path / "files.csv")
    return data, tmp_path / "files.csv"


def test_a_record_is_plain_and_read_back_and_anything_else_tells_nothing() -> None:
    lineage = Lineage(True, frozenset({"0" * DIGITS, "1" * DIGITS}), frozenset({"2" * DIGITS}))
    stored = json.loads(json.dumps(record(lineage)))
    assert stored == {"complete": True, "train": "0" * DIGITS + "1" * DIGITS, "val": "2" * DIGITS}
    assert read_record(stored) == lineage
    for other in (None, {}, [], "x", {"complete": True}, {"complete": True, "train": 3, "val": ""}):
        assert read_record(other) == Lineage(complete=False)
    assert not read_record({"complete": 1, "train": "", "val": ""}).complete


def test_a_run_adds_its_own_list_and_without_it_there_is_more_than_is_known(earlier: tuple[Folder, Path]) -> None:
    data, files = earlier
    before = Lineage(True, frozenset({"0" * DIGITS}))
    after = with_run(before, files, data.fingerprints())
    assert (after.complete, len(after.train), len(after.val), after.size) == (True, 7, 2, 9)
    assert not with_run(Lineage(), files, data.fingerprints()).complete
    assert with_run(before, files.with_name("gone.csv"), data.fingerprints()) == replace(before, complete=False)


def test_a_picture_that_trained_once_counts_as_such() -> None:
    lineage = Lineage(True, frozenset({"0" * DIGITS, "1" * DIGITS}), frozenset({"1" * DIGITS, "2" * DIGITS}))
    digests = [sign * 64 for sign in "0123"]
    assert lineage.seen(digests) == (2, 1)
    known = "it was trained on 2 and validated on 1 of these 4 files, which flatters it"
    assert seen_text(lineage, digests) == known
    some = replace(lineage, complete=False)
    assert seen_text(some, digests) == known.replace("on 2", "on at least 2").replace("on 1", "on at least 1")
    assert seen_text(some, ["3" * 64]).startswith("what its weights, which come from a file, have learnt from is not")


@pytest.mark.parametrize("change", ["nothing", "moved", "relabelled"])
def test_pictures_that_the_weights_have_learnt_from_are_counted_in_val_and_test(
    change: str, earlier: tuple[Folder, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, (old, files) = tmp_path / "p", earlier
    if change != "nothing":
        root = shutil.copytree(root, tmp_path / "elsewhere")
        shutil.rmtree(tmp_path / "p")
    if change == "relabelled":
        for part in ("train", "val", "test"):
            (root / part / "a").rename(root / part / "c")
    shutil.copytree(root / "train", root / "val", dirs_exist_ok=True)
    shutil.copy(next((root / "train/b").iterdir()), root / "test/b/again.png")
    shutil.rmtree(root / "train")
    folder(root, {f"train/{'c' if change == 'relabelled' else 'a'}": 2, "train/b": 2}, first_seed=100)
    new = opened(root)
    new.begin_with("a.ckpt", None, files, old.fingerprints())
    capsys.readouterr()
    new.setup()
    (line,) = [text for text in new.warnings if text.startswith("leak: the weights of")]
    seen = new.seen_before()
    judged = new.summary()["splits"]
    assert (seen["val"], seen["test"]) == (6, 1)
    assert f"have learnt from 6 of {judged['val']} val and 1 of {judged['test']} test pictures" in line
    assert f"warning: {line}" in capsys.readouterr().err
    assert not [note for note in new.notes if note.startswith("leak report")]


def test_the_same_split_again_leaks_nothing_and_a_test_picture_that_validated_is_told(
    earlier: tuple[Folder, Path], tmp_path: Path
) -> None:
    old, files = earlier
    same = opened(tmp_path / "p")
    same.begin_with("a.ckpt", None, files, old.fingerprints())
    same.setup()
    assert same.seen_before() == {"val": 0, "test": 0}
    assert not same.warnings
    said = (
        "leak report: the weights of a.ckpt have learnt from 6 pictures, none of which is in val or test; no two splits"
    )
    assert same.notes[-1].startswith(said)
    (tmp_path / "p/val").rename(tmp_path / "p/spare")
    shutil.copytree(tmp_path / "p/spare", tmp_path / "p/test", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "p/spare")
    other = opened(tmp_path / "p", val_fraction=0.0)
    other.begin_with("a.ckpt", None, files, old.fingerprints())
    other.setup()
    count = other.summary()["splits"]["test"]
    assert other.warnings[-1] == f"2 of {count} test pictures validated the weights of a.ckpt"
    assert other.seen_before() == {"test": 0}


def test_it_is_not_denied_where_it_is_not_known(earlier: tuple[Folder, Path], tmp_path: Path) -> None:
    old, files = earlier
    for before, listed in (({}, files), (None, tmp_path / "gone.csv")):
        new = opened(tmp_path / "p")
        new.begin_with("a.ckpt", before, listed, old.fingerprints())
        new.setup()
        assert new.seen_before() == {}
        said = "leak report: what the weights of a.ckpt have learnt from is not known; no two splits share"
        assert new.notes[-1].startswith(said)
        assert (new.lineage() or {})["complete"] is False
    fresh = opened(tmp_path / "p")
    fresh.setup()
    assert fresh.lineage() is None
    assert fresh.seen_before() == {}
    assert with_run(NOTHING, files, old.fingerprints()).complete
