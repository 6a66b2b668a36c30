"""Training on the pictures that are hard (`data.focus`): what the task tells the loader, and who refuses it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.classification.targets import focused_cross_entropy, smoothed_cross_entropy
from models.cnn import CNNTask
from tests.models.resuming import assert_equal_runs
from tests.refusals import refused
from tests.runs import only_run

WORDS = ["--model", "cnn", "--data.focus", "0.2", "--epochs", "7", "--device", "cpu", "--report", "none"]


class Listener:
    """A loader that weighs as it was told, and keeps what it is told."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.last_weights, self.errors = weights, torch.zeros(0)

    def learn(self, errors: torch.Tensor) -> None:
        self.errors = errors


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_weighed_and_the_errors_are_its_gradients_in_the_logits(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    equal, listener = Listener(torch.ones(6)), Listener(torch.tensor([3.0, 0, 0, 0, 0, 0]))
    plain = focused_cross_entropy(logits, labels, smoothing, equal)
    assert torch.allclose(plain, smoothed_cross_entropy(logits, labels, smoothing, None))
    first = focused_cross_entropy(logits, labels, smoothing, listener)
    assert torch.allclose(first, smoothed_cross_entropy(logits[:1], labels[:1], smoothing, None) / 2)
    (gradient,) = torch.autograd.grad(plain * 6, logits)
    assert torch.allclose(equal.errors, gradient.norm(dim=1), atol=1e-6)
    assert not equal.errors.requires_grad


@pytest.mark.parametrize("stop_at", [(0, 2), (6, 3)], ids=["before all are seen", "after"])
def test_a_stopped_run_goes_on_with_the_pictures_it_found_hard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: tuple[int, int]
) -> None:
    assert train.main([*WORDS, "--root", str(tmp_path / "whole")]) == 0
    step = CNNTask.training_step

    def stopping(self: CNNTask, batch: Any, batch_idx: int) -> torch.Tensor:
        if (self.current_epoch, batch_idx) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(CNNTask, "training_step", stopping)
        assert train.main([*WORDS, "--root", str(tmp_path / "parts")]) == 143
    parts = only_run(tmp_path / "parts")
    assert train.main(["--resume", str(parts)]) == 0
    assert_equal_runs(only_run(tmp_path / "whole"), parts)


def test_hard_pictures_are_shown_more_often_than_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hardness = []
    step = CNNTask.training_step

    def listening(self: CNNTask, batch: Any, batch_idx: int) -> torch.Tensor:
        loader: Any = self.trainer.train_dataloader
        if self.current_epoch == 6:
            hardness.append((loader.hardness[loader.last_indices].mean(), loader.hardness.mean()))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CNNTask, "training_step", listening)
    assert train.main([*WORDS, "--root", str(tmp_path)]) == 0
    shown, all_of_them = torch.tensor(hardness).mean(0)
    assert shown > 1.5 * all_of_them


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model", "autoencoder", "--data.focus", "0.5"],
            "--data.focus: only --model cnn with a network of its own tells which",
        ),
        (
            ["--model", "cnn", "--model.backbone", "resnet18", "--model.weights", "none", "--data.focus", "0.5"],
            "--data.focus: only --model cnn with a network of its own tells which",
        ),
        (["--model", "cnn", "--data.focus", "0"], "--data.focus must be above 0 and at most 1, got 0"),
        (["--model", "cnn", "--data.focus", "1.5"], "--data.focus must be above 0 and at most 1, got 1.5"),
        (
            ["--model", "cnn", "--data.focus", "0.5", "--trainer.overfit_batches", "2"],
            "--data.focus: of no use where --trainer.overfit_batches wants the same pictures in every epoch",
        ),
    ],
)
def test_what_cannot_be_focused_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(words, message, tmp_path / "runs", capsys)
