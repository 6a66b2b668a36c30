"""How it is judged what a training keeps, with processes that are only pretended."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.peers import saving_faults
from bench.peers.tool import limited, refused
from tests.bench.pretended import Done, Pretended


@pytest.mark.parametrize(
    ("status", "said", "left", "score"),
    [
        (1, "OSError: File too large", [1.0, None], 2),
        (1, "RuntimeError: 7", [1.0, None], 1),
        (0, "", [1.0, None], 0),
        (1, "OSError: File too large", [1.0, 2.0], 0),  # the checkpoint before it is another one now
    ],
)
def test_no_room_for_a_checkpoint(tmp_path: Path, status: int, said: str, left: list[float | None], score: int) -> None:
    assert saving_faults.full_saving(Pretended(tmp_path, status, said, left))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"),
    [(0, "warning: cannot log to x any more", 3), (0, "", 0), (1, "OSError: File too large", 2), (1, "oops", 1)],
)
def test_no_room_for_the_log(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert saving_faults.full_logging(Pretended(tmp_path, status, said, [None]))[0] == score


@pytest.mark.parametrize(("last", "best", "score"), [(3, 0, 3), (0, 0, 0), (3, 3, 0)])
def test_a_metric_that_never_improves(tmp_path: Path, last: int, best: int, score: int) -> None:
    tool = Pretended(tmp_path, 0, "", [None])
    tool.save(tmp_path / "last.ckpt", 1.0, last)
    tool.save(tmp_path / "best.ckpt", 1.0, best)
    assert saving_faults.never_better(tool)[0] == score


class Process:
    """A run that has ended."""

    def __init__(self, folder: Path, status: int) -> None:
        self.folder, self.returncode = folder, status

    def communicate(self, timeout: float) -> tuple[str, None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "checkpoints").mkdir(exist_ok=True)
        (self.folder / "checkpoints" / "last.ckpt").touch()
        return "said", None


@pytest.mark.parametrize(("names", "status", "score"), [(["a", "b"], 0, 3), (["a", "a"], 0, 0), (["a", "b"], 1, 1)])
def test_two_runs_at_the_same_moment(tmp_path: Path, names: list[str], status: int, score: int) -> None:
    left = list(names)

    class Meeting(Pretended):
        def start(self, *options: str, fault: str = "") -> Any:
            assert fault == f"meeting={tmp_path / 'meeting'}"
            return Process(tmp_path / "runs" / left.pop(), status)

    assert saving_faults.same_moment(Meeting(tmp_path, 0, "", [None]))[0] == score


def test_a_half_written_file_is_a_large_one_beside_a_checkpoint(tmp_path: Path) -> None:
    partial = tmp_path / ".last.ckpt.x.tmp"
    partial.write_bytes(bytes(saving_faults.MIB))
    assert saving_faults.half_written(tmp_path) == []  # the first save has nothing to lose
    (tmp_path / "last.ckpt").write_bytes(bytes(saving_faults.MIB))
    (tmp_path / "log").write_bytes(b"small")
    assert saving_faults.half_written(tmp_path) == [partial]


@pytest.mark.parametrize(("status", "partial", "score"), [(0, True, 3), (1, True, 1), (0, False, 1)])
def test_killed_while_saving(tmp_path: Path, status: int, partial: bool, score: int) -> None:
    class Killed(Pretended):
        def killed_when(self, seen: Callable[[], bool], *options: str) -> int:
            folder = Path(options[options.index("--root") + 1])
            folder.mkdir(exist_ok=True)
            self.save(folder / "last.ckpt", 1.0)
            if partial:
                (folder / "half.tmp").write_bytes(bytes(saving_faults.MIB))
                assert seen()
            return -signal.SIGKILL

    verdict = saving_faults.killed_saving(Killed(tmp_path, status, "bad zip", [None]))
    assert verdict[0] == score
    if score == 3:
        assert verdict[1] == "resumes; 1 MiB are left in the temporary folder"


def test_the_limit_of_a_file_holds(tmp_path: Path) -> None:
    for size, fits in ((1000, True), (3000, False)):
        words = ["bash", "-c", f"head -c {size} /dev/zero > {tmp_path / str(size)}"]
        done = subprocess.run([*limited(2), *words], capture_output=True, check=False)
        assert (done.returncode == 0) is fits
        assert (tmp_path / str(size)).stat().st_size == min(size, 2048)


@pytest.mark.parametrize(("status", "said", "score"), [(0, "the word", 0), (1, "oops", 1), (1, "The Word\nx", 2)])
def test_an_error_is_clear_when_it_has_the_word(status: int, said: str, score: int) -> None:
    for done in (Done([], status, said, ""), Done([], status, "", said)):
        assert refused(done, "other", "word")[0] == score
