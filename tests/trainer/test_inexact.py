"""What a resume does not repeat exactly is said before training."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from torch.utils.data import DataLoader, TensorDataset

import train
from data.batches.loader import TensorLoader
from tests.runs import only_run
from tests.trainer.small import SmallData, new_run, small_task, small_trainer
from trainer import build
from trainer.fit.inexact import check_exactness
from trainer.fit.resume import epochs_done
from trainer.fit.sums import EpochSums
from trainer.notice import quieten
from trainer.safe_file import load_checkpoint


def trainer_with(*loaders: Any) -> Any:
    combined = SimpleNamespace(flattened=list(loaders))
    return SimpleNamespace(fit_loop=SimpleNamespace(_combined_loader=combined), lr_scheduler_configs=[])


def test_a_loader_without_a_place_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = torch.rand(4, 1, 2, 2), torch.zeros(4, dtype=torch.long)
    check_exactness(trainer_with(TensorLoader(images, labels, 2)))
    assert capsys.readouterr().err == ""
    check_exactness(trainer_with(DataLoader(TensorDataset(images, labels), shuffle=True)))
    assert capsys.readouterr().err.startswith("warning: DataLoader does not say where it stands")


def test_callbacks_of_a_task_are_taken_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task = small_task()
    monkeypatch.setattr(task, "configure_callbacks", lambda: [LearningRateMonitor()], raising=False)
    build.fit(small_trainer(new_run(tmp_path), 1), task, SmallData())
    assert "will override" not in caplog.text


@pytest.mark.parametrize("reduction", ["mean", "sum", "max", "min"])
@pytest.mark.parametrize("again", [True, False])
def test_a_sum_goes_on_where_a_checkpoint_left_it(reduction: str, again: bool) -> None:
    """Again: the tag is logged once more after the resume; else at the epoch's end it is there all the same."""
    trainer: Any = SimpleNamespace(current_epoch=3, strategy=SimpleNamespace(reduce=lambda value, *_, **__: value))
    values, sizes = [0.5, 2.0, -1.0], [4, 1, 7]

    def log(sums: EpochSums, number: int) -> None:
        value = torch.tensor(values[number])
        sums.log("training_step", "train/x", value, reduce_fx=reduction, batch_size=sizes[number])  # type: ignore[arg-type]

    whole, first = EpochSums(trainer), EpochSums(trainer)
    for number in range(3):
        log(whole, number)
    for number in range(2 if again else 3):
        log(first, number)
    second = EpochSums(trainer)
    second.take(first.kept())
    assert second.kept() == first.kept(), "a second stop before the tag is logged loses nothing"
    if again:
        log(second, 2)
    due, found = (sums.metrics(on_step=False)["callback"]["train/x"] for sums in (whole, second))
    assert torch.equal(found, due)
    second.reset()
    trainer.current_epoch = 4
    log(second, 0)
    assert float(second.metrics(on_step=False)["callback"]["train/x"]) == 0.5, "the next epoch begins anew"


def test_sums_of_an_epoch_that_has_ended_are_left(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(current_epoch=3)
    first = EpochSums(trainer)
    first.log("training_step", "train/x", torch.tensor(1.0), batch_size=1)
    second = EpochSums(trainer)
    second.take(first.kept())
    trainer.current_epoch = 4
    second.log("training_step", "train/x", torch.tensor(5.0), batch_size=1)
    assert float(second.metrics(on_step=False)["callback"]["train/x"]) == 5.0


def test_steps_that_ran_out_inside_an_epoch_are_taken_up_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thrice: the rest of an epoch is trained, in its order, and each epoch counts once."""
    whole, parts = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    build.fit(small_trainer(whole, 2), small_task(), SmallData())
    steps = load_checkpoint(whole.last)["global_step"]
    path = None
    for length in (2, steps // 2 + 1, -1):
        build.fit(small_trainer(parts, 2, options={"max_steps": length}), small_task(), SmallData(), path)
        path = parts.last
        done = load_checkpoint(path)["global_step"]
        assert done == (length if length > 0 else steps)
    ours, theirs = load_checkpoint(parts.last), load_checkpoint(whole.last)
    assert epochs_done(ours) == epochs_done(theirs) == 2
    for name, value in theirs["state_dict"].items():
        assert torch.equal(value, ours["state_dict"][name]), name


def test_a_run_that_has_its_steps_is_not_tested_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "cnn", "--device", "cpu", "--report", "none", "--root", str(tmp_path)]
    assert train.main([*words, "--trainer.max_steps", "4", "--epochs", "2"]) == 0
    run = str(only_run(tmp_path))
    assert train.main(["--resume", run]) == 2
    assert "has 4 steps and was tested: --trainer.max_steps N goes on if N is more" in capsys.readouterr().err
    assert train.main(["--resume", run, "--trainer.max_steps", "6"]) == 0
    assert "this run was begun for 4 steps and went on to 6 steps" in capsys.readouterr().err


def test_float32_is_not_rounded_in_convolutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    small_trainer(new_run(tmp_path), 1)
    assert not torch.backends.cudnn.allow_tf32


def test_lightning_s_line_about_its_gpu_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    quieten()
    with caplog.at_level("INFO"):
        logging.getLogger("lightning.pytorch.accelerators.cuda").info("LOCAL_RANK: 0 - CUDA_VISIBLE_DEVICES: [0]")
    assert caplog.text == ""
