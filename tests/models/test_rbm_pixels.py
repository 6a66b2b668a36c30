"""Which pixels a machine of binary units takes: those that are grey are drawn, and the seed and the record heed it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from data.batches.loader import TensorLoader
from models.energy.pictures import grey_in_training
from models.rbm import RBMTask
from tests.models.small_rbm import run
from train import main


def test_pixels_cut_at_one_half_are_not_set_beside_a_record_of_drawn_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "1", "--model.hidden", "4", "--model.record", "-20", "--model.record_source", "nobody"]
    metrics = run(tmp_path, *words, "--data.binarise", "threshold", "--report", "none")
    assert not [tag for tag in metrics if "published" in tag]
    out = capsys.readouterr().out
    assert "; pixels cut at 1/2)" in out
    assert "-20.00 nats (nobody) are of drawn pixels; these are cut at 1/2, so the two do not compare" in out
    assert "; here " not in out


def test_grey_pixels_are_drawn_once_for_the_judgement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = torch.full((2000, 1, 2, 3), 128, dtype=torch.uint8)
    task = RBMTask(in_channels=1, image_size=[2, 3])
    drawn = []
    for _ in range(2):
        task.on_test_epoch_start()
        drawn.append(torch.cat([task.binary(part) for part in grey.split(700)]))
    assert torch.equal(*drawn)
    assert set(drawn[0].unique().tolist()) == {0.0, 1.0}
    assert abs(float(drawn[0].mean()) - 128 / 255) < 4.5 * 0.5 / 12_000**0.5
    task.on_validation_epoch_start()
    assert not torch.equal(task.binary(grey), drawn[0])
    given = torch.randint(2, (4, 1, 2, 3), dtype=torch.uint8) * 255
    assert torch.equal(task.binary(given), given.flatten(1) / 255), "nothing is left to draw"
    metrics = run(tmp_path, "--data.binarise", "none", "--epochs", "2", "--model.hidden", "4", "--report", "none")
    # As the same pictures drawn by the data: -27.25 nats for independent pixels. The grey ones themselves give -34.
    assert metrics["theory/log_likelihood_independent_pixels"] == pytest.approx(-27.25, abs=0.5)
    assert "grey pixels drawn once, seed 0, those of training anew in each batch" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["validation", "test"])
def test_grey_pixels_are_drawn_with_the_seed_that_was_given(part: str) -> None:
    """The same ones in each epoch, so that epochs are compared on the same pictures."""
    grey = torch.full((2000, 1, 2, 3), 128, dtype=torch.uint8)
    drawn = []
    for task in [RBMTask(in_channels=1, image_size=[2, 3])] * 2 + [RBMTask(1, [2, 3], pixels_seed=1)]:
        getattr(task, f"on_{part}_epoch_start")()
        drawn.append(task.binary(grey))
    assert torch.equal(drawn[0], drawn[1])
    # Two independent draws of a fair coin differ in half of the 12,000 pixels.
    assert abs(float((drawn[1] != drawn[2]).double().mean()) - 0.5) < 4.5 * 0.5 / 12_000**0.5


def test_the_pixels_say_whether_they_are_drawn_not_the_words_about_them() -> None:
    """Pictures of 0 and 1 under any name are used as they are; grey ones under any name are drawn."""
    black_and_white, grey = torch.randint(2, (40, 1, 2, 3)).float(), torch.rand(40, 1, 2, 3)
    for words in ("grey pixels", "pixels cut at 1/2"):
        task = RBMTask(1, [2, 3], words)
        assert torch.equal(task.binary(black_and_white), black_and_white.flatten(1))
        assert set(task.binary(grey).unique().tolist()) == {0.0, 1.0}
        for pixels, drawn in ((black_and_white, False), (grey, True)):
            loader = TensorLoader(pixels, torch.zeros(40, dtype=torch.int64), 8)
            assert grey_in_training(loader, 0) == drawn
            assert loader.state_dict() == {"epoch": 0, "batch": 0}, "looking does not move the run"


def test_grey_pixels_after_a_first_batch_without_any_are_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RBMTask(1, [2, 3], hidden=4)
    task.count.fill_(1)
    seen: list[Tensor] = []

    def remember(rbm: Any, v: Tensor) -> None:
        seen.append(v)
        raise StopIteration

    monkeypatch.setattr(task.ascent, "gradient", remember)
    for pixels in (torch.ones(5, 1, 2, 3), torch.full((5, 1, 2, 3), 0.5)):
        with pytest.raises(StopIteration):
            task.training_step((pixels, torch.zeros(5)), 0)
    assert torch.equal(seen[0], torch.ones(5, 6))
    assert set(seen[1].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("model", ["rbm", "dbn"])
@pytest.mark.parametrize("scheme", ["threshold", "redraw"])
def test_a_seed_for_pixels_that_are_not_grey_is_refused(
    tmp_path: Path, model: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--data.binarise", scheme, "--model.pixels_seed", "7", "--root", str(tmp_path / "runs")]
    assert main([*words, "--epochs", "1", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.endswith("--model.pixels_seed is only for grey pixels, got 7; these are black and white already\n")
    assert not (tmp_path / "runs").exists()


def test_the_monitor_of_grey_pictures_sees_the_machine() -> None:
    """Undrawn, a half-grey pixel has ln 1/2 as its pseudo-likelihood, whatever the machine."""
    torch.manual_seed(0)
    task = RBMTask(1, [2, 3], hidden=6, log_z="ais")
    seen: list[float] = []
    task.log = lambda name, value, **_: seen.append(float(value))  # type: ignore[method-assign, assignment, misc]
    grey = torch.full((500, 1, 2, 3), 0.5)
    for bias in (0.0, 3.0):
        with torch.no_grad():
            task.rbm.weight.zero_()
            task.rbm.visible_bias.fill_(bias)
        task.on_validation_epoch_start()
        task.validation_step((grey,), 0)
        task.on_validation_epoch_end()
    assert seen[0] == pytest.approx(6 * math.log(0.5))
    due = 6 * (-math.log1p(math.exp(-3)) - math.log1p(math.exp(3))) / 2  # half the pixels are on
    assert seen[1] == pytest.approx(due, rel=0.15)
