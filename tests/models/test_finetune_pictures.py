"""A run on a folder goes on with the pictures and labels that it began with, and with no others."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import train
from tests.models.small_folder import stop_after, words
from tests.runs import only_run, table


def swap_labels(folder: Path) -> None:
    rows = table(folder / "list.csv")
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        for row in rows:
            other = {"blue": "red", "red": "blue"}[row["label"]]
            writer.writerow(row | {"label": other if row["split"] == "train" else row["label"]})


def overwrite(folder: Path) -> None:
    shutil.copyfile(folder / "train/red/0.png", folder / "val/red/0.png")


def drop_from_the_list(folder: Path) -> None:
    lines = (folder / "list.csv").read_text().splitlines()
    (folder / "list.csv").write_text("\n".join(lines[:-1]) + "\n")  # a validation picture


@pytest.mark.parametrize(
    ("change", "part"), [(swap_labels, "train"), (overwrite, "val"), (drop_from_the_list, "val"), (None, "")]
)
def test_a_resume_with_other_pictures_or_labels_is_refused(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], Any] | None,
    part: str,
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    lines = [f"{path},{path.parent.name},{path.parts[0]}" for path in files]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    with monkeypatch.context() as patch:
        stop_after(patch, 0, 0)
        given = words(folder / "list.csv", tmp_path / "runs", "--model.head_start", "false", epochs=2)
        assert train.main(given) == 143
    if change is not None:
        change(folder)
    capsys.readouterr()
    status = train.main(["--resume", str(only_run(tmp_path / "runs"))])
    said = capsys.readouterr().err.splitlines()[-1]
    assert status == (0 if change is None else 2)
    due = f"train.py: cannot resume: the {part} pictures, or their labels, are others than before. Start a new run"
    assert said.startswith(due) == (change is not None)
