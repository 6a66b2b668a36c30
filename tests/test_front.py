"""The short front: what a command line means, and what it says when it means nothing."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import data
import models
from data import OWN_FORM
from trainer.command.arguments import Arguments
from trainer.command.front import Request, read
from trainer.command.nested import flatten, nest
from trainer.command.words import nearest
from trainer.errors import UserError

MODELS = {"cnn": "models.cnn.CNNTask", "face": "models.face.FaceTask"}
DATA = {"digits": "data.digits.Digits", "mnist": "data.mnist.MNIST", "folder": "data.folder.Folder"}
PROJECT = Path(__file__).parent.parent


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "cnn.yaml").write_text(
        "model: {name: cnn, widths: [8]}\ndata: {name: digits, aug: shift}\nreport: brief\n"
    )
    (folder / "cnn-mnist.yaml").write_text("model: {name: cnn, widths: [9]}\ndata: {name: mnist}\n")
    return folder


def test_a_model_alone_runs_its_recipe(recipes: Path) -> None:
    request = read(["--model", "cnn"], MODELS, DATA, recipes)
    assert (request.model, request.data) == ("cnn", "digits")
    assert request.settings == {"model": {"widths": [8]}, "data": {"aug": "shift"}, "report": "brief"}
    assert request.origin["model.widths"].endswith("cnn.yaml")


def test_data_chooses_the_recipe_made_for_it(recipes: Path) -> None:
    assert read(["--model=cnn", "--data=mnist"], MODELS, DATA, recipes).settings == {"model": {"widths": [9]}}


def test_settings_of_other_data_do_not_leak(recipes: Path, tmp_path: Path) -> None:
    request = read(["--model", "cnn", "--data", str(tmp_path)], MODELS, DATA, recipes)
    assert request.data == "folder"
    assert request.overrides == {"data.path": str(tmp_path)}
    assert "data" not in request.settings


def test_short_options_are_the_dotted_ones(recipes: Path) -> None:
    words = "--model cnn --epochs 3 --batch_size 7 --lr -1 --seed 5 --device cpu --model.dropout=0.5"
    assert read(shlex.split(words), MODELS, DATA, recipes).overrides == {
        "trainer.max_epochs": "3",
        "data.batch_size": "7",
        "model.lr": "-1",
        "seed_everything": "5",
        "trainer.accelerator": "cpu",
        "model.dropout": "0.5",
    }


def test_a_file_that_names_its_model_replaces_the_recipe(recipes: Path, tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text("model: {name: cnn, lr: 0.5}\ndata: mnist\nseed_everything: 4\n")
    request = read(["-c", str(saved)], MODELS, DATA, recipes)
    assert (request.model, request.data) == ("cnn", "mnist")
    assert request.settings == {"model": {"lr": 0.5}, "seed_everything": 4}


@pytest.mark.parametrize("resumed", [False, True])
def test_a_model_gets_the_form_of_the_data_that_it_takes(recipes: Path, tmp_path: Path, resumed: bool) -> None:
    forms, known = {("face", "olivetti"): "face-splits"}, {**DATA, "olivetti": "a.B", "face-splits": "a.C"}
    (recipes / "face.yaml").write_text("model: {name: face, lr: 0.1}\ndata: {name: face-splits, steps: 10}\n")
    file = tmp_path / "own.yaml"
    file.write_text("model: face\ndata: {name: olivetti, num_splits: 2}\n")
    words = ["--resume", "runs/x", "--data", "olivetti"] if resumed else ["-c", str(file)]
    request = read(words, MODELS, known, recipes, file if resumed else None, forms)
    assert request.data == "face-splits"
    assert request.settings == {"data": {"num_splits": 2}}  # a file that names both stands alone
    request = read(["--model", "face", "--data", "olivetti"], MODELS, known, recipes, forms=forms)
    assert request.data == "face-splits"
    assert request.settings == {"model": {"lr": 0.1}, "data": {"steps": 10}}
    file.write_text("data: {name: olivetti, num_splits: 2}\n")
    request = read(["--model", "face", "-c", str(file)], MODELS, known, recipes, forms=forms)
    assert request.settings == {"model": {"lr": 0.1}, "data": {"steps": 10, "num_splits": 2}}
    assert read(["--model", "cnn", "-c", str(file)], MODELS, known, recipes, forms=forms).data == "olivetti"


def test_forms_are_of_known_models_and_data() -> None:
    for (model, name), form in OWN_FORM.items():
        assert model in models.MODELS
        assert {name, form} <= set(data.DATA)


def test_a_file_without_a_model_is_laid_over_the_recipe(recipes: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.yaml"
    part.write_text("model: {lr: 0.5}\n")
    request = read(["--model", "cnn", "-c", str(part)], MODELS, DATA, recipes)
    assert request.settings["model"] == {"widths": [8], "lr": 0.5}


def test_the_options_of_a_folder_are_shown_without_one(recipes: Path) -> None:
    request = read(["--model", "cnn", "--data", "folder", "--data.help"], MODELS, DATA, recipes)
    assert (request.data, request.switches) == ("folder", {"data.help"})


def test_flatten_and_nest_are_inverse() -> None:
    nested = {"model": {"a": 1, "b": [1, 2]}, "seed": 3}
    assert nest(flatten(nested)) == nested


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model cnm", "no model named 'cnm', did you mean 'cnn'?"),
        ("", "--model is missing; known: cnn, face"),
        ("--modle cnn", "no option '--modle', did you mean '--model'?"),
        ("--model cnn --data mnis", "no data named 'mnis', did you mean 'mnist'?"),
        ("--model cnn --data /nowhere/at/all", "--data /nowhere/at/all: there is no such folder"),
        ("--model cnn --data /nowhere/list.csv", "--data /nowhere/list.csv: there is no such file"),
        ("--model cnn --data folder", "--data folder: give the path of the folder itself"),
        ("--model cnn --epoch 3", "no option '--epoch', did you mean '--epochs'?"),
        ("--model cnn --epochs", "--epochs needs a value"),
        ("--model cnn --epochs --lr 1", "--epochs needs a value"),
        ("--model cnn --lr 1 --model.lr 2", "--model.lr says again what --lr said: give one of them"),
        ("--model cnn --lr 1 --lr 2", "--lr is given twice"),
        ("--model cnn digits", "'digits' belongs to no option"),
        ("--model cnn -c nowhere.yaml", "cannot read the settings file nowhere.yaml: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(recipes: Path, words: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(words.split(), MODELS, DATA, recipes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: [", "is not valid YAML: line 1, column 9: expected"),
        ("a: 1\nb: 2\na: 3\n", "is not valid YAML: line 3, column 1: the key 'a' is given twice"),
        ("model:\n  lr: 1\n  lr: 2\n", "line 3, column 3: the key 'lr' is given twice"),
        ("- 1\n", "holds no settings"),
        ("model: 3\n", "'model:' must hold settings"),
        ("model.lr: 3\nmodel:\n  lr: 5\n", "model.lr is given twice"),
        ("{a: " * 5000 + "1" + "}" * 5000, "is no settings file: its lists and mappings are nested too deeply"),
        ("report: {a: 1}\n", "report is one value, not a group of settings"),
        ("model.lr: 3\nmodel:\n  lr: {a: 5}\n", "model.lr is one value, not a group of settings"),
        ("model:\n  lr: {a: 5}\nmodel.lr: 3\n", "model.lr is one value, not a group of settings"),
    ],
)
def test_a_damaged_settings_file_is_named(recipes: Path, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=r"broken\.yaml") as caught:
        read(["--model", "cnn", "-c", str(file)], MODELS, DATA, recipes)
    assert message in str(caught.value)


def test_a_file_that_names_its_model_alone_gets_the_data_of_the_recipe(recipes: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("model: cnn\ntrainer: {max_epochs: 3}\n")
    request = read(["-c", str(file)], MODELS, DATA, recipes)
    assert request.data == "digits"
    assert request.settings["trainer"] == {"max_epochs": 3}
    assert read(["-c", str(file), "--data", "digits"], MODELS, DATA, recipes).settings == request.settings
    file.write_text("model: cnm\n")
    for words in ([], ["--model", "cnn"]):
        with pytest.raises(UserError, match=r"own\.yaml: no model named 'cnm', did you mean 'cnn'"):
            read([*words, "-c", str(file)], MODELS, DATA, recipes)


def test_resume_waits_for_the_settings_of_its_run(recipes: Path) -> None:
    request = read(["--resume", "runs/x"], MODELS, DATA, recipes)
    assert isinstance(request, Request)
    assert request.resume == "runs/x"
    assert request.settings == {}


def test_resume_refuses_another_model_or_other_data(recipes: Path, tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text("model: cnn\ndata: digits\n")
    for words in (["--model", "face"], ["--data", "mnist"]):
        with pytest.raises(UserError, match="that run is cnn on digits, not"):
            read(["--resume", "runs/x", *words], MODELS, DATA, recipes, replay=saved)
    other = tmp_path / "other.yaml"
    other.write_text("model: face\n")
    with pytest.raises(UserError, match="that run is cnn on digits, not face"):
        read(["--resume", "runs/x", "-c", str(other)], MODELS, DATA, recipes, replay=saved)
    assert read(["--resume", "runs/x", "--model", "cnn"], MODELS, DATA, recipes, replay=saved).model == "cnn"


def test_help_is_one_screen_without_torch() -> None:
    code = (
        "import sys, train; status = train.main(['--help']);"
        "assert not {'torch', 'lightning', 'numpy'} & set(sys.modules), 'heavy import'; sys.exit(status)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert time.perf_counter() - started < 30  # a hang, not a speed limit
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 50
    assert max(map(len, done.stdout.splitlines())) <= 120
    for word in ("cnn", "digits", "--epochs", "--resume", "tensorboard --logdir runs"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("model.widht", "model.width"),
        ("data.val_frac", "data.val_fraction"),
        ("model.batch_size", "data.batch_size"),
        ("early_stopping", "early_stopping.patience"),
        ("model.foo", None),
        ("model.epochs", "trainer.max_epochs"),
        ("trainer.callbacks", None),
        ("tariner.callbacks", None),
        ("nothing", None),
    ],
)
def test_only_a_near_name_is_suggested(name: str, meant: str | None) -> None:
    known = ["model.pools", "model.width", "model.depths", "model.weights", "data.batch_size", "data.val_fraction"]
    known += ["trainer.limit_val_batches", "trainer.max_epochs", "early_stopping.patience", "report"]
    assert nearest(name, known) == ("" if meant is None else f", did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("modle: cnn", "no setting 'modle', did you mean 'model'?"),
        ("{model: cnn, epochs: 3}", "no setting 'epochs', did you mean 'trainer.max_epochs'?"),
        ("{model: cnn, 1: 2}", "no setting '1'"),
    ],
)
def test_a_file_names_known_groups(content: str, said: str, recipes: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        read(["-c", str(file)], MODELS, DATA, recipes)
    assert str(caught.value) == f"{file}: {said}"


def test_the_short_name_of_a_setting_suggests_it() -> None:
    assert nearest("trainer.epochs", ["trainer.min_epochs", "trainer.max_epochs"]) == (
        ", did you mean 'trainer.max_epochs'?"
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [("--foo", " (see --help)"), ("--ouput", ", did you mean '--out'?"), ("--tpo_k", ", did you mean '--top_k'?")],
)
def test_programs_beside_it_suggest_near_names_only(word: str, said: str) -> None:
    parser = Arguments("program", "Does nothing.")
    for option in ("--out", "--top_k"):
        parser.add_argument(option)
    with pytest.raises(UserError) as caught:
        parser.read([word, "x"])
    assert str(caught.value) == f"no option {word!r}{said}"
