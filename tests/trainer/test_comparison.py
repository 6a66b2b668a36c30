"""Settings side by side: which runs are pairs, and what is said of those that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from theory.paired import mean_interval
from trainer.summary import main

ACCURACY = {0.1: [0.90, 0.92, 0.97], 0.3: [0.91, 0.95, 0.98]}


def write(root: Path, lr: float, seed: int, accuracy: float | None, **more: Any) -> Path:
    folder = root / f"rate{lr}-s{seed}"
    folder.mkdir(parents=True)
    settings = {"model": {"name": "cnn", "lr": lr}, "data": {"name": "digits"}, "seed_everything": seed}
    (folder / "config.yaml").write_text(json.dumps(settings))
    if accuracy is not None:
        found = {"best/val_accuracy": accuracy, "test/accuracy": accuracy - 0.1, "test/recall_0": 1.0, "seed": seed}
        (folder / "metrics.json").write_text(json.dumps({**found, **more}))
    return folder


@pytest.fixture
def rates(tmp_path: Path) -> Path:
    for lr, accuracies in ACCURACY.items():
        for seed, accuracy in enumerate(accuracies):
            write(tmp_path, lr, seed, accuracy)
    return tmp_path


def lines(text: str) -> list[list[str]]:
    return [line.split("  ") for line in text.splitlines()]


def test_the_interval_is_that_of_the_paired_test() -> None:
    one, two = np.random.default_rng(0).normal(size=(2, 7))
    assert mean_interval(list(two - one)) == pytest.approx(tuple(ttest_rel(two, one).confidence_interval()))
    assert np.isnan(mean_interval([0.3])).all()


def test_settings_are_set_side_by_side(rates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(rates), "--by", "lr"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines(out)]
    assert ["model.lr", "runs", "best/val_accuracy", "test/accuracy"] in rows
    mean, deviation = np.mean(ACCURACY[0.3]), np.std(ACCURACY[0.3], ddof=1)
    assert ["0.3", "3", f"{mean:.5g} ± {deviation:.2g}", f"{mean - 0.1:.5g} ± {deviation:.2g}"] in rows
    apart = np.subtract(ACCURACY[0.3], ACCURACY[0.1])
    low, high = ttest_rel(ACCURACY[0.3], ACCURACY[0.1]).confidence_interval()
    cell = f"{apart.mean():+.3g} ({low:+.3g} to {high:+.3g})"
    assert ["0.3", "3", cell, cell] in rows


def test_only_runs_of_one_seed_are_pairs(rates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (7, 8):
        write(rates, 1.0, seed, 0.5)
    assert main([str(rates), "--by", "model.lr", "--figures", "test/accuracy"]) == 0
    assert "1.0 0 no pair" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--by model.lr sets them side by side"),
        (["--by", "model.lrr"], "--by: no setting 'model.lrr' in these runs, did you mean 'model.lr'?"),
        (["--by", ""], "--by '' names no setting, such as model.lr"),
        (["--by", "lr", "--figures", ","], "--figures ',' names no figure, such as best/val_accuracy"),
        (["--by", "data.name"], "--by data.name: it is digits in all of these runs"),
        (["--by", "lr", "--figures", "test/acuracy"], "did you mean 'test/accuracy'?"),
        (["--figures", "test/accuracy"], "--figures goes with --by"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], said: str, rates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(rates), *words]) == 2
    assert said in capsys.readouterr().err


def test_runs_without_a_result_are_named(rates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed, diverged, crashed = (write(rates, 0.3, seed, None) for seed in (3, 4, 5))
    (diverged / "nonfinite").mkdir()
    (crashed / "crash.txt").touch()
    assert main([str(rates), "--by", "lr"]) == 0
    said = capsys.readouterr().err
    assert f"{killed} (not finished)" in said
    assert f"{diverged} (stopped where a number was not finite)" in said
    assert f"{crashed} (failed, see crash.txt)" in said


def test_runs_of_other_code_are_named_and_extended_ones_refused(
    rates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(rates, 0.3, 3, 0.9, device="cuda", versions={"code": "abc"})
    assert main([str(rates), "--by", "lr"]) == 0
    said = capsys.readouterr().err
    assert "not made alike" in said
    assert "code None, abc" in said
    write(rates, 0.3, 4, 0.9, stages="5 + 3")
    assert main([str(rates), "--by", "lr"]) == 2
    assert "stages is None" in capsys.readouterr().err


def test_equal_figures_have_no_deviation_and_are_said_to_be_one_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        write(tmp_path, 0.1, seed, 0.1 + 0.2, **{"time/fit_s": float(seed)})
    assert main([str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "± 0 " in told.out
    assert "note: seed_everything changed no figure: these 3 runs are one result\n" in told.err
    write(tmp_path, 0.1, 3, 0.4)
    assert main([str(tmp_path)]) == 0
    assert "changed no figure" not in capsys.readouterr().err


def test_the_hint_names_all_settings_that_differ(rates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in list(rates.glob("rate0.3*/config.yaml"))[:1]:
        file.write_text(file.read_text().replace('"name": "cnn"', '"name": "cnn", "momentum": 0.5'))
    assert main([str(rates), "--by", "lr"]) == 2
    assert "--by model.lr,model.momentum sets them side by side" in capsys.readouterr().err


def test_runs_that_differ_in_much_are_told_apart_in_a_short_line(
    rates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next(rates.glob("rate0.3*/config.yaml"))
    many = {f"option{number:02}": number for number in range(40)}
    for name, said in (("cnn", "; 40 settings differ: model.option00, model.option01, "), ("rbm", "name those of one")):
        file.write_text(json.dumps({**json.loads(file.read_text()), "model": {"name": name, "lr": 0.3, **many}}))
        assert main([str(rates), "--by", "lr"]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert len(err) < 400
        assert ("model.name is 'cnn'" in err) == (name == "rbm")


def test_values_that_print_alike_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, value in enumerate((True, 1, None, "None")):
        folder = write(tmp_path / str(number), 0.1, 0, 0.5 + number / 10)
        settings = {"model": {"name": "cnn", "x": value}, "data": {"name": "digits"}, "seed_everything": 0}
        (folder / "config.yaml").write_text(json.dumps(settings))
    assert main([str(tmp_path), "--by", "model.x"]) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["1", "None", "None", "True"]


def test_figures_that_are_not_finite_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lr in (0.1, 0.3):
        for seed in range(3):
            write(tmp_path, lr, seed, 0.5 + seed / 10, **({"best/val_accuracy": None} if seed < 2 and lr > 0.2 else {}))
    assert main([str(tmp_path), "--by", "lr", "--figures", "best/val_accuracy"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "0.3 3 0.7 (2 not finite)" in out
    assert "0.3 3 +0" in out, "one pair is left"


def test_seeds_side_by_side_are_no_pairs(rates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(rates), "--by", "lr,seed"]) == 0
    assert "differences" not in capsys.readouterr().out
