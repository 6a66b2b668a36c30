"""Shared by the faults of data: a small folder, and the data module on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.folder import Folder
from tests.data.pictures import folder
from tests.faults.folders import Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(path: Path | None, **options: object) -> Folder:
        options = {"image_size": 16, "aug": "none", "cache_dir": str(tmp_path / "cache"), **options}
        return Folder(path=None if path is None else str(path), **options)  # type: ignore[arg-type]

    return build


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return folder(tmp_path / "p", {"train/a": 3, "train/b": 3, "train/c": 3, "val/a": 2, "val/b": 2, "val/c": 2})
