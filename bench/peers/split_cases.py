"""Folders that are not yet split, copies on both sides, and lists of pictures in CSV: what only some tools can meet.

torchvision's and timm's folder loaders open one part at a time, split nothing and read no CSV: they are not asked.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

from bench.peers.folder_cases import CLASSES, Case, Read, WrongError, counted, refused, same_classes, smooth

LIST = "list.csv"
ABLE = ("ours",)


def one_of_a_class(root: Path) -> None:
    """No val; class a has one picture, the others ten."""
    shutil.rmtree(root / "val")
    for name in CLASSES:
        for index in range(10):
            smooth(200 + 10 * CLASSES.index(name) + index).save(root / "train" / name / f"{index}.png")
    for index in range(1, 10):
        (root / "train" / "a" / f"{index}.png").unlink()


def trained_on(parts: dict[str, Read]) -> None:
    """The one picture of class a is trained on, and others are validated on."""
    same_classes(parts)
    sides = {part: [label for _, label in read.pictures].count(0) for part, read in parts.items()}
    if sides != {"train": 1, "val": 0} or not parts["val"].pictures:
        raise WrongError(f"class a has {sides['train']} pictures in train and {sides['val']} in val")


def copied(root: Path) -> None:
    """A training picture is in val as well, under another name."""
    shutil.copy(root / "train" / "a" / "0.png", root / "val" / "a" / "renamed.png")


def listed(change: Callable[[list[list[str]]], None], windows: bool = False) -> Callable[[Path], None]:
    r"""A list of all pictures with their classes and parts.

    Args:
        change: What is wrong with its rows, the heading among them.
        windows: As Excel writes it there: a byte order mark, ``\`` in paths, two characters at the end of a line.
    """

    def provoke(root: Path) -> None:
        rows = [["path", "label", "split"]]
        for file in sorted(root.rglob("*.png")):
            path = file.relative_to(root)
            rows.append([str(path).replace("/", "\\") if windows else str(path), path.parts[1], path.parts[0]])
        change(rows)
        with open(root / LIST, "w", encoding="utf-8-sig" if windows else "utf-8", newline="") as table:
            csv.writer(table, lineterminator="\r\n" if windows else "\n").writerows(rows)

    return provoke


def misnamed(rows: list[list[str]]) -> None:
    """Two letters of a column's name are exchanged."""
    rows[0][1] = "lable"


def cases() -> dict[str, list[Case]]:
    """Faults by their number; a fault with several forms counts by its worst."""
    wrong: list[tuple[Callable[[list[list[str]]], None], str]] = [
        (lambda rows: rows.append(["train/a/none.png", "a", "train"]), "row 17"),
        (misnamed, "lable"),
        (lambda rows: rows.append([rows[1][0], "b", "train"]), "row 17"),
    ]
    return {
        "D17 a class of one picture, no val": [
            Case(one_of_a_class, trained_on, ("class a",), told=True, tools=ABLE),
        ],
        "D18 a training picture in val too": [
            Case(copied, counted(9, 7), ("renamed.png",), told=True, tools=ABLE),
        ],
        "D19 CSV, wrong or from Windows": [
            *(Case(listed(change), refused, (name,), tools=ABLE) for change, name in wrong),
            Case(listed(lambda rows: None, windows=True), counted(9, 6), (LIST,), tools=ABLE),
        ],
    }
