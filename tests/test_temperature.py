"""One set of weights has one temperature, in whichever file it lies; where there is none, that is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from classifier import load
from tests.conftest import Trained
from trainer.folder import RunFolder
from trainer.run.record import keep_in_checkpoints
from trainer.safe_file import load_checkpoint, save_safely


def unfinished(trained: Trained, folder: Path, *names: str) -> RunFolder:
    """A run that holds these checkpoints, without what is found after training."""
    run = RunFolder(folder / "run")
    run.checkpoints.mkdir(parents=True)
    checkpoint = load_checkpoint(trained.folder / "checkpoints/best.ckpt")
    for name in ("temperature", "metrics"):
        del checkpoint["house"][name]
    for name in names:
        save_safely(checkpoint, run.checkpoints / name)
    return run


@pytest.mark.parametrize("changed", [False, True])
def test_the_temperature_is_kept_beside_all_equal_weights_and_no_others(
    trained: Trained, tmp_path: Path, changed: bool
) -> None:
    run = unfinished(trained, tmp_path, "best.ckpt", "last.ckpt")
    before = load_checkpoint(run.last)
    if changed:
        next(iter(before["state_dict"].values())).view(-1)[0] += 1
        save_safely(before, run.last)
    keep_in_checkpoints(run.best, run.last, {"temperature": 2.5, "metrics": {"val/loss": 0.5}})
    assert load_checkpoint(run.best)["house"]["temperature"] == 2.5
    after = load_checkpoint(run.last)
    assert after["house"].get("temperature") == (None if changed else 2.5)
    assert after.keys() == before.keys()
    assert all(torch.equal(after["state_dict"][name], weight) for name, weight in before["state_dict"].items())


def test_a_run_leaves_one_temperature_to_equal_weights(trained: Trained) -> None:
    best, last = (load_checkpoint(trained.folder / f"checkpoints/{name}.ckpt") for name in ("best", "last"))
    same = all(torch.equal(weight, last["state_dict"][name]) for name, weight in best["state_dict"].items())
    assert same  # else this run shows nothing
    assert last["house"]["temperature"] == best["house"]["temperature"] == trained.metrics["test/temperature"]


def said_of(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    load(path)
    said: str = capsys.readouterr().err
    return said


def test_a_checkpoint_without_a_temperature_is_told_with_the_better_one(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = unfinished(trained, tmp_path, "last.ckpt")
    told = "its probabilities are not calibrated"
    assert said_of(run.path, capsys).strip().endswith(f"{run.last} holds no temperature, which a run fits at its end "
                                                      f"to the weights that it keeps: {told}")  # fmt: skip
    shutil.copy(trained.folder / "checkpoints/best.ckpt", run.best)
    assert said_of(run.last, capsys).strip().endswith(f"{told}; {run.best} holds one")
    assert said_of(run.best, capsys) == ""
    run.best.write_bytes(b"cut off")
    assert said_of(run.last, capsys).strip().endswith(told)


@pytest.mark.parametrize("kept", [{"metrics": {}}, {"temperature": 1.5}])
def test_a_run_that_ended_is_not_blamed(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: dict[str, Any]
) -> None:
    run = unfinished(trained, tmp_path, "last.ckpt")
    keep_in_checkpoints(run.last, run.last, kept)
    assert said_of(run.last, capsys) == ""
