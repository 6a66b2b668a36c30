"""A run in which no step gives a loss is no success."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import train
from models.cnn import CNNTask
from tests.runs import only_run
from tests.test_failures import CNN

pytestmark = pytest.mark.filterwarnings("ignore:.training_step. returned", "ignore:training_step gave no loss")


@pytest.mark.parametrize("together", ["1", "2"])
def test_no_loss_in_an_epoch_fails(
    together: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CNNTask, "training_step", lambda self, batch, batch_idx: None)
    assert train.main([*CNN, "--trainer.accumulate_grad_batches", together, "--root", str(tmp_path)]) == 1
    said = "train.py: stopped in epoch 1: training_step gave no loss for any of its 2 batches, so nothing was learned\n"
    assert said in capsys.readouterr().err
    assert not (only_run(tmp_path) / "metrics.json").exists()


def test_a_loss_now_and_then_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = CNNTask.training_step

    def seldom(self: CNNTask, batch: Any, batch_idx: int) -> Tensor | None:
        return step(self, batch, batch_idx) if batch_idx else None

    monkeypatch.setattr(CNNTask, "training_step", seldom)
    assert train.main([*CNN, "--root", str(tmp_path)]) == 0
