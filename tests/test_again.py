"""The whole program once more: a saved run replayed, an interrupted one resumed, a finished one left alone."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import train
from tests.conftest import Trained
from tests.runs import lasting, only_run, weights
from trainer.safe_file import load_checkpoint

QUICK = ["--device", "cpu", "--report", "none"]


def difference(first: Path, second: Path) -> float:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    return max(float((one[key].double() - other[key].double()).abs().max()) for key in one)


def test_a_saved_config_replays_to_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    assert train.main(["-c", str(trained.folder / "config.yaml"), "--root", str(tmp_path), "--report", "none"]) == 0
    assert difference(trained.folder, only_run(tmp_path)) == 0
    assert lasting(trained.folder) == lasting(only_run(tmp_path))


def test_files_are_kept_whole_so_that_a_replay_may_begin_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text("".join(f"{x},{x * x}\n" for x in range(20)), encoding="utf-8")
    quick = ["--epochs", "1", "--data.steps", "1", "--model.compare", "false", "--report", "none"]
    assert train.main(["--model", "mlp", "--data.function", "table.csv", "--model.hidden", "4", *quick]) == 0
    saved = only_run(tmp_path / "runs") / "config.yaml"
    assert yaml.safe_load(saved.read_text(encoding="utf-8"))["data"]["function"] == str(tmp_path / "table.csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train.main(["-c", str(saved)]) == 0
    capsys.readouterr()
    assert train.main(["--resume", str(saved.parent), "--epochs", "2"]) == 0
    assert train.main(["--resume", str(saved.parent), "--epochs", "3", "--root", "other"]) == 2
    assert "lies elsewhere, and a resumed run goes on there" in capsys.readouterr().err


def test_how_often_a_run_is_saved_goes_with_its_settings_and_changes_no_weight(
    trained: Trained, tmp_path: Path
) -> None:
    def saved_every(run: Path) -> int | None:
        checkpoint: dict[str, int] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")).get(
            "checkpoint", {}
        )
        return checkpoint.get("every_n_batches")

    words = ["--checkpoint.every_n_batches", "5", "--report", "none"]
    assert train.main(["-c", str(trained.folder / "config.yaml"), "--root", str(tmp_path / "often"), *words]) == 0
    often = only_run(tmp_path / "often")
    assert (saved_every(trained.folder), saved_every(often)) == (None, 5)
    assert difference(trained.folder, often) == 0
    assert train.main(["-c", str(often / "config.yaml"), "--root", str(tmp_path / "again")]) == 0
    assert saved_every(only_run(tmp_path / "again")) == 5
    more = str(load_checkpoint(often / "checkpoints" / "last.ckpt")["epoch"] + 2)
    assert train.main(["--resume", str(often), "--epochs", more, "--checkpoint.every_n_batches", "7"]) == 0
    assert saved_every(often) == 7


@pytest.mark.parametrize("stop_at", [(0, 3), (0, 20), (1, 0)], ids=["mid-epoch", "last batch", "next epoch"])
def test_stop_and_resume_is_bit_identical(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: tuple[int, int]
) -> None:
    from models.cnn import CNNTask

    step = CNNTask.training_step

    def stopping(self: CNNTask, batch: Any, batch_idx: int) -> torch.Tensor:
        if (self.current_epoch, batch_idx) == stop_at and not self.__dict__.setdefault("stopped", False):
            self.__dict__["stopped"] = True
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CNNTask, "training_step", stopping)
        words = ["--model", "cnn", "--epochs", "2", "--root", str(tmp_path), *QUICK]
        assert train.main(words) == 143
    folder = only_run(tmp_path)
    assert not (folder / "metrics.json").exists()
    assert train.main(["--resume", str(folder), "--root", str(tmp_path), *QUICK]) == 0
    assert only_run(tmp_path) == folder, "a resumed run stays in its folder"
    assert difference(folder, trained.folder) == 0
    assert lasting(folder) == lasting(trained.folder)


@pytest.mark.parametrize("epochs", ["1", "2"])
def test_a_finished_run_is_left_alone(trained: Trained, capsys: pytest.CaptureFixture[str], epochs: str) -> None:
    files = [trained.folder / name for name in ("config.yaml", "report.md", "metrics.json", "checkpoints/last.ckpt")]
    before = [file.read_bytes() for file in files]
    assert train.main(["--resume", str(trained.folder), "--epochs", epochs]) == 2
    assert capsys.readouterr().err.endswith(
        f"has 2 epochs and was tested: --epochs N goes on if N is more, here it is {epochs}\n"
    )
    assert [file.read_bytes() for file in files] == before


def test_resume_refuses_other_settings(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--resume", str(trained.folder), "--model.widths", "[8,8]"]
    assert train.main(words) == 2
    message = capsys.readouterr().err
    assert "model.widths was [32, 64], now [8, 8]" in message
    assert message.count("\n") == 1


def test_what_was_set_to_nothing_stays_so_in_a_replay(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "10"]
    assert train.main(["--model", "cnn", *given, "--print_config"]) == 0
    text = capsys.readouterr().out
    trainer = yaml.safe_load(text)["trainer"]
    assert (trainer["check_val_every_n_epoch"], trainer["val_check_interval"]) == (None, 10)
    saved = tmp_path / "config.yaml"
    saved.write_text(text)
    assert train.main(["-c", str(saved), "--print_config"]) == 0
    assert capsys.readouterr().out == text
