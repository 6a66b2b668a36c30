"""Signals, progress lines, devices and the options of the trainer."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

import train
from data.files.preprocess import preprocess
from data.folder import Folder
from models import MODELS
from tests.models.small_folder import make_pictures
from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer import build
from trainer.contract import load_class
from trainer.device import check_device, cpu_flags, precision_of, resolve_precision
from trainer.errors import RunFailed, UserError
from trainer.fit.guard import (
    FiniteGuard,
    _flag,
    all_finite,
    describe,
    gradient_norm,
    named_tensors,
    picture_paths,
    texts,
)
from trainer.fit.progress import epoch_line
from trainer.fit.signals import Signals
from trainer.fit.timing import batch_size


def test_handlers_are_given_back(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    build.fit(small_trainer(new_run(tmp_path), 1), small_task(), SmallData())
    with pytest.raises(RunFailed):
        build.fit(small_trainer(new_run(tmp_path)), small_task(nan_from=1), SmallData())
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_training_ends_at_once(number: signal.Signals, code: int) -> None:
    with pytest.raises(RunFailed, match=number.name) as caught, Signals().installed(None):
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code


def test_a_signal_in_the_last_epoch_still_gives_its_status(tmp_path: Path) -> None:
    class AtTheEnd(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    for epochs, done in ((1, 1), (3, 1)):
        run, task = new_run(tmp_path), small_task()
        with pytest.raises(RunFailed, match=f"the state is in {run.last}") as caught:
            build.fit(small_trainer(run, epochs, options={"callbacks": [AtTheEnd()]}), task, SmallData())
        assert caught.value.exit_code == 143
        assert len(task.order) == 8 * done


def test_plain_output_is_one_line_an_epoch(tmp_path: Path, capsys: Any) -> None:
    build.fit(small_trainer(new_run(tmp_path), 3), small_task(), SmallData())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    pattern = r"epoch 3/3  train/loss [\d.]+  val/loss [\d.]+  val/accuracy [\d.]+  [\d,]+ samples/s  [\d.]+ s"
    assert re.fullmatch(pattern, lines[2])


def test_a_terminal_gets_a_bar(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.fit.progress.REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    trainer = small_trainer(new_run(tmp_path), 2)
    (progress,) = (callback for callback in trainer.callbacks if type(callback).__name__ == "EpochProgress")
    progress.terminal = True
    build.fit(trainer, small_task(), SmallData())
    out = capsys.readouterr().out
    assert "8/8" in out
    assert "samples/s  loss" in out
    assert "epoch 2/2" in out


def test_epoch_line_leaves_out_what_is_not_there() -> None:
    assert epoch_line(0, None, {}, None) == "epoch 1"
    assert epoch_line(1, 5, {"val/recall": torch.tensor(0.25)}, "val/recall") == "epoch 2/5  val/recall 0.25"


def test_early_stopping(tmp_path: Path) -> None:
    task = small_task(worse=True)
    build.fit(small_trainer(new_run(tmp_path), 9, early_stopping_patience=2), task, SmallData())
    assert task.validated == [0, 1, 2]
    trainer = small_trainer(new_run(tmp_path), 9, early_stopping_patience=2)
    with pytest.raises(UserError, match="no validation set"):
        build.fit(trainer, small_task(), SmallData(val_batches=0))
    trainer = small_trainer(new_run(tmp_path), 9, early_stopping_patience=2, options={"limit_val_batches": 0})
    with pytest.raises(UserError, match=r"there is no validation \(--trainer.limit_val_batches 0\)"):
        build.fit(trainer, small_task(), SmallData())
    with pytest.raises(UserError, match="needs a metric"):
        small_trainer(new_run(tmp_path), monitor=None, early_stopping_patience=2)


def test_options_of_the_trainer_are_checked(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for options in ({"max_epoch": 3}, {"limit_train_batches": -1.0}):
        with pytest.raises(UserError, match=r"trainer options: .*(max_epoch|limit_train_batches)"):
            small_trainer(run, options=options)
    trainer = small_trainer(run, options={"precision": "auto", "logger": False, "enable_checkpointing": False})
    assert trainer.logger is None
    assert trainer.checkpoint_callbacks == []
    build.fit(trainer, small_task(), SmallData())
    assert list(run.checkpoints.iterdir()) == []


def test_the_batch_is_described() -> None:
    batch = {"x": (torch.tensor([[1.0, float("nan")], [3.0, -2.0]]), ["a.png", "b.png"]), "y": torch.arange(2)}
    tensors = dict(named_tensors(batch))
    assert tensors.keys() == {"batch.x.0", "batch.y"}
    assert describe(tensors["batch.x.0"]) == {
        "shape": [2, 2], "dtype": "torch.float32", "nonfinite": 1, "min": -2.0, "max": 3.0,
    }  # fmt: skip
    assert texts(batch) == ["a.png", "b.png"]
    assert batch_size(batch) == 2
    assert batch_size("no tensor") == 0
    assert float(gradient_norm([torch.tensor([3.0]), torch.tensor([[4.0]])])) == 5.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("usual", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_not_finite_is_found_in_gradients_and_loss(dtype: torch.dtype, usual: torch.dtype) -> None:
    """Also where Lightning makes the type of the network that of every new tensor."""
    _flag.cache_clear()
    largest = torch.finfo(dtype).max
    grads = [torch.tensor([1.0, -0.0, largest], dtype=dtype), torch.full((2, 3), -1e-7, dtype=dtype)]
    before, loss = [grad.clone() for grad in grads], torch.tensor(2.0)
    given = torch.get_default_dtype()
    try:
        torch.set_default_dtype(usual)
        assert all_finite(grads, loss), "a sum of squares would overflow here"
        assert all_finite(grads, None)
        assert all_finite([], loss)
        assert all_finite([], None)
        for now, then in zip(grads, before, strict=True):
            assert torch.equal(now.view(torch.uint8), then.view(torch.uint8))
        for wrong in (float("nan"), float("inf"), -float("inf")):
            assert not all_finite(grads, torch.tensor(wrong, dtype=dtype))
            assert not all_finite([], torch.tensor(wrong))
            assert not all_finite([grads[0], torch.tensor([[0.0, wrong]], dtype=dtype)], loss)
            assert all_finite(grads, loss), "what was found before is forgotten"
    finally:
        torch.set_default_dtype(given)


@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_the_pictures_of_a_batch_are_named(tmp_path: Path, balance: str) -> None:
    data = Folder(str(make_pictures(tmp_path / "p")), image_size=16, aug="none", batch_size=8, balance=balance)  # type: ignore[arg-type]
    loader = data.train_dataloader()
    trainer: Any = SimpleNamespace(datamodule=data, train_dataloader=loader)
    for images, labels in loader:
        named = picture_paths(trainer, (images, labels))
        if balance == "sampler":
            assert named == [], "another order than that of the files: better no name than a wrong one"
        else:
            assert torch.equal(torch.stack([preprocess(path, data.preprocessing()) for path in named]), images)
    loader = data.train_dataloader()
    loader.labels = loader.labels.flip(0)
    next(iter(loader))
    shuffled: Any = SimpleNamespace(datamodule=data, train_dataloader=loader)
    assert picture_paths(shuffled, (images, labels)) == [], "as many pictures, in another order"
    assert picture_paths(SimpleNamespace(datamodule=None, train_dataloader=[]), (images, labels)) == []  # type: ignore[arg-type]


def test_overflow_of_scaled_gradients_is_left_to_the_scaler(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, float("inf")])
    optimizer = torch.optim.SGD([weight], lr=0.1)
    module = torch.nn.Module()
    module.weight = weight
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=0))

    def look(scaler: Any, loss: float) -> None:
        trainer: Any = SimpleNamespace(
            precision_plugin=SimpleNamespace(scaler=scaler), fit_loop=loop, log_every_n_steps=1, logger=None,
            accumulate_grad_batches=1, global_step=0, global_rank=0, current_epoch=0, optimizers=[optimizer],
        )  # fmt: skip
        guard: Any = FiniteGuard(new_run(tmp_path))
        guard.on_train_batch_start(trainer, module, torch.zeros(1), 0)
        guard.on_before_backward(trainer, module, torch.tensor(loss))
        guard.on_before_optimizer_step(trainer, module, optimizer)

    look(object(), 1.0)
    with pytest.raises(RunFailed, match="gradient of weight"):
        look(None, 1.0)
    with pytest.raises(RunFailed, match="the loss is nan"):
        look(object(), float("nan"))
    weight.grad = torch.tensor([3e30, 3e30])  # finite, though the square of its norm is not
    look(None, 1.0)


def test_a_plateau_schedule_is_named(tmp_path: Path, capsys: Any) -> None:
    class Plateau(SmallTask):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val/loss"}}

    build.fit(small_trainer(new_run(tmp_path), 1), Plateau(), SmallData())
    assert "ReduceLROnPlateau" in capsys.readouterr().err


def test_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_device("cpu") == "cpu"
    assert check_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match=r"must be one of auto, cpu.*'tpu'"):
        check_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "gpu"):
        with pytest.raises(UserError, match=f"--device {name}: PyTorch .* sees no CUDA device"):
            check_device(name)
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nflags\t\t: other\n")
    if cpu_flags():  # Linux
        assert cpu_flags(info) == {"fpu", "avx2", "avx512_bf16"}
    for flags, expected in (({"avx2"}, "32-true"), ({"avx512_bf16"}, "bf16-mixed"), ({"amx_bf16"}, "bf16-mixed")):
        monkeypatch.setattr("trainer.device.cpu_flags", lambda found=flags: frozenset(found))
        assert resolve_precision("auto", "cpu") == resolve_precision("auto", "auto") == expected
    assert resolve_precision("64-true", "cpu") == resolve_precision("64", "cpu") == "64-true"
    with pytest.raises(UserError, match=r"--trainer\.precision: expected auto, 32-true, .*, got 'half'"):
        resolve_precision("half", "cpu")
    with pytest.raises(UserError, match=r"--trainer\.precision 16 needs a GPU"):
        resolve_precision("16", "cpu")
    assert resolve_precision("16", "cuda") == "16-mixed"
    for supported, expected in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answer=supported, **_: answer)
        assert resolve_precision("auto", "cuda") == expected


def test_numbers_beside_exact_ones_are_computed_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.device.cpu_flags", lambda: frozenset({"avx512_bf16"}))
    tasks = {name: load_class(path) for name, path in MODELS.items()}
    assert [name for name, task in tasks.items() if precision_of(task, "auto") == "auto"] == ["cnn"]
    words = ["--device", "cpu", "--report", "none", "--epochs", "1", "--root", str(tmp_path)]
    assert train.main(["--model", "losses", *words]) == 0
    assert "precision 32-true" in capsys.readouterr().out
    assert train.main(["--model", "losses", *words, "--trainer.precision", "bf16"]) == 0
    assert "precision bf16-mixed" in capsys.readouterr().out


def test_float16_is_refused_where_gradients_are_written_by_hand() -> None:
    by_hand, automatic = (SimpleNamespace(automatic_optimization=value) for value in (False, True))
    assert precision_of(automatic, "16-mixed") == "16-mixed"
    assert precision_of(by_hand, "bf16-mixed") == "bf16-mixed"
    with pytest.raises(UserError, match=r"--trainer\.precision 16: this model writes gradients by hand"):
        precision_of(by_hand, "16")
