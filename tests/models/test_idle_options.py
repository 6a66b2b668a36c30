"""Options that a run would not read end it before it begins, and what only seems idle does not."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import train
from models.cnn import CNNTask
from models.finetune.idle import BACKBONE, CONDITIONS, OWN, STEPS, UNTOUCHED
from tests.models.small_folder import last, words
from tests.runs import only_run

DEFAULTS = {name: one.default for name, one in inspect.signature(CNNTask.__init__).parameters.items()}


def head(pictures: Path, root: Path, *more: str) -> list[str]:
    return words(pictures, root, "--model.tune", "head", *more)


def test_a_head_alone_refuses_what_it_would_not_read_and_says_what_does(
    pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    given = ["--epochs", "10", "--lr", "0.5", "--model.mixup", "0.4"]
    assert train.main(head(pictures, tmp_path, *given, "--early_stopping.patience", "3")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"--lr, --model.mixup, --early_stopping.patience, --epochs: without effect", line)
    assert "--model.tune all uses" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--data.aug", "trivial"], "--data.aug: without effect with --model.tune head"),
        (["--data.min_area", "0.5"], "--model.head_views N use it"),
        (["--model.head_views", "2", "--data.aug", "none"], "--model.head_views: needs --model.head_start true and an"),
        (["--model.head_views", "-1"], "head_views must be"),
    ],
)
def test_a_head_alone_reads_the_augmentation_only_for_views(
    pictures: Path, tmp_path: Path, capsys: Any, given: list[str], said: str
) -> None:
    assert train.main(head(pictures, tmp_path, *given)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_head_learns_from_as_many_views_as_it_is_told(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    more = ["--model.head_views", "3", "--data.aug", "trivial", "--data.flip", "1"]
    for name in ("plain", "first", "second"):
        assert train.main(head(pictures, tmp_path / name, *(more if name != "plain" else ()))) == 0
    assert "head    features of 3 augmented views of each picture" in capsys.readouterr().err
    plain, first, second = (last(tmp_path / name) for name in ("plain", "first", "second"))
    assert torch.equal(first["state_dict"]["network.head.weight"], second["state_dict"]["network.head.weight"])
    assert not torch.equal(first["state_dict"]["network.head.weight"], plain["state_dict"]["network.head.weight"])
    assert [found["house"]["mirrors"] for found in (plain, first)] == [False, True]


def test_the_recipe_for_folders_refuses_epochs_too(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(["--model", "cnn", "--data", str(pictures), "--epochs", "2", "--root", str(tmp_path)]) == 2
    assert "--epochs: without effect with --model.tune head" in capsys.readouterr().err


def test_a_head_alone_takes_what_it_reads(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    more = ["--data.aug", "none", "--data.flip", "0", "--data.balance", "sampler", "--model.opinion", "false"]
    assert train.main(head(pictures, tmp_path, *more)) == 0
    assert "the validation pictures chose nothing" in capsys.readouterr().out


def test_a_file_over_the_recipe_is_refused_as_the_command_line_is_and_one_that_stands_alone_is_not(
    pictures: Path, tmp_path: Path, capsys: Any
) -> None:
    """A run's own config.yaml says everything, also what its run did not read."""
    file = tmp_path / "more.yaml"
    file.write_text("model: {lr: 5}\nearly_stopping: {patience: 3}\n", encoding="utf-8")
    given = head(pictures, tmp_path / "runs")
    assert train.main([*given, "-c", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"model.lr of {file}, early_stopping.patience of {file}: without effect with --model.tune head" in line
    assert train.main(given) == 0
    config = only_run(tmp_path / "runs") / "config.yaml"
    assert "patience" not in config.read_text(encoding="utf-8")
    config.write_text(config.read_text(encoding="utf-8") + "early_stopping:\n  patience: 3\n", encoding="utf-8")
    capsys.readouterr()
    assert train.main(["-c", str(config), "--root", str(tmp_path / "again")]) == 0
    assert "the validation pictures chose nothing" in capsys.readouterr().out


@pytest.mark.parametrize("name", BACKBONE)
def test_our_own_network_refuses_what_only_a_backbone_reads(name: str, tmp_path: Path, capsys: Any) -> None:
    value = {"weights": "/nonexistent.pt", "tune": "head", "norm": "batch", "unfreeze_milestones": "[1]"}
    text = value.get(name, "false" if isinstance(DEFAULTS[name], bool) else "1")
    text = "0.5" if name in ("layer_decay", "ema_decay", "mixup", "cutmix") else text
    assert train.main(["--model", "cnn", f"--model.{name}", text, "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--model.{name}" in line
    assert "--model.backbone NAME" in line


@pytest.mark.parametrize("name", UNTOUCHED)
def test_our_own_network_refuses_them_from_a_file_too(name: str) -> None:
    other = {"weights": "mine.pt", "unfreeze_milestones": [1]}.get(name, 1)
    CNNTask.check(DEFAULTS)
    with pytest.raises(ValueError, match=rf"^{name} needs --model\.backbone NAME, got"):
        CNNTask.check({**DEFAULTS, name: other})


@pytest.mark.parametrize("name", OWN)
def test_a_backbone_refuses_what_only_our_network_reads(name: str) -> None:
    options = {f"model.{key}": value for key, value in {**DEFAULTS, "backbone": "resnet18"}.items()}
    (said,) = [
        (names, otherwise) for names, read, otherwise in CONDITIONS if f"model.{name}" in names and not read(options)
    ]
    assert "model.lr" not in said[0]
    assert said[1].format(options) == "only for the network cnn, not for --model.backbone resnet18"


def test_a_recipe_of_our_network_serves_a_backbone_and_the_folder_recipe_our_network(
    pictures: Path, tmp_path: Path
) -> None:
    """What a recipe brings along is not the user's."""
    small = ["--model.widths", "[4]", "--data.image_size", "16", "--data.cache_dir", str(tmp_path / "cache")]
    small += ["--device", "cpu", "--report", "none", "--epochs", "1"]
    ours = ["--model", "cnn", "--data", str(pictures), "--model.backbone", "cnn", *small]
    assert train.main([*ours, "--root", str(tmp_path / "ours")]) == 0
    config = str(only_run(tmp_path / "ours") / "config.yaml")
    assert train.main(["-c", config, "--root", str(tmp_path / "again")]) == 0
    other = ["--model", "cnn", "--data", "faces", "--model.backbone", "squeezenet1_1", "--model.weights", "none"]
    quick = ["--epochs", "1", "--device", "cpu", "--report", "none", "--trainer.limit_train_batches", "1"]
    assert train.main([*other, *quick, "--root", str(tmp_path / "other")]) == 0


def test_every_name_is_an_option() -> None:
    assert {*BACKBONE, *OWN, *UNTOUCHED} <= DEFAULTS.keys()
    assert not set(BACKBONE) & set(OWN)
    assert {name.removeprefix("model.") for name in STEPS if name.startswith("model.")} <= DEFAULTS.keys()


def test_a_model_that_weighs_no_classes_refuses_to(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    given = ["--model", "autoencoder", "--data", str(pictures), "--data.balance", "loss", "--root", str(tmp_path)]
    assert train.main(given) == 2
    assert "--data.balance loss: --model autoencoder does not weigh classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--data.degrees", "5"], None),  # the recipe's augmentation is affine
        (["--data.strength", "1"], "--data.strength: not used by --data.aug affine"),
        (
            ["--data.aug", "shift", "--data.shear", "5", "--data.degrees", "5"],
            "--data.degrees, --data.shear: not used by",
        ),
        (["--data.aug", "none", "--data.max_shift", "2"], "--data.max_shift: not used by --data.aug none"),
        (["--data.aug", "elastic", "--data.strength", "1"], None),
    ],
)
def test_options_of_an_augmentation_that_is_not_done_are_refused(
    given: list[str], said: str | None, tmp_path: Path, capsys: Any
) -> None:
    quick = ["--epochs", "1", "--report", "none", "--device", "cpu", "--root", str(tmp_path)]
    assert train.main(["--model", "cnn", *quick, *given]) == (0 if said is None else 2)
    error = capsys.readouterr().err
    assert error == "" if said is None else error.startswith(f"train.py: {said}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cnn --data PICTURES --model.tune all --data.aug none --data.flip 0.9 --data.min_area 0.5",
         "--data.min_area, --data.flip: not used by --data.aug none"),
        ("cnn --data PICTURES --data.flip 0.9", "--data.flip: without effect with --model.tune head"),
        ("cnn --data olivetti --data.train_people 5", "--data.train_people: only for --data.protocol verification"),
        ("cnn --data olivetti --data.protocol verification --data.per_person_train 5",
         "--data.per_person_train: only for --data.protocol identification"),
        ("cnn --data olivetti --data.aug none --data.shear 5", "--data.shear: not used by --data.aug none"),
        ("face --data.val_people 5", "--data.val_people: only for --data.protocol verification"),
        ("mlp --data.noise_seed 1", "--data.noise_seed: only with --data.noise above 0"),
        ("mlp --data.function TABLE --data.num_samples 100", "--data.num_samples: a file of x, y brings its own"),
        ("gradient-descent --model.momentum 0.5", "--model.momentum: only for --model.rule momentum and nesterov"),
        ("mlp --model.degree 7", "--model.degree: only for --model.activation polynomial"),
        ("mlp --model.hidden 8 --model.widths [8]", "--model.widths: --model.hidden 8 replaces them"),
        ("mlp --model.method adam --model.compare true", "--model.compare: only with --model.method varpro; adam runs"),
        ("mlp --model.method lbfgs --lr 0.1", "--lr: Adam's, which does not run here: --model.method adam, or varpro"),
        ("mlp --model.method lbfgs --model.rounds 5", "--model.rounds: Adam's, which does not run here: "),
        ("rbm --model.algorithm cd --model.chains 7", "--model.chains: only for --model.algorithm pcd"),
        ("rbm --model.log_z exact --model.ais_temperatures 9", "--model.ais_temperatures: --model.log_z exact anneal"),
        ("rbm --model.record_source me", "--model.record_source: only with --model.record"),
        ("dbn --model.labels_seed 5", "--model.labels_seed: only with --model.labels"),
        ("dbn --model.pretraining 0 --model.sweeps 2", "--model.sweeps: --model.pretraining 0 trains no machine"),
        ("autoencoder --model.kind linear --model.activation relu --lr 0.5", "--model.activation, --lr: not for --m"),
        ("autoencoder --model.polish 0.1", "--model.polish: only for --model.kind linear"),
        ("autoencoder --model.pretrain_share 0.9", "--model.pretrain_share: only for --model.pretrain greedy"),
        ("generalisation --model.draws 0 --model.draw_samples 50", "--model.draw_samples: only with --model.dr"),
        ("adversarial --model.train_steps 3", "--model.train_steps: only for adversarial training, with --model.train"),
        ("deep-vs-wide --model.slope 0.5", "--model.slope: only for --model.activation leaky_relu"),
    ],
)  # fmt: skip
def test_options_of_data_that_nothing_reads_are_refused(
    pictures: Path, given: str, said: str, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "t.csv").write_text("0,0\n1,1\n2,0\n")
    places = {"PICTURES": str(pictures), "TABLE": str(tmp_path / "t.csv")}
    given_words = [places.get(word, word) for word in given.split()]
    assert train.main(["--model", *given_words, "--root", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.startswith(f"train.py: {said}")


def test_the_side_of_a_picture_that_is_a_function_is_read(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 90).save(tmp_path / "p.png")
    given = [
        "--model",
        "mlp",
        "--data",
        "image",
        "--data.function",
        str(tmp_path / "p.png"),
        "--data.num_samples",
        "100",
    ]
    quick = ["--epochs", "1", "--data.steps", "1", "--model.widths", "[2]", "--model.depth", "1", "--report", "none"]
    assert train.main([*given, *quick, "--root", str(tmp_path / "runs")]) == 0


@pytest.mark.parametrize(("option", "value"), [("freeze_epochs", "2"), ("unfreeze_milestones", "[5]")])
def test_a_body_that_stays_frozen_is_refused(
    pictures: Path, tmp_path: Path, option: str, value: str, capsys: Any
) -> None:
    more = ["--model.tune", "all", f"--model.{option}", value]
    assert train.main(words(pictures, tmp_path, *more, epochs=2)) == 2
    due = f"--model.{option} {value}: none of 2 epochs is left for the body (see --model.tune head)"
    assert due in capsys.readouterr().err


def test_a_fraction_of_what_is_split_already_is_refused(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--data.val_fraction", "0.5")) == 2
    assert "--data.val_fraction: without effect, " in capsys.readouterr().err


def test_a_share_that_only_the_recipe_names_stands_back(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    split = tmp_path / "split"
    for part in ("train", "val", "test"):
        shutil.copytree(pictures / "val", split / part)
    root = ["--root", str(tmp_path / "runs"), "--data.cache_dir", str(tmp_path / "cache")]
    given = ["--model", "autoencoder", "--data", str(split), "--epochs", "1", "--report", "none", *root]
    assert train.main([*given, "--data.test_fraction", "0.3"]) == 2
    assert re.search(r"--data.test_fraction: without effect, .* says itself which .* test", capsys.readouterr().err)
    assert train.main(given) == 0
