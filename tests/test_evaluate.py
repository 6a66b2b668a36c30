"""``predict.py evaluate``: the figures are those of the run's own test, a row for every picture, one line a mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from sklearn.metrics import log_loss

import predict
import train
from classifier import load
from models.classification.judged import Judged
from tests.models.small_folder import make_pictures, metrics, words
from tests.runs import metrics_of, only_run, table
from theory.calibration import calibration_gap, confidence_bins
from trainer.safe_file import load_checkpoint


class Made(NamedTuple):
    """A folder with train/, val/ and test/, and the run of a head on it."""

    pictures: Path
    run: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("evaluate")
    counts = {"train": (12, 8), "val": (6, 6), "test": (14, 7)}
    pictures = make_pictures(root / "pictures", counts, tint=8)
    assert train.main(words(pictures, root / "runs", "--model.tune", "head")) == 0
    return Made(pictures, only_run(root / "runs"))


def evaluate(*given: str | Path) -> int:
    return predict.main(["evaluate", *map(str, given), "--device", "cpu"])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Name and text of each line on stdout."""
    lines = capsys.readouterr().out.splitlines()
    return dict(re.split(r"  +", line, maxsplit=1) for line in lines)


def test_the_figures_are_those_of_the_runs_own_test(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    capsys.readouterr()
    assert evaluate(made.run, made.pictures, "--split", "test", "--out", out) == 0
    found, rows, own = told(capsys), table(out), metrics_of(made.run)
    report = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", (made.run / "report.md").read_text(), re.MULTILINE))
    assert found["accuracy"] == report["test accuracy"]
    assert report["beside it"].endswith(found["beside it"])
    same = ("balanced accuracy", "lowest recall", "found of each class", "most confused")
    assert [found[name] for name in same] == [report[name] for name in same]
    right = [row["truth"] == row["label"] for row in rows]
    assert 0 < sum(right) < len(rows) == 21, "pictures that tell something"
    assert sum(right) / 21 == own["test/accuracy"]
    confidence = torch.tensor([float(row["probability"]) for row in rows]).double()
    error = calibration_gap(confidence_bins(confidence, torch.tensor(right)))
    assert error == pytest.approx(own["test/ece_after_temperature"], abs=1e-6)
    said = (
        f"ECE {100 * error:.2f} % with the checkpoint's temperature {own['test/temperature']:.2f}; chance alone gives"
    )
    assert found["calibration"].startswith(said)
    assert found["seen before"] == "none of these files is among the 32 that it was trained or validated on"
    absent = {"neural distance", "class-mean cosines", "no test pictures"}
    assert not absent & set(found)


def test_at_temperature_1_the_loss_is_that_of_the_test(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load_checkpoint(predict.find_checkpoint(str(made.run)))
    checkpoint["house"]["temperature"] = 1.0
    plain, out = tmp_path / "plain.ckpt", tmp_path / "out.csv"
    torch.save(checkpoint, plain)
    capsys.readouterr()
    assert evaluate(plain, made.pictures / "test", "--out", out) == 0
    losses = [float(row["loss"]) for row in table(out)]
    expected = metrics(made.run.parent.parent)["test/loss"]
    assert sum(losses) / len(losses) == pytest.approx(expected, abs=1e-5)
    found = told(capsys)
    assert found["loss"].startswith(f"{expected:.3f} nats; ")
    assert "seen before" not in found, "no list of files lies beside this checkpoint"


@pytest.mark.parametrize("views", [[], ["--tta", "5", "--batch_size", "4"]])
def test_rows_are_the_answers_of_the_checkpoint_in_the_order_found(
    made: Made, tmp_path: Path, views: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    capsys.readouterr()
    assert evaluate(made.run, made.pictures, "--split", "test", "--out", out, *views) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    files = [file for name in ("blue", "red") for file in sorted((made.pictures / "test" / name).iterdir())]
    assert [(row["path"], row["truth"]) for row in rows] == [(str(file), file.parent.name) for file in files]
    assert list(rows[0]) == ["path", "truth", "label", "probability", "loss", "error"]
    model = load(made.run)
    probabilities = model.probabilities(files, 5 if views else None).double()
    truth = [model.class_names.index(file.parent.name) for file in files]
    assert [row["label"] for row in rows] == [model.class_names[number] for number in probabilities.argmax(1)]
    assert [row["probability"] for row in rows] == pytest.approx(probabilities.amax(1).tolist(), abs=2e-6)
    losses = -probabilities.log()[torch.arange(len(files)), truth]
    assert [row["loss"] for row in rows] == pytest.approx(losses.tolist(), abs=1e-5)
    assert all(row["error"] is None for row in rows)
    shares = probabilities / probabilities.sum(1, keepdim=True)
    assert told(capsys)["loss"].startswith(f"{log_loss(truth, shares.numpy()):.3f} nats; ")
    assert evaluate(made.run, made.pictures, "--split", "test", "--out", out) == 2
    assert evaluate(made.run, made.pictures, "--split", "test", "--out", out, "--overwrite") == 0


def test_a_list_says_the_same_as_its_folder(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert evaluate(made.run, made.pictures / "test") == 0
    expected = told(capsys)
    listed = made.pictures / "split.csv"  # whose paths begin at the folder of the pictures
    shutil.copy(made.run / "split.csv", listed)
    try:
        assert evaluate(made.run, listed, "--split", "test") == 0
        assert told(capsys) == expected
        assert evaluate(made.run, listed) == 2
        printed, error = capsys.readouterr()
        assert (printed, error.count("\n")) == ("", 1)
        assert error.endswith("has several splits, train (20), val (12), test (21): --split NAME says which\n")
    finally:
        listed.unlink()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["{pictures}"], "{pictures} has several splits, train (20), val (12), test (21): --split NAME says which"),
        (["{pictures}", "--split", "holdout"], "--split must be train, val or test, got 'holdout'"),
        (["{pictures}/test", "--split", "test"], "--split test: {pictures}/test has no splits; leave it out"),
        (["{other}"], "{other}: the classifier does not know the class 'green'; it knows blue, red"),
        (["{other}/green"], "{other}/green has 1 file, but no class folders; expected FOLDER/CLASS/a.jpg, or a CSV"),
        (["/nowhere"], "no such folder: /nowhere; expected"),
        (["{pictures}", "--folder", "/"], "--folder says where the paths of a CSV file begin, and {pictures} is none"),
        (["{split}", "--folder", "/nowhere"], "--folder /nowhere: no such folder"),
        (["{split}"], "{split}, row 2: no such file: {run}/"),
        ([""], "the path of the pictures is empty"),
        (["{pictures}/test", "--tta", "10"], "--tta must be in 1..9 for this model, got 10"),
        (["{pictures}/test", "--out", "x.txt"], "--out must end in .csv or .jsonl, got x.txt"),
        (["{pictures}/test", "--out", "/nowhere/x.csv"], "cannot write /nowhere/x.csv: No such file or directory"),
        (["{pictures}/test", "--top_k", "2"], "no option '--top_k'"),
        (["{pictures}/test", "{pictures}/val"], "unrecognized arguments"),
        ([], "the following arguments are required: pictures"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    made: Made, tmp_path: Path, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"pictures": made.pictures, "other": tmp_path / "other", "run": made.run, "split": made.run / "split.csv"}
    for name in ("blue", "green"):
        (tmp_path / "other" / name).mkdir(parents=True)
        shutil.copy(made.pictures / "test/blue/0.png", tmp_path / "other" / name)
    capsys.readouterr()
    assert evaluate(made.run, *(word.format(**places) for word in given)) == 2
    printed, error = capsys.readouterr()
    assert error.startswith(f"predict.py: {said.format(**places)}"), error
    assert (printed, error.count("\n")) == ("", 1)


def test_pictures_that_cannot_be_read_are_left_out_of_the_figures(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tmp_path / "new", tmp_path / "out.csv"
    shutil.copytree(made.pictures / "test", root)
    capsys.readouterr()
    assert evaluate(made.run, root) == 0
    expected = told(capsys)
    (root / "blue/0a.png").write_bytes(b"")
    (root / "red/notes.txt").write_text("no picture")
    assert evaluate(made.run, root, "--out", out, "--batch_size", "1") == 0
    captured = capsys.readouterr()
    found = dict(re.split(r"  +", line, maxsplit=1) for line in captured.out.splitlines())
    assert found == expected
    first = root / "blue/0a.png"
    assert f"warning: 2 pictures are left out of the figures, bad: {first}: is empty" in captured.err
    assert f"21 of 23 pictures evaluated, answers in {out}; 2 could not be read\n" in captured.err
    rows = {row["path"]: row for row in table(out)}
    assert len(rows) == 23
    bad = {path: row for path, row in rows.items() if row["error"]}
    assert list(bad) == [str(first), str(root / "red/notes.txt")]
    assert all(row["label"] == row["probability"] == row["loss"] == "" for row in bad.values())
    assert bad[str(first)]["truth"] == "blue"


def test_without_a_readable_picture_nothing_is_said_of_the_classifier(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red/a.png").write_text("no picture")
    capsys.readouterr()
    assert evaluate(made.run, tmp_path) == 1
    printed, error = capsys.readouterr()
    assert printed == ""
    assert "warning: 1 picture is left out of the figures" in error
    assert error.endswith("0 of 1 picture evaluated; 1 could not be read\n")


def test_pictures_that_it_learnt_from_are_counted_under_any_name(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "new"
    shutil.copytree(made.pictures / "test", root)
    for number in range(3):
        shutil.copy(made.pictures / f"train/red/{number}.png", root / f"red/copy{number}.png")
    capsys.readouterr()
    assert evaluate(made.run / "checkpoints", root) == 0
    assert told(capsys)["seen before"] == "it was trained on 3 of these 24 files, which flatters it"
    assert evaluate(made.run, made.pictures, "--split", "val") == 0
    assert told(capsys)["seen before"] == "it was validated on 12 of these 12 files, which flatters it"


def judged(truth: list[int], guesses: list[int]) -> dict[str, str]:
    one = Judged(["a", "b"])
    one.labels = truth
    one._answers = [(torch.eye(2)[guesses] * 0.8 + 0.1).log()]
    return dict(one.findings(1.5))


def test_what_earlier_runs_learnt_from_counts_and_is_not_denied_where_it_is_unknown(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The body comes from another run, whose pictures this run's list does not name."""
    given = words(made.pictures / "val", tmp_path / "runs", "--model.tune", "head")
    given[given.index("none")] = str(made.run)
    assert train.main(given) == 0
    run = only_run(tmp_path / "runs")
    capsys.readouterr()
    assert evaluate(run, made.pictures, "--split", "train") == 0
    assert told(capsys)["seen before"] == "it was trained on 20 of these 20 files, which flatters it"
    assert evaluate(run, made.pictures, "--split", "test") == 0
    assert told(capsys)["seen before"] == "none of these files is among the 32 that it was trained or validated on"
    (run / "files.csv").unlink()
    assert evaluate(run, made.pictures, "--split", "train") == 0
    assert told(capsys)["seen before"] == "it was trained on at least 20 of these 20 files, which flatters it"
    assert evaluate(run, made.pictures, "--split", "test") == 0
    assert told(capsys)["seen before"] == (
        "what its weights, which come from a file, have learnt from is not known; none of these files is among the 32 "
        "that it is known to have been trained or validated on"
    )
    older = load_checkpoint(run / "checkpoints/last.ckpt")
    del older["house"]["lineage"]
    torch.save(older, tmp_path / "older.ckpt")
    assert evaluate(tmp_path / "older.ckpt", made.pictures, "--split", "test") == 0
    assert told(capsys)["seen before"] == "what its weights, which come from a file, have learnt from is not known"


def test_equal_classes_have_chance_beside_them_and_one_class_tells_nothing() -> None:
    equal = judged([0, 0, 1, 1], [0, 0, 1, 0])
    assert equal["accuracy"].startswith("75.00 % (3 of 4), 95 % interval 30.06 to 95.44 %")
    assert equal["beside it"] == "chance 50.0 %"
    assert equal["loss"] == "0.655 nats; a classifier that knows nothing has 0.693"  # (3 ln 0.9 + ln 0.1) / -4
    assert "balanced accuracy" not in equal
    alone = judged([0, 0, 0], [0, 0, 1])
    assert alone["warning"] == "all judged pictures are of one class, a: they tell nothing"
    assert alone["loss"] == "0.838 nats"
    assert alone["found of each class"] == "a 2/3", "a class without pictures is no mistake"


def test_help_says_what_is_judged_and_the_other_help_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    for given, wanted in ((["evaluate", "--help"], ["--split", "chance"]), (["--help"], ["predict.py evaluate"])):
        with pytest.raises(SystemExit) as stop:
            predict.main(given)
        assert stop.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        assert all(word in text for word in wanted)


def test_the_split_of_one_run_judges_another(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_folder, by_split = tmp_path / "folder.csv", tmp_path / "split.csv"
    assert evaluate(made.run, made.pictures, "--split", "test", "--out", by_folder) == 0
    given = [made.run / "split.csv", "--split", "test", "--out", by_split]
    capsys.readouterr()
    assert evaluate(made.run, *given) == 2
    assert capsys.readouterr().err.endswith("; --folder DIR says where its paths begin\n")
    assert evaluate(made.run, *given, "--folder", made.pictures) == 0
    assert by_split.read_text() == by_folder.read_text()
