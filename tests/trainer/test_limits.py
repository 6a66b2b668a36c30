"""Numbers that no run can use are refused with their option, wherever they were given."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

import train
from data import DATA
from models import MODELS
from tests.refusals import refused
from trainer.command.front import read
from trainer.command.limits import check_number, check_trainer
from trainer.command.options import as_yaml, build_parser, parse
from trainer.command.settings_file import read_yaml
from trainer.contract import load_class
from trainer.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.hidden", ".nan"], "--model.hidden: expected a finite number, got '.nan'"),
        (["--lr", ".nan"], "--lr (--model.lr): expected a finite number, got nan"),
        (["--lr", "1e39"], "--lr (--model.lr): expected a number of at most 3.4e+38 in size, got 1e+39"),
        (["--model.hidden", "1" + "0" * 20], "--model.hidden: expected a whole number of at most 2^63 - 1 in size"),
        (["--trainer.limit_train_batches", "0"], "--trainer.limit_train_batches: expected a share above 0 to 1"),
        (["--trainer.limit_test_batches", "1.5"], "--trainer.limit_test_batches: expected a share above 0 to 1"),
        (["--trainer.max_steps", "0"], "--trainer.max_steps: expected a whole number of steps from 1, or -1 for"),
        (
            ["--trainer.min_epochs", "9", "--epochs", "2"],
            "--trainer.min_epochs: expected a whole number from 0 to the number",
        ),
        (["--trainer.gradient_clip_val", "-1"], "--trainer.gradient_clip_val: expected 0 or more, got -1"),
        (["--device", ""], "--device needs a value, got an empty one"),
        (["--root="], "--root needs a value, got an empty one"),
    ],
)
def test_one_line_names_the_option(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(["--model", "perceptron", *words], said, tmp_path, capsys)


def test_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("model: {name: perceptron, lr: .inf}\ndata: {name: points}\ntrainer: {max_epochs: 1}\n")
    assert train.main(["-c", str(file)]) == 2
    assert capsys.readouterr().err == f"train.py: {file}: model.lr: expected a finite number, got inf\n"


@pytest.mark.parametrize("value", [1, 0.5, True, None, "text", [1, [2.0]], {"a": (3,)}, 2**63 - 1, 3.39e38])
def test_numbers_that_can_be_used_pass(value: object) -> None:
    check_number("--x", value)


@pytest.mark.parametrize("value", [math.nan, [1, math.inf], {"a": [-math.inf]}, 2**63, -1e39])
def test_others_are_found_inside_lists_and_mappings(value: object) -> None:
    with pytest.raises(UserError, match=r"^--x: expected a"):
        check_number("--x", value)


def test_what_lightning_takes_for_all_batches_or_none_of_validation_passes() -> None:
    check_trainer({"limit_train_batches": 1.0, "limit_val_batches": 0, "max_steps": -1, "min_epochs": None}, {})
    check_trainer({"val_check_interval": "00:01:00:00", "gradient_clip_val": 0, "min_epochs": 2, "max_epochs": 2}, {})
    check_trainer({"max_epochs": -1, "max_steps": 5, "min_epochs": 2}, {})


@pytest.mark.parametrize("name", ["[perceptron]", "3", "{a: 1}"])
def test_the_name_of_a_model_is_a_word(name: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"model: {{name: {name}}}\n")
    with pytest.raises(UserError, match=r"own.yaml: model.name must be a name, not"):
        read_yaml(file)


def test_an_alias_inside_itself_is_refused_and_one_beside_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("model: &a {name: perceptron, x: *a}\n")
    with pytest.raises(UserError, match="an alias"):
        read_yaml(file)
    file.write_text("model: {name: perceptron, x: &b [1], y: *b}\n")
    assert read_yaml(file)["model"]["y"] == [1]
    nested = "".join(f"a{level}: &a{level} [*a{level - 1}, *a{level - 1}]\n" for level in range(1, 60))
    file.write_text(f"a0: &a0 [1]\n{nested}")
    assert "a59" in read_yaml(file)  # 2^59 parts, each looked at once


def test_a_limit_of_one_batch_stays_one_in_whichever_order_the_union_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class FloatFirst(ArgumentParser):
        """As where `typing` remembers a union of float and int made before Lightning's of int and float."""

        def add_class_arguments(self, theclass: Any, nested_key: str | None = None, *others: Any, **more: Any) -> Any:
            names = super().add_class_arguments(theclass, nested_key, *others, **more)
            for action in self._actions:
                if action.dest == "trainer.limit_train_batches":
                    action._typehint = float | int | None
            return names

    monkeypatch.setattr("trainer.command.options.ArgumentParser", FloatFirst)
    request = read(["--model", "perceptron", "--trainer.limit_train_batches", "1"], MODELS, DATA, train.RECIPES)
    parser = build_parser(load_class(MODELS["perceptron"]), load_class(DATA["points"]))
    settings, final = parse(request, parser)
    stored = yaml.safe_load(as_yaml(request, parser, final))["trainer"]["limit_train_batches"]
    assert [repr(settings.trainer["limit_train_batches"]), repr(stored)] == ["1", "1"]
