"""Lists of pictures as tables: what their rows mean, what is wrong with them, and that ours are read back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.files.layout import Entry, LayoutError, list_folder
from data.files.table import list_csv, split_csv
from tests.data.pictures import folder, write


def csv(tmp_path: Path, text: str | bytes) -> Path:
    folder(tmp_path, {"p": 4})
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("comma", [b",", b";"])
def test_csv_dialects(tmp_path: Path, mark: bytes, end: bytes, comma: bytes) -> None:
    rows = [[b"path", b"label", b"split"], [b"p\\0.png", b"a", b"train"], [b"p/1.png", b" b ", b"validation"], [b""]]
    listing = list_csv(csv(tmp_path, mark + end.join(comma.join(row) for row in rows)))
    assert [(entry.name, entry.label, entry.split) for entry in listing.entries] == [
        ("p/0.png", "a", "train"),
        ("p/1.png", "b", "val"),
    ]
    assert all(os.path.exists(entry.path) for entry in listing.entries)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,lable\np/0.png,a\n", "row 1: no column 'label' among path, lable; is 'lable' meant to be it"),
        ("file,label\np/0.png,a\n", "row 1: no column 'path' among file, label"),
        ("", "row 1: no column 'path' among none"),
        ("path,label\np/0.png,a\np/9.png,a\n", "row 3: no such file: .*9.png"),
        ("path,label\np/0.png,a\np/1.png,b\np\\0.png,b\n", "row 4: repeats row 2"),
        ("path,label\np/0.png,\n", "row 2: empty label"),
        ("path,label\n,a\n", "row 2: empty path"),
        ("path,label,split\np/0.png,a,dev\n", "row 2: split must be train, val or test, got 'dev'"),
        ("path,label\n", "has a heading but no rows"),
        ("path,label\np/0.png,a\np/1.png,b, grey\n", "row 3: has 3 cells, the heading 2"),
        ("path,label,label\np/0.png,a,b\n", "row 1: the column 'label' stands there twice"),
        (b"path,label\np/0.png,caf\xe9\n", "row 2: is not UTF-8"),
        (b"path,label\np/0.png,a\0b\n", "row 2: holds a zero byte"),
        ('path,label\np/0.png,a\n\np/1.png,"b\np/2.png,a\n', "row 4: a quotation mark is not closed"),
        ('path,label\n\np/0.png,"a" b\np/1.png,b\n', "row 3: text stands behind a closing quotation mark"),
        ('"path; file";label\np/0.png;a\n', "row 1: no column 'path' among path; file, label"),
        ('path,label\np/0.png,"a\nb"\n\np/9.png,b\n', "row 5: no such file"),
    ],
)
def test_csv_errors_name_the_row(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        list_csv(csv(tmp_path, text))


def test_several_csv_errors_are_listed_up_to_five(tmp_path: Path) -> None:
    path = csv(tmp_path, "path,label\n" + "".join(f"none{index},a\n" for index in range(8)))
    with pytest.raises(LayoutError, match=r"row 2: (.|\n)*row 6: (.|\n)*and 3 more rows") as caught:
        list_csv(path)
    assert "row 7" not in str(caught.value)


def test_csv_groups_and_unused_columns(tmp_path: Path) -> None:
    path = csv(tmp_path, "path,label,patient,age\np/0.png,a,1,30\np/1.png,b,2,40\n")
    listing = list_csv(path, group_column="patient")
    assert [entry.group for entry in listing.entries] == ["1", "2"]
    assert listing.notes == ["columns of labels.csv not used: age"]
    with pytest.raises(LayoutError, match=r"row 1: no column 'pateint' among .*; is 'patient' meant to be it"):
        list_csv(path, group_column="pateint")


def test_missing_csv_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such CSV file: .*x\.csv"):
        list_csv(tmp_path / "x.csv")
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*nothing"):
        list_folder(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LayoutError, match="is no folder"):
        list_folder(tmp_path / "file")


def test_split_csv_reads_back_the_same_from_any_place(tmp_path: Path) -> None:
    folder(tmp_path / "data", {"train/a,b": 1, 'train/q"uote': 1, "val/ü 😀": 1})
    write(tmp_path / "outside.png")
    entries = [*list_folder(tmp_path / "data").entries, Entry(str(tmp_path / "outside.png"), "outside", "a,b", "test")]
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "split.csv"
    out.write_text(split_csv(entries, tmp_path / "data"), encoding="utf-8")
    again = list_csv(out, tmp_path / "data").entries
    assert [(Path(e.path), e.label, e.split) for e in again] == [(Path(e.path), e.label, e.split) for e in entries]


def test_a_name_that_ends_in_a_space_is_read_back(tmp_path: Path) -> None:
    names = ["a.png ", " b.png", "c.png"]
    files = [write(tmp_path / name.strip()).rename(tmp_path / name) for name in names]
    entries = [Entry(str(file), file.name, "x", "val") for file in files]
    (tmp_path / "split.csv").write_text(split_csv(entries, tmp_path) + " d.png ,y,val\n")
    write(tmp_path / "d.png")  # spaces that no file has belong to the table
    read = list_csv(tmp_path / "split.csv").entries
    assert [Path(entry.path).name for entry in read] == [*names, "d.png"]
