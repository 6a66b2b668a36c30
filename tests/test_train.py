"""The whole program through its front door: runs, and says what is wrong in one line."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from data import DATA
from models import MODELS
from tests.conftest import Trained
from tests.models.small_folder import make_pictures
from tests.refusals import refused
from tests.runs import only_run
from trainer.command.front import read
from trainer.command.options import build_parser, parse
from trainer.contract import load_class
from trainer.folder import RunFolder
from trainer.run.way_on import way_on

RECIPES = sorted(path.name for path in train.RECIPES.glob("*.yaml"))
QUICK = ["--device", "cpu", "--report", "none"]


def test_a_run_leaves_what_it_promises(trained: Trained) -> None:
    folder, metrics = trained.folder, trained.metrics
    assert re.fullmatch(r"\d{8}-\d{6}-s0", folder.name)
    for name in ("config.yaml", "metrics.json", "report.md", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (folder / name).stat().st_size > 0, name
    assert list(folder.glob("events.out.tfevents.*"))
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn >= {
        "confusion",
        "recall",
        "mistakes",
        "batch",
        "reliability",
        "neural_distance",
        "filters",
        "feature_maps",
        "grad_cam",
    }
    assert metrics["test/accuracy_low"] < metrics["test/accuracy"] < metrics["test/accuracy_high"]
    assert metrics["theory/chance_loss"] == pytest.approx(2.302585092994046, abs=1e-12)
    assert metrics["model"] == "cnn"
    assert metrics["data"] == "digits"
    assert metrics["versions"]["torch"] == torch.__version__.split("+")[0]
    assert re.fullmatch(r"[0-9a-f]{12}", metrics["versions"]["code"])
    assert re.fullmatch(r"cpu \(\d+ threads?\), precision \S+", metrics["device"])
    assert all(value is None or isinstance(value, str | int | float | dict) for value in metrics.values())


def test_a_run_tells_how_long_its_imports_took(trained: Trained) -> None:
    assert 0 < trained.metrics["time/imports_s"] < trained.metrics["time/process_s"] - trained.metrics["time/fit_s"]


def test_a_run_says_what_it_runs_and_what_it_found(trained: Trained) -> None:
    lines = trained.output.splitlines()
    assert lines[0] == (
        "data    digits: 1×8×8, 10 classes; train 1,293, val 144, test 360 "
        "(UCI optical recognition of handwritten digits, bundled with scikit-learn)"
    )
    accuracy = 100 * trained.metrics["test/accuracy"]
    assert any(line.startswith("test accuracy") and f"{accuracy:.2f} %" in line and "Wilson" in line for line in lines)
    assert any("nearest neighbour on pixels" in line for line in lines)
    assert any(line.startswith("watch   tensorboard --logdir ") for line in lines)
    assert any(line.startswith("use     python predict.py ") for line in lines)
    assert lines[-1] == f"run: {trained.folder}"


def test_the_test_pictures_are_touched_once_after_everything_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.digits import Digits

    served = []
    loader = Digits.test_dataloader

    def counting(self: Digits) -> Any:
        assert self.trainer is not None
        served.append((self.trainer.testing, (only_run(tmp_path) / "checkpoints/best.ckpt").exists()))
        return loader(self)

    monkeypatch.setattr(Digits, "test_dataloader", counting)
    assert train.main(["--model", "cnn", "--epochs", "1", "--root", str(tmp_path), *QUICK]) == 0
    assert served == [(True, True)]


def test_print_config_is_a_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert train.main(["--model", "cnn", "--lr", "0.07", "--print_config"]) == 0
    text = capsys.readouterr().out
    saved = tmp_path / "saved.yaml"
    saved.write_text(text)
    assert train.main(["-c", str(saved), "--print_config"]) == 0
    assert capsys.readouterr().out == text
    assert "lr: 0.07" in text


def test_help_shows_the_values_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--model", "rbm", "--lr", "0.3", "--model.help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "--model.hidden  (int, 16 by rbm.yaml, default 500)" in lines
    assert "--model.lr  (float, 0.3 by the command line, default 0.08)" in lines
    assert "--model.algorithm  (cd|pcd, default pcd)" in lines
    assert train.main(["--model", "rbm", "--trainer.help"]) == 0
    out = capsys.readouterr().out
    assert "--trainer.max_epochs  (int | None, 60 by rbm.yaml)" in out.splitlines()
    assert "--trainer.strategy  (str | Strategy, default auto)" in out.splitlines()
    assert ":paramref:" not in out
    assert ".help" not in out


def test_only_a_task_that_judges_validation_pictures_does_without_a_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = make_pictures(tmp_path / "pictures")
    words = ["--data", str(pictures), "--data.channels", "1", "--root", str(tmp_path / "runs")]
    assert train.main(["--model", "vanishing-gradients", *words]) == 2
    says = (
        f"--model vanishing-gradients measures on test pictures, and {pictures} has none: put some into a folder test/"
    )
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert {name for name, path in MODELS.items() if getattr(load_class(path), "judges_validation", False)} == {
        "autoencoder",
        "cnn",
    }


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_typed(name: str) -> None:
    request = read(["-c", str(train.RECIPES / name)], MODELS, DATA, train.RECIPES)
    task, data = load_class(MODELS[request.model]), load_class(DATA[request.data])
    settings, _ = parse(request, build_parser(task, data))
    assert settings.trainer["max_epochs"] >= 1
    head = (train.RECIPES / name).read_text().splitlines()[0]
    assert head.startswith("# python train.py "), "a recipe begins with its command"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model", "losses", "--batch_size", "0"],
            "--batch_size (--data.batch_size) is no option of --data outcomes",
        ),
        (["--model", "cnn", "--model.widht", "3"], "no option '--model.widht', did you mean '--model.width"),
        (
            ["--model", "cnn", "--trainer.max_epoch", "3"],
            "no option '--trainer.max_epoch', did you mean '--trainer.max_epochs'",
        ),
        (["--model", "cnn", "--lr", "big"], "--lr (--model.lr): expected a number or auto, got 'big'"),
        (["--model", "cnn", "--lr", "-1"], "--model.lr must be between 0 and 1,000, got -1.0"),
        (["--model", "cnn", "--epochs", "0"], "--epochs (--trainer.max_epochs): expected a whole number from 1, got 0"),
        (["--model", "cnn", "--batch_size", "0"], "--data.batch_size must be at least 1, got 0"),
        (
            ["--model", "cnn", "--seed", "-3"],
            "--seed (--seed_everything): expected a whole number from 0 to 4294967295, got -3",
        ),
        (
            ["--model", "cnn", "--seed", "4294967296"],
            "--seed (--seed_everything): expected a whole number from 0 to 4294967295, got 429",
        ),
        (["--model", "cnn", "--lr", "nan"], "--lr (--model.lr): expected a finite number, got 'nan'"),
        (
            ["--model", "cnn", "--epochs", "1.5"],
            "--epochs (--trainer.max_epochs): expected a whole number from 1, got '1.5'",
        ),
        (
            ["--model", "cnn", "--epochs", "none"],
            "--epochs (--trainer.max_epochs): expected a whole number from 1, got",
        ),
        (
            ["--model", "cnn", "--trainer.min_epochs", "x"],
            "--trainer.min_epochs: expected a whole number from 0 to the",
        ),
        (
            ["--model", "cnn", "--model.widths", "32,64"],
            "--model.widths: expected a list such as [32, 64], got '32,64'",
        ),
        (["--model", "cnn", "--model.widths", "[0]"], "--model.widths must be at least 1, one for each stage, got [0]"),
        (["--model", "cnn", "--model.patch", "0"], "--model.patch must be at least 1, got 0"),
        (["--model", "cnn", "--seed", "1e3"], "--seed (--seed_everything): expected a whole number, got '1e3'"),
        (["--model", "cnn", "--data.csv", "x.csv"], "--data.csv belongs to pictures of your own: --data FOLDER, or"),
        (
            ["--model", "face", "--data", "digits"],
            "--model face cannot learn from --data digits, which does not say ",
        ),
        (["--model", "cnn", "--data", "mnist", "--data.root", __file__], "--data.root must be the folder that holds"),
        (
            ["--model", "cnn", "--data", ".", "--model.backbone", "resnt18"],
            "--model.backbone 'resnt18' is no network of torchvision, did you mean",
        ),
        (
            ["--model", "cnn", "--data", ".", "--model.weights", "defualt"],
            "no weights 'defualt', did you mean 'default'?",
        ),
        (
            ["--model", "cnn", "--data", ".", "--data.split_seed", "-1"],
            "--data.split_seed must be 0 or more, got -1",
        ),
        (["--model", "cnn", "--data", ".", "--data.seed", "-1"], "--data.seed must be at least 0, got -1"),
        (
            ["--model", "cnn", "--data", ".", "--data.num_workers", "-1"],
            "--data.num_workers must be at least 0, got -1",
        ),
        (
            ["--model", "cnn", "--trainer.gradient_clip_algorithm", "norm"],
            "--trainer.gradient_clip_algorithm is without effect: it needs --trainer.gradient_clip_val",
        ),
        (
            ["--model", "cnn", "--trainer.gradient_clip_algorithm", "x", "--trainer.gradient_clip_val", "1"],
            "trainer options: `gradient_clip_algorithm` x is",
        ),
        (
            ["--model", "mlp", "--trainer.limit_test_batches", "0.5"],
            "--trainer.limit_test_batches 0.5: not one of the 1 batches of the test",
        ),
        (["--model", "cnn", "--report", "long"], "--report: expected full, brief, none, got 'long'"),
        (["--model", "cnn", "--model.class_names", "[a,b]"], "no option '--model.class_names'"),
        (["--model", "cnn", "--model.widths", "[2,2,2,2]"], "4 stages are too many for pictures of 8×8"),
        (
            ["--model", "cnn", "--device", "tpu"],
            "--device (--trainer.accelerator): expected auto, cpu, cuda, gpu, mps, got 'tpu'",
        ),
        (["--resume", "nowhere"], "no run at nowhere"),
        (["--model", "cnn", "--data", "x" * 5000], "a path is too long: xxx"),
        (
            ["--model", "cnn", "--model.widths", "[1000000000000]"],
            "out of memory, 36000000000000 bytes were asked for: a smaller model",
        ),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(words, message, tmp_path / "runs", capsys)
    assert not (tmp_path / "runs").exists(), "nothing is left of a run that could not start"


def test_a_wrong_type_in_a_file_names_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {patch: deep}\n")
    assert train.main(["--model", "cnn", "-c", str(file)]) == 2
    assert capsys.readouterr().err == f"train.py: {file}: model.patch: expected a whole number, got 'deep'\n"


def test_what_is_allowed_but_hardly_meant_gets_a_note(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--model", "cnn", "--epochs", "1", "--lr", "0", "--batch_size", "5000", "--root", str(tmp_path), *QUICK]
    assert train.main([*words, "--early_stopping.patience", "1"]) == 0
    said = capsys.readouterr().err
    assert "note: --lr 0 changes no weight" in said
    assert "note: --batch_size 5000 is more than there is to train on (1,293)" in said
    assert "note: --early_stopping.patience 1: within 1 epoch nothing can stop the run, only the best" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_gpu_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--model", "cnn", "--device", "cuda"]) == 2
    assert "sees no CUDA device; use --device cpu or auto" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 96000 bytes."),
         ", 96000 bytes were"),
        (MemoryError(), ": a smaller"),
    ],
)  # fmt: skip
def test_no_memory_left_in_the_middle_of_a_run_is_one_line_and_status_1(
    error: Exception, asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def training_step(*_: Any) -> None:
        raise error

    monkeypatch.setattr(load_class(MODELS["losses"]), "training_step", training_step)
    assert train.main(["--model", "losses", *QUICK, "--epochs", "1", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("train.py: out of memory" + asked)
    assert said.count("\n") == 1


def test_commands_that_are_printed_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my 'first' runs"
    quick = ["--epochs", "1", "--device", "cpu", "--report", "none", "--trainer.limit_train_batches", "2"]
    assert train.main(["--model", "cnn", "--root", str(root), *quick]) == 0
    (run,) = root.glob("*/*")
    best = run / "checkpoints/best.ckpt"
    due = ["python", "predict.py", str(best), "PICTURE_OR_FOLDER", "--out", "predictions.csv"]
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line)[1:] for line in lines if line.startswith("use ")] == [due]
    watch = [shlex.split(line)[1:] for line in lines if line.startswith("watch ")]
    assert watch == [["tensorboard", "--logdir", str(root)]] * 2
    card = (run / "MODEL_CARD.md").read_text().splitlines()
    assert [shlex.split(line) for line in card if line.startswith("python predict.py")] == [due]
    (run / "metrics.json").unlink()
    assert shlex.split(way_on(RunFolder(run))) == ["python", "train.py", "--resume", str(run), "goes", "on"]
