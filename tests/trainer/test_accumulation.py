"""Steps of several batches are announced as they are, also where an epoch has fewer batches."""

from pathlib import Path

import pytest
import torch

import train
from tests.runs import only_run, weights

WORDS = ["--model", "cnn", "--epochs", "1", "--device", "cpu", "--report", "none", "--batch_size", "64"]
WORDS += ["--model.widths", "[2]", "--model.warmup", "0"]


@pytest.mark.parametrize(
    ("together", "said", "noted"),
    [
        ("64", "64 × 64 batches a step, all 1,293 samples of an epoch", "the last step of each epoch is of 21, and "
         "its gradient counts 21/64"),
        ("4", "64 × 4 batches a step = 256 samples", "each epoch is of 1, and its gradient counts 1/4"),
        ("7", "64 × 7 batches a step = 448 samples", ""),
    ],
)  # fmt: skip
def test_a_step_of_several_batches_says_what_it_sees(
    together: str, said: str, noted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*WORDS, "--trainer.accumulate_grad_batches", together, "--root", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert f"batch   {said}" in captured.out.splitlines()
    assert noted in captured.err
    assert ("no multiple of" in captured.err) == bool(noted)


def test_the_gradient_of_an_incomplete_step_counts_less(tmp_path: Path) -> None:
    """One batch of two: half of the gradient, as the note says."""
    ended = []
    for lr, together in (("0", "1"), ("0.1", "1"), ("0.1", "2")):
        root = tmp_path / f"{lr}-{together}"
        plain = ["--model.momentum", "0", "--model.weight_decay", "0", "--trainer.limit_train_batches", "1", "--lr", lr]
        assert train.main([*WORDS, *plain, "--trainer.accumulate_grad_batches", together, "--root", str(root)]) == 0
        ended.append(weights(only_run(root)))
    for name in (name for name in ended[0] if name.endswith(("weight", "bias"))):
        start, whole, half = (each[name] for each in ended)
        assert not torch.equal(start, whole), name
        assert torch.allclose(2 * (half - start), whole - start, rtol=1e-3, atol=1e-6), name
