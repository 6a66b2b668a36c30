"""T17: a run that an early version of this project left still predicts the same, and goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

import train
from models.cnn import CNNTask
from tests.faults.scores import record
from trainer.safe_file import load_checkpoint


def test_an_option_that_the_run_did_not_know_had_its_default(tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "old", run)
    words = ["--resume", str(run), "--root", str(tmp_path), "--epochs", "3", "--report", "none", "--device", "cpu"]
    settings = (run / "config.yaml").read_text()
    assert train.main([*words, "--model.columns", "2"]) == 2
    assert "other settings: model.columns was 1, now 2. Start a new run" in capsys.readouterr().err
    assert train.main([*words, "--data.calm_epochs", "1", "--data.aug", "affine"]) == 2
    assert "data.calm_epochs was 0, now 1" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == settings
    assert train.main([*words, "--model.columns", "1"]) == 0


def test_t17_a_run_of_the_first_day_predicts_the_same_and_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).parent / "old", run)
    task = CNNTask.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    images = (torch.arange(128) * 2).to(torch.uint8).reshape(2, 1, 8, 8)
    with torch.no_grad():
        logits = task(images)
    due = [  # by the code that wrote it
        [0.271572, 0.02404, -0.189198, -0.320907, 0.05928, 0.360895, -0.030508, -0.14406, 0.147475, -0.045111],
        [0.504572, 0.495878, 0.155415, -0.312661, -0.66379, 0.332127, -0.867174, -0.524271, -0.191951, -0.596505],
    ]
    assert torch.allclose(logits, torch.tensor(due), atol=1e-5)
    before = load_checkpoint(run / "checkpoints" / "last.ckpt")
    words = ["--resume", str(run), "--root", str(tmp_path), "--epochs", "3", "--report", "none", "--device", "cpu"]
    assert train.main(words) == 0
    after = load_checkpoint(run / "checkpoints" / "last.ckpt")
    assert (before["epoch"], after["epoch"]) == (1, 2)
    assert after["global_step"] == before["global_step"] * 3 // 2
    record("T17", 3)
