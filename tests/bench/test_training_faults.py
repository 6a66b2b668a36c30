"""How a disturbed training is judged from outside, with processes that are only pretended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from bench.peers import training_faults
from bench.peers.training_faults import Tool


class Pretended(Tool):
    """A tool whose every run ends as told, and leaves the weights it is given.

    Args:
        root: Of its runs.
        status: Exit status.
        said: What it writes to stderr.
        left: Weights in ``last.ckpt``, one run after the other; None leaves nothing.
        steps: Steps that the checkpoint tells of.
    """

    def __init__(self, root: Path, status: int, said: str, left: list[float | None], steps: int = 5) -> None:
        super().__init__("lightning", root)
        self.status, self.said, self.left, self.steps = status, said, left, steps

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        weight = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        folder = Path(options[options.index("--root") + 1])
        if weight is not None:
            folder.mkdir(exist_ok=True)
            state = {"state_dict": {"w": torch.tensor([weight])}, "global_step": self.steps}
            torch.save(state, folder / "last.ckpt")
        return subprocess.CompletedProcess(options, self.status, "", self.said)


@pytest.mark.parametrize(
    ("status", "said", "weight", "score"),
    [(0, "", 1.0, 0), (1, "the loss is nan", float("nan"), 0), (1, "the loss is nan", 1.0, 2), (1, "oops", 1.0, 1)],
)
def test_a_run_that_diverges(tmp_path: Path, status: int, said: str, weight: float, score: int) -> None:
    assert training_faults.diverging(Pretended(tmp_path, status, said, [weight]))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "steps", "score"),
    [(0, "", 0, 0), (0, "", 3, 3), (2, "batch_size 5000 is too much", 0, 2), (1, "oops", 0, 1)],
)
def test_fewer_samples_than_a_batch(tmp_path: Path, status: int, said: str, steps: int, score: int) -> None:
    assert training_faults.no_batch(Pretended(tmp_path, status, said, [1.0], steps))[0] == score


@pytest.mark.parametrize(("second", "score"), [(1.0, 3), (1.5, 0)])
def test_the_same_command_twice(tmp_path: Path, second: float, score: int) -> None:
    assert training_faults.twice(Pretended(tmp_path, 0, "", [1.0, second]))[0] == score


@pytest.mark.parametrize(("status", "said", "score"), [(0, "", 0), (1, "bad zip", 1), (2, "last.ckpt is cut off", 2)])
def test_half_a_checkpoint(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert training_faults.damaged(Pretended(tmp_path, status, said, [1.0]))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "KeyError: 7", 1), (1, "size mismatch for network.0.weight", 2)]
)
def test_another_width(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert training_faults.other_shape(Pretended(tmp_path, status, said, [1.0]))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "KeyError: 7", 1), (2, "sees no CUDA device", 2)]
)
def test_a_gpu_that_is_not_there(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert training_faults.no_gpu(Pretended(tmp_path, status, said, [None]))[0] == score


def test_a_malicious_file_that_is_run_scores_nothing(tmp_path: Path) -> None:
    refusing = Pretended(tmp_path, 2, "refused evil.ckpt", [None])
    assert training_faults.malicious(refusing)[0] == 2
    (tmp_path / "ran").touch()
    assert training_faults.malicious(refusing)[0] == 0
