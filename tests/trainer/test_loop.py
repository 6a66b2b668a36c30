"""The loop over batches does what Lightning's does: the same hooks, counters, log and weights, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from tests.trainer.kinds import (
    Accumulating,
    ByHand,
    DoubledData,
    GapsData,
    Leaving,
    LogsEverywhere,
    LooksTwice,
    MovedData,
    Nothing,
    OwnClip,
    OwnStep,
    Stopping,
    WithLBFGS,
    WithMore,
    WithoutNumber,
    Wrapped,
)
from tests.trainer.recorded import Recorder, trace
from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer.build import fit
from trainer.fit.around import NoProfiler
from trainer.fit.loop import EpochLoop


@pytest.mark.filterwarnings("ignore:You have overridden", "ignore:You requested to overfit")
@pytest.mark.filterwarnings("ignore:.training_step. returned", "ignore:training_step gave no loss")
@pytest.mark.filterwarnings("ignore:.*gave None for a batch", "ignore:train_dataloader yielded None")
@pytest.mark.parametrize(
    ("kind", "data", "options", "in_one_piece"),
    [
        (SmallTask, SmallData, {}, True),
        (SmallTask, MovedData, {}, True),
        (WithoutNumber, SmallData, {}, True),
        (Nothing, SmallData, {}, True),
        (ByHand, SmallData, {}, True),
        (LooksTwice, SmallData, {}, True),
        (WithLBFGS, SmallData, {}, True),
        (LogsEverywhere, SmallData, {}, True),
        (LogsEverywhere, SmallData, {"gradient_clip_val": 0.1}, True),
        (SmallTask, GapsData, {}, True),
        (SmallTask, DoubledData, {}, True),
        (WithMore, SmallData, {}, True),
        (SmallTask, SmallData, {"gradient_clip_val": 0.01}, True),
        (SmallTask, SmallData, {"gradient_clip_val": 0.001, "gradient_clip_algorithm": "value"}, True),
        (SmallTask, SmallData, {"precision": "bf16-mixed"}, True),
        (SmallTask, SmallData, {"val_check_interval": 3}, True),
        (SmallTask, SmallData, {"val_check_interval": 5, "check_val_every_n_epoch": None}, True),
        (SmallTask, SmallData, {"val_check_interval": 11, "check_val_every_n_epoch": None}, True),
        (SmallTask, SmallData, {"check_val_every_n_epoch": 2}, True),
        (SmallTask, SmallData, {"val_check_interval": "01:00:00:00"}, True),
        (SmallTask, SmallData, {"limit_train_batches": 5}, True),
        (SmallTask, SmallData, {"max_steps": 11}, True),
        (SmallTask, SmallData, {"overfit_batches": 3}, True),
        (Leaving, SmallData, {}, True),
        (Stopping, SmallData, {}, True),
        (Accumulating, SmallData, {}, True),
        (OwnClip, SmallData, {}, True),
        (Wrapped, SmallData, {}, False),
        (OwnStep, SmallData, {}, False),
        (SmallTask, SmallData, {"accumulate_grad_batches": 3}, False),
        (SmallTask, SmallData, {"precision": "64-true"}, False),
        (SmallTask, SmallData, {"profiler": "simple"}, False),
    ],
)
def test_a_training_is_that_of_lightnings_loop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[SmallTask],
    data: type[SmallData],
    options: dict[str, Any],
    in_one_piece: bool,
) -> None:
    monkeypatch.setattr(EpochLoop, "_last_of_all", lambda loop: False)  # Lightning ends without that validation
    *ours, short = trace(tmp_path / "ours", kind, data(), options)
    monkeypatch.setattr(EpochLoop, "install", classmethod(lambda cls, trainer, between: None))
    *theirs, none = trace(tmp_path / "theirs", kind, data(), options)
    assert (short > 0) is in_one_piece
    assert none == 0
    for mine, due in zip(ours[0], theirs[0], strict=True):
        assert mine == due
    assert ours[1:4] == theirs[1:4]
    assert len(ours[3]) >= 9  # batches
    mine, due = (torch.load(found[4], weights_only=True) for found in (ours, theirs))
    assert mine["loops"] == due["loops"]
    assert mine["lr_schedulers"] == due["lr_schedulers"]


class SavesInValidation(Callback):
    """Keeps a checkpoint as each validation ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


@pytest.mark.parametrize("step", [3, 6, 11, 14])
def test_a_resume_validates_on_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A checkpoint written in a validation says that this one was begun; the next one begins anew."""
    options = {"val_check_interval": 3}
    monkeypatch.setattr(EpochLoop, "_last_of_all", lambda loop: False)
    trainer = small_trainer(new_run(tmp_path), options={"callbacks": [SavesInValidation(tmp_path)], **options})
    fit(trainer, small_task(), SmallData())
    found = []
    for place in ("ours", "theirs"):
        if place == "theirs":
            monkeypatch.setattr(EpochLoop, "install", classmethod(lambda cls, trainer, between: None))
        recorder = Recorder()
        resumed = small_trainer(new_run(tmp_path / place), options={"callbacks": [recorder], **options})
        fit(resumed, small_task(), SmallData(), tmp_path / f"{step}.ckpt")
        found.append(recorder.seen)
    assert found[0] == found[1]


def test_callbacks_of_any_kind_are_called(tmp_path: Path) -> None:
    """Lightning asks no callback for its class."""
    other = Mock(spec=Callback, state_key="other")
    other.state_dict.return_value = {}
    trainer = small_trainer(new_run(tmp_path), epochs=1, options={"callbacks": [other]})
    fit(trainer, small_task(), SmallData())
    assert other.on_train_batch_end.call_count == trainer.global_step == 8


def test_loaders_are_let_go(tmp_path: Path) -> None:
    trainer: Any = small_trainer(new_run(tmp_path), epochs=1)
    fit(trainer, small_task(), SmallData())
    assert trainer.fit_loop.epoch_loop._around is None


def test_a_profiler_that_is_asked_for_measures_the_steps(tmp_path: Path) -> None:
    trainer: Any = small_trainer(new_run(tmp_path), epochs=1, options={"profiler": "simple"})
    fit(trainer, small_task(), SmallData())
    assert trainer.profiler.recorded_durations["run_training_batch"]
    assert isinstance(small_trainer(new_run(tmp_path)).profiler, NoProfiler)  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:You have overridden")
def test_another_trainer_can_train_the_task_afterwards(tmp_path: Path) -> None:
    task = WithMore()
    fit(small_trainer(new_run(tmp_path), epochs=1), task, SmallData())
    before = task.clipped
    theirs = Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    theirs.fit(task, SmallData())
    assert task.clipped == 2 * before > 0
