"""Faults while training: signals, kills, full disks, NaN, bad checkpoints. Each case records its score."""

from __future__ import annotations

import datetime
import json
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.faults.scores import record
from tests.faults.zygote import Zygote
from tests.trainer.exact import assert_same_end, resumed, run_below, uninterrupted
from tests.trainer.small import SmallData, new_run, small_task, small_trainer
from trainer import build
from trainer.errors import RunFailed, UserError
from trainer.fit.resume import find_resume
from trainer.folder import RunFolder
from trainer.safe_file import load_checkpoint


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.close()


class NamedData(SmallData):
    """As of a folder: every training picture is a file."""

    def paths(self, part: str) -> list[str]:
        assert part == "train"
        return [f"{index}.png" for index in range(8 * self.batches)]

    def labels(self, part: str) -> torch.Tensor:
        return self._loader(self.batches, 0, False).labels


@pytest.mark.parametrize("options", [{"nan_from": 10}, {"nan_from": 10, "nan_gradient": True}])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_t1_nan_stops_before_the_weights_see_it(tmp_path: Path, options: dict[str, Any], accumulate: int) -> None:
    run, task = new_run(tmp_path), small_task(**options)
    trainer = small_trainer(run, options={"accumulate_grad_batches": accumulate})
    with pytest.raises(
        RunFailed, match="gradient of net" if "nan_gradient" in options else "the loss is nan"
    ) as caught:
        build.fit(trainer, task, NamedData())
    assert caught.value.exit_code == 1
    assert trainer.global_step == 10  # the step itself was not taken
    assert all(torch.isfinite(weight).all() for weight in task.state_dict().values())
    checkpoint = load_checkpoint(run.last)
    assert checkpoint["global_step"] == 8 // accumulate * (10 * accumulate // 8)  # the last whole epoch
    (dump,) = run.nonfinite.glob("*.pt")
    batch = torch.load(dump, weights_only=True)
    assert batch["batch.0"].double().sum().item() == pytest.approx(task.order[-1])
    facts = json.loads(dump.with_suffix(".json").read_text())
    assert facts["global_step"] == 10
    pictures = NamedData()._loader(8, 0, False).images
    distance = (batch["batch.0"][:, None] - pictures).abs().amax((2, 3, 4))  # the augmentation adds at most 0.01
    assert facts["paths"] == [f"{index}.png" for index in distance.argmin(1).tolist()]
    assert distance.amin(1).max() <= 0.01 < distance.topk(2, largest=False).values[:, 1].min()
    assert len(set(facts["paths"])) == 8
    assert str(dump) in str(caught.value)
    assert str(run.last) in str(caught.value)
    record("T1", 3)


def test_t2_sigterm_saves_and_resumes_exactly(tmp_path: Path, zygote: Zygote) -> None:
    child = zygote.start(tmp_path / "a", "--sleep", 0.05)
    child.wait_for("step 3")
    child.send(signal.SIGTERM)
    status, _, err = child.finish()
    assert status == 143
    run = run_below(tmp_path / "a")
    assert f"stopped by SIGTERM: the state is in {run.last}" in err
    assert "Traceback" not in err
    stopped_at = load_checkpoint(run.last)["global_step"]
    assert 3 < stopped_at <= 5
    _, task = resumed("auto", tmp_path / "a")
    reference, whole = uninterrupted(tmp_path / "b")
    assert task.order == whole.order[stopped_at:]
    assert_same_end(run, reference)
    record("T2", 3)


def test_t2_sigterm_during_validation_repeats_that_validation(tmp_path: Path, zygote: Zygote) -> None:
    child = zygote.start(tmp_path / "a", "--slow-validation")
    child.wait_for("validation batch 1")
    child.send(signal.SIGTERM)
    status, out, _ = child.finish()
    assert status == 143
    assert "validation batch 2" not in out
    _, task = resumed(run_below(tmp_path / "a").path, tmp_path)
    reference, whole = uninterrupted(tmp_path / "b")
    assert task.validated == whole.validated == [0, 1, 2]
    assert_same_end(run_below(tmp_path / "a"), reference)
    record("T2", 3)


def test_t3_one_interrupt_saves_two_stop_at_once(tmp_path: Path, zygote: Zygote) -> None:
    child = zygote.start(tmp_path / "once", "--sleep", 0.05)
    child.wait_for("step 2")
    child.send(signal.SIGINT)
    status, _, err = child.finish()
    assert status == 130
    assert load_checkpoint(run_below(tmp_path / "once").last)["global_step"] >= 3
    assert "stopped by SIGINT" in err

    child = zygote.start(tmp_path / "twice", "--sleep", 60)
    child.wait_for("step 0")
    child.send(signal.SIGINT)
    child.wait_for("SIGINT received", "stderr")
    child.send(signal.SIGINT)
    status, _, err = child.finish()
    assert status == 130
    assert "stopping at once" in err
    assert not run_below(tmp_path / "twice").last.exists()
    record("T3", 3)


def test_t4_kill_during_a_save_leaves_a_file_that_loads(tmp_path: Path, zygote: Zygote) -> None:
    child = zygote.start(tmp_path, "--wide", "--every", 1)
    child.wait_for("step 2")
    run = run_below(tmp_path)
    while not any(path.stat().st_size > 1_000_000 for path in run.checkpoints.glob(".last.ckpt.*.tmp")):
        os.kill(child.pid, 0)  # fails when the child has ended
    child.send(signal.SIGKILL)
    status, _, _ = child.finish()
    assert status == -signal.SIGKILL
    litter = list(run.checkpoints.glob(".*.tmp"))
    assert litter
    assert load_checkpoint(run.last)["global_step"] >= 1
    status, _, err = zygote.run(tmp_path, "--wide", "--resume", "auto", "--epochs", 1)
    assert status == 0, err
    assert f"removed {litter[0]}" in err
    assert not list(run.checkpoints.glob(".*.tmp"))
    record("T4", 3)


def test_t5_full_disk_keeps_the_old_checkpoint(tmp_path: Path, zygote: Zygote) -> None:
    run, _ = uninterrupted(tmp_path, epochs=1)
    before = run.last.read_bytes()
    status, _, err = zygote.run(tmp_path, "--resume", run.path, file_limit=2048)
    assert status == 1
    assert "Traceback" not in err
    assert "could not write the checkpoint" in err
    assert "the disk is full" in err
    assert "the one before it is intact" in err
    assert run.last.read_bytes() == before
    assert not list(run.checkpoints.glob(".*.tmp"))
    resumed(run.path, tmp_path)
    reference, _ = uninterrupted(tmp_path / "b")
    assert_same_end(run, reference)
    record("T5", 2)


def test_t6_full_disk_ends_the_log_not_the_run(tmp_path: Path, zygote: Zygote) -> None:
    arguments = (tmp_path, "--epochs", 30, "--no-checkpoints", "--log-each")
    status, out, err = zygote.run(*arguments, file_limit=4096)
    assert status == 0, err
    assert "step 239" in out
    assert err.count("cannot log to") == 1
    assert "Traceback" not in err
    record("T6", 3)


def test_t7_a_folder_that_cannot_be_written_to_fails_first(tmp_path: Path, zygote: Zygote) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.name.startswith("pytest"):
            folder.chmod(0o755)  # so that another user may look for the folder at all
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    file = tmp_path / "file"
    file.write_text("not a folder")
    for root in (closed, file):
        status, out, err = zygote.run(root, nobody=True)
        assert status == 2
        assert "step" not in out
        assert len(err.strip().splitlines()) == 1
        assert str(root) in err
    record("T7", 2)


@pytest.mark.parametrize("stop", ["epoch end", "inside an epoch", "last batch"])
def test_t12_resume_is_exact(tmp_path: Path, stop: str) -> None:
    reference, whole = uninterrupted(tmp_path / "a")
    run, first = new_run(tmp_path / "b"), small_task()
    if stop == "epoch end":
        build.fit(small_trainer(run, 1), first, SmallData())
    else:
        step = 11 if stop == "inside an epoch" else 15
        with pytest.raises(RunFailed, match="SIGTERM"):
            build.fit(small_trainer(run, options={"callbacks": [SignalAt(step)]}), first, SmallData())
    run, second = resumed(run.path, tmp_path)
    assert first.order + second.order == whole.order
    assert first.validated + second.validated == whole.validated
    assert_same_end(run, reference)
    record("T12", 3)


class SignalAt(build.Callback):
    """Sends SIGTERM to this process in a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def test_t10_empty_loaders_are_refused(tmp_path: Path) -> None:
    class NoTraining(SmallData):
        def train_dataloader(self) -> Any:
            data = TensorDataset(torch.rand(16, 1, 4, 4), torch.zeros(16, dtype=torch.long))
            return DataLoader(data, batch_size=32, drop_last=True)

    class EmptyValidation(SmallData):
        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.rand(0, 1, 4, 4), torch.zeros(0, dtype=torch.long)), batch_size=8)

    with pytest.raises(UserError, match=r"no training batches.*batch_size"):
        build.fit(small_trainer(new_run(tmp_path)), small_task(), NoTraining())
    with pytest.raises(UserError, match="validation set is empty"):
        build.fit(small_trainer(new_run(tmp_path)), small_task(), EmptyValidation())
    run = new_run(tmp_path)
    build.fit(small_trainer(run, 1), small_task(), SmallData(val_batches=0))  # none at all is meant
    assert run.last.exists()
    assert not run.best.exists()
    record("T10", 2)


def test_t15_bad_checkpoints_are_named_and_auto_falls_back(tmp_path: Path, capsys: Any) -> None:
    run, _ = uninterrupted(tmp_path, 1)
    whole = run.last.read_bytes()
    for content, words in (
        (whole[: len(whole) // 2], "damaged"),
        (b"", "empty"),
        (b"not a checkpoint", "not a checkpoint"),
    ):
        run.last.write_bytes(content)
        for where in (run.path, run.checkpoints, run.last):
            with pytest.raises(UserError, match=words) as caught:
                find_resume(where, tmp_path)
            assert str(run.last) in str(caught.value)
            assert f"{len(content):,} bytes" in str(caught.value)
        assert find_resume("auto", tmp_path)[1] == run.best
        assert str(run.last) in capsys.readouterr().err
    run.last.unlink()
    with pytest.raises(UserError, match=f"no checkpoint at {run.last}"):
        find_resume(run.path, tmp_path)
    run.best.unlink()
    with pytest.raises(UserError, match="nothing to resume"):
        find_resume("auto", tmp_path)
    record("T15", 3)


def test_t16_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "PWNED"

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {marker}",)

    archive, plain = tmp_path / "archive.ckpt", tmp_path / "plain.ckpt"
    torch.save({"state_dict": {}, "evil": Evil()}, archive)
    plain.write_bytes(pickle.dumps({"state_dict": Evil()}))
    for path in (archive, plain):
        with pytest.raises(UserError, match=f"refused {path}.*bytes.*nothing was executed"):
            load_checkpoint(path)
    for url in ("http://localhost/x.ckpt", "https://localhost/x.ckpt", "file:///x.ckpt"):
        with pytest.raises(UserError, match="machine"):
            find_resume(url, tmp_path)
        with pytest.raises(UserError, match="machine"):
            load_checkpoint(url)
    assert not marker.exists()
    record("T16", 2)


def test_t21_two_runs_in_the_same_second(tmp_path: Path) -> None:
    clock = lambda: datetime.datetime(2026, 1, 2, 3, 4, 5)
    names = [RunFolder.create(tmp_path, "cnn", "digits", 7, clock).path.name for _ in range(3)]
    assert names == ["20260102-030405-s7", "20260102-030405-s7-2", "20260102-030405-s7-3"]
    record("T21", 3)


def test_t22_the_same_seed_twice(tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        run, task = new_run(tmp_path / name), small_task()
        trainer = small_trainer(run)
        build.fit(trainer, task, SmallData())
        metrics = {**trainer.callback_metrics, **build.test(trainer, task, SmallData())}
        run.write_metrics({tag: value for tag, value in metrics.items() if not tag.startswith(("time/", "sys/"))})
        runs.append(run)
    assert_same_end(*runs)
    assert runs[0].metrics.read_bytes() == runs[1].metrics.read_bytes()
    assert {"val/loss", "test/accuracy"} <= json.loads(runs[0].metrics.read_text()).keys()
    record("T22", 3)


def test_t23_a_metric_that_never_improves(tmp_path: Path) -> None:
    run, task = new_run(tmp_path), small_task(worse=True)
    build.fit(small_trainer(run, 4), task, SmallData())
    last, best = load_checkpoint(run.last), load_checkpoint(run.best)
    assert last["global_step"] == 32
    assert best["global_step"] == 8
    assert last["callbacks"]["BestCheckpoint"]["score"] == 0.0
    record("T23", 3)
