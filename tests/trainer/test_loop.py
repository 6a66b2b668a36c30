"""The loop over batches does what Lightning's does: the same hooks, counters, log and weights, step by step."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer.around import HOOKS, NoProfiler
from trainer.build import fit
from trainer.loop import EpochLoop


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


class WithoutNumber(SmallTask):
    def training_step(self, batch: Any) -> Tensor:  # type: ignore[override]
        return super().training_step(batch, 0)


class WithMore(SmallTask):
    """Gives more than its loss, has hooks of its own, clips, and schedules in every way."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.log_dict({"train/number": float(batch_idx)}, on_step=True, on_epoch=True)
        return {"loss": super().training_step(batch, batch_idx), "size": len(batch[1])}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] * 1.5, batch[1]

    def on_before_zero_grad(self, optimizer: Any) -> None:
        self.log("train/before", 1.0)

    def on_after_backward(self) -> None:
        for weight in self.parameters():
            assert weight.grad is not None
            weight.grad.mul_(0.5)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("train/size", float(outputs["size"]))

    def configure_gradient_clipping(self, *words: Any, **named: Any) -> None:
        self.clipped = getattr(self, "clipped", 0) + 1
        super().configure_gradient_clipping(*words, **named)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        schedules = torch.optim.lr_scheduler
        return [optimizer], [
            {"scheduler": schedules.StepLR(optimizer, 1, 0.9), "interval": "step", "frequency": 3},
            {"scheduler": schedules.StepLR(optimizer, 1, 0.5), "interval": "epoch"},
            {
                "scheduler": schedules.ReduceLROnPlateau(optimizer, patience=0),
                "interval": "step",
                "frequency": 5,
                "monitor": "train/number_step",
            },
        ]


class Nothing(SmallTask):
    """Gives no loss for every third batch."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx % 3 == 2 else loss


class ByHand(SmallTask):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        optimizer: Any = self.optimizers()
        loss = super().training_step(batch, batch_idx)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


class Leaving(SmallTask):
    """Ends an epoch at its fifth batch."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:  # type: ignore[override]
        return -1 if batch_idx == 4 else None


class OwnStep(SmallTask):
    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


class Twice(torch.optim.SGD):
    """Looks at the loss twice a step, as optimisers do that look ahead."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        closure()
        return super().step(closure)


class LooksTwice(SmallTask):
    def configure_optimizers(self) -> Any:
        optimizer = Twice(self.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(self.before)
        return optimizer

    def before(self, *_: Any) -> None:
        for weight in self.parameters():
            if weight.grad is not None:
                weight.grad.sign_()


class WithLBFGS(SmallTask):
    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.01, max_iter=3)


class LogsEverywhere(SmallTask):
    """Logs where a method of Lightning's is written anew, and comes to the step with gradients switched off."""

    def on_train_epoch_start(self) -> None:
        torch.set_grad_enabled(False)

    def on_train_epoch_end(self) -> None:
        torch.set_grad_enabled(True)

    def configure_gradient_clipping(self, optimizer: Any, **named: Any) -> None:  # type: ignore[override]
        self.log("train/clip", 1.0)
        super().configure_gradient_clipping(optimizer, **named)

    def backward(self, loss: Tensor, *words: Any, **named: Any) -> None:
        self.log("train/backward", 2.0)
        super().backward(loss, *words, **named)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        self.log("train/zero", 3.0)
        super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        assert self._current_fx_name == "lr_scheduler_step"
        super().lr_scheduler_step(scheduler, metric)


class Gaps:
    """A loader that gives None now and then."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Any:
        return (None if place % 3 == 1 else batch for place, batch in enumerate(self.loader))


class GapsData(SmallData):
    def train_dataloader(self) -> Any:
        return Gaps(super().train_dataloader())

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


class Doubling(CombinedLoader):
    def __next__(self) -> Any:
        batch, number, place = super().__next__()
        return [2 * batch[0], batch[1]], number, place


class DoubledData(SmallData):
    def train_dataloader(self) -> Any:
        return Doubling(super().train_dataloader(), "max_size_cycle")


class MovedData(SmallData):
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] + 1, batch[1]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return [part.to(device) for part in batch]


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
    logged = sorted(
        (name, value.step, value.value)
        for name, values in scalars(run.path).items()
        if not of_clock(name)
        for value in values
    )
    return recorder.seen, logged, [weight.tolist() for weight in task.parameters()], task.order, run.last, short


def scalars(folder: Path) -> dict[str, Any]:
    """Every scalar in the event files of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


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
        (SmallTask, SmallData, {"check_val_every_n_epoch": 2}, True),
        (SmallTask, SmallData, {"limit_train_batches": 5}, True),
        (SmallTask, SmallData, {"max_steps": 11}, True),
        (SmallTask, SmallData, {"overfit_batches": 3}, True),
        (Leaving, SmallData, {}, True),
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
    *ours, short = trace(tmp_path / "ours", kind, data(), options)
    monkeypatch.setattr(EpochLoop, "install", classmethod(lambda cls, trainer: None))
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
    trainer = small_trainer(new_run(tmp_path), options={"callbacks": [SavesInValidation(tmp_path)], **options})
    fit(trainer, small_task(), SmallData())
    found = []
    for place in ("ours", "theirs"):
        if place == "theirs":
            monkeypatch.setattr(EpochLoop, "install", classmethod(lambda cls, trainer: None))
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
