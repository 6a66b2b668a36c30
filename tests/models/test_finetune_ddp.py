"""Two processes on gloo learn what one process learns, and reduce their figures rightly."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.small_folder import make_pictures
from trainer.safe_file import load_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 + 16 pictures to train on and 7 + 6 to validate: an odd number, which two processes cannot share evenly."""
    return make_pictures(tmp_path_factory.mktemp("pictures"), {"train": (16, 16), "val": (7, 6)}, tint=20)


def run(pictures: Path, root: Path, *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics and checkpoint of a run in a process of its own; the statistics of normalisation are fixed."""
    words = [
        sys.executable, str(ROOT / "train.py"), "--model", "cnn", "--data", str(pictures), "--data.cache_dir",
        str(pictures.parent / "cache"), "--data.image_size", "32", "--model.backbone", "shufflenet_v2_x0_5",
        "--model.weights", "none", "--model.norm", "fixed", "--model.optimizer", "sgd", "--lr", "0.01", "--epochs", "3",
        "--model.tune", "all",
        "--model.freeze_epochs", "1", "--model.ema_decay", "0.9", "--model.schedule", "linear", "--batch_size", "8",
        "--device", "cpu", "--trainer.precision", "32-true", "--report", "none", "--root", str(root), *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (folder,) = root.glob("*/*")
    checkpoint = load_checkpoint(folder / "checkpoints/last.ckpt")
    return json.loads((folder / "metrics.json").read_text()), checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("aug", ["none", "light"])
def test_two_processes_equal_one(pictures: Path, tmp_path: Path, aug: str) -> None:
    drawn = ("--data.aug", aug)
    metrics, one = run(pictures, tmp_path / "one", *drawn)
    metrics_two, two = run(pictures, tmp_path / "two", *drawn, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    weights: dict[str, Tensor] = one["state_dict"]
    weights_two = two["state_dict"]
    assert weights.keys() == weights_two.keys()
    steps = [0.01 * state["momentum_buffer"].abs().max() for state in one["optimizer_states"][0]["state"].values()]
    assert max(steps) > 1e-4  # they had something to learn
    for name, value in weights.items():
        assert torch.allclose(value.float(), weights_two[name].float(), rtol=1e-4, atol=1e-6), name
    compared = [name for name in metrics if name.startswith(("val/", "train/", "best/"))]
    assert "val/loss" in compared
    for name in compared:
        assert metrics_two[name] == pytest.approx(metrics[name], rel=1e-4, abs=1e-6), name
    assert len(answers(tmp_path / "one")) == 14
    assert answers(tmp_path / "one") == answers(tmp_path / "two"), "their outputs stand in the order of the pictures"


def answers(root: Path) -> list[str]:
    """Path, class and guess of each judged picture, and the heading."""
    (file,) = root.glob("*/*/top_losses.csv")
    return sorted(line.rsplit(",", 2)[0] for line in file.read_text().splitlines())
