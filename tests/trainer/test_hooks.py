"""What is passed over in a step is what nobody uses: hooks that somebody wrote are called, wherever they were put."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

from tests.trainer.small import SmallData, SmallTask, new_run, small_trainer
from trainer.build import fit
from trainer.hooks import TRAIN_HOOKS, NoProfiler


class Listening(SmallTask):
    """Counts the steps by a hook of its class."""

    heard = 0

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.heard += 1


def test_hooks_of_the_class_and_of_the_instance_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, own = Listening(), []
    task.on_after_backward = lambda: own.append(1)  # type: ignore[method-assign]
    trainer = small_trainer(new_run(tmp_path), epochs=2)
    fit(trainer, task, SmallData())
    assert task.heard == len(own) == trainer.global_step > 0
    unused = [hook for hook in TRAIN_HOOKS if getattr(task, hook) is None]
    assert set(unused) == set(TRAIN_HOOKS) - {"on_train_batch_end", "on_after_backward"}
    assert isinstance(trainer.profiler, NoProfiler)  # type: ignore[attr-defined]


def test_another_trainer_can_train_the_task_afterwards(tmp_path: Path) -> None:
    task = Listening()
    fit(small_trainer(new_run(tmp_path), epochs=1), task, SmallData())
    before = task.heard
    plain = Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    plain.fit(task, SmallData())
    assert task.heard == 2 * before
