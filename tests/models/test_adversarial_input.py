"""What --model adversarial refuses, and how it says so."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import train
from models.adversarial import AdversarialTask
from models.depth.checkpoint import given_networks
from models.pixels import unit_range
from models.robustness.attacks import exhaustive_one_pixel
from models.robustness.certificate import exact_one_pixel
from models.robustness.victim import load_victim
from tests.conftest import Trained
from tests.models.small_victims import IMAGES, QUICK, VALUES, linear
from tests.refusals import refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.checkpoint", "nowhere"], "--model.checkpoint nowhere: no checkpoint there"),
        (["--model.train_epsilon", "2"], "--model.train_epsilon must be between 0 and 1, got 2"),
        (["--model.epsilons", "[0.2, 0.1]"], "--model.epsilons must be increasing numbers above 0, at most 1"),
        (["--model.population", "3"], "--model.population must be between 4 and 10,000, got 3"),
        (["--model.one_pixel_images", "0"], "--model.one_pixel_images must be between 1 and 100,000, got 0"),
        (["--model.widths", "[1,2,3,4,5,6,7]"], "--model.widths [1, 2, 3, 4, 5, 6, 7]: 7 stages are too many for pict"),
        (["--model.widths", "[0]"], "--model.widths must be between 1 and 1,000,000 each, got [0]"),
        (["--model.train_steps", "7"], "--model.train_steps: only for adversarial training, with --model.train_epsi"),
        (["--model.checkpoint", "x", "--model.widths", "[9]"], "--model.widths: the network is that of --model.check"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(["--model", "adversarial", *words], message, tmp_path, capsys)


def test_a_network_that_knows_nothing_is_no_network_to_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(self: AdversarialTask, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images = unit_range(batch[0])
        self.collected.append((images, (self.victim(images).argmax(1) + 1) % 10))  # whatever it says, it is wrong

    monkeypatch.setattr(AdversarialTask, "test_step", mistaken)
    words = ["--model", "adversarial", "--lr", "0", "--model.test_images", "1", "--epochs", "1", *QUICK]
    assert train.main([*words, "--root", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == (
        "train.py: the network knows none of 1 test picture: there is nothing to attack"
    )
    assert re.search(r"one pixel +not tried: the network knows none of 1 picture\n", captured.out)
    assert not list(tmp_path.rglob("crash.txt"))


def test_classes_of_other_names_are_named(trained: Trained) -> None:
    names = [str(digit) for digit in range(10)]
    names[3], names[7] = "three", "seven"
    with pytest.raises(ValueError, match=r"its classes are other ones than those of this data, '3' for 'three', '7' "):
        load_victim(str(trained.folder), names, 1, [8, 8])


def test_a_checkpoint_of_something_else_is_refused(trained: Trained, tmp_path: Path) -> None:
    junk = tmp_path / "junk.ckpt"
    junk.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="is no checkpoint of one of our runs"):
        load_victim(str(junk), ["0"], 1, [8, 8])
    with pytest.raises(ValueError, match="trained on 10 classes of 1×8×8, this data has 2 classes of 1×25×25"):
        load_victim(str(trained.folder), ["a", "b"], 1, [25, 25])
    other = tmp_path / "other.ckpt"
    torch.save({"house": {"model": "face"}, "hyper_parameters": {}, "state_dict": {}}, other)
    with pytest.raises(ValueError, match="holds the model 'face'; allowed: cnn"):
        load_victim(str(other), ["0"], 1, [8, 8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["hyper_parameters"].pop("class_names"),
            "does not fit .*: among its hyper_parameters class_names is missing$",
        ),
        (lambda c: c.update(hyper_parameters={}), "hyper_parameters class_names, in_channels, .*, std are missing$"),
        (lambda c: c["hyper_parameters"].update(widths=[3, 5]), "does not fit the model 'cnn': size mismatch for"),
        (lambda c: c["state_dict"].pop("network.head.1.bias"), "does not fit .*: it has no network.head.1.bias"),
        (lambda c: c["state_dict"]["mean"].fill_(float("nan")), r"its weights are not finite \(mean\)"),
        (lambda c: c.update(hyper_parameters=7), "is no checkpoint of one of our runs, or is damaged"),
    ],
)
def test_an_altered_checkpoint_is_refused_by_name(
    trained: Trained, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "altered.ckpt")
    names = [str(digit) for digit in range(10)]
    with pytest.raises(ValueError, match=message):
        load_victim(str(tmp_path / "altered.ckpt"), names, 1, [8, 8])
    with pytest.raises(ValueError, match=message):
        given_networks(str(tmp_path / "altered.ckpt"), 64)


def test_half_a_checkpoint_is_called_damaged(trained: Trained, tmp_path: Path) -> None:
    content = (trained.folder / "checkpoints/best.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="or is damaged"):
        load_victim(str(tmp_path / "half.ckpt"), ["0"], 1, [8, 8])


def test_only_cnns_are_certified() -> None:
    module = nn.Flatten()
    labels = linear()(IMAGES).argmax(1)
    found = exact_one_pixel(linear(), module, torch.zeros(1), torch.ones(1), IMAGES, labels, VALUES)
    assert found.spared == 0
    assert torch.equal(found.best.fooled, exhaustive_one_pixel(linear(), IMAGES, labels, VALUES).fooled)
