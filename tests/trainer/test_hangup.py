"""A terminal that is closed: the run saves and ends; under ``nohup`` it trains on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train
from tests.trainer.exact import run_below
from trainer.safe_file import load_checkpoint

PROJECT = Path(__file__).parents[2]
WORDS = "--model cnn --device cpu --report none --model.widths [4] --data.batch_size 64 --trainer.limit_val_batches 1"


def in_a_terminal(words: str, root: Path, before: str = "") -> tuple[subprocess.Popen[bytes], int]:
    """A run in a session and a terminal of its own, and the other end of that terminal."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    command = f"exec <{name} >{name} 2>&1; {before} exec {sys.executable} train.py {words} --root {root}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(["sh", "-c", command], cwd=PROJECT, env=environment, start_new_session=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    return run, ours


def wait_for(file: str, root: Path, terminal: int) -> None:
    """Reads what the run says until it has written a file."""
    said = b""
    for _ in range(1200):
        try:
            said += os.read(terminal, 65536)
        except (BlockingIOError, OSError):
            time.sleep(0.1)
        if list(root.glob(file)):
            return
    pytest.fail(f"no {file}: {said.decode()}")


def test_a_closed_terminal_saves_and_the_run_goes_on_later(tmp_path: Path) -> None:
    run, terminal = in_a_terminal(f"{WORDS} --epochs 100000", tmp_path)
    wait_for("*/*/checkpoints/last.ckpt", tmp_path, terminal)
    os.close(terminal)
    assert run.wait(60) == 129
    folder = run_below(tmp_path)
    assert not folder.crash.exists()
    assert not folder.metrics.exists()
    saved = load_checkpoint(folder.last)
    again = f"--resume {folder.path} --root {tmp_path} --trainer.max_epochs {saved['epoch'] + 2}"
    assert train.main(again.split()) == 0
    assert load_checkpoint(folder.last)["global_step"] > saved["global_step"]


def test_a_run_that_is_not_to_hear_of_it_trains_on(tmp_path: Path) -> None:
    run, terminal = in_a_terminal(f"{WORDS} --epochs 3 >{tmp_path}/said 2>&1", tmp_path, "trap '' HUP;")
    wait_for("*/*/checkpoints/last.ckpt", tmp_path, terminal)
    run.send_signal(signal.SIGHUP)
    os.close(terminal)
    assert run.wait(60) == 0
    assert run_below(tmp_path).metrics.exists()
