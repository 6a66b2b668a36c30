"""What a classifier's run says of itself: which pictures its temperature is fitted on, and which it is judged on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.classification.evaluation import Outcome
from models.classification.explanation import how_chosen, pictures_to_explain
from models.classification.findings import Summary
from models.cnn import CNNTask
from theory.calibration import expected_calibration_error, fit_temperature


def drawn(temperature: float, seed: int, num: int = 2000) -> Outcome:
    """Logits of three classes and labels drawn from softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num, 3, generator=generator)
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator).squeeze(1)
    return Outcome(torch.zeros(num, 1, 1, 1), labels, logits, logits, ["a", "b", "c"])


def test_the_temperature_of_the_test_pictures_is_that_of_the_validation() -> None:
    test, validation = drawn(0.5, 0), drawn(2.0, 1)
    summary = Summary(test, validation, [], None)
    found = summary.metrics()
    assert found["test/temperature"] == fit_temperature(validation.logits, validation.labels)
    assert found["test/temperature"] == pytest.approx(2.0, rel=0.1)
    scaled = (test.logits / found["test/temperature"]).softmax(1)
    assert found["test/ece_after_temperature"] == expected_calibration_error(scaled, test.labels)
    before, after = summary.calibration()
    assert after is not None
    assert after > before, "these pictures wanted another one, and do not get it"


def test_without_validation_pictures_no_temperature_is_fitted() -> None:
    assert Summary(drawn(0.5, 0), None, [], None).temperature is None


def test_validation_pictures_without_a_mistake_leave_room_for_one() -> None:
    validation = drawn(1.0, 1, num=40)
    validation = replace(validation, labels=validation.logits.argmax(1))
    temperature = Summary(drawn(0.5, 0), validation, [], None).temperature
    assert temperature is not None
    unsure = 1 - (validation.logits / temperature).softmax(1).amax(1)
    assert 0.2 / 41 < float(unsure.mean()) < 1 / 41  # half a mistake among 41, were all margins alike


def test_without_test_pictures_the_judged_ones_fit_it_and_nothing_is_judged_after_it() -> None:
    judged = drawn(0.5, 0)
    summary = Summary(judged, drawn(2.0, 1), [], None, split="val")
    assert summary.temperature == fit_temperature(judged.logits, judged.labels)
    assert summary.calibration()[1] is None
    assert "val/ece_after_temperature" not in summary.metrics()


@pytest.mark.parametrize(("factor", "said"), [(-1.0, "the logits told nothing of those"), (1e-4, "do not tell it")])
def test_a_temperature_at_the_end_of_its_range_is_explained(factor: float, said: str) -> None:
    """Answers that are worse than chance want an endless one; logits that are right and hardly differ want none."""
    judged = drawn(1.0, 0)
    found = dict(Summary(replace(judged, logits=factor * judged.logits), None, [], None, split="val").findings())
    assert said in found["calibration"]


def test_a_pair_of_outcomes_is_summed_up_once() -> None:
    task = CNNTask(["a", "b", "c"], 1, [8, 8], [0.5], [0.5])
    assert task.summary() is None
    task.test = drawn(0.5, 0)
    first = task.summary()
    assert first is task.summary()
    task.validation = drawn(2.0, 1)
    second = task.summary()
    assert second is not None
    assert second.validation is task.validation, "not the sum of what was there before"
    assert second is task.summary()


def test_collapse_is_that_of_the_classes_that_have_pictures() -> None:
    """Three of four classes, each at one corner of a simplex: nothing is left to gain."""
    labels = torch.arange(30) % 3
    features, images = torch.eye(3)[labels], torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    outcome = Outcome(images, labels, features, torch.eye(4)[labels], ["a", "b", "c", "gone"])
    point = outcome.standing
    assert point is not None
    summary = Summary(outcome, None, [point], None)
    found = outcome.metrics("val") | summary.metrics()
    assert found["val/class_cosine_error"] == pytest.approx(0, abs=1e-6)
    assert found["theory/collapse_cosine"] == -1 / 2
    assert dict(summary.findings())["class-mean cosines"] == "-0.500 to -0.500 (all -0.500 at collapse)"


def test_errors_stand_over_those_of_the_nearest_neighbour() -> None:
    """Four test pictures: the nearest of two training pictures names two wrongly, the network one."""
    images = torch.tensor([0, 0, 255, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    labels, guesses = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 1, 1])
    logits = torch.eye(2)[guesses]
    train_pictures = (torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1), torch.tensor([0, 1]))
    found = Summary(
        Outcome(images, labels, logits, logits, ["a", "b"]), None, [], lambda most: train_pictures
    ).metrics()
    assert found["theory/nearest_neighbour_accuracy"] == 2 / 4
    assert found["gap/error_over_nearest_neighbour"] == 1 / 2


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_angles_between_two_class_means_are_not_told(num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % num_classes
    images, features = torch.rand(60, 1, 4, 4, generator=generator), torch.randn(60, 5, generator=generator)
    names = ["a", "b", "c"][:num_classes]
    outcome = Outcome(images, labels, features, torch.randn(60, num_classes, generator=generator), names)
    point = outcome.standing
    assert point is not None
    assert (point.highest_cosine == pytest.approx(-1)) == (num_classes == 2), "whatever the features are"
    summary = Summary(outcome, None, [point], None)
    found = outcome.metrics("val") | summary.metrics()
    assert "val/neural_distance" in found
    told = {"class-mean cosines": dict(summary.findings())} | dict.fromkeys(
        ("val/class_cosine_error", "theory/collapse_cosine"), found
    )
    for name, where in told.items():
        assert (name in where) == (num_classes > 2), name


@pytest.mark.parametrize(
    ("right", "wrong", "due"),
    [
        (5, 7, "all there are"),
        (20, 30, "those of 30 mistakes with the least probability of the truth"),
        (20, 12, "those of 12 mistakes with the least probability of the truth"),
        (20, 3, "all mistakes, then the least certain of 20 right answers"),
        (20, 0, "the least certain of 20 right answers"),
    ],
)
def test_the_pictures_explained_are_those_that_the_figure_names(right: int, wrong: int, due: str) -> None:
    labels = torch.zeros(right + wrong, dtype=torch.long)
    certainty = torch.linspace(0.1, 3, right + wrong)
    sign = torch.where(torch.arange(right + wrong) < right, 1.0, -1.0)
    logits = torch.stack([sign * certainty, torch.zeros(right + wrong)], 1)
    outcome = Outcome(torch.zeros(right + wrong, 1, 1, 1), labels, logits, logits, ["a", "b"])
    chosen = pictures_to_explain(outcome).tolist()
    assert how_chosen(outcome) == due
    most_wrong = list(range(right + wrong - 1, right - 1, -1))  # the surest of the wrong class first
    least_sure = list(range(right))
    assert chosen == (most_wrong + least_sure)[:12]
