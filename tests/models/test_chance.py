"""What a classifier reaches without a look at its pictures, and what its run says where classes are not equal."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score, log_loss

import train
from models.classification.chance import chance
from models.classification.evaluation import Outcome
from models.classification.findings import Summary
from models.cnn import CNNTask
from tests.events import events_of_run, overview_of, steps_that_do_not_rise
from tests.models.small_folder import make_pictures, words
from tests.runs import metrics_of, only_run


def judged(labels: list[int], guesses: list[int], names: str = "abc") -> Outcome:
    logits = 2 * torch.nn.functional.one_hot(torch.tensor(guesses), len(names)).float()
    return Outcome(torch.zeros(len(labels), 1, 1, 1), torch.tensor(labels), logits, logits, list(names))


def test_it_is_what_scikit_learns_constant_answers_reach() -> None:
    labels = np.array([2] * 70 + [0] * 20 + [1] * 10)
    pixels = np.zeros((100, 1))
    found = chance(torch.from_numpy(labels), 3)
    assert found.commonest == 2
    assert found.accuracy == DummyClassifier(strategy="most_frequent").fit(pixels, labels).score(pixels, labels)
    prior = DummyClassifier(strategy="prior").fit(pixels, labels).predict_proba(pixels)
    assert found.loss == pytest.approx(log_loss(labels, prior)) == pytest.approx(entropy([0.7, 0.2, 0.1]))


@pytest.mark.parametrize(
    ("counts", "unequal"),
    [
        ([50, 50], False),
        ([3, 2], False),  # one picture apart, as a split may be
        ([51, 49], False),
        ([5, 3], True),  # two pictures apart, of few
        ([60, 40], True),
        ([36, 36, 37, 35, 36, 36, 36, 36, 35, 37], False),  # the digits' test pictures
        ([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], False),  # those of MNIST
        ([100] * 9 + [20], True),  # 10.9 % instead of 10 %, but a rare class
        ([40, 0], True),
        ([1, 0], True),
        ([], False),
    ],
)
def test_only_classes_that_are_not_about_equal_have_another_chance(counts: list[int], unequal: bool) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts, dtype=torch.long))
    num_classes = len(counts) or 4
    found = chance(labels, num_classes)
    assert (found.commonest is not None) == unequal
    if not unequal:
        assert found == (1 / num_classes, math.log(num_classes), None) == chance(None, num_classes)


def test_balanced_accuracy_is_that_of_scikit_learn_and_said_of_unequal_classes_alone() -> None:
    labels, guesses = [0] * 30 + [1] * 6 + [2] * 4, [0] * 28 + [1] * 2 + [1] * 3 + [0] * 3 + [0] * 4
    outcome = judged(labels, guesses)
    assert outcome.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, guesses))
    assert outcome.metrics("val")["val/balanced_accuracy"] == outcome.balanced_accuracy
    assert "val/balanced_accuracy" not in judged([0, 1, 2] * 9, [0, 1, 1] * 9).metrics("val")


def test_the_result_stands_beside_the_commonest_class() -> None:
    outcome = judged([0] * 36 + [1] * 4, [0] * 40, "ab")
    summary = Summary(outcome, None, [], None, balance="none")
    lines, figures = dict(summary.findings()), summary.metrics()
    assert lines["beside it"] == "the commonest class alone 90.0 % (a)"
    assert lines["balanced accuracy"] == "50.00 %, the mean recall of 2 classes; one answer to all pictures has 50.0 %"
    assert lines["loss"].endswith("have 0.325")
    assert lines["warning"] == (
        "by its accuracy no better than always answering a; --data.balance loss or sampler lets all classes count alike"
    )
    assert figures["theory/chance_accuracy"] == 0.9
    assert figures["theory/chance_loss"] == pytest.approx(entropy([0.9, 0.1]))
    assert figures["gap/loss_over_chance"] == pytest.approx(float(outcome.losses().mean()) / entropy([0.9, 0.1]))


def test_the_warning_names_only_an_option_that_helps_and_ends_where_the_interval_is_above() -> None:
    poor = judged([0] * 36 + [1] * 4, [0] * 40, "ab")
    some = judged([0] * 36 + [1] * 4, [0] * 32 + [1] * 8, "ab")
    for outcome, balance, end in (
        (poor, None, "answering a"),
        (poor, "loss", "always answering a; --data.balance loss gave the rare classes nothing for it"),
        (some, "sampler", "always answering a; --data.balance sampler gave the rare classes more for it"),
    ):
        assert dict(Summary(outcome, None, [], None, balance=balance).findings())["warning"].endswith(end)
    good = judged([0] * 360 + [1] * 40, [0] * 360 + [1] * 39 + [0], "ab")
    assert "warning" not in dict(Summary(good, None, [], None).findings())


def test_a_perfect_classifier_of_few_pictures_is_not_called_useless() -> None:
    all_right = dict(
        Summary(judged([0] * 18 + [1] * 2, [0] * 18 + [1] * 2, "ab"), None, [], None, balance="none").findings()
    )
    assert all_right["warning"] == "too few pictures to tell its accuracy from that of always answering a"


def test_of_one_class_only_that_is_said() -> None:
    outcome = judged([0] * 9, [0] * 9, "ab")
    lines = dict(Summary(outcome, None, [], None, balance="none").findings())
    assert lines["warning"] == "all judged pictures are of one class, a: they tell nothing"
    assert not {"balanced accuracy", "loss"} & lines.keys()
    assert str(outcome.chance.loss) == "0.0"


def test_nothing_is_said_of_equal_classes() -> None:
    lines = dict(Summary(judged([0, 1] * 20, [0, 0] * 20, "ab"), None, [], None, balance="none").findings())
    assert lines["beside it"] == "chance 50.0 %"
    assert not {"balanced accuracy", "loss", "warning"} & lines.keys()


def test_pictures_of_one_class_alone_have_no_gap() -> None:
    figures = Summary(judged([0] * 9, [0] * 8 + [1], "ab"), None, [], None).metrics()
    assert figures["theory/chance_loss"] == 0
    assert "gap/loss_over_chance" not in figures


def test_report_card_and_tensorboard_of_a_run_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = make_pictures(tmp_path / "pictures", {"train": (12, 3), "val": (8, 2)})
    assert train.main(words(pictures, tmp_path / "runs", epochs=2)) == 0
    run = only_run(tmp_path / "runs")
    figures, events = metrics_of(run), events_of_run(run)
    said = "the commonest class alone 80.0 % (blue)"
    assert said in capsys.readouterr().out
    for page in ("report.md", "MODEL_CARD.md"):
        assert said in (run / page).read_text(encoding="utf-8")
    assert figures["theory/chance_accuracy"] == 0.8
    for tag in ("theory/chance_accuracy", "theory/chance_loss"):
        line = [event.value for event in events.Scalars(tag)]
        assert line == pytest.approx([figures[tag]] * len(line), rel=1e-6)
        assert len(line) >= 3
    charts = overview_of(events)
    assert "val/balanced_accuracy$" in charts["accuracy (cnn)"]
    assert events.Scalars("val/balanced_accuracy")[-1].value == pytest.approx(figures["val/balanced_accuracy"])
    assert not steps_that_do_not_rise(events)


def test_a_blown_up_run_that_names_the_commonest_class_alone_has_failed() -> None:
    task = CNNTask(["a", "b"], 1, [8, 8], [0.5], [0.5])
    task.train_results = [(4.0, 900.0, 1000.0), (1.0, 900.0, 1000.0)]
    labels = torch.arange(1000) % 10 == 0
    for of_the_loader, fails in ((labels.long(), True), (torch.arange(1000) % 2, False)):
        task._trainer = SimpleNamespace(train_dataloader=SimpleNamespace(labels=of_the_loader))  # type: ignore[assignment]
        assert bool(task.failure) == fails
