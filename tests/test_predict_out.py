"""A file of answers is replaced by a whole one or not at all."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import predict
from tests.conftest import Trained
from trainer.errors import RunFailed
from trainer.interrupt import Interrupted

COLUMNS = ["path", "error"]


def stopped_after(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"path": f"{number}.png", "error": None}
    raise Interrupted(signal.SIGTERM)


@pytest.mark.parametrize("linked", [False, True])
def test_earlier_answers_outlive_an_interrupted_command(tmp_path: Path, linked: bool) -> None:
    held = tmp_path / "held.csv"
    held.write_text("earlier\n")
    out = tmp_path / "out.csv" if linked else held
    if linked:
        out.symlink_to(held)
    part = tmp_path / "held.csv.part"
    with pytest.raises(RunFailed, match=f"{part} holds the rows so far; {out} is as it was") as stop:
        predict.write_rows(str(out), stopped_after(2), COLUMNS)
    assert stop.value.exit_code == 143
    assert held.read_text() == "earlier\n"
    assert part.read_text() == "path,error\n0.png,\n1.png,\n"
    assert predict.write_rows(str(out), iter([{"path": "a.png", "error": None}]), COLUMNS) == (1, 0)
    assert held.read_text() == out.read_text() == "path,error\na.png,\n"
    assert out.is_symlink() is linked
    assert not part.exists()


def test_a_new_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(RunFailed, match=r"out\.jsonl\.part holds the rows so far$"):
        predict.write_rows(str(out), stopped_after(1), COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl.part"]


def test_rows_of_a_stopped_command_are_replaced_on_request_alone(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "out.csv", tmp_path / "a.png"
    (tmp_path / "out.csv.part").write_text("rows so far\n")
    picture.write_bytes(b"no picture")
    for command in ([], ["evaluate"]):
        assert predict.main([*command, str(trained.folder), str(picture), "--out", str(out)]) == 2
        assert (
            "out.csv.part holds the rows of a run that was stopped: move it away, or --ove" in capsys.readouterr().err
        )
    assert predict.main([str(trained.folder), str(picture), "--out", str(out), "--overwrite"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_itself(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe.csv", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    predict.write_rows(str(pipe), iter([{"path": "a.png", "error": None}]), COLUMNS)
    reader.join(10)
    assert read == ["path,error\na.png,\n"]
