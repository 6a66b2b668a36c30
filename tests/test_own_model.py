"""The example of docs/your-own-model.md is a model like those of the house."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

import predict
import train
from classifier import load
from data.digits import Digits
from models import MODELS, SUMMARIES
from tests import test_contract as contract
from tests.judging import assert_reported_as_logged
from tests.runs import weights
from trainer.folder import RunFolder

PAGE = Path(__file__).parent.parent / "docs" / "your-own-model.md"


def block(language: str, number: int = 0) -> str:
    """A block of that language on the page: the first one is the example, those after it change one thing."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found[number])


@pytest.fixture
def logistic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its module, recipe and name, laid beside those of the house."""
    recipes = tmp_path / "recipes"
    shutil.copytree(train.RECIPES, recipes, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (recipes / "logistic.yaml").write_text(block("yaml"), encoding="utf-8")
    (recipes / "own_logistic.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(recipes)
    monkeypatch.setattr(train, "RECIPES", recipes)
    monkeypatch.setitem(MODELS, "logistic", "own_logistic.LogisticTask")
    monkeypatch.setitem(SUMMARIES, "logistic", "softmax regression beside the minimum of its convex loss")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return "logistic"


def test_it_keeps_the_contract_of_every_model(
    logistic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contract.test_a_task_keeps_the_protocol(logistic)
    contract.test_every_model_says_what_it_is_and_is_named_like_its_recipe()
    contract.test_a_recipe_runs_and_leaves_what_a_run_promises(logistic, "cpu", tmp_path / "run", tmp_path, capsys)
    contract.test_a_stopped_run_ends_like_one_never_stopped_and_replays(
        logistic, tmp_path / "stop", tmp_path, monkeypatch
    )


def test_its_minimum_is_that_of_another_solver_and_descent_comes_close(logistic: str, tmp_path: Path) -> None:
    assert train.main(["--model", logistic, "--device", "cpu", "--root", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").glob("*/*")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (folder / "figures" / "weights.png").is_file()
    data = Digits()
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()
    x, y = loader.images.flatten(1).double() / 255, loader.labels
    # scikit-learn minimises the sum of the losses and ‖W‖² / (2C)
    peer = LogisticRegression(C=1 / (len(y) * 0.01), fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    weight = torch.from_numpy(peer.coef_)
    due = torch.nn.functional.cross_entropy(x @ weight.T, y) + 0.01 / 2 * weight.square().sum()
    assert metrics["theory/objective"] == pytest.approx(float(due), abs=1e-8)
    assert 0 < metrics["gap/objective"] < 0.01
    assert metrics["test/accuracy"] > 0.9


def test_its_checkpoints_answer_for_pictures(logistic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--epochs", "20", "--device", "cpu", "--report", "none", "--root", str(tmp_path / "runs")]
    assert train.main(["--model", logistic, *quick]) == 0
    (folder,) = (tmp_path / "runs").glob("*/*")
    picture = tmp_path / "one.png"
    Image.fromarray(digit_one()).save(picture)
    capsys.readouterr()
    assert predict.main([str(folder), str(picture)]) == 0
    row = capsys.readouterr().out.splitlines()[1].split(",")
    model = load(folder)
    probabilities = model.probabilities([picture, digit_one(), Image.open(picture)])
    assert torch.equal(probabilities[0], probabilities[1])
    assert torch.equal(probabilities[0], probabilities[2])
    assert row[1] == model.class_names[int(probabilities[0].argmax())] == "1"
    assert float(row[2]) == pytest.approx(float(probabilities[0].max()), abs=1e-6)
    assert predict.main(["export", str(folder), "--to", "safetensors"]) == 0
    assert predict.main([str(folder), str(picture), "--explain", str(tmp_path / "why")]) == 2
    assert "has no map of places" in capsys.readouterr().err
    with pytest.raises(TypeError, match="has no outputs"):
        model.features([picture])


def digit_one() -> NDArray[np.uint8]:
    """A dark stroke on white paper."""
    paper = np.full((64, 64), 255, dtype=np.uint8)
    paper[8:56, 28:36] = 0
    return paper


@pytest.mark.parametrize(
    ("schedule", "status", "said"),
    [
        (None, 0, ""),
        ("LinearLR(optimiser, 1, 0, steps)", 0, "the schedule LinearLR was made for 42 steps of the 84"),
        ("OneCycleLR(optimiser, 0.5, steps)", 2, "cannot resume to 84 steps: the schedule OneCycleLR ends after 42"),
    ],
)
def test_an_extended_run_goes_on_learning_or_says_that_it_does_not(
    schedule: str | None, status: int, said: str, logistic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if schedule is not None:
        code = train.RECIPES / "own_logistic.py"
        own = "LambdaLR(optimiser, lambda step: max(1 - step / steps, 0))"
        assert own in code.read_text()
        code.write_text(code.read_text().replace(own, schedule))
        sys.modules.pop("own_logistic", None)
    root = tmp_path / "runs"
    quick = ["--device", "cpu", "--report", "none", "--root", str(root)]
    assert train.main(["--model", logistic, "--epochs", "2", *quick]) == 0
    (folder,) = root.glob("*/*")
    before = weights(folder)["weight"]
    capsys.readouterr()
    assert train.main(["--resume", str(folder), "--epochs", "4"]) == status
    err = capsys.readouterr().err
    assert said in err
    assert torch.equal(before, weights(folder)["weight"]) == (schedule is not None)
    assert "begun for 2 epochs and went on to 4 epochs" in err
    assert (folder / "config.yaml").read_text().startswith("# This run was begun for 2 epochs")
    sys.modules.pop("own_logistic", None)


def altered(old: str, new: str) -> None:
    """The example, with one line of its code changed."""
    code = train.RECIPES / "own_logistic.py"
    text = code.read_text(encoding="utf-8")
    assert old in text
    code.write_text(text.replace(old, new), encoding="utf-8")
    sys.modules.pop("own_logistic", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch_size=len(right)", "batch_size=1", "val/accuracy was logged with a batch_size that is not that of the"),
        ("batch_size=len(batch[1])", "batch_size=1", "train/loss was logged with a batch_size that is not that"),
        ('self.evaluate(batch, "val")', 'self.train(), self.evaluate(batch, "val")', "leaves LogisticTask as in train"),
    ],
)
def test_the_contract_finds_what_judges_wrongly(
    old: str, new: str, said: str, logistic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(old, new)
    with pytest.raises(AssertionError, match=said):
        contract.test_a_recipe_runs_and_leaves_what_a_run_promises(logistic, "cpu", tmp_path / "run", tmp_path, capsys)
    sys.modules.pop("own_logistic", None)


def test_the_contract_finds_a_direction_that_keeps_the_worst_epoch(logistic: str) -> None:
    altered('"val/accuracy", "max"', '"val/accuracy", "min"')
    with pytest.raises(AssertionError, match="the worst epoch would be kept"):
        contract.test_a_task_keeps_the_protocol(logistic)
    sys.modules.pop("own_logistic", None)


def test_the_contract_finds_a_result_that_is_not_that_of_the_kept_epoch(logistic: str, tmp_path: Path) -> None:
    quick = ["--epochs", "2", "--device", "cpu", "--report", "none", "--root", str(tmp_path / "runs")]
    folder = RunFolder(contract.run(["--model", logistic, *quick], tmp_path / "runs").path)
    assert_reported_as_logged(folder)
    heading, *rows = folder.history.read_text(encoding="utf-8").splitlines()
    place = heading.split(",").index("val/accuracy")
    cells = [row.split(",") for row in rows]
    folder.history.write_text("\n".join([heading, *(",".join([*c[:place], "0.5", *c[place + 1 :]]) for c in cells)]))
    with pytest.raises(AssertionError, match="best/val_accuracy is not what epoch 2 logged"):
        assert_reported_as_logged(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '    monitor, mode = "val/accuracy", "max"\n',
            "",
            "has no monitor, mode, which each model has: see docs/your-own",
        ),
        ("def findings", "def found", "has no findings, which each model has: see docs/your-own-model.md"),
        ('"val/accuracy", "max"', '"val/accuracy", "most"', ": mode must be 'max' or 'min', got 'most'"),
    ],
)
def test_what_each_model_has_is_asked_for_before_it_trains(
    old: str, new: str, said: str, logistic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(old, new)
    assert train.main(["--model", logistic, "--device", "cpu", "--root", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("train.py: --model logistic: LogisticTask")
    assert said in told
    assert not (tmp_path / "runs").exists()
    sys.modules.pop("own_logistic", None)


def test_a_wrong_option_is_named(logistic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--model", logistic, "--model.decay", "0"]) == 2
    assert capsys.readouterr().err == "train.py: --model.decay must be above 0, or there is no minimum, got 0.0\n"
