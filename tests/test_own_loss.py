"""A model that changes one thing of another, by ``**options``, as docs/your-own-model.md shows."""

import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import train
from classifier import load
from data.digits import Digits
from models import MODELS, SUMMARIES
from models.cnn import CNNTask
from tests import test_contract as contract
from tests.runs import only_run
from tests.test_own_model import block
from trainer.command.options import wanted_facts
from trainer.command.signature import NEEDED, arguments_of
from trainer.errors import UserError
from trainer.safe_file import load_checkpoint

QUICK = [
    "--model",
    "focal",
    "--epochs",
    "1",
    "--device",
    "cpu",
    "--report",
    "none",
    "--trainer.limit_train_batches",
    "2",
]


@pytest.fixture
def focal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The task of the page, laid beside those of the house."""
    recipes = tmp_path / "recipes"
    shutil.copytree(train.RECIPES, recipes, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    recipe = (recipes / "cnn.yaml").read_text(encoding="utf-8")
    (recipes / "focal.yaml").write_text(recipe.replace("name: cnn", "name: focal"), encoding="utf-8")
    (recipes / "own_focal.py").write_text(block("python", 1), encoding="utf-8")
    monkeypatch.syspath_prepend(recipes)
    monkeypatch.setattr(train, "RECIPES", recipes)
    monkeypatch.setitem(MODELS, "focal", "own_focal.FocalTask")
    monkeypatch.setitem(SUMMARIES, "focal", "the network of the house with another loss")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("own_focal").FocalTask
    sys.modules.pop("own_focal", None)


def test_its_arguments_are_its_own_and_those_it_hands_on(focal: Any) -> None:
    assert arguments_of(focal) == {"gamma": 2.0, **arguments_of(CNNTask)}

    class Fixed(CNNTask):
        def __init__(self, **options: Any) -> None:
            super().__init__(mean=[0.5], std=[0.5], **options)

    assert arguments_of(CNNTask)["mean"] is NEEDED
    assert arguments_of(Fixed).keys() == arguments_of(CNNTask).keys() - {"mean", "std"}
    assert "mean" not in wanted_facts(Fixed, Digits)


def test_it_runs_and_its_checkpoint_holds_all_options(
    focal: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*QUICK, "--model.gamma", "1.5", "--model.widths", "[8]", "--root", str(tmp_path / "runs")]
    assert train.main(words) == 0
    run = only_run(tmp_path / "runs")
    kept = load_checkpoint(run / "checkpoints/last.ckpt")["hyper_parameters"]
    assert (kept["gamma"], kept["widths"], kept["dropout"]) == (1.5, [8], 0.0)
    again = focal.load_from_checkpoint(run / "checkpoints/last.ckpt")
    assert dict(again.hparams) == kept
    assert load(run).task.hparams["gamma"] == 1.5
    contract.test_what_some_data_tell_a_model_is_an_option_beside_none("focal")
    capsys.readouterr()
    assert train.main(["--resume", str(run), "--epochs", "2"]) == 0


def test_its_help_shows_both(focal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--model", "focal", "--model.help"]) == 0
    shown = capsys.readouterr().out
    assert "How little they count" in shown
    assert "Channels of each stage" in shown
    assert train.main([*QUICK, "--model.gamma", "-1"]) == 2
    assert capsys.readouterr().err == "train.py: --model.gamma must be 0 or more, got -1.0\n"


def test_what_data_do_not_say_is_named_beside_the_usual_data() -> None:
    class Plain(Digits):
        FACTS = ("class_names", "in_channels", "image_size")

    said = "cannot learn from --data plain, which does not say mean, std; its usual data are --data digits"
    with pytest.raises(UserError, match=said):
        wanted_facts(CNNTask, Plain, "cnn", "plain", "digits")
