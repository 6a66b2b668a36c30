"""How a disturbed training is judged from outside, with processes that are only pretended."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from bench.peers import settings_faults, training_faults
from bench.peers.tool import Tool, main
from tests.bench.pretended import Pretended


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
    assert settings_faults.damaged(Pretended(tmp_path, status, said, [1.0]))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "KeyError: 7", 1), (1, "size mismatch for network.0.weight", 2)]
)
def test_another_width(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert settings_faults.other_shape(Pretended(tmp_path, status, said, [1.0]))[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "KeyError: 7", 1), (2, "sees no CUDA device", 2)]
)
def test_a_gpu_that_is_not_there(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert settings_faults.no_gpu(Pretended(tmp_path, status, said, [None]))[0] == score


def test_a_malicious_file_that_is_run_scores_nothing(tmp_path: Path) -> None:
    refusing = Pretended(tmp_path, 2, "refused evil.ckpt", [None])
    assert settings_faults.malicious(refusing)[0] == 2
    (tmp_path / "ran").touch()
    assert settings_faults.malicious(refusing)[0] == 0


def test_ours_is_the_front_door_and_no_option_is_given_twice(tmp_path: Path) -> None:
    ours = Tool("ours", tmp_path)
    assert ours.words("--resume", "x")[1:] == ["-m", "train", "--device", "cpu", "--resume", "x"]
    assert ours.words(fault="memory")[1:5] == ["-m", "bench.peers.disturbed", "memory", "train"]
    for words in (
        ours.words("--model.widths", "[2]", "--device", "cuda"),
        ours.words("--data", "x", "--model.tune", "head"),
        ours.words("--data", "x"),
    ):
        options = [word for word in words if word.startswith("--")]
        assert len(options) == len(set(options))
    assert Tool("lightning", tmp_path).words("--data", "x")[2] == "bench.peers.lightning_pictures"
    assert Tool("lightning", tmp_path).words("--epochs", "1")[2] == "bench.peers.lightning_example"


@pytest.mark.parametrize(
    ("which", "status", "left", "score"),
    [
        (signal.SIGTERM, 143, [1.0, 1.0], 3),
        (signal.SIGTERM, 143, [1.0, 1.5], 0),  # it goes on to other weights
        (signal.SIGTERM, 0, [1.0, 1.0], 1),  # nobody can see that it was stopped
        (signal.SIGKILL, -9, [1.0, 1.0], 3),
        (signal.SIGKILL, -9, [1.0, 1.5], 0),
    ],
)
def test_a_signal_within_an_epoch(
    tmp_path: Path, which: signal.Signals, status: int, left: list[float | None], score: int
) -> None:
    class Interrupted(Pretended):
        def interrupted(self, which: signal.Signals, root: Path, *options: str) -> tuple[int, str]:
            root.mkdir()
            self.save(root / "last.ckpt", 9.0)
            return status, ""

    root = tmp_path / "tool"
    root.mkdir()
    tool = Interrupted(root, 0, "", list(left))
    assert training_faults.stopped(which)(tool)[0] == score  # type: ignore[index]
    again = Interrupted(tmp_path / "again", 0, "", [left[1]])
    again.root.mkdir()
    assert training_faults.stopped(which)(again)[0] == score  # type: ignore[index]
    assert len(again.asked) == len(tool.asked) - 1  # the undisturbed run was there


def test_unfreezing_is_alone_what_counts(tmp_path: Path) -> None:
    assert "--in_order" in training_faults.unfreezing(Pretended(tmp_path / "a", 0, "", [None]))
    ours = training_faults.unfreezing(Pretended(tmp_path / "b", 0, "", [None], name="ours"))
    assert "--model.unfreeze_milestones" in ours
    assert Path(ours[1], "train", "red").is_dir()


def test_a_tool_that_has_nothing_of_the_kind_has_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = []

    def judge(tool: Tool) -> tuple[int, str] | None:
        roots.append(tool.root)
        return None if tool.name == "timm" else (3, "right")

    for name, due in (("timm", {}), ("ours", {"T1 x": [3, "right"], "T2 y": [3, "right"]})):
        monkeypatch.setattr(sys, "argv", ["x", "--tool", name])
        kept = signal.getsignal(signal.SIGINT)
        main({"T1 x": judge, "T2 y": judge}, ("ours", "timm"), "", together=name == "ours")
        signal.signal(signal.SIGINT, kept)
        assert json.loads(capsys.readouterr().out) == due
    assert len(set(roots)) == 3
