"""A run stopped by a signal and resumed, to be compared with one that was never stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs import epochs, lasting, only_run, weights
from train import main


def stopped_and_resumed(
    task: type[Any], words: list[str], root: Path, stop_at: tuple[int, int], patch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Folders of the run never stopped and of the one stopped at ``(epoch, batch)``."""
    assert main([*words, "--root", str(root / "whole")]) == 0
    step, stopped = task.training_step, []

    def stopping(self: Any, batch: Any, batch_idx: int) -> Any:
        if (self.current_epoch, batch_idx) == stop_at and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    with patch.context() as local:
        local.setattr(task, "training_step", stopping)
        assert main([*words, "--root", str(root / "half")]) == 143
    whole, half = only_run(root / "whole"), only_run(root / "half")
    assert main(["--resume", str(half), "--report", "none"]) == 0
    return whole, half


def assert_equal_runs(whole: Path, half: Path) -> None:
    """All weights and chains bit for bit, and all figures but times, those of each epoch too."""
    states = [weights(run) for run in (whole, half)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert lasting(whole) == lasting(half)
    assert epochs(whole) == epochs(half)
