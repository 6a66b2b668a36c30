"""The nearest neighbour on pixels stands beside each classifier, however its training saw the pictures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import train
from data.folder import Folder
from models.training_pictures import few_training_pictures, training_set
from tests.models.small_folder import metrics, words
from theory.neighbours import nearest_neighbour


@pytest.mark.parametrize(
    "more", [["--data.aug", "none"], ["--data.aug", "light"], ["--model.tune", "head"], ["--data.balance", "sampler"]]
)
def test_the_baseline_needs_no_training(pictures: Path, tmp_path: Path, more: list[str], capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path / "runs", *more, epochs=1)) == 0
    data = Folder(str(pictures), image_size=32, cache_dir=str(tmp_path / "cache"))
    train_pixels, val_pixels = (data.plain(part).flatten(1) for part in ("train", "val"))
    guesses = nearest_neighbour(val_pixels.float(), train_pixels, data.labels("train"))
    due = float((guesses == data.labels("val")).double().mean())
    assert metrics(tmp_path / "runs")["theory/nearest_neighbour_accuracy"] == pytest.approx(due)
    assert f"nearest neighbour on pixels {100 * due:.2f} %" in capsys.readouterr().out


def test_many_pictures_are_not_prepared() -> None:
    asked: list[str] = []
    labels = torch.arange(5) % 2

    def plain(part: str) -> torch.Tensor:
        asked.append(part)
        return torch.zeros(5, 1, 2, 2, dtype=torch.uint8)

    data = SimpleNamespace(plain=plain, labels=lambda part: labels)
    loader = SimpleNamespace(images=torch.arange(5))  # numbers, not pictures
    assert few_training_pictures(data, loader, 4) is None
    assert not asked
    found = few_training_pictures(data, loader, 5)
    assert found is not None
    assert found[0].shape == (5, 1, 2, 2)
    assert torch.equal(training_set(data, loader)[2], torch.arange(5))


def test_a_file_that_changed_during_the_training_costs_the_baseline_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def plain(part: str) -> torch.Tensor:
        raise ValueError("a.png was changed")

    data = SimpleNamespace(plain=plain, labels=lambda part: torch.zeros(1))
    assert few_training_pictures(data, None, 5) is None
    assert "no nearest neighbour on pixels: a.png was changed" in capsys.readouterr().err
    assert few_training_pictures(None, SimpleNamespace(), 5) is None  # a loader of another kind
