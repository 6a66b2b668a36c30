"""What a run shows and says of pictures that are mixed for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import train
from dashboard.classification import batch_figure
from models.cnn import CNNTask
from models.finetune.mixing import described
from tests.models.small_folder import words
from tests.runs import only_run


def test_the_batch_that_is_shown_is_the_one_that_training_saw(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Tensor, Tensor]] = []
    keep = CNNTask.keep_mixed

    def keeping(task: CNNTask, x: Tensor, targets: Tensor) -> None:
        state = torch.get_rng_state()
        keep(task, x, targets)
        assert torch.equal(torch.get_rng_state(), state), "the same seed gives the same weights"
        seen.append((task, x.clone(), targets))

    monkeypatch.setattr(CNNTask, "keep_mixed", keeping)
    mixed = ("--model.mixup", "1", "--model.label_smoothing", "0.2", "--trainer.precision", "32-true")
    assert train.main(words(pictures, tmp_path, *mixed, epochs=2)) == 0
    task, x, targets = seen[0]
    images, shares = task.first_batch
    assert len(seen) > 1
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert torch.allclose(task.normalise(images), x, atol=1e-5)
    assert torch.allclose(0.8 * shares + 0.1, targets)
    assert shares.amin() < 0.99 < shares.sum(1).amin(), "of two classes"
    for page in ("report.md", "MODEL_CARD.md"):
        assert "| augmentation | light; mixup (alpha 1), not in the last epoch |" in (
            only_run(tmp_path) / page
        ).read_text(encoding="utf-8")


def test_nothing_is_said_where_nothing_is_mixed(pictures: Path, tmp_path: Path) -> None:
    assert train.main(words(pictures, tmp_path, epochs=1)) == 0
    assert "| augmentation | light |" in (only_run(tmp_path) / "report.md").read_text(encoding="utf-8")


def test_the_choice_is_named_with_its_alpha() -> None:
    assert described(0, 0, 1) == ""
    assert described(0.2, 0, 0) == "mixup (alpha 0.2)"
    assert described(0.2, 1.0, 3) == "mixup (alpha 0.2) or CutMix (alpha 1), not in the last 3 epochs"


def test_a_mixed_picture_is_named_by_both_classes_the_larger_share_first() -> None:
    shares = np.array([[0.3, 0.7, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5]])
    figure = batch_figure(np.zeros((3, 1, 8, 8)), shares, ["cat", "dog", "eel"])
    captions = [text.get_text() for text in figure.axes[0].texts]
    assert captions == ["70 % dog\n30 % cat", "eel", "50 % cat\n50 % eel"]
    assert figure.get_suptitle().startswith("batch of 3 mixed training pictures 1×8×8: mean 0.000")
