"""Fine-tuning through the front door, on a folder of tiny pictures and an untrained backbone."""

import os
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import data.files.scan
import models.finetune.policy
import models.finetune.start
import train
from models.cnn import CNNTask
from models.finetune.lr_finder import run_trial
from tests.models.small_folder import BACKBONE, last, metrics, words
from tests.runs import only_run


def test_a_head_alone_leaves_the_body_as_it_was(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == 0
    captured = capsys.readouterr()
    assert "right when held out" in captured.err
    assert "validation accuracy" in captured.out
    assert "the validation pictures chose nothing" in captured.out
    checkpoint = last(tmp_path)
    torch.manual_seed(0)
    fresh = CNNTask(**checkpoint["hyper_parameters"]).network.state_dict()
    body = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items() if "body" in name}
    assert len(body) > 50
    running = [name for name in body if "running" in name or "num_batches" in name]
    assert running
    for name in running:
        assert torch.equal(body[name], fresh[name]), name
    assert not (only_run(tmp_path) / "checkpoints/best.ckpt").exists()
    assert checkpoint["global_step"] == 1


@pytest.mark.parametrize(("side", "warned"), [(32, True), (40, False)])
def test_features_that_are_the_same_for_all_pictures_are_told(
    tmp_path: Path, side: int, warned: bool, capsys: Any
) -> None:
    """EfficientNet-Lite0 sees 32 pixels as one place, where its last features of plain colours are 0."""
    for number in range(24):
        place = tmp_path / "plain" / ("red", "blue")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side), [(200, number, 0), (0, number, 200)][number % 2]).save(place)
    given = ["--model", "cnn", "--data", str(tmp_path / "plain"), "--data.image_size", str(side), "--device", "cpu"]
    assert train.main([*given, "--root", str(tmp_path / "runs"), "--report", "none"]) == 0
    said = "the frozen network gives all 20 pictures nearly the same features at 32×32 pixels"
    assert (said in capsys.readouterr().err) == warned


@pytest.mark.parametrize("hidden", ["cut off", "transparent"])
def test_pictures_that_are_the_same_when_prepared_are_told_apart_from_small_ones(
    tmp_path: Path, hidden: str, capsys: Any
) -> None:
    for number in range(24):
        place = tmp_path / "p" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGBA", (40, 40) if hidden == "transparent" else (400, 40), (255, 255, 255, 255))
        picture.paste((255, 255, 255, 0) if hidden == "transparent" else (0, 0, 0, 255), (0, 0, 1 + number, 9))
        picture.save(place)
    given = ["--model", "cnn", "--data", str(tmp_path / "p"), "--data.image_size", "40", "--device", "cpu"]
    assert train.main([*given, "--root", str(tmp_path / "runs"), "--report", "none"]) == 0
    said = capsys.readouterr().err
    (told,) = re.findall("warning: all 20 pictures are the same when they are prepared, pixel for pixel: (.*)", said)
    assert "--data.crop" in told
    assert "--data.background" in told
    assert "--data.image_size" not in said


@pytest.mark.parametrize(("tune", "times"), [("head", 1), ("all", 2)])
def test_a_head_alone_has_each_picture_decoded_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: str, times: int
) -> None:
    """A body that learns needs the training pictures larger too, to draw its views from."""
    read = Counter[str]()
    decode = data.files.scan.read_picture

    def counted(content: bytes, *, name: str, **options: Any) -> Any:
        read.update([Path(name).parts[-3]])
        return decode(content, name=name, **options)

    monkeypatch.setattr(data.files.scan, "read_picture", counted)
    given = words(pictures, tmp_path, "--model.tune", tune, epochs=1)
    given[given.index("--data.cache_dir") + 1] = str(tmp_path / "cache")
    assert train.main(given) == 0
    assert read == {"train": 20 * times, "val": 12}


@pytest.mark.parametrize("tune", ["head", "all"])
def test_test_pictures_taken_from_the_folder_are_tested(pictures: Path, tmp_path: Path, tune: str, capsys: Any) -> None:
    """They are decoded when they are tested, and nothing is in the cache."""
    more = ["--data.test_fraction", "0.3", "--data.val_fraction", "0.2", "--model.tune", tune]
    given = words(pictures / "train", tmp_path / "runs", *more, epochs=1)
    given[given.index("--data.cache_dir") + 1] = str(tmp_path / "cache")
    del given[given.index("--report") : given.index("--report") + 2]
    assert train.main(given) == 0
    assert "test/accuracy" in metrics(tmp_path / "runs")
    assert (only_run(tmp_path / "runs") / "figures/grad_cam.png").is_file()
    assert "could not be drawn" not in capsys.readouterr().err


def test_a_head_alone_separates_what_the_features_show(pictures: Path, tmp_path: Path) -> None:
    given = words(pictures, tmp_path, "--model.tune", "head", "--data.image_size", "64")
    place = given.index("--data.image_size")
    del given[place : place + 2]
    given[given.index(BACKBONE)] = "squeezenet1_1"
    assert train.main(given) == 0
    found = metrics(tmp_path)
    assert found["val/accuracy"] > 0.8


def test_a_time_limit_saves_reports_and_ends_well(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    limit = ["--trainer.max_time", "00:00:00:01"]
    assert train.main(words(pictures, tmp_path, *limit, epochs=10_000)) == 0
    assert (only_run(tmp_path) / "checkpoints/last.ckpt").stat().st_size > 0
    assert "validation accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_fit_of_a_head_at_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, capsys: Any
) -> None:
    """It may take minutes, and would not be kept."""

    def struck(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("the fit went on")

    monkeypatch.setattr(models.finetune.start, "fit_best_head", struck)
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == status
    assert capsys.readouterr().err.endswith("nothing had been trained yet\n")


def test_the_best_is_chosen_only_when_asked_and_then_it_is_said(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--early_stopping.patience", "1", epochs=2)) == 0
    assert "the validation pictures chose the weights too" in capsys.readouterr().out
    assert (only_run(tmp_path) / "checkpoints/best.ckpt").is_file()


def test_the_learning_rate_is_found_and_kept_and_its_curve_logged(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    curves: list[tuple[list[float], list[float]]] = []

    def watched(*given: Any) -> tuple[list[float], list[float]]:
        curves.append(run_trial(*given))
        return curves[0]

    monkeypatch.setattr(models.finetune.start, "run_trial", watched)
    assert train.main(words(pictures, tmp_path, "--lr", "auto", "--data.balance", "sampler", epochs=1)) == 0
    found = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lr ")]
    assert len(found) == 1
    rate = float(found[0].split()[1].rstrip(","))
    groups = last(tmp_path)["optimizer_states"][0]["param_groups"]
    assert groups[-1]["initial_lr"] == pytest.approx(rate, rel=0.06)
    assert groups[0]["initial_lr"] < groups[-1]["initial_lr"]
    assert not list(tmp_path.rglob("*lr_find*"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(only_run(tmp_path))).Reload()
    logged = [[point.value for point in log.Scalars(f"lr_find/{tag}")] for tag in ("lr", "loss")]
    assert logged == [pytest.approx(column, rel=1e-6) for column in curves[0]]
    assert f"found in {len(logged[0])} steps" in found[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.layer_decay", "0"], "layer_decay must be in (0, 1]"),
        (["--model.unfreeze_milestones", "[3, 1]"], "must increase"),
        (["--model.mixup", "-1"], "--model.mixup must be between 0"),
        (["--model.ema_decay", "1"], "--model.ema_decay must be between 0"),
        (["--model.backbone", "vit_b_16", "--model.tune", "all"], "reads pictures of 224×224 only"),
        (["--model.backbone", "cnn", "--lr", "auto"], "--model.lr auto needs a pretrained"),
        (["--model.mixup", "0.3", "--model.mix_off_epochs", "3"], "mix_off_epochs 3: in none of 3 epochs would pictur"),
        (["--model.mixup", "0.3", "--trainer.max_steps", "1"], "mix_off_epochs 1: in none of 1 epochs would pictures"),
        (["--model.freeze_epochs", "1", "--trainer.max_steps", "1"], "freeze_epochs 1: none of 1 epochs is left for"),
    ],
)
def test_wrong_options_end_with_one_line(
    pictures: Path, tmp_path: Path, options: list[str], message: str, capsys: Any
) -> None:
    given = words(pictures, tmp_path)
    if "--model.backbone" in options:
        for option in ("--model.backbone", "--model.tune", "--model.norm"):  # our own network has nothing to tune
            place = given.index(option)
            del given[place : place + 2]
    assert train.main([*given, *options]) == 2
    assert message in capsys.readouterr().err
    assert not tmp_path.exists() or not list(tmp_path.iterdir())


def running_means(folder: Path) -> dict[str, Tensor]:
    return {name: value for name, value in last(folder)["state_dict"].items() if name.endswith("running_mean")}


def test_statistics_come_with_weights_and_are_taken_from_batches_without(pictures: Path, tmp_path: Path) -> None:
    given = words(pictures, tmp_path / "first", "--model.norm", "auto", epochs=1)
    assert train.main(given) == 0
    first = running_means(tmp_path / "first")
    assert first
    assert all(value.any() for value in first.values())
    given[given.index("none")] = str(only_run(tmp_path / "first") / "checkpoints/last.ckpt")
    given[given.index("--root") + 1] = str(tmp_path / "second")
    assert train.main(given) == 0
    second = running_means(tmp_path / "second")
    assert first.keys() == second.keys()
    assert all(torch.equal(second[name], first[name]) for name in first)


def test_a_body_without_weights_learns_together_with_its_head(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    given = words(pictures, tmp_path, "--model.norm", "auto", epochs=1)
    given[given.index(BACKBONE)] = (
        "mobilenet_v3_small"  # whose features at the start are tiny, so a fitted head is huge
    )
    assert train.main(given) == 0
    captured = capsys.readouterr()
    assert "head    not fitted first" in captured.err
    assert "is better off with --model.layer_decay 1, --lr auto or 0.001" in captured.err
    loss = re.search(r"train/loss ([\d.e+-]+)", captured.out)
    assert loss is not None
    assert float(loss[1]) < 2


def test_fixed_statistics_stay_and_gains_learn(pictures: Path, tmp_path: Path) -> None:
    assert train.main(words(pictures, tmp_path, "--model.norm", "fixed", epochs=1)) == 0
    state = last(tmp_path)["state_dict"]
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    gains = [value for name, value in state.items() if name.endswith("bn1.weight") or name.endswith("1.weight")]
    assert means
    assert all(not value.any() for value in means)
    assert any(bool((value - 1).abs().max() > 0) for value in gains if value.ndim == 1)


def test_class_balance_in_the_loss_weighs_the_smaller_class(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    loss = models.finetune.policy.soft_cross_entropy

    def spied(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        seen.append(weights)
        return loss(logits, targets, weights)

    monkeypatch.setattr(models.finetune.policy, "soft_cross_entropy", spied)
    assert train.main(words(pictures, tmp_path, "--data.balance", "loss", epochs=1)) == 0
    assert seen
    for weights in seen:  # 12 blue pictures and 8 red ones: N / (K N_k)
        torch.testing.assert_close(weights, torch.tensor([20 / 24, 20 / 16]))
