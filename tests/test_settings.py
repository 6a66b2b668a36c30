"""Settings that no run can use: one line, exit status 2, before the first picture is read and before a run folder."""

from __future__ import annotations

import datetime
import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Timer

import train
from data import DATA
from data.digits import Digits
from models import MODELS
from tests.models.small_folder import make_pictures, words
from tests.refusals import refused
from trainer.command.limits import check_devices, check_launcher, is_duration
from trainer.command.options import build_parser, option_names
from trainer.command.typed import accept, allows_none
from trainer.contract import load_class
from trainer.errors import UserError
from trainer.folder import MADE


@pytest.fixture
def unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words for a classifier on a folder that nobody may look into."""

    def read(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the pictures were read")

    monkeypatch.setattr("data.folder.listed", read)
    (tmp_path / "photos").mkdir()
    return ["--model", "cnn", "--data", str(tmp_path / "photos"), "--device", "cpu"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("data:\n  val_fraction: null", "data.val_fraction: expected a number, got null"),
        ("data:\n  num_folds: null", "data.num_folds: expected a whole number, got null"),
        ("data:\n  aug: ~", "data.aug: expected none, light, trivial, rand, got null"),
        ("data:\n  background:", "data.background: expected a text, got null"),
        ("data: {name: null}", "data.name must be a name, not null"),
        ("model: {name: null}", "model.name must be a name, not null"),
        ("model:\n  weights: null", "model.weights: expected a text, got null"),
        ("model:\n  opinion: null", "model.opinion: expected true or false, got null"),
        ("trainer:\n  devices: null", "trainer.devices: expected a list or a text or a whole number, got null"),
        ("seed_everything: null", "seed_everything: expected a whole number, got null"),
        ("report: null", "report: expected full, brief, none, got null"),
    ],
)
def test_null_is_refused_where_an_option_needs_a_value(
    unread: list[str], tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "y.yaml").write_text(content + "\n")
    refused(["-c", str(file), *unread], f"{file}: {message}", tmp_path / "runs", capsys)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_null_fits_only_the_options_whose_type_has_none(model: str) -> None:
    """Every option of every model on the data that it is first shown on, by the types of the signatures."""
    recipe = (train.RECIPES / f"{model}.yaml").read_text()
    data = next(name for name in DATA if f"name: {name}\n" in recipe or f"data: {name}\n" in recipe)
    parser = build_parser(load_class(MODELS[model]), load_class(DATA[data]))
    refusing = 0
    for action in parser._actions:
        if action.dest not in option_names(parser):
            continue
        hint = getattr(action, "_typehint", action.type)
        if allows_none(hint):
            assert accept(parser, action.dest, None, "here", None)[action.dest] is None
            continue
        refusing += 1
        with pytest.raises(UserError, match=r"here: expected .+, got null"):
            accept(parser, action.dest, None, "here", None)
    assert refusing > 10


@pytest.mark.parametrize(
    ("hint", "allowed"),
    [(int, False), (int | None, True), (list[int] | None, True), (list[int | None], False), (Any, True), (None, True)],
)
def test_which_types_allow_none(hint: Any, allowed: bool) -> None:
    assert allows_none(hint) is allowed


def test_the_settings_of_a_run_are_accepted_again(
    unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*unread, "--root", str(tmp_path / "runs"), "--print_config"]) == 0
    (file := tmp_path / "config.yaml").write_text(said := capsys.readouterr().out)
    assert train.main(["-c", str(file), "--root", str(tmp_path / "runs"), "--print_config"]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.max_time", "00:00:00:00"], "--trainer.max_time: expected a time above 0 in the form DD:HH:MM:SS"),
        (["--trainer.max_time", "foo"], "--trainer.max_time: expected a time above 0 in the form DD:HH:MM:SS, got foo"),
        (["--trainer.max_time", "{hour: 1}"], "--trainer.max_time: expected a time above 0 in the form DD:HH:MM:SS"),
        (["--trainer.devices", "0"], "--trainer.devices: expected auto, or a number of processes from 1 to"),
        (["--trainer.devices", "two"], "--trainer.devices: expected auto, or a number of processes from 1 to"),
        (["--trainer.devices", "9999"], "--trainer.devices: expected auto, or a number of processes from 1 to"),
        (["--trainer.strategy", "DPP"], "--trainer.strategy: there is no strategy 'DPP', did you mean 'ddp'?"),
        (["--trainer.strategy", "dpp"], "--trainer.strategy: there is no strategy 'dpp', did you mean 'ddp'?"),
        (["--trainer.strategy", "foo"], "--trainer.strategy: there is no strategy 'foo'"),
        (["--trainer.precision", "31"], "--trainer.precision: expected auto, 32-true, bf16-mixed, 16-mixed, 64-true,"),
        (
            ["--data.num_folds", "3", "--data.val_fraction", "0.3"],
            "--data.val_fraction: not used by --data.num_folds 3",
        ),
        (["--data.fold", "0"], "--data.fold: needs the number of folds, --data.num_folds, at least 2"),
        (["--data.fold", "3"], "--data.fold: needs the number of folds, --data.num_folds, at least 2"),
    ],
)
def test_what_no_run_can_use_is_refused_before_the_pictures_are_read(
    unread: list[str], tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused([*unread, *words], message, tmp_path / "runs", capsys)


def test_a_file_that_stands_alone_says_so_where_it_lacks_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "own.yaml").write_text("model: {name: face}\ndata: {name: face-splits}\n")
    said = (
        f"{file} names model and data, so no recipe is read; leave data.name out (--data says it too) to lay it over "
    )
    message = f"--epochs (--trainer.max_epochs): expected a whole number from 1, got None; {said}models/face.yaml"
    refused(["-c", str(file)], message, tmp_path / "runs", capsys)
    refused(["-c", str(file), "--epochs", "0"], message.partition("None")[0] + "0\n", tmp_path / "runs", capsys)
    file.write_text("model: {name: face}\n")
    for more in ([], ["--data", "face-splits"]):
        assert train.main(["-c", str(file), *more, "--print_config"]) == 0
        assert "max_epochs: 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--data.val_fraction", "0"], "--data.val_fraction 0 leaves none"),
        (["--trainer.limit_val_batches", "0"], "--trainer.limit_val_batches 0 leaves none"),
    ],
)
def test_patience_without_validation_is_refused_before_the_pictures_are_read(
    tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the pictures were read")

    monkeypatch.setattr("data.folder.gather", read)
    photos = make_pictures(tmp_path / "photos", {"train": (2, 2)}) / "train"
    given = ["--model", "cnn", "--data", str(photos), "--device", "cpu", "--model.tune", "all"]
    given += ["--early_stopping.patience", "1", *words]
    refused(given, f"--early_stopping.patience 1 needs pictures to validate on, and {why}\n", tmp_path / "r", capsys)


def test_patience_may_wait_for_a_validation_that_the_pictures_bring_along(tmp_path: Path) -> None:
    photos = make_pictures(tmp_path / "photos")
    given = words(photos, tmp_path / "runs", "--data.val_fraction", "0", "--early_stopping.patience", "1", epochs=1)
    assert train.main(given) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.aug", "none"], "--data.aug none is as calm as that, here"),
        (["--data.aug", "shift", "--data.max_shift", "1"], "--data.aug shift is as calm as that, here"),
        (["--epochs", "-1", "--trainer.max_steps", "3"], "the last epoch is not known, give --epochs"),
    ],
)
def test_calm_epochs_that_would_change_nothing_are_refused(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", "cnn", "--data.calm_epochs", "2", *words]
    refused(given, f"--data.calm_epochs: {message}", tmp_path / "runs", capsys)


def test_a_precision_in_a_file_is_blamed_on_it(
    unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "y.yaml").write_text("trainer: {precision: half}\n")
    refused(["-c", str(file), *unread], f"{file}: trainer.precision: expected auto, 32-true, ", tmp_path / "r", capsys)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("00:00:00:01", 1), ("01:02:03:04", 93784), ({"minutes": 5}, 300), (datetime.timedelta(seconds=2), 2)],
)
def test_times_that_lightning_reads_pass(value: Any, seconds: float) -> None:
    assert is_duration(value)
    assert Timer(value).time_remaining() == seconds


@pytest.mark.parametrize(("devices", "processes"), [("auto", 1), ("1", 1), (1, 1), (None, 1), (3, 3), ("2", 2)])
def test_a_number_of_processes_on_the_cpu_passes(devices: Any, processes: int) -> None:
    assert check_devices("--trainer.devices", devices, "cpu") == processes


def test_processes_that_cannot_share_a_step_are_refused_once_and_before_anything_is_read(
    unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = [*unread, "--trainer.devices", "3", "--trainer.strategy", "ddp"]
    said = "--trainer.devices: 3 processes cannot share 64 samples a step equally; --batch_size 66 can be shared\n"
    refused([*several, "--batch_size", "64"], said, tmp_path / "r", capsys)


@pytest.mark.parametrize("below", ["", "more/of/it"])
def test_a_root_that_is_a_file_is_refused_before_the_pictures_are_read(
    unread: list[str], tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "file").touch()
    assert train.main([*unread, "--root", str(file / below)]) == 2
    said = f"train.py: cannot make a run folder in {file / below}: {file} is no folder\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("number", "status", "cause"),
    [
        (errno.EROFS, 2, "cannot make a run folder in {}: cannot write to {}: Read-only file system"),
        (errno.ENOSPC, 1, "cannot write to {}: the disk is full"),
    ],
)
def test_a_root_that_takes_nothing_is_refused_before_the_pictures_are_read(
    unread: list[str],
    tmp_path: Path,
    number: int,
    status: int,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("trainer.files.tempfile.mkstemp", refuse)
    assert train.main([*unread, "--root", str(tmp_path)]) == status
    assert capsys.readouterr().err == f"train.py: {cause.format(tmp_path, tmp_path)}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["photos"]


def kept_run(unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What a run on pictures keeps, as far as a command line reads it before the pictures."""
    assert train.main([*unread, "--print_config"]) == 0
    (run := tmp_path / "runs" / "cnn-folder" / "20260101-000000-s0" / "checkpoints").mkdir(parents=True)
    torch.save({"state_dict": {}}, run / "last.ckpt")
    (run.parent / "config.yaml").write_text(capsys.readouterr().out)
    return run.parent


def test_a_folder_of_pictures_that_was_moved_away_is_one_line(
    unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, photos = kept_run(unread, tmp_path, capsys), tmp_path / "photos"
    photos.rename(tmp_path / "elsewhere")
    assert train.main(["--resume", str(run)]) == 2
    missing = f"the folder {photos} of that run is missing; --data.path says where it is now"
    assert capsys.readouterr().err == f"train.py: --resume {run}: {missing}\n"
    assert train.main(["-c", str(run / "config.yaml")]) == 2
    assert capsys.readouterr().err == f"train.py: {run / 'config.yaml'}: data.path: there is no folder {photos}\n"
    with pytest.raises(AssertionError, match="the pictures were read"):
        train.main(["--resume", str(run), "--data.path", str(tmp_path / "elsewhere")])


def test_a_list_of_pictures_that_was_moved_away_is_one_line(
    unread: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (listed := tmp_path / "list.csv").write_text("path,label\n")
    unread[unread.index(str(tmp_path / "photos"))] = str(listed)
    run = kept_run(unread, tmp_path, capsys)
    listed.unlink()
    assert train.main(["--resume", str(run)]) == 2
    assert f"--resume {run}: the file {listed} of that run is missing" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["1", "2", "two"])
def test_processes_of_a_foreign_launcher_are_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.delenv(MADE, raising=False)
    if size == "2":
        with pytest.raises(UserError, match="a run starts its own"):
            check_launcher()
        monkeypatch.setenv(MADE, "/a/run")  # started by the run itself
    check_launcher()


def test_an_argument_called_name_is_refused() -> None:
    class Named(LightningModule):
        def __init__(self, name: str = "x") -> None:
            super().__init__()

    with pytest.raises(TypeError, match=r"Named: an argument must not be called 'name', which is model's own"):
        build_parser(Named, Digits)


def test_a_run_of_a_foreign_launcher_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv(MADE, raising=False)
    assert train.main(["--model", "cnn", "--root", str(tmp_path / "runs")]) == 2
    assert "WORLD_SIZE=2 says that a launcher" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
