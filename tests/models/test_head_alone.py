"""What the fitted head did before the body learnt stands beside the result, and a warning where that was better."""

from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.classification.evaluation import Outcome
from models.classification.head_alone import HeadAlone
from tests.models.small_folder import metrics, stop_after, words
from tests.runs import only_run


def outcome(right: int, judged: int) -> Outcome:
    labels = torch.zeros(judged, dtype=torch.int64)
    logits = torch.tensor([[1.0, 0.0]] * right + [[0.0, 1.0]] * (judged - right))
    return Outcome(torch.zeros(judged, 1, 2, 2), labels, torch.zeros(judged, 3), logits, ["a", "b"])


def test_the_outcome_is_counted() -> None:
    found = HeadAlone.of(outcome(3, 4))
    wrong, right = torch.tensor([1.0, 0.0]).log_softmax(0).neg().flip(0).tolist()
    assert found[:2] == (3, 4)
    assert found.loss == pytest.approx((3 * right + wrong) / 4)
    assert found.metrics() == {"head/val_accuracy": 0.75, "head/val_loss": found.loss}


@pytest.mark.parametrize(("right", "warns"), [(33, True), (52, True), (53, False), (60, False)])
def test_harm_beyond_chance_is_a_warning(right: int, warns: bool) -> None:
    """Wilson's interval of 52 of 60 ends at 93.1 %, that of 53 at 94.6 %; 56 of 60 are 93.3 %."""
    lines = HeadAlone(56, 60, 0.1).findings(outcome(right, 60), mirrors=False)
    share = 100 * right / 60
    assert lines[0] == (
        "head alone",
        f"93.33 % of the validation pictures (56 of 60) before the body learnt, {share:.2f} % ({right}) after it",
    )
    assert [label for label, _ in lines[1:]] == ["warning"] * warns
    if warns:
        assert "--model.tune head keeps the head" in lines[1][1]
        assert "flip" not in lines[1][1]
        mirrored = HeadAlone(56, 60, 0.1).findings(outcome(right, 60), mirrors=True)
        assert "--data.flip 0" in mirrored[1][1]


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
