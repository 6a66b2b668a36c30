"""The example of docs/your-own-model.md is a model like those of the house."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression

import train
from data.digits import Digits
from models import MODELS, SUMMARIES
from tests import test_contract as contract

PAGE = Path(__file__).parent.parent / "docs" / "your-own-model.md"


def block(language: str) -> str:
    """The only block of that language on the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


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
    contract.test_a_recipe_runs_and_leaves_what_a_run_promises(logistic, tmp_path / "run", tmp_path, capsys)
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


def test_a_wrong_option_is_named(logistic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--model", logistic, "--model.decay", "0"]) == 2
    assert capsys.readouterr().err == "train.py: --model.decay must be above 0, or there is no minimum, got 0.0\n"
