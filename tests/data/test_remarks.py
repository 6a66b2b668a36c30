"""What is said of every folder, and names of files that are not UTF-8."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files.answers import columns_of
from data.files.answers import write as write_answers
from data.files.table import list_csv
from data.folder import Folder
from tests.data.pictures import folder, noise, write
from tests.runs import table


def made(path: Path, **options: object) -> Folder:
    built = Folder(str(path), image_size=16, cache_dir=str(path.parent / "cache"), **options)  # type: ignore[arg-type]
    built.setup()
    return built


def test_the_leak_report_is_printed_when_nothing_leaks_and_when_something_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "p", {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    made(root)
    assert "note: leak report: no two splits share equal files, or equal pixels" in capsys.readouterr().err
    (root / "val/a/again.png").write_bytes((root / "train/a/0.png").read_bytes())
    made(root)
    said = capsys.readouterr().err
    assert "warning: leak: the same content is in several splits (1)" in said
    assert "leak report" not in said


def test_classes_that_may_be_one_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "p", {"Cat": 2, "cat": 2, "hot-dog": 2, "hot dog": 2, "dog": 2})
    found = made(root)
    assert found.class_names == ["Cat", "cat", "dog", "hot dog", "hot-dog"]
    said = capsys.readouterr().err
    assert "warning: 'Cat' and 'cat' are learnt as different classes" in said
    assert "warning: 'hot dog' and 'hot-dog' are learnt as different classes" in said
    assert said.count("different classes") == 2


def test_pictures_of_16_bits_get_one_warning_with_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "p", {"a": 3, "b": 3})
    for number in range(2):
        grey = noise(20, 20, number)[..., 0].astype(np.uint16) * 257
        Image.fromarray(grey).save(root / "a" / f"deep{number}.png")
    Image.fromarray(np.full((20, 20), 65535, dtype=np.uint16)).save(root / "b" / "full.png")
    made(root)
    lines = [line for line in capsys.readouterr().err.splitlines() if "16 bits" in line]
    full = "warning: 3 pictures have 16 bits a channel: read as value / 65535; the largest value in them is 65535"
    assert lines == [full]


@pytest.mark.parametrize("channels", [3, 2])
def test_values_of_12_bits_in_files_of_16_are_named_also_by_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], channels: int
) -> None:
    for number in range(8):
        grey = noise(20, 20, number)[..., 0].astype(np.uint16) * 16
        grey[3, 4] = 4095
        frames = [Image.fromarray(grey), Image.fromarray(grey // 2)]
        (tmp_path / "p" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        frames[0].save(tmp_path / "p" / "ab"[number % 2] / f"{number}.tif", save_all=channels == 2,
                       append_images=frames[1:] if channels == 2 else [])  # fmt: skip
    for _ in range(2):
        made(tmp_path / "p", channels=channels)
        lines = [line for line in capsys.readouterr().err.splitlines() if "16 bits" in line]
        assert lines == [
            "warning: 8 pictures have 16 bits a channel: read as value / 65535; the largest value in them is 4095, "
            "which leaves 17 levels of 256; save all times one factor of at most 16 for more"
        ]


def test_every_file_is_in_the_list_of_files_with_what_it_is_or_why_it_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "p", {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1})
    for number in range(25):
        (root / "train" / "a" / f"text{number:02}.jpg").write_text("no picture")
    (root / "train" / "b" / "gone.png").symlink_to("nowhere.png")
    data = made(root)
    said = capsys.readouterr().err
    assert "text20.jpg" not in said
    assert "  and 6 more, all of them in files.csv of the run" in said
    data.save_files(tmp_path / "files.csv")
    rows = {Path(row["path"]).relative_to(root).as_posix(): row for row in table(tmp_path / "files.csv")}
    assert len(rows) == 8 + 26
    assert len([row for row in rows.values() if row["problem"]]) == 26
    assert rows["train/a/text24.jpg"]["problem"].startswith("is no picture")
    assert rows["train/b/gone.png"]["problem"]
    good = rows["val/b/0.png"]
    content = (root / "val" / "b" / "0.png").read_bytes()
    with Image.open(root / "val" / "b" / "0.png") as picture:
        due = {"label": "b", "split": "val", "width": str(picture.width), "height": str(picture.height), "mode": "RGB"}
    assert due.items() <= good.items()
    assert (int(good["bytes"]), good["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    with pytest.raises(ValueError, match=r"text24\.jpg"):
        made(root, on_bad="error")


def odd(root: Path, name: bytes) -> Path:
    path = root / os.fsdecode(name)
    try:
        path.write_bytes(write(root.parent / "x.png", 99).read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    return path


def test_a_file_name_that_is_not_utf_8_goes_into_the_split_and_comes_back(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    path = odd(root / "train" / "a", b"caf\xe9.png")
    data = made(root)
    split = tmp_path / "split.csv"
    data.save_split(split)
    assert b"train/a/caf\xe9.png,a,train" in split.read_bytes()
    again = list_csv(split, root)
    assert str(path) in [entry.path for entry in again.entries]
    assert {(entry.path, entry.label, entry.split) for entry in again.entries} == {
        (entry.path, entry.label, entry.split) for entry in data.entries
    }


def test_a_line_break_of_any_kind_in_a_file_name_leaves_every_table_readable(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1})
    odd_names = [odd(root / "train" / "a", name.encode()) for name in ("cr\rx.png", "lf\nx.png", 'both\r\n"x",.png')]
    data = made(root)
    data.save_split(tmp_path / "split.csv")
    data.save_files(tmp_path / "files.csv")
    again = {entry.path for entry in list_csv(tmp_path / "split.csv", root).entries}
    assert {str(path) for path in odd_names} <= again
    assert len(again) == 9
    rows = table(tmp_path / "files.csv")
    assert {str(path) for path in odd_names} <= {row["path"] for row in rows}
    answers = io.StringIO()
    found: list[dict[str, object]] = [{"path": str(path), "label": "a", "error": ""} for path in odd_names]
    assert write_answers(answers, ".csv", iter(found), columns_of(2, 1)) == (3, 0)
    read = list(csv.DictReader(io.StringIO(answers.getvalue(), newline="")))
    assert [(row["path"], row["label"]) for row in read] == [(str(path), "a") for path in odd_names]


def test_a_class_whose_name_holds_a_control_character_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"a\nb": 2, "c": 2})
    with pytest.raises(ValueError, match=r"the name of the class 'a\\nb' holds a control character; rename its folder"):
        made(root)


def test_a_zero_byte_in_a_list_is_named_by_its_row(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"a": 1, "b": 1})
    (root / "list.csv").write_bytes(b"path,label\na/0.png,a\n\0\0,a\n")
    with pytest.raises(ValueError, match=r"list\.csv, row 3: holds a zero byte"):
        list_csv(root / "list.csv")


def test_bytes_that_are_no_utf_8_are_refused_outside_of_a_path(tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"a": 1, "b": 1})
    odd(root / "a", b"caf\xe9.png")
    table = tmp_path / "t.csv"
    for content, row in (
        (b"path,label\na/0.png,caf\xe9\n", 2),
        (b"path,label\na/0.png,a\na/nowhere\xe9.png,a\n", 3),
        (b"path,lab\xe9l\na/0.png,a\n", 1),
    ):
        table.write_bytes(content)
        with pytest.raises(ValueError, match=f"row {row}: is not UTF-8"):
            list_csv(table, root)


def test_a_class_whose_name_is_not_utf_8_is_refused_before_a_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "p", {"a": 2, "b": 2})
    try:
        (root / "a").rename(root / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    monkeypatch.setattr("data.files.gather.Collection", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"the name of the class .* is not UTF-8; rename its folder$"):
        made(root)
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    with pytest.raises(ValueError, match=r"file names are read as ascii here: set LC_ALL=C.UTF-8"):
        made(root)
