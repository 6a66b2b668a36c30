"""What the fitted head did before the body learnt stands beside the result, and a warning where that was better."""

from math import comb
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.classification.evaluation import Outcome
from models.classification.head_alone import HeadAlone
from tests.models.small_folder import metrics, stop_after, words
from tests.runs import only_run


def outcome(wrong: list[int], judged: int) -> Outcome:
    labels = torch.zeros(judged, dtype=torch.int64)
    logits = torch.tensor([1.0, 0.0]).repeat(judged, 1)
    logits[wrong] = torch.tensor([0.0, 1.0])
    return Outcome(torch.zeros(judged, 1, 2, 2), labels, torch.zeros(judged, 3), logits, ["a", "b"])


def test_the_outcome_is_counted() -> None:
    found = HeadAlone.of(outcome([2], 4))
    wrong, right = torch.tensor([1.0, 0.0]).log_softmax(0).neg().flip(0).tolist()
    assert found[:2] == ([2], 4)
    assert found.right == 3
    assert found.loss == pytest.approx((3 * right + wrong) / 4)
    assert found.metrics() == {"head/val_accuracy": 0.75, "head/val_loss": found.loss}


@pytest.mark.parametrize(
    ("before", "after"),
    [([], []), ([], [0]), ([0, 1], [2]), ([5], range(9)), (range(7), range(5, 20)), ([], range(40))],
)
def test_the_chance_of_harm_counts_pictures_that_only_one_gets_right(before: Any, after: Any) -> None:
    lost, total = len({*after} - {*before}), len({*after} ^ {*before})
    due = sum(comb(total, count) for count in range(lost, total + 1)) / 2**total
    assert HeadAlone([*before], 50, 0.1).chance_of_harm(outcome([*after], 50)) == pytest.approx(due)


@pytest.mark.parametrize(
    ("judged", "before", "after", "warns"),
    [
        (4, 0, 1, False),
        (1000, 0, 1, False),
        (153, 0, 5, False),
        (153, 0, 6, True),
        (60, 1, 27, True),
        (60, 27, 1, False),
    ],
)
def test_harm_beyond_chance_is_a_warning(judged: int, before: int, after: int, warns: bool) -> None:
    """One in 2^6 is the chance of six mistakes that are all new; of five it is one in 32."""
    head, now = HeadAlone([*range(before)], judged, 0.1), outcome([*range(after)], judged)
    lines = head.findings(now, mirrors=False)
    shares = [100 * (judged - wrong) / judged for wrong in (before, after)]
    assert lines[0] == (
        "head alone",
        f"{shares[0]:.2f} % of the validation pictures ({judged - before} of {judged}) before the body learnt, "
        f"{shares[1]:.2f} % ({judged - after}) after it",
    )
    assert [label for label, _ in lines[1:]] == ["warning"] * warns
    if warns:
        assert "--model.tune head keeps the head" in lines[1][1]
        assert "flip" not in lines[1][1]
        assert "--data.flip 0" in head.findings(now, mirrors=True)[1][1]


def test_the_head_alone_is_that_of_a_run_that_trains_nothing_else(
    pictures: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = ["--trainer.precision", "32-true"]
    assert train.main(words(pictures, tmp_path / "head", "--model.tune", "head", *exact)) == 0
    assert train.main(words(pictures, tmp_path / "all", *exact, epochs=2)) == 0
    head, whole = metrics(tmp_path / "head"), metrics(tmp_path / "all")
    assert whole["head/val_accuracy"] == pytest.approx(head["val/accuracy"])
    assert whole["head/val_loss"] == pytest.approx(head["val/loss"], rel=1e-3)
    assert "head/val_accuracy" not in head
    capsys.readouterr()
    with monkeypatch.context() as patch:
        stop_after(patch, 1, 0)
        assert train.main(words(pictures, tmp_path / "cut", *exact, epochs=2)) == 143
    assert train.main(["--resume", str(only_run(tmp_path / "cut"))]) == 0
    assert metrics(tmp_path / "cut")["head/val_loss"] == whole["head/val_loss"]
    assert "\nhead alone " in capsys.readouterr().out
