"""k-fold cross-validation through the front door, and its summary."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import train
from tests.models.small_folder import words
from theory.intervals import wilson_interval
from trainer.folds import worth
from trainer.summary import differences, find_runs, main, repeated_figures


@pytest.fixture(scope="module")
def folds(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of the training pictures, the head alone."""
    root = tmp_path_factory.mktemp("folds")
    for fold in range(3):
        given = words(
            pictures / "train", root, "--model.tune", "head", "--data.num_folds", "3", "--data.fold", str(fold)
        )
        assert train.main(given) == 0
    return root


def test_folds_are_added_up(folds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folds)]) == 0
    out = capsys.readouterr().out
    found = [json.loads(file.read_text()) for file in sorted(folds.glob("*/*/metrics.json"))]
    accuracies = [one["val/accuracy"] for one in found]
    assert f"{np.mean(accuracies):.6g} ± {np.std(accuracies, ddof=1):.3g}" in " ".join(out.split())
    assert "3 runs of cnn on folder" in out
    assert "data.fold: 0, 1, 2" in out
    sizes = [len([line for line in file.read_text().splitlines() if line.endswith(",val")])
             for file in sorted(folds.glob("*/*/split.csv"))]  # fmt: skip
    assert sum(sizes) == 20, "every picture is validated once"
    right = round(sum(size * accuracy for size, accuracy in zip(sizes, accuracies, strict=True)))
    low, high = wilson_interval(right, 20)
    assert f"({right} of 20), 95 % interval {100 * low:.2f} to {100 * high:.2f} %" in out


def test_a_missing_fold_is_said_and_a_repeated_one_refused(
    folds: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = find_runs([str(folds)])
    assert main([str(runs[0]), str(runs[1])]) == 0
    assert "; 1 of 3 folds is missing" in capsys.readouterr().out
    assert main([str(runs[0]), str(runs[0])]) == 2
    assert "needs at least 2 finished runs, found 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "chose"),
    [
        (["--data.test_fraction", "0.2"], True),
        (["--early_stopping.patience", "3"], True),
        ([], False),
        (["--data.test_fraction", "0.2", "--model.tune", "head"], False),
    ],
)
def test_it_is_said_where_the_judged_pictures_chose_the_epoch(
    more: list[str], chose: bool, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in range(2):
        folds = ("--data.num_folds", "2", "--data.fold", str(fold), *more)
        assert train.main(words(pictures / "train", tmp_path, *folds, epochs=1)) == 0
    kept = [run for run in find_runs([str(tmp_path)]) if (run / "checkpoints/best.ckpt").is_file()]
    assert len(kept) == 2 or not chose
    capsys.readouterr()
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert "judged by a network that has not learnt from it" in said
    assert ("but these pictures chose its epoch" in said) == chose


@pytest.fixture(scope="module")
def in_part(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of the training pictures, of each of which 4 of 10 are validated."""
    root = tmp_path_factory.mktemp("in_part")
    for fold in range(2):
        folds = ("--data.num_folds", "2", "--data.fold", str(fold), "--trainer.limit_val_batches", "1")
        given = words(pictures / "train", root, *folds, epochs=1)
        given[given.index("--batch_size") + 1] = "4"
        assert train.main(given) == 0
    return root


def test_pictures_that_were_not_judged_are_not_counted(in_part: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = find_runs([str(in_part)])
    right = 0
    for run in runs:
        report = (run / "report.md").read_text()
        found = re.search(r"validation accuracy \| .* % \((\d) of 4\)", report)
        assert found
        right += int(found[1])
        said = "4 of 10 val pictures were judged; --trainer.limit_val_batches 1 leaves the others out"
        assert f"| val in part | {said} |" in report
        assert "It was measured on 4 pictures" in (run / "MODEL_CARD.md").read_text()
    assert main([str(in_part)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    low, high = wilson_interval(right, 8)
    assert f"({right} of 8), 95 % interval {100 * low:.2f} to {100 * high:.2f} %" in line
    assert line.endswith("; 12 of 20 validation pictures were not judged")


def test_what_an_older_version_did_not_count_is_not_added_up(
    in_part: Path, folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root, added in ((in_part, False), (folds, True)):
        place = tmp_path / root.name
        shutil.copytree(root, place)
        for file in place.glob("*/*/metrics.json"):
            figures = json.loads(file.read_text())
            del figures["best/val_judged"]
            file.write_text(json.dumps(figures))
        assert main([str(place)]) == 0
        out = capsys.readouterr().out
        assert ("folds together" in out) == added
        assert ("did not judge all of their validation pictures, nor tell how many" in out) != added


def test_a_test_in_part_is_said(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = words(pictures, tmp_path, "--data.test_fraction", "0.5", "--trainer.limit_test_batches", "1", epochs=1)
    assert train.main(given) == 0
    out = capsys.readouterr().out
    assert "test in part" in out
    assert "8 of 10 test pictures were judged; --trainer.limit_test_batches 1 leaves the others out" in out
    assert "val in part" not in out


def test_weights_from_a_file_that_does_not_tell_are_not_called_unknowing() -> None:
    begun = {"model.weights": "/somewhere/a.ckpt", "model.tune": "head"}
    unknown = "not known whether the weights that they began with had learnt from them"
    assert unknown in worth([{}, {"val/seen_before": 0.0}], [begun, begun], chosen=False)
    said = "each picture judged by a network that has not learnt from it"
    assert worth([{"val/seen_before": 0.0}, {}], [begun, {"model.weights": "default"}], chosen=False) == said
    leaked = worth([{"val/seen_before": 3.0}, {}], [begun, begun], chosen=True)
    assert leaked.startswith("but 3 of them the weights")
    assert "chose its epoch too" in leaked


def test_other_settings_are_not_averaged(folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, lr in enumerate((0.1, 0.2)):
        run = tmp_path / f"{number}"
        run.mkdir()
        (run / "metrics.json").write_text('{"val/loss": 1.0}')
        (run / "config.yaml").write_text(
            f"model: {{name: cnn, lr: {lr}}}\ndata: {{name: digits}}\nseed_everything: 0\n"
        )
    assert main([str(tmp_path)]) == 2
    assert "model.lr is 0.1 in" in capsys.readouterr().err
    (tmp_path / "1" / "config.yaml").write_text((tmp_path / "0" / "config.yaml").read_text())
    assert main([str(tmp_path)]) == 2
    assert "repeats" in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"a": ', "null", "[]", "{}", "[" * 10**5], ids=lambda text: text[:6])
def test_a_run_without_figures_is_named_and_not_left_out(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        run = tmp_path / f"{number}"
        run.mkdir()
        (run / "metrics.json").write_text('{"val/loss": 1.0}' if number else text)
        (run / "config.yaml").write_text(f"model: {{name: cnn}}\ndata: {{name: digits}}\nseed_everything: {number}\n")
    assert main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"summary: {tmp_path / '0' / 'metrics.json'} is damaged: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_mean_and_deviation_are_those_of_numpy() -> None:
    values = [0.1, 0.4, 0.35]
    table = repeated_figures([{"a": value, "seed": number, "model": "cnn"} for number, value in enumerate(values)])
    assert set(table) == {"a"}
    assert table["a"].summary == pytest.approx((np.mean(values), np.std(values, ddof=1), 3))
    assert table["a"][1:] == (0.1, 0.4)
    assert differences([{"a": 1, "b": 2}, {"a": 1, "b": 3}]) == {"b": [2, 3]}


@pytest.mark.parametrize("given", [["nowhere"], ["--rnus"], []])
def test_wrong_words_are_one_line(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) == 2
    assert capsys.readouterr().err.count("\n") == 1
