"""Two runs that must end alike: one never stopped, one resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.runs import only_run
from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer import build
from trainer.fit.resume import find_resume, logged_step
from trainer.folder import RunFolder
from trainer.safe_file import load_checkpoint


def run_below(root: Path) -> RunFolder:
    """The only run below ``root``."""
    return RunFolder(only_run(root))


def uninterrupted(root: Path, epochs: int = 3) -> tuple[RunFolder, SmallTask]:
    run, task = new_run(root), small_task()
    build.fit(small_trainer(run, epochs), task, SmallData())
    return run, task


def resumed(where: Path | str, root: Path, epochs: int = 3) -> tuple[RunFolder, SmallTask]:
    run, path = find_resume(where, root)
    task = small_task()
    trainer = small_trainer(run, epochs, resume_step=logged_step(load_checkpoint(path)))
    build.fit(trainer, task, SmallData(), path)
    return run, task


def assert_same_end(run: RunFolder, reference: RunFolder) -> None:
    """Weights, optimiser, schedule and best score are equal, bit for bit."""
    ours, theirs = load_checkpoint(run.last), load_checkpoint(reference.last)
    assert_equal(ours["state_dict"], theirs["state_dict"])
    assert_equal(ours["optimizer_states"], theirs["optimizer_states"])
    assert_equal(ours["lr_schedulers"], theirs["lr_schedulers"])
    assert_equal(ours["callbacks"], theirs["callbacks"])
    assert ours["global_step"] == theirs["global_step"]


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        assert ours == theirs
