"""Signals before and after the training: one line, status 129, 130 or 143, and how to go on."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import weakref
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

import pytest

import predict
import train
from data.landscape import Landscape
from models.cnn import CNNTask
from models.gradient_descent import GradientDescentTask
from trainer.errors import RunFailed
from trainer.fit.signals import Signals
from trainer.interrupt import Interrupted, interruptible

WORDS = ["--model", "gradient-descent", "--epochs", "1", "--device", "cpu", "--report", "none"]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def struck(number: signal.Signals) -> Callable[..., Any]:
    """A method in the middle of which the signal comes."""
    return lambda *arguments, **options: os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_each_signal_raises_and_the_handlers_are_given_back(number: signal.Signals, code: int) -> None:
    before = [signal.getsignal(one) for one, _ in SIGNALS]
    with pytest.raises(Interrupted, match=f"stopped by {number.name}") as caught, interruptible():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code
    assert not isinstance(caught.value, Exception), "an `except Exception` of a library must not swallow it"
    assert [signal.getsignal(one) for one, _ in SIGNALS] == before


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_while_the_data_are_read_nothing_has_begun(
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Landscape, "setup", struck(number))
    assert train.main([*WORDS, "--root", str(tmp_path)]) == code
    assert capsys.readouterr().err == f"train.py: stopped by {number.name}: nothing had begun\n"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_after_the_training_the_run_goes_on_with_its_test(
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(GradientDescentTask, "final_metrics", struck(number))
        assert train.main([*WORDS, "--root", str(tmp_path)]) == code
    (run,) = tmp_path.glob("*/*")
    way_on = f"python train.py --resume {run}"
    assert capsys.readouterr().err == f"train.py: stopped by {number.name}: {way_on} goes on\n"
    assert train.main(way_on.split()[2:]) == 0
    assert (run / "metrics.json").is_file()


def test_at_the_end_of_the_fit_what_was_saved_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CNNTask, "on_fit_end", struck(signal.SIGTERM))
    assert train.main(["--model", "cnn", "--epochs", "1", "--device", "cpu", "--root", str(tmp_path)]) == 143
    (run,) = tmp_path.glob("*/*")
    assert (
        f"the state is in {run}/checkpoints/last.ckpt; python train.py --resume {run} goes on"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("step", ["validation_step", "test_step"])
def test_during_the_test_no_handler_of_lightning_stands_before_ours(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's would print a line of its own, and wait for the other processes of a run."""
    fitted: list[bool] = []
    seen: list[list[Any]] = []
    monkeypatch.setattr(CNNTask, "on_fit_end", lambda task: fitted.append(True))
    plain = getattr(CNNTask, step)

    def look(task: CNNTask, *batch: Any) -> None:
        if fitted:
            seen.append([getattr(signal.getsignal(one), "__self__", None) for one, _ in SIGNALS])
        plain(task, *batch)

    monkeypatch.setattr(CNNTask, step, look)
    quick = ["--epochs", "1", "--device", "cpu", "--report", "none", "--trainer.limit_train_batches", "1"]
    assert train.main(["--model", "cnn", *quick, "--root", str(tmp_path)]) == 0
    assert seen
    assert all(isinstance(one, Signals) for handlers in seen for one in handlers)


def test_predict_stops_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "load", struck(signal.SIGINT))
    (tmp_path / "a.png").write_bytes(b"")
    assert predict.main(["run", str(tmp_path / "a.png")]) == 130
    assert capsys.readouterr().err == "predict.py: stopped by SIGINT\n"


class Library(ExtensionFileLoader):
    """A compiled library; some end the process by SIGABRT on an exception while they are loaded."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("library", "library.so")
        self.number, self.passed = number, False

    def exec_module(self, module: Any) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(0.05)
        self.passed = True

    def use(self) -> None:
        self.exec_module(None)
        time.sleep(5)


class Finalised:
    """Something that is let go; Python drops exceptions out of ``__del__``."""

    passed = False

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def use(self) -> None:
        place = self

        class Mortal:
            def __del__(self) -> None:
                os.kill(os.getpid(), place.number)
                time.sleep(0.05)
                place.passed = True

        Mortal()
        time.sleep(5)


class Key:
    """Of a dictionary of weak references."""


class Forgotten(Finalised):
    """A key of which the callback of a weak reference takes leave; Python drops exceptions out of that, too."""

    def use(self) -> None:
        place = self

        class Struck(dict):  # type: ignore[type-arg]
            def __delitem__(self, key: Any) -> None:
                os.kill(os.getpid(), place.number)
                time.sleep(0.05)
                place.passed = True

        kept: Any = weakref.WeakKeyDictionary()
        kept[key := Key()] = 1
        kept.data = Struck(kept.data)
        del key
        time.sleep(5)


@pytest.mark.parametrize("kind", [Library, Finalised, Forgotten])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_is_heeded_where_its_exception_gets_out(number: signal.Signals, code: int, kind: Any) -> None:
    with pytest.raises(Interrupted) as caught, interruptible():
        (place := kind(number)).use()
    assert place.passed
    assert caught.value.exit_code == code


@pytest.mark.parametrize("kind", [Library, Finalised, Forgotten])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_so_it_is_while_nothing_is_trained(number: signal.Signals, code: int, kind: Any) -> None:
    with pytest.raises(RunFailed, match=f"stopped by {number.name}") as caught, Signals().installed(None):
        (place := kind(number)).use()
    assert place.passed
    assert caught.value.exit_code == code


class Struck(io.RawIOBase):
    """A stream in the middle of whose writes a SIGINT comes."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return len(content)


def test_signals_amid_a_line_on_stderr_are_heeded(capfd: pytest.CaptureFixture[str]) -> None:
    if (child := os.fork()) == 0:
        try:
            signals = Signals()
            signals.can_wait = True
            signals.install()
            sys.stderr = io.TextIOWrapper(io.BufferedWriter(Struck()))
            for line in ("first", "second"):
                print(line, file=sys.stderr, flush=True)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert capfd.readouterr().err.splitlines() == [
        "SIGINT received: saving after this batch",
        "second interrupt: stopping at once, nothing more is saved",
    ]
