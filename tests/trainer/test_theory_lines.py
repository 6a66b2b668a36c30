"""Theory beside the measurement: constants from before the first step to the last epoch, also through a resume."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.conftest import Trained
from tests.events import events_of_run, overview_of
from tests.trainer.small import SmallData, SmallTask, new_run, small_trainer
from train import main
from trainer import build
from trainer.fit.resume import logged_step
from trainer.run.announcement import layout
from trainer.safe_file import load_checkpoint

OVERVIEW = {"loss": {"theory/chance_loss": 1.1}, "own": {"theory/own": None}}


class Taught(SmallTask):
    overview = OVERVIEW


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events_of_run(folder).Scalars(tag)]


def test_a_line_goes_from_before_training_to_the_last_epoch_and_on_after_a_resume(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    charts = layout("val/loss", OVERVIEW)
    build.fit(small_trainer(run, 2, layout=charts), Taught(), SmallData())
    step = logged_step(load_checkpoint(run.last))
    build.fit(small_trainer(run, 3, layout=charts, resume_step=step), Taught(), SmallData(), run.last)
    line = points(run.path, "theory/chance_loss")
    assert [step for step, _ in line] == [-1, 7, 15, 23]
    assert [value for _, value in line] == pytest.approx([1.1] * 4)
    overview = overview_of(events_of_run(run.path))
    assert overview["loss"] == ["train/loss$", "val/loss$", "theory/chance_loss$"]
    assert "own" not in overview, "it is not logged: TensorBoard would mark it as missing"
    assert "learning rate" not in overview
    assert "theory/chance_loss" in run.history.read_text().partition("\n")[0]


def test_a_classifier_shows_chance_and_how_far_its_classes_stood_apart_at_the_start(trained: Trained) -> None:
    events = events_of_run(trained.folder)
    overview = overview_of(events)
    assert overview["loss (cnn)"] == ["train/loss$", "val/loss$", "theory/chance_loss$"]
    assert overview["accuracy (cnn)"] == ["train/accuracy$", "val/accuracy$", "theory/chance_accuracy$"]
    assert overview["neural distance (cnn)"] == ["val/neural_distance$", "theory/isometry_distance$"]
    assert overview["learning rate"] == ["lr/"]
    assert {"gradient norm", "samples per second"} <= overview.keys()
    distances = points(trained.folder, "val/neural_distance")
    assert [step for step, _ in distances] == [-1, 20, 41]
    assert distances[0][1] == pytest.approx(trained.metrics["neural_distance/start"], rel=1e-6)
    for tag, due in (("chance_loss", math.log(10)), ("chance_accuracy", 0.1), ("isometry_distance", 1.0)):
        line = points(trained.folder, f"theory/{tag}")
        assert len(line) >= 3
        assert [value for _, value in line] == pytest.approx([due] * len(line), rel=1e-6)


def test_a_published_record_is_beside_the_accuracy() -> None:
    from models.cnn import CNNTask

    facts = {"class_names": ["a", "b"], "in_channels": 1, "image_size": [8, 8], "mean": [0.5], "std": [0.2]}
    task = CNNTask(**facts, reference=[0.99, "a paper"])
    assert task.overview["accuracy"] == {
        "val/balanced_accuracy": None,  # logged where classes are unequal
        "theory/chance_accuracy": 0.5,
        "theory/best_published_accuracy": 0.99,
    }
    assert "theory/best_published_accuracy" not in CNNTask(**facts).overview["accuracy"]


def test_the_least_value_is_a_line_where_it_is_known_before_the_first_step() -> None:
    from models.gradient_descent import GradientDescentTask

    bowl = GradientDescentTask("2*x^2 + y^2 + 3", [2.0, -3.0])
    assert bowl.overview == {"loss": {"theory/value": pytest.approx(3)}}
    for formula in ("2*x^2 + 2*y + 4*x*y", "x^4 + y^2 - x*y"):  # a saddle; minima, but which one shows at the end
        assert GradientDescentTask(formula, [1.0, 1.0]).overview == {}


def test_an_accuracy_that_does_not_choose_the_weights_is_in_the_overview_too() -> None:
    from models.face import FaceTask
    from models.perceptron import PerceptronTask

    assert "val/accuracy" in PerceptronTask(2, "xor", [0.0, 1.0]).overview["accuracy"]
    for protocol, chance in (("identification", 0.25), ("verification", 0.5)):
        accuracy = FaceTask(["a", "b", "c", "d"], [64, 64], 1, protocol).overview["accuracy"]
        assert accuracy == {"train/accuracy": None, "val/accuracy": None, "theory/chance_accuracy": chance}


def test_what_is_easy_to_beat_stands_beside_the_measurement_on_the_same_pictures(tmp_path: Path) -> None:
    common = ["--epochs", "1", "--report", "none", "--device", "cpu"]
    due = {
        "rbm": ("log_likelihood", "val_log_likelihood_independent_pixels"),
        "autoencoder": ("loss", "val_pca_squared_error"),
    }
    for model, (chart, tag) in due.items():
        assert main(["--model", model, "--data", "digits", "--root", str(tmp_path / model), *common]) == 0
        (folder,) = (tmp_path / model).glob("*/*")
        assert f"theory/{tag}$" in overview_of(events_of_run(folder))[f"{chart} ({model})"]
        assert len(points(folder, f"theory/{tag}")) == 1
