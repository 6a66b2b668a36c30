"""What is saved and judged inside an epoch: between two batches, after all hooks; and which weights are the best."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.nn import functional as F

from tests.trainer.exact import assert_same_end, resumed
from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from tests.trainer.test_resume import SignalAtBatch
from trainer import build
from trainer.errors import RunFailed
from trainer.fit.checkpoint import LastCheckpoint
from trainer.fit.resume import find_resume, logged_step
from trainer.folder import RunFolder
from trainer.safe_file import load_checkpoint


class Averaging(SmallTask):
    """Follows its weights after each batch, as a mean teacher does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("teacher", torch.zeros(self.width, 16))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.teacher.lerp_(self.net[1].weight.detach(), 0.1)
        self.batches += 1


class Counting(Callback):
    """Counts batches, and keeps the count."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_batch_end(self, *given: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


def averaging_run(run: RunFolder, extra: list[Callback], ckpt: Path | None = None, **options: Any) -> Averaging:
    torch.manual_seed(3)
    task = Averaging()
    step = None if ckpt is None else logged_step(load_checkpoint(ckpt))
    trainer = small_trainer(run, options={"callbacks": [*extra, Counting()], **options}, resume_step=step)
    build.fit(trainer, task, SmallData(), ckpt)
    return task


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}, {"val_check_interval": 4}])
@pytest.mark.parametrize("at", [(0, 0), (1, 3), (2, 6)])
def test_a_stop_keeps_what_the_hooks_of_its_batch_did(tmp_path: Path, at: tuple[int, int], options: Any) -> None:
    whole = new_run(tmp_path / "whole")
    averaging_run(whole, [], **options)
    run = new_run(tmp_path / "cut")
    with pytest.raises(RunFailed, match="SIGTERM"):
        averaging_run(run, [SignalAtBatch(*at)], **options)
    task = averaging_run(run, [], find_resume(run.path)[1], **options)
    assert int(task.batches) == 24
    assert_same_end(run, whole)


def validation_loss(path: Path) -> float:
    """What the weights of a checkpoint really reach."""
    task = small_task()
    task.load_state_dict(load_checkpoint(path)["state_dict"])
    loader = SmallData().val_dataloader()
    with torch.no_grad():
        return float(F.cross_entropy(task.net.eval()(loader.images), loader.labels))


@pytest.mark.parametrize("options", [{"val_check_interval": 3}, {"max_steps": 11}, {"check_val_every_n_epoch": 2}, {}])
def test_the_best_file_holds_the_weights_that_were_measured(tmp_path: Path, options: Any) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, options=options)
    build.fit(trainer, small_task(), SmallData())
    best = load_checkpoint(run.best)
    score = next(state["score"] for state in best["callbacks"].values() if "score" in state)
    assert validation_loss(run.best) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "validated"),
    [({"max_steps": 11}, [0, 1]), ({"check_val_every_n_epoch": 2}, [1, 2]), ({"val_check_interval": 5}, [0, 1, 2, 2]),
     ({"limit_val_batches": 0, "max_steps": 11}, []), ({}, [0, 1, 2])],
)  # fmt: skip
def test_the_last_weights_are_judged_whatever_the_interval_is(
    tmp_path: Path, options: Any, validated: list[int]
) -> None:
    task, monitor = small_task(), "train/loss" if "limit_val_batches" in options else "val/loss"
    build.fit(small_trainer(new_run(tmp_path), options=options, monitor=monitor), task, SmallData())
    assert task.validated == validated


def test_a_resume_from_the_best_inside_an_epoch_is_exact(tmp_path: Path) -> None:
    options = {"val_check_interval": 3}

    def one(run: RunFolder, ckpt: Path | None = None) -> None:
        step = None if ckpt is None else logged_step(load_checkpoint(ckpt))
        build.fit(small_trainer(run, options=options, resume_step=step), small_task(worse=True), SmallData(), ckpt)

    whole, again = new_run(tmp_path / "whole"), new_run(tmp_path / "again")
    one(whole)
    assert load_checkpoint(whole.best)["global_step"] == 6  # of 8
    again.best.parent.mkdir(parents=True, exist_ok=True)
    again.best.write_bytes(whole.best.read_bytes())
    one(again, again.best)
    assert_same_end(again, whole)


class SignalInValidation(Callback):
    """Sends SIGTERM to this process in a validation."""

    def on_validation_batch_start(self, trainer: Trainer, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_stop_in_a_validation_keeps_what_its_batch_logged(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, options={"callbacks": [SignalInValidation()]})
    with pytest.raises(RunFailed, match="SIGTERM"):
        build.fit(trainer, small_task(), SmallData())
    assert logged_step(load_checkpoint(run.last)) == 8  # the first of the steps that the resumed run takes


def test_a_signal_while_a_checkpoint_is_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, options={"callbacks": [SignalAtBatch(1, 3)]})
    with pytest.raises(RunFailed, match="SIGTERM"):
        build.fit(trainer, small_task(), SmallData())
    load, path = torch.load, find_resume(run.path)[1]

    def interrupted(*given: Any, **words: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return load(*given, **words)

    monkeypatch.setattr("torch.load", interrupted)
    with pytest.raises(RunFailed, match=r"stopped by SIGTERM: the state is in .*last.ckpt; .*goes on") as stop:
        build.fit(small_trainer(run, resume_step=12), small_task(), SmallData(), path)
    assert stop.value.exit_code == 143
    monkeypatch.undo()
    resumed(run.path, tmp_path)


def saved_in_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[tuple[int, int]]:
    """Epoch and number of batches of each ``last.ckpt`` that was written inside an epoch of 8."""
    written: list[tuple[int, int]] = []
    save = LastCheckpoint.save

    def noted(self: LastCheckpoint, trainer: Trainer) -> Path:
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        written.append((trainer.current_epoch, done))
        return save(self, trainer)

    monkeypatch.setattr(LastCheckpoint, "save", noted)
    every = options.pop("every")
    build.fit(small_trainer(new_run(tmp_path), 2, save_every=every, options=options), small_task(), SmallData())
    return [(epoch, done) for epoch, done in written if done < 8]


@pytest.mark.parametrize(
    ("every", "together", "inside"),
    [(3, 1, [3, 6]), (1, 1, [1, 2, 3, 4, 5, 6, 7]), (3, 2, [4]), (2, 2, [2, 4, 6]), (8, 1, [])],
)
def test_an_epoch_is_saved_after_every_so_many_batches(
    every: int, together: int, inside: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    found = saved_in_epochs(tmp_path, monkeypatch, every=every, accumulate_grad_batches=together)
    assert found == [(epoch, done) for epoch in (0, 1) for done in inside]
    note = "note: --checkpoint.every_n_batches 8: an epoch has 8 batches, and is saved at its end\n"
    assert capsys.readouterr().err.count(note) == (not inside)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_run_that_was_killed_goes_on_from_the_last_of_them(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = new_run(tmp_path / "whole"), new_run(tmp_path / "cut")
    build.fit(small_trainer(whole), small_task(), SmallData())
    save, saved = LastCheckpoint.save, 0

    def save_and_die(self: LastCheckpoint, trainer: Trainer) -> Path:
        nonlocal saved
        path, saved = save(self, trainer), saved + 1
        if saved == number:
            raise SystemError("no more power")
        return path

    monkeypatch.setattr(LastCheckpoint, "save", save_and_die)
    with pytest.raises(SystemError, match="no more power"):
        build.fit(small_trainer(cut, save_every=3), small_task(), SmallData())
    monkeypatch.undo()
    assert load_checkpoint(cut.last)["global_step"] == {1: 3, 2: 6, 4: 11}[number]  # the third is the end of the epoch
    resumed(cut.path, tmp_path)
    assert_same_end(cut, whole)
