"""A training written down: what every hook sees, what is logged, the weights at the end."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from tests.events import events_of_run
from tests.trainer.small import SmallData, SmallTask, new_run, small_trainer
from trainer.build import fit
from trainer.fit.around import HOOKS
from trainer.fit.loop import EpochLoop


class Recorder(Callback):
    """Writes down what every hook sees: its arguments, all counters, the rates and the figures logged so far."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def note(self, name: str, trainer: Trainer, task: Any, *words: Any) -> None:
        optimizer: Any = trainer.optimizers[0]
        self.seen.append(
            (
                name,
                [plain(word) for word in words],
                deepcopy(trainer.fit_loop.state_dict()),
                (trainer.global_step, trainer.current_epoch, trainer.fit_loop.epoch_loop._batches_that_stepped),
                [group["lr"] for group in optimizer.param_groups],
                sorted((key, float(value)) for key, value in trainer.callback_metrics.items() if not of_clock(key)),
                task._current_fx_name,
                [None if weight.grad is None else float(weight.grad.double().sum()) for weight in task.parameters()],
            )
        )


def _hook(name: str) -> Any:
    return lambda self, trainer, task, *words: self.note(name, trainer, task, *words)


for _name in (*HOOKS, "on_validation_start", "on_validation_end", "on_train_epoch_end"):
    setattr(Recorder, _name, _hook(_name))


def of_clock(tag: str) -> bool:
    """Whether a figure is a time, other in every run."""
    return tag.startswith(("time/", "sys/images"))


def plain(word: Any) -> Any:
    """A value that can be compared."""
    if isinstance(word, Tensor):
        return word.double().sum().item()
    if isinstance(word, dict):
        return {key: plain(value) for key, value in word.items()}
    if isinstance(word, list | tuple):
        return [plain(value) for value in word]
    return word if isinstance(word, int | float | str) else type(word).__name__


def trace(root: Path, kind: type[SmallTask], data: SmallData, options: dict[str, Any]) -> tuple[Any, ...]:
    """All that a training does, and how many of its steps were taken in one piece."""
    recorder, run = Recorder(), new_run(root)
    trainer = small_trainer(run, options={"callbacks": [recorder], "log_every_n_steps": 2, **options})
    torch.manual_seed(7)
    task = kind()
    short = 0
    if isinstance(trainer.fit_loop.epoch_loop, EpochLoop):
        loop: Any = trainer.fit_loop.epoch_loop
        learn = loop._learn

        def counted(*words: Any) -> Any:
            nonlocal short
            short += 1
            return learn(*words)

        loop._learn = counted
    fit(trainer, task, data)
    events = events_of_run(run.path)
    tags = [tag for tag in events.Tags()["scalars"] if not of_clock(tag)]
    logged = [(tag, value.step, value.value) for tag in sorted(tags) for value in events.Scalars(tag)]
    return recorder.seen, logged, [weight.tolist() for weight in task.parameters()], task.order, run.last, short
