"""The log: no doubled steps after a resume, one HPARAMS row, values once an epoch."""

from __future__ import annotations

import errno
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.events import events_of_run
from tests.trainer.small import SmallData, new_run, small_task, small_trainer
from trainer import build
from trainer.command.front import Request
from trainer.command.options import Settings
from trainer.errors import RunFailed
from trainer.fit.resume import logged_step
from trainer.folder import RunFolder
from trainer.run.logger import HardyWriter, RunLogger, chosen, hparams_row
from trainer.safe_file import load_checkpoint

LAYOUT = {"Overview": {"loss": ["Multiline", ["train/loss", "val/loss"]]}}


def read(run: RunFolder) -> EventAccumulator:
    events = EventAccumulator(str(run.path), purge_orphaned_data=True, size_guidance={"scalars": 0, "tensors": 0})
    return events.Reload()


def events_of(file: Path) -> list[Any]:
    return list(EventFileLoader(str(file)).Load())


def test_a_resumed_run_repeats_no_step(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    every = {"log_every_n_steps": 1}
    build.fit(small_trainer(run, 3, options=every, layout=LAYOUT), small_task(worse=True), SmallData())
    assert logged_step(load_checkpoint(run.last)) == 24
    step = logged_step(load_checkpoint(run.best))
    assert step == 8  # back to the first epoch: what was logged after it must vanish
    trainer = small_trainer(run, 3, options=every, layout=LAYOUT, resume_step=step)
    build.fit(trainer, small_task(worse=True), SmallData(), run.best)
    events = read(run)
    assert [event.step for event in events.Scalars("train/loss")] == list(range(24))
    assert [event.step for event in events.Scalars("val/loss")] == [7, 15, 23]
    assert [event.step for event in events.Scalars("sys/grad_norm")] == list(range(24))
    assert [event.step for event in events.Scalars("time/epoch_s")] == [7, 15, 23]
    served = plugin_event_accumulator.EventAccumulator(str(run.path), tensor_size_guidance={"scalars": 0})
    assert [event.step for event in served.Reload().Tensors("train/loss")] == list(range(24))  # what the server reads
    tags = [
        value.tag for file in run.path.glob("events.*") for event in events_of(file) for value in event.summary.value
    ]
    assert tags.count("custom_scalars__config__") == 1
    assert [tag for tag in tags if "hparams" in tag] == ["_hparams_/session_start_info"]


def test_a_curve_that_begins_later_joins_the_overview(tmp_path: Path) -> None:
    """TensorBoard reads the last layout; the first has what the first epoch logged."""
    run = new_run(tmp_path)
    options = {"check_val_every_n_epoch": 2}
    build.fit(small_trainer(run, 4, options=options, layout=LAYOUT), small_task(), SmallData())

    def layouts() -> list[list[str]]:
        events = [event for file in sorted(run.path.glob("events.*")) for event in events_of(file)]
        written = [value for event in events for value in event.summary.value if value.tag == CONFIG_SUMMARY_TAG]
        found = [Layout.FromString(value.tensor.string_val[0]) for value in written]
        return [list(layout.category[0].chart[0].multiline.tag) for layout in found]

    assert layouts() == [["train/loss"], ["train/loss", "val/loss"]]
    trainer = small_trainer(run, 6, options=options, layout=LAYOUT, resume_step=logged_step(load_checkpoint(run.last)))
    build.fit(trainer, small_task(), SmallData(), run.last)
    assert len(layouts()) == 2  # nothing new after the resume


def test_hparams_row_is_flat_and_written_once(tmp_path: Path) -> None:
    settings = {"model": "cnn", "lr": 0.1, "none": None, "aug": {"shift": 2, "on": True}, "sizes": [1, 2]}
    row = hparams_row(settings)
    assert row == {"model": "cnn", "lr": 0.1, "aug.shift": 2, "aug.on": True, "sizes": "[1, 2]"}
    run = new_run(tmp_path)
    logger = RunLogger(run, settings)
    logger.log_hyperparams({"other": 1})
    logger.log_metrics({"val/loss": 1.0}, 3)
    logger.finalize("success")
    content = read(run).PluginTagToContent("hparams")["_hparams_/session_start_info"]
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    assert set(data.session_start_info.hparams) == set(row)
    assert data.session_start_info.hparams["lr"].number_value == 0.1
    assert not list(run.path.glob("hparams.yaml"))


def test_an_option_has_a_column_of_its_group_whatever_other_models_call_theirs() -> None:
    settings = Settings({"scale": 0.5, "width": 3}, {"scale": 0.1, "aug": "none"}, {"max_epochs": 7}, 4, "full", 2)
    row = hparams_row(chosen(Request("rbm", "digits"), settings))
    assert row == {"model": "rbm", "data": "digits", "seed_everything": 4, "trainer.max_epochs": 7,
                   "model.scale": 0.5, "model.width": 3, "data.scale": 0.1, "data.aug": "none",
                   "early_stopping.patience": 2}  # fmt: skip


def test_a_rate_to_be_found_makes_no_text_in_a_column_of_numbers() -> None:
    assert hparams_row({"lr": "auto", "log_z": "auto", "model": {"lr": "auto"}}) == {"log_z": "auto"}
    settings = Settings({"lr": "auto", "wide": True}, {}, {}, 0, "full", None)
    row = hparams_row(chosen(Request("cnn", "digits"), settings))
    assert [name for name in row if "." in name] == ["model.wide"]


def test_epoch_values_measure_the_epoch(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    trainer = small_trainer(run, 2)
    build.fit(trainer, small_task(), SmallData())
    events = read(run)
    assert len(events.Scalars("time/epoch_s")) == len(events.Scalars("sys/images_per_s")) == 2
    seconds = events.Scalars("time/epoch_s")[1].value
    rate = events.Scalars("sys/images_per_s")[1].value
    assert 0 < seconds < 60
    assert rate >= 0.99 * 64 / seconds  # the validation is left out of the rate
    assert [event.step for event in events.Scalars("train/loss")] == [7, 15]  # at least once an epoch


class StopInValidation(Callback):
    """SIGTERM in the validation of the second epoch."""

    def on_validation_batch_start(self, trainer: Any, *arguments: Any, **keywords: Any) -> None:
        if trainer.current_epoch == 1 and not trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGTERM)


def test_an_epoch_of_which_only_the_validation_was_left_has_no_rate(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(RunFailed, match="SIGTERM"):
        build.fit(small_trainer(run, 3, options={"callbacks": [StopInValidation()]}), small_task(), SmallData())
    step = logged_step(load_checkpoint(run.last))
    build.fit(small_trainer(run, 3, resume_step=step), small_task(), SmallData(), run.last)
    events = read(run)
    assert len(events.Scalars("time/epoch_s")) == 3
    rates = events.Scalars("sys/images_per_s")
    assert [rate.step for rate in rates] == [7, 23]
    assert all(rate.value > 0 for rate in rates)


def test_gradient_norm_is_that_of_autograd(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    task = small_task()
    norms: list[float] = []
    step = task.configure_optimizers()["optimizer"].__class__.step

    def watched(optimizer: Any, closure: Any = None) -> Any:
        loss = closure() if closure is not None else None
        norms.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in task.parameters())))
        return step(optimizer) if closure is None else (step(optimizer), loss)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watched)
        build.fit(small_trainer(run, 1, options={"log_every_n_steps": 1}), task, SmallData())
    assert [event.value for event in read(run).Scalars("sys/grad_norm")] == pytest.approx(norms, rel=1e-5)


def test_histograms_of_nothing_or_nan_are_skipped(tmp_path: Path) -> None:
    writer = HardyWriter(str(tmp_path))
    for tag, values in (("empty", torch.zeros(0)), ("nan", np.array([1.0, np.nan])), ("good", torch.ones(4))):
        writer.add_histogram(tag, values, 0)
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["histograms"] == ["good"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_warns_once(tmp_path: Path, capsys: Any, code: int) -> None:
    writer = HardyWriter(str(tmp_path))

    def full(data: bytes) -> None:
        raise OSError(code, "full")

    writer.add_scalar("before", 1.0, 0)
    writer.flush()
    writer.file_writer.event_writer._async_writer._writer._writer._file.write = full  # type: ignore[attr-defined]
    for step in range(20):
        writer.add_scalar("x", 1.0, step)
    writer.flush()
    writer.close()
    assert capsys.readouterr().err.count("cannot log to") == 1
    assert EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"] == ["before"]


def test_a_log_that_cannot_be_opened_is_no_reason_to_stop(tmp_path: Path, capsys: Any) -> None:
    writer = HardyWriter(str(tmp_path))
    writer.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.utils.tensorboard.writer.FileWriter.__init__", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            writer.add_scalar("x", 1.0, 0)

        def full(*arguments: Any) -> None:
            raise OSError(errno.ENOSPC, "full")

        patch.setattr("torch.utils.tensorboard.writer.FileWriter.__init__", full)
        for step in range(3):
            writer.add_scalar("x", 1.0, step)
        writer.flush()
        writer.close()
    assert capsys.readouterr().err.count("cannot log to") == 1


def test_a_projector_that_is_written_anew_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As by a run that goes on and has the same last step as before."""
    writer = HardyWriter(tmp_path)
    for value in (0.0, 1.0):
        writer.add_embedding(torch.full((3, 2), value), tag="code", global_step=4)
    writer.close()
    assert "1.0" in next(tmp_path.glob("00004/*/tensors.tsv")).read_text()
    assert capsys.readouterr().out == ""


def test_a_line_tells_the_validation_of_its_own_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = small_trainer(new_run(tmp_path), 4, options={"check_val_every_n_epoch": 2})
    build.fit(trainer, small_task(), SmallData())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert ["val/loss" in line for line in lines] == [False, True, False, True]


def test_the_curve_of_validation_is_that_of_training(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    trainer, task, data = small_trainer(run, 3), small_task(), SmallData()
    build.fit(trainer, task, data)
    found = build.test(trainer, task, data, validate=True)
    assert trainer.logger is not None
    trainer.logger.finalize("success")
    assert len(events_of_run(run.path).Scalars("val/loss")) == 3
    assert "best/val_loss" in found
    assert not any(tag.startswith("val/") for tag in found)
