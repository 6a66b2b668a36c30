"""What goes wrong while a run trains, tests and reports: one line, the right status, nothing found is lost."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import train
from models.cnn import CNNTask
from models.gradient_descent import GradientDescentTask
from tests.conftest import Trained
from tests.runs import only_run
from trainer.errors import UserError, expand
from trainer.folder import RunFolder
from trainer.program import run_program
from trainer.run.figures import FigureMissing

FAST = ["--model", "gradient-descent", "--epochs", "1", "--device", "cpu"]
CNN = ["--model", "cnn", "--epochs", "1", "--device", "cpu", "--report", "none", "--trainer.limit_train_batches", "2"]


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*arguments: Any, **options: Any) -> Any:
        raise error

    return method


def broken_in_between(self: Any) -> Iterator[tuple[str, Any]]:
    yield "whole", FigureCanvasAgg(Figure((1, 1))).figure
    yield "no figure", "text"
    yield "after", FigureCanvasAgg(Figure((1, 1))).figure
    raise ZeroDivisionError("of a mean")


@pytest.mark.filterwarnings("default::trainer.run.figures.FigureMissing")
def test_a_figure_that_cannot_be_drawn_costs_a_line_and_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(GradientDescentTask, "figures", broken_in_between)
    monkeypatch.setattr(GradientDescentTask, "show", raising(KeyError("a tag")))
    assert train.main([*FAST, "--root", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    run = only_run(tmp_path)
    assert captured.out.splitlines()[-1] == f"run: {run}"
    assert [path.name for path in sorted((run / "figures").iterdir())] == ["after.png", "whole.png"]
    assert (run / "report.md").read_text().count("](figures/") == 2
    said = captured.err.splitlines()
    assert said[0].startswith("warning: the figure 'no figure' could not be drawn: AttributeError: ")
    assert said[1].startswith("warning: what comes after the figure 'after' could not be drawn: ZeroDivisionError: of")
    assert said[2].startswith(
        "warning: what TensorBoard has pages of its own for could not be drawn: KeyError: 'a tag'"
    )
    assert len(said) == 3
    assert all(line.endswith(f"; the traceback is in {run / 'crash.txt'}") for line in said)
    assert (run / "crash.txt").read_text().count("Traceback (most recent call last)") == 3
    assert "broken_in_between" in (run / "crash.txt").read_text()


def test_where_warnings_are_errors_a_missing_figure_ends_the_run_after_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(GradientDescentTask, "figures", broken_in_between)
    assert train.main([*FAST, "--root", str(tmp_path)]) == 1
    assert FigureMissing.__name__ in capsys.readouterr().err
    assert json.loads((only_run(tmp_path) / "metrics.json").read_text())["model"] == "gradient-descent"
    assert (only_run(tmp_path) / "report.md").is_file()


def test_a_run_without_figures_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*FAST, "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    assert not (only_run(tmp_path) / "crash.txt").exists()
    assert list((only_run(tmp_path) / "figures").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.val_check_interval", "1000"], "trainer options: `val_check_interval` (1000) must be less than or"),
        (
            ["--data.val_fraction", "0", "--early_stopping.patience", "2"],
            "--early_stopping.patience 2 needs pictures to validate on, and --data.val_fraction 0 leaves none\n",
        ),
    ],
)
def test_what_is_refused_before_the_first_batch_leaves_nothing(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*CNN, *words, "--root", str(tmp_path / "runs")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"train.py: {message}")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_value_that_a_loader_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from data.digits import Digits

    refusal = ValueError("batch_size 129 cannot be divided among 2 processes, each an equal share")
    monkeypatch.setattr(Digits, "train_dataloader", raising(refusal))
    assert train.main([*CNN, "--root", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == f"train.py: {refusal}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("error", [ValueError("more than one\nline"), ZeroDivisionError("oh")])
def test_an_error_in_the_middle_keeps_its_traceback_and_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    step = CNNTask.training_step

    def failing(self: CNNTask, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 1:
            raise error
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CNNTask, "training_step", failing)
        words = ["2" if word == "1" else word for word in CNN]
        assert train.main([*words, "--root", str(tmp_path)]) == 1
    run = only_run(tmp_path)
    told = " ".join(str(error).split())
    assert capsys.readouterr().err == (
        f"train.py: {type(error).__name__}: {told}; the traceback is in {run}/crash.txt; "
        f"python train.py --resume {run} goes on\n"
    )
    assert "in failing" in (run / "crash.txt").read_text()
    assert train.main(["--resume", str(run)]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "vanishing-gradients", "--model.settings", "[relu-he-batch]"],
        ["--model", "cnn", "--model.widths", "[4,4,4]", "--model.pools", "[2,2,2]"],  # maps of one pixel
    ],
)
def test_one_sample_cannot_be_normalised_by_its_batch(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--batch_size", "1", "--epochs", "1", "--report", "none", "--device", "cpu"]
    assert train.main([*words, *quick, "--root", str(tmp_path / "runs")]) == 2
    said = "train.py: batch normalisation needs more than one sample a step: --batch_size 2 or more\n"
    assert capsys.readouterr().err == said
    assert not list((tmp_path / "runs").glob("*/*"))


def test_an_error_in_the_first_batch_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CNNTask, "training_step", raising(ValueError("no such thing")))
    assert train.main([*CNN, "--root", str(tmp_path)]) == 1
    run = only_run(tmp_path)
    assert capsys.readouterr().err == (
        f"train.py: ValueError: no such thing; the traceback is in {run}/crash.txt; {run} holds no checkpoint yet\n"
    )


def test_no_memory_in_the_middle_says_what_is_kept_and_at_the_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, when = CNNTask.training_step, 1

    def failing(self: CNNTask, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == when:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")
        return step(self, batch, batch_idx)

    said = "train.py: out of memory, 3.00 GiB were asked for: a smaller model, batch or set of data fits"
    monkeypatch.setattr(CNNTask, "training_step", failing)
    assert train.main([*CNN[:2], *CNN[4:], "--epochs", "2", "--root", str(tmp_path / "later")]) == 1
    run = only_run(tmp_path / "later")
    assert capsys.readouterr().err == f"{said}; python train.py --resume {run} goes on\n"
    monkeypatch.setattr(CNNTask, "on_train_start", raising(MemoryError()))
    assert train.main([*CNN, "--root", str(tmp_path / "first")]) == 1
    assert capsys.readouterr().err.endswith(
        "out of memory: a smaller model, batch or set of data fits; nothing had begun\n"
    )
    assert not (tmp_path / "first").exists()


def stopping_in_test(self: CNNTask, batch: Any, batch_idx: int) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_that_is_stopped_in_its_test_takes_it_when_resumed_also_after_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*CNN, "--root", str(tmp_path)]) == 0
    run = only_run(tmp_path)
    first = json.loads((run / "metrics.json").read_text())
    with monkeypatch.context() as patch:
        patch.setattr(CNNTask, "test_step", stopping_in_test)
        assert train.main(["--resume", str(run), "--epochs", "2"]) == 143
    kept = f"the state is in {run / 'checkpoints/last.ckpt'}; python train.py --resume {run} goes on"
    assert capsys.readouterr().err.endswith(f"train.py: stopped by SIGTERM: {kept}\n")
    assert train.main(["--resume", str(run)]) == 0
    last = json.loads((run / "metrics.json").read_text())
    assert last["test/loss"] != first["test/loss"]
    begun = f"{first['command']}; python train.py --resume {run}"
    assert last["command"] == f"{begun} --epochs 2; python train.py --resume {run}"  # all that made it
    assert last["command"] in (run / "report.md").read_text()
    capsys.readouterr()
    assert train.main(["--resume", str(run)]) == 2
    assert "has 2 epochs" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.program.close_stdout", lambda: None)
    assert run_program("predict.py", raising(BrokenPipeError())) == 141


def full(path: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_disk_that_is_full_at_the_end_is_one_line_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_metrics", lambda self, *_: raising(full(self.metrics))())
        assert train.main([*FAST, "--root", str(tmp_path)]) == 1
    run = only_run(tmp_path)
    line = f"{run}/metrics.json: No space left on device; python train.py --resume {run} goes on"
    assert capsys.readouterr().err == f"train.py: {line}\n"
    assert not (run / "crash.txt").exists()
    assert train.main(["--resume", str(run)]) == 0


def test_a_disk_that_is_full_at_the_start_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = (
        "folder",
        "run.report",
        "run.artefacts",
        "run.card",
        "run.history",
        "fit.guard",
    )  # would keep the replacement otherwise
    for name in late:
        importlib.import_module(f"trainer.{name}")
    monkeypatch.setattr("trainer.files.write_atomically", lambda path, text: raising(full(path))())
    assert train.main([*FAST, "--root", str(tmp_path / "runs")]) == 1
    assert capsys.readouterr().err.endswith("/config.yaml: No space left on device; nothing had begun\n")
    assert not (tmp_path / "runs").exists()


def test_an_error_after_the_result_names_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.run.report.draw", raising(ZeroDivisionError()))
    assert train.main([*FAST, "--root", str(tmp_path)]) == 1
    run = only_run(tmp_path)
    kept = f"the traceback is in {run}/crash.txt; the result is in {run}/metrics.json"
    assert capsys.readouterr().err == f"train.py: ZeroDivisionError; {kept}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "cnn", "--data", "~nosuchuser/photos"],
        ["--model", "cnn", "--data", "digits", "-c", "~nosuchuser/settings.yaml"],
        ["--model", "cnn", "--data", "mnist", "--data.root", "~nosuchuser"],
        ["--model", "cnn", "--data", ".", "--model.weights", "~nosuchuser/weights.pt"],
        ["--resume", "~nosuchuser/run"],
        ["--model", "cnn", "--root", "~nosuchuser/runs"],
        ["--model", "mlp", "--data", "functions", "--data.function", "~nosuchuser/f.csv"],
    ],
)
def test_a_home_that_is_not_there_is_wrong_input(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(words) == 2
    error = capsys.readouterr().err
    assert "there is no home folder of '~nosuchuser' on this machine" in error
    assert error.count("\n") == 1


def test_a_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expand("~/photos") == Path("/somewhere/photos")
    assert expand("photos/~") == Path("photos/~")
    with pytest.raises(UserError, match="~nosuchuser/x: there is no home folder of '~nosuchuser'"):
        expand("~nosuchuser/x")


@pytest.mark.parametrize("number", ["-1", "0"])
@pytest.mark.parametrize(
    ("option", "unit"), [("early_stopping.patience", "epochs"), ("checkpoint.every_n_batches", "batches")]
)
def test_a_number_that_means_nothing_is_refused(
    option: str, unit: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--model", "cnn", f"--{option}", number]) == 2
    line = f"train.py: --{option}: expected a whole number of {unit} from 1, got {number}\n"
    assert capsys.readouterr().err == line


def test_when_to_stop_and_to_save_is_in_every_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["--model", "cnn", "--trainer.help"]):
        assert train.main(words) == 0
        shown = capsys.readouterr().out
        assert "--early_stopping.patience " in shown
        assert "--checkpoint.every_n_batches " in shown
    assert train.main(["--model", "cnn", "--early_stopping.patience", "3", "--trainer.help"]) == 0
    assert "--early_stopping.patience  (int | None, 3 by the command line)" in capsys.readouterr().out
    assert train.main(["--model", "cnn", "--model.help"]) == 0
    assert "patience" not in capsys.readouterr().out


def test_auto_says_that_every_run_is_finished(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    root = trained.folder.parent.parent
    for words in ([], ["--epochs", "1"], ["--model", "cnn"]):
        assert train.main(["--resume", "auto", "--root", str(root), *words]) == 2
        error = capsys.readouterr().err
        assert "is unfinished; more --epochs would go on with " in error
        assert error.endswith(f"{trained.folder}\n")
        assert error.count("\n") == 1
