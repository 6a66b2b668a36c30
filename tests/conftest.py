"""Shared by all rooms: one small trained run, made once."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Tests are small: one thread is faster than two that wait for each other, on a busy machine many times.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """A test that seeds or tunes the process does not change the next one."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@dataclass
class Trained:
    """A finished run: its folder, what it printed, and its metrics."""

    folder: Path
    output: str
    metrics: dict[str, Any]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """``train.py --model cnn`` on the embedded digits for two epochs, with every figure drawn."""
    import contextlib
    import io

    import train

    root = tmp_path_factory.mktemp("runs")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = train.main(["--model", "cnn", "--epochs", "2", "--root", str(root), "--device", "cpu"])
    assert status == 0
    (folder,) = (root / "cnn-digits").iterdir()
    return Trained(folder, output.getvalue(), json.loads((folder / "metrics.json").read_text()))
