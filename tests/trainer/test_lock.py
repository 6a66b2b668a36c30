"""Two processes never train in one run folder; a lock whose process is gone is no lock."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

import train
import trainer.run.lock
from tests.conftest import Trained
from trainer.errors import UserError
from trainer.folder import RunFolder
from trainer.run.lock import boot, locked, started

PROJECT = Path(__file__).parent.parent.parent
ROUNDS = 5


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def other() -> Iterator[int]:
    """A living process that is not ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


def write(run: RunFolder, **held: object) -> None:
    usual = {"pid": os.getpid(), "host": socket.gethostname(), "started": ""}
    (run.path / ".lock").write_text(json.dumps(usual | held))


def test_a_lock_is_there_while_it_is_held(run: RunFolder) -> None:
    with locked(run):
        held = json.loads((run.path / ".lock").read_text())
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "started": started(os.getpid()), "boot": boot()}
        assert held == mine
    assert not (run.path / ".lock").exists()
    with pytest.raises(RuntimeError), locked(run):
        raise RuntimeError
    assert not (run.path / ".lock").exists()


def test_a_living_process_keeps_others_out(run: RunFolder, other: int) -> None:
    write(run, pid=other, started=started(other))
    with pytest.raises(UserError, match=rf"is being trained by process {other} on .*: wait for it"), locked(run):
        pass
    assert (run.path / ".lock").exists(), "it is not ours to remove"
    write(run, host="elsewhere", pid=1)
    with pytest.raises(UserError, match=r"process 1 on elsewhere.* delete .*\.lock"), locked(run):
        pass


HOLD = """
import sys
from trainer.folder import RunFolder
from trainer.run.lock import locked
with locked(RunFolder(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.mark.parametrize(
    "said", ['{"pid": 4194303, "host": "HOST", "started": "1"}', ""], ids=["no such number", "nothing"]
)
def test_a_process_of_another_container_keeps_others_out(run: RunFolder, said: str) -> None:
    """Its number means nothing here, and may even be our own."""
    words = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(words, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (run.path / ".lock").write_text(said.replace("HOST", socket.gethostname()))
        with pytest.raises(UserError, match=r"is being trained by .*: wait for it, or stop it$"), locked(run):
            pass
        assert (run.path / ".lock").exists()
        process.kill()
    with locked(run):  # the system has freed it
        pass


@pytest.mark.skipif(not boot(), reason="only Linux names its boots")
def test_what_a_killed_container_left_is_taken_over(run: RunFolder) -> None:
    """Each start of a container may have another host name; the machine is the same."""
    write(run, host="3f2a9c0d1e4b", pid=1, boot=boot())
    with locked(run):
        assert json.loads((run.path / ".lock").read_text())["host"] == socket.gethostname()
    write(run, host="3f2a9c0d1e4b", pid=1, boot="another")
    with pytest.raises(UserError, match=r"process 1 on 3f2a9c0d1e4b.* delete .*\.lock"), locked(run):
        pass


def test_a_lock_of_somebody_else_is_not_removed(run: RunFolder) -> None:
    path = run.path / ".lock"
    with locked(run):
        path.unlink()
        path.write_text("theirs")
    assert path.read_text() == "theirs"


@pytest.mark.parametrize("held", [{"pid": 2**22 - 1}, {"started": "1"}, {}], ids=["gone", "reused", "ours"])
def test_a_stale_lock_is_taken_over(
    run: RunFolder, other: int, held: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    write(run, **({"pid": other, **held} if "started" in held else held))
    with locked(run):
        assert json.loads((run.path / ".lock").read_text())["pid"] == os.getpid()
    assert "was left by a process that is gone" in capsys.readouterr().err


def test_a_damaged_lock_is_stale_and_other_ranks_share_the_first_ones(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / ".lock").write_text("")
    with locked(run):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with locked(run):
            pass
        assert (run.path / ".lock").exists()


RACE = """
import sys, time
from pathlib import Path
import trainer.run.lock
from trainer.errors import UserError
from trainer.folder import RunFolder

holder = trainer.run.lock.holder

def slow_holder(*given):  # what two processes may do at once lasts long enough to happen
    time.sleep(0.02)
    return holder(*given)

def wait(for_what, path):
    end = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > end:
            sys.exit(f"waited too long for {for_what}")
        time.sleep(0.001)

trainer.run.lock.holder = slow_holder
run = RunFolder(sys.argv[1])
print("ready", flush=True)
for round in range(int(sys.argv[2])):
    wait("the start", run.path / f"start{round}")
    try:
        with trainer.run.lock.locked(run):
            (run.path / f"held{round}").mkdir()  # fails for the second holder
            print("held", flush=True)
            wait("the end", run.path / f"done{round}")
    except UserError:
        print("refused", flush=True)
"""


@pytest.fixture
def racers(run: RunFolder) -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes that want the run; none outlives the test."""
    words = [sys.executable, "-c", RACE, str(run.path), str(ROUNDS)]
    started = [
        subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("stale", ["", "{", '{"pid": 4194303, "host": "HOST", "started": "1"}'], ids=repr)
def test_of_several_that_start_at_once_one_gets_the_run(
    run: RunFolder, racers: list[subprocess.Popen[str]], stale: str
) -> None:
    outputs = [process.stdout for process in racers]
    assert all(output is not None and output.readline() == "ready\n" for output in outputs)
    for round in range(ROUNDS):
        (run.path / ".lock").write_text(stale.replace("HOST", socket.gethostname()))
        (run.path / f"start{round}").touch()
        said = sorted(output.readline() for output in outputs if output is not None)
        (run.path / f"done{round}").touch()
        assert said == ["held\n", "refused\n", "refused\n"], round
        end = time.monotonic() + 60
        while (run.path / ".lock").exists():
            assert time.monotonic() < end, "the lock is not removed"
            time.sleep(0.001)
    for process in racers:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def test_a_lock_that_its_holder_removed_while_it_was_opened_is_none(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name written into it would be seen by nobody."""
    path, opened = run.path / ".lock", list[str]()
    lock = trainer.run.lock._lock

    def late(file: TextIO) -> bool | None:
        if not opened:
            path.unlink()  # the holder is done
        opened.append(file.name)
        return lock(file)

    monkeypatch.setattr("trainer.run.lock._lock", late)
    with locked(run):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert opened == [str(path)] * 2


def test_a_second_resume_is_locked_out(trained: Trained, other: int, capsys: pytest.CaptureFixture[str]) -> None:
    lock = trained.folder / ".lock"
    before = (trained.folder / "config.yaml").read_bytes()
    write(RunFolder(trained.folder), pid=other, started=started(other))
    try:
        assert train.main(["--resume", str(trained.folder), "--epochs", "3"]) == 2
        assert f"is being trained by process {other}" in capsys.readouterr().err
        assert (trained.folder / "config.yaml").read_bytes() == before
    finally:
        lock.unlink()
