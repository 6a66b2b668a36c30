"""The run folder: its name, its probe, its metrics file."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.errors import UserError
from trainer.files import as_word, write_atomically
from trainer.folder import RunFolder, no_run, runs_below


def test_name_says_model_data_time_and_seed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "cnn", "digits", 5, lambda: datetime.datetime(2026, 7, 8, 9, 10, 11))
    assert run.path == tmp_path / "cnn-digits" / "20260708-091011-s5"
    assert run.checkpoints.is_dir()
    assert list(run.checkpoints.iterdir()) == []  # the probe is gone
    now = RunFolder.create(tmp_path, "cnn", "digits", 5)
    assert re.fullmatch(r"\d{8}-\d{6}-s5", now.path.name)


@pytest.mark.parametrize("inside", [".", "checkpoints", "checkpoints/last.ckpt", "config.yaml"])
def test_reopen_takes_the_folder_or_anything_in_it(tmp_path: Path, inside: str) -> None:
    run = RunFolder.create(tmp_path, "a", "b", 0)
    run.last.touch()
    run.config.touch()
    assert RunFolder.reopen(run.path / inside).path == run.path


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a-b").touch()
    for root in (tmp_path / "file", tmp_path):
        with pytest.raises(UserError, match=re.escape(str(root))):
            RunFolder.create(root, "a", "b", 0)
    with pytest.raises(UserError, match="no run at"):
        RunFolder.reopen(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_metrics_are_flat_and_finite(tmp_path: Path, capsys: Any) -> None:
    run = RunFolder.create(tmp_path, "a", "b", 0)
    third = 1 / 3
    values = {"test/accuracy": torch.tensor(0.5), "gap/x": third, "n": 3, "model": "a", "none": None, "ok": True}
    run.write_metrics({**values, "versions": {"torch": torch.__version__}})
    read = json.loads(run.metrics.read_text())
    assert read == {**values, "test/accuracy": 0.5, "versions": {"torch": str(torch.__version__)}}
    assert capsys.readouterr().err == ""

    run.write_metrics({"a": math.nan, "b": torch.tensor(math.inf), "c": 1.0})
    assert json.loads(run.metrics.read_text()) == {"a": None, "b": None, "c": 1.0}
    assert re.search(r"not finite, written as null .*: a, b", capsys.readouterr().err)

    with pytest.raises(UserError, match="'nested' is dict"):
        run.write_metrics({"nested": {"x": 1}})
    assert json.loads(run.metrics.read_text())["c"] == 1.0


def test_an_atomic_write_leaves_the_umask_mode_and_no_litter(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", "one")
        write_atomically(tmp_path / "x", "zwei")
    finally:
        os.umask(former)
    assert (tmp_path / "x").read_text() == "zwei"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_light_modules_import_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, trainer, trainer.errors, trainer.folder, trainer.notice\n"
        "heavy = {'torch', 'lightning', 'numpy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_processes_of_a_run_share_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunFolder.create(tmp_path, "cnn", "digits", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")  # as Lightning sets it in the processes that it starts
    assert RunFolder.create(tmp_path, "cnn", "digits", 0).path == first.path.absolute()
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_a_place_without_a_run_names_the_runs_near_it_and_stays_as_it_is(tmp_path: Path) -> None:
    first, second = (
        RunFolder.create(tmp_path, "cnn", "digits", 0, lambda day=day: datetime.datetime(2026, 1, day)).path
        for day in (1, 2)
    )
    for run in (first, second):
        (run / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "of another program" / "checkpoints").mkdir(parents=True)
    for place in (tmp_path, first.parent):
        with pytest.raises(UserError) as caught:
            RunFolder.reopen(place)
        assert str(caught.value) == f"no run at {place}: {place} holds 2 runs, the newest is {second}"
    assert not (tmp_path / "checkpoints").exists(), "it is nobody's run folder"
    misspelt = first.with_name("20260101-00000-s0")
    with pytest.raises(UserError, match=f"no run at {misspelt}: did you mean {first}\\? {first.parent} holds 2 runs"):
        RunFolder.reopen(misspelt)
    with pytest.raises(UserError, match="give a run folder, its checkpoints folder or a checkpoint file"):
        RunFolder.reopen(tmp_path / "no" / "where")
    assert RunFolder.reopen(first / "checkpoints").path == first


def test_runs_are_looked_for_only_where_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in folders beside what is missing, which may be anybody's, and never in the whole disk."""
    run = RunFolder.create(tmp_path / "stranger", "cnn", "digits", 0)
    (run.checkpoints / "last.ckpt").touch()
    (tmp_path / "own" / "checkpoints").mkdir(parents=True)
    (tmp_path / "own" / "checkpoints" / "last.ckpt").touch()
    assert runs_below(tmp_path / "stranger") == [run.path]
    assert no_run(tmp_path / "ow").endswith(
        f"did you mean {tmp_path / 'own'}? {tmp_path} holds the run {tmp_path / 'own'}"
    )
    assert no_run(tmp_path / "stranger" / "none") == (
        f"no run at {tmp_path / 'stranger' / 'none'}: give a run folder, its checkpoints folder or a checkpoint file"
    )

    def searched(self: Path, pattern: str) -> Iterator[Path]:
        raise AssertionError(f"{self} was searched for {pattern}")

    monkeypatch.setattr(Path, "glob", searched)
    for place in (Path("/"), Path("/nope"), Path("/..")):
        assert no_run(place) == f"no run at {place}: give a run folder, its checkpoints folder or a checkpoint file"


@pytest.mark.parametrize(
    ("path", "word"), [("runs/a", "runs/a"), ("-r/a b", "'./-r/a b'"), ("/x/it's", "'/x/it'\"'\"'s'")]
)
def test_a_printed_path_is_one_word_and_no_option(path: str, word: str) -> None:
    assert as_word(Path(path)) == word
    assert Path(*shlex.split(word)) == Path(path)
