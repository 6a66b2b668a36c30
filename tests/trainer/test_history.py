"""The table of epochs: complete, bounded in cost, and the same after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

import train
import trainer.run.history
from tests.conftest import Trained
from tests.runs import table
from trainer.run.history import History, read_rows


def test_a_run_has_a_row_for_each_epoch_and_the_last_is_what_it_printed(trained: Trained) -> None:
    rows = table(trained.folder / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr/peak"} <= set(rows[0])
    assert not any(tag.startswith("test/") for tag in rows[0])
    best = max(float(row["val/accuracy"]) for row in rows)
    assert best == pytest.approx(trained.metrics["best/val_accuracy"], abs=1e-6)


def test_a_resumed_run_ends_with_the_rows_of_one_never_stopped(trained: Trained, tmp_path: Path) -> None:
    words = ["--model", "cnn", "--root", str(tmp_path), "--device", "cpu", "--report", "none"]
    # The schedule is that of two epochs in both: the first part stops after one.
    assert train.main([*words, "--epochs", "2", "--trainer.limit_train_batches", "3"]) == 0
    (run,) = tmp_path.glob("*/*")
    before = table(run / "metrics.csv")
    words = ["--resume", str(run), "--root", str(tmp_path), "--epochs", "3", "--trainer.limit_train_batches", "3"]
    assert train.main(words) == 0
    after = table(run / "metrics.csv")
    assert [row["epoch"] for row in after] == ["1", "2", "3"]
    assert after[:2] == before


def test_rows_of_a_future_that_a_resume_undid_are_dropped(tmp_path: Path) -> None:
    history = History(tmp_path / "metrics.csv")
    for epoch in range(4):
        history.add(epoch, {"loss": 1 / (epoch + 1)})
    history.close()
    history.add(9, {"test/loss": 0.0})  # after the fit
    again = History(tmp_path / "metrics.csv", resumed=True)
    again.add(1, {"loss": 7.0})
    again.add(1, {"other": 8.0})
    again.close()
    assert table(again.path) == [
        {"epoch": "1", "loss": "1", "other": ""},
        {"epoch": "2", "loss": "7", "other": "8"},
    ]
    assert History(tmp_path / "metrics.csv").rows == {}, "a new run begins anew"


def test_a_row_that_was_lost_with_the_process_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(tmp_path / "metrics.csv")
    for epoch in (0, 1):
        history.add(epoch, {"loss": 1.0})
    history.close()
    for epoch, said in ((2, ""), (4, "has no row of epoch 3, 4: the run was killed before it was written")):
        again = History(history.path, resumed=True)
        again.add(epoch, {"loss": 0.5})
        again.add(epoch, {"other": 0.5})
        err = capsys.readouterr().err
        assert said in err
        assert err.count("no row") == bool(said), "once"


@pytest.mark.parametrize(("epoch_s", "writes"), [(0.05, 3), (3600.0, 60)])
def test_writing_takes_a_hundredth_of_the_time_at_most(
    epoch_s: float, writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    now = [0.0]

    def write(path: Path, text: str) -> None:
        written.append(text)
        now[0] += 0.01

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(trainer.run.history, "write_atomically", write)
    history = History(tmp_path / "metrics.csv")
    for epoch in range(60):
        now[0] += epoch_s
        history.add(epoch, {"loss": 0.5})
        history.complete()
        if epoch_s > 1:
            assert len(written[-1].splitlines()) == epoch + 2, "a long epoch is there as soon as it has ended"
    assert len(written) == writes
    history.close()
    assert len(written[-1].splitlines()) == 61


def test_a_disk_that_refuses_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(tmp_path / "nowhere" / "metrics.csv")
    history.add(0, {"loss": 1.0})
    history.write()
    history.close()
    assert capsys.readouterr().err.count("training goes on") == 1


def test_a_foreign_file_is_no_history(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("a,b\n1,2\n")
    assert read_rows(file) == {}
