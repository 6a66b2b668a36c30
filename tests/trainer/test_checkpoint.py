"""Checkpoint files, and which of them are kept."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer.small import SmallData, new_run, small_task, small_trainer
from theory.finite import not_finite
from theory.intervals import wilson_interval
from trainer import build
from trainer.device import resolve_precision
from trainer.errors import RunFailed, UserError
from trainer.fit.checkpoint import BestCheckpoint
from trainer.safe_file import load_checkpoint, remove_litter, save_safely


def test_a_file_has_the_umask_mode_and_its_content(tmp_path: Path) -> None:
    former = os.umask(0o022)
    try:
        save_safely({"state_dict": {"w": torch.arange(3.0)}}, tmp_path / "new" / "x.ckpt")
    finally:
        os.umask(former)
    path = tmp_path / "new" / "x.ckpt"
    assert torch.equal(load_checkpoint(path)["state_dict"]["w"], torch.arange(3.0))
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"state_dict": {"w": torch.tensor([1.0, float("nan")])}}, "not finite .w"),
        ({"state_dict": {"w": torch.tensor([1.0, float("-inf")])}}, "not finite .w"),
        (
            {"state_dict": {}, "hyper_parameters": {"root": Path("/x")}},
            r"more than .*; hyper_parameters\.root is pathlib\.",
        ),
        (
            {"state_dict": {}, "optimizer_states": [{"lr": np.float64(1)}]},
            r"; optimizer_states\[0\]\.lr is numpy\.float64",
        ),
    ],
)
def test_what_must_not_be_saved_leaves_the_old_file(tmp_path: Path, bad: dict[str, Any], words: str) -> None:
    path = tmp_path / "x.ckpt"
    save_safely({"state_dict": {"w": torch.ones(2)}}, path)
    before = path.read_bytes()
    with pytest.raises(RunFailed, match=words):
        save_safely(bad, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_masks_and_integers_are_finite() -> None:
    mask = torch.triu(torch.full((3, 3), float("-inf")), 1)
    assert not_finite({"mask": mask, "count": torch.tensor(3), "empty": torch.zeros(0), "text": "x"}) == []
    assert not_finite({"mask": -mask, "w": torch.tensor(float("nan"))}) == ["mask", "w"]


@pytest.mark.parametrize(
    ("tensor", "kind"), [(torch.zeros(2, dtype=torch.complex64), "complex"), (torch.zeros(2, 2).to_sparse(), "sparse")]
)
def test_a_tensor_that_we_never_save_is_refused(tmp_path: Path, tensor: torch.Tensor, kind: str) -> None:
    torch.save({"state_dict": {"mean": tensor}}, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match=rf"odd\.ckpt .* is not a checkpoint of ours: its tensor mean is {kind}"):
        load_checkpoint(tmp_path / "odd.ckpt")


def test_only_our_litter_is_removed(tmp_path: Path) -> None:
    for name in (".last.ckpt.abc.tmp", "notes.tmp", ".hidden", "best.ckpt"):
        (tmp_path / name).touch()
    assert [path.name for path in remove_litter(tmp_path)] == [".last.ckpt.abc.tmp"]
    assert {path.name for path in tmp_path.iterdir()} == {"notes.tmp", ".hidden", "best.ckpt"}


def test_what_a_killed_process_left_in_the_run_folder_goes_at_the_next_start(tmp_path: Path, capsys: Any) -> None:
    run = new_run(tmp_path)
    litter = [run.path / ".metrics.json.abc.tmp", run.checkpoints / ".last.ckpt.abc.tmp"]
    for path in litter:
        path.write_text("half of it")
    build.fit(small_trainer(run, 1), small_task(), SmallData())
    assert not any(path.exists() for path in litter)
    said = capsys.readouterr().err
    assert all(f"removed {path}, left by an interrupted save" in said for path in litter)


@pytest.mark.parametrize(("mode", "values", "kept"), [("min", [3, 1, 1, 2], 2), ("max", [1, 3, float("nan"), 2], 1)])
def test_best_is_the_newest_of_the_best_values(tmp_path: Path, mode: Any, values: list[float], kept: int) -> None:
    best = BestCheckpoint(new_run(tmp_path), "val/x", mode)
    chosen = None
    for index, value in enumerate(values):
        if best.better(value):
            best.score, chosen = value, index
    assert chosen == kept


def test_what_validation_cannot_tell_from_the_best_counts_as_equal(tmp_path: Path) -> None:
    """Right of 144, with the end of the Wilson interval: 143 is the best, of 142 chance may make 143, of 130 not."""
    best = BestCheckpoint(new_run(tmp_path), "val/x", "max")
    saved: list[int] = []
    for epoch, right in enumerate([120, 143, 142, 141, 130]):
        metrics = {"val/x": torch.tensor(right / 144), "val/x_high": torch.tensor(wilson_interval(right, 144)[1])}
        trainer: Any = SimpleNamespace(callback_metrics=metrics, current_epoch=epoch)
        trainer.save_checkpoint = lambda *_, epoch=epoch, **__: saved.append(epoch)
        best._measured = True
        best.on_train_epoch_end(trainer, torch.nn.Identity())  # type: ignore[arg-type]
    assert saved == [0, 1, 2]
    assert best.state_dict() == {"monitor": "val/x", "score": pytest.approx(143 / 144), "epoch": 2}


def test_nan_is_never_the_best(tmp_path: Path) -> None:
    assert not BestCheckpoint(new_run(tmp_path), "val/x", "max").better(float("nan"))


def test_a_checkpoint_carries_what_is_needed_to_predict(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    build.fit(small_trainer(run, 1), small_task(width=8), SmallData())
    checkpoint = load_checkpoint(run.best)
    house = {
        "model": "small",
        "data": "clouds",
        "recipe": {},
        "versions": {},
        "precision": resolve_precision("auto", "cpu"),
    }
    assert checkpoint["house"] == house
    assert checkpoint["hyper_parameters"]["width"] == 8
    assert {path.name for path in run.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_metric_nobody_logs_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'val/acuracy'.*did you mean 'val/accuracy'"):
        build.fit(small_trainer(new_run(tmp_path), monitor="val/acuracy"), small_task(), SmallData())
    with pytest.raises(UserError, match=r"'train/los'.*'train/loss'"):
        build.fit(small_trainer(new_run(tmp_path), monitor="train/los"), small_task(), SmallData())


def test_validation_every_second_epoch_is_judged_only_then(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, 3, options={"check_val_every_n_epoch": 2})
    build.fit(trainer, small_task(worse=True), SmallData())
    assert load_checkpoint(run.best)["global_step"] == 16
    assert load_checkpoint(run.last)["global_step"] == 24


def test_testing_takes_the_weights_asked_for(tmp_path: Path, capsys: Any) -> None:
    run, task = new_run(tmp_path), small_task(worse=True)
    trainer = small_trainer(run, 2)
    build.fit(trainer, task, SmallData())
    for which, path in (("best", run.best), ("last", run.last)):
        metrics = build.test(trainer, task, SmallData(), which)  # type: ignore[arg-type]
        assert metrics.keys() == {"test/accuracy"}
        expected = load_checkpoint(path)["state_dict"]
        assert all(torch.equal(weight, expected[name]) for name, weight in task.state_dict().items())
    run.best.unlink()
    build.test(trainer, task, SmallData(), "best")
    assert "no best.ckpt was kept" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "stored"), [("bf16", "bf16-mixed"), ("32", "32-true"), ("64", "64-true")])
def test_a_checkpoint_names_the_precision_in_force(tmp_path: Path, asked: str, stored: str) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, 1, options={"precision": asked, "limit_train_batches": 1, "limit_val_batches": 0})
    build.fit(trainer, small_task(), SmallData(val_batches=0))
    assert load_checkpoint(run.last)["house"]["precision"] == stored == trainer.precision
