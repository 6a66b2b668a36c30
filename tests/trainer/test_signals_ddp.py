"""A signal that reaches one of two processes stops both after the same batch, saved; both go on together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainer.safe_file import load_checkpoint

PROJECT = Path(__file__).parent.parent.parent


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid: int) -> bool:
    """Whether a process ends within 30 s; one that nobody has asked for its status counts."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the second process is found in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_both(tmp_path: Path, rank: int) -> None:
    words = [sys.executable, "train.py", "--model", "cnn", "--batch_size", "64", "--device", "cpu", "--report", "none"]
    words += ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--root", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*words, "--epochs", "500"], cwd=PROJECT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    second = 0
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                break
        (second,) = children(process.pid)
        os.kill([process.pid, second][rank], signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    finally:
        for pid in [one for one in (process.pid, second) if one and process.returncode is None]:
            os.kill(pid, signal.SIGKILL)
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    (run,) = tmp_path.glob("*/*")
    assert f"train.py: stopped by SIGTERM: the state is in {run}/checkpoints/last.ckpt" in errors
    checkpoint = load_checkpoint(run / "checkpoints/last.ckpt")
    assert checkpoint["global_step"] > 20, "later than its first epoch"
    assert ended(second), "the other one has stopped too"
    again = [sys.executable, "train.py", "--resume", str(run), "--epochs", str(checkpoint["epoch"] + 2)]
    done = subprocess.run(again, cwd=PROJECT, env=environment, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(run / "checkpoints/last.ckpt")["global_step"] > checkpoint["global_step"]
