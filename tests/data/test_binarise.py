"""Grey pictures drawn once as black and white ones."""

import pytest
import torch

from data.binarise import binarise
from data.digits import Digits


def test_a_pixel_is_on_with_its_grey_value_as_probability() -> None:
    grey = torch.arange(256, dtype=torch.uint8).repeat(4000, 1)  # (4000, 256)
    drawn = binarise(grey, "sample", 3)
    assert set(drawn.unique().tolist()) == {0, 255}
    due = torch.arange(256) / 255
    error = (due * (1 - due) / 4000).sqrt()
    assert ((drawn.double() / 255).mean(0) - due <= 4.5 * error).all()
    assert (due - (drawn.double() / 255).mean(0) <= 4.5 * error).all()
    assert torch.equal(drawn, binarise(grey, "sample", 3))
    assert not torch.equal(drawn, binarise(grey, "sample", 4))


def test_the_threshold_lies_at_one_half() -> None:
    grey = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    assert binarise(grey, "threshold", 0).tolist() == [0, 0, 255, 255]
    assert binarise(grey, "none", 0) is grey


def test_data_are_drawn_once_whatever_the_run() -> None:
    first, second = (Digits(binarise="sample", binarise_seed=5, seed=seed, val_fraction=0) for seed in (0, 1))
    for part in ("train", "test"):
        assert torch.equal(first.part(part).images, second.part(part).images)
    assert first.facts()["binarised"] == "pixels sampled once, seed 5" == first.summary()["pixels"]
    other = Digits(binarise="sample", binarise_seed=6, val_fraction=0)
    assert not torch.equal(first.part("test").images, other.part("test").images)
    assert "pixels" not in Digits().summary()


def test_a_validation_split_does_not_change_what_was_drawn() -> None:
    whole = Digits(binarise="sample", val_fraction=0).part("train").images
    split = Digits(binarise="sample", val_fraction=0.2)
    parts = torch.cat([split.part("train").images, split.part("val").images])
    assert torch.equal(parts.flatten(1).unique(dim=0), whole.flatten(1).unique(dim=0))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="binarise_seed must be 0 or more, got -1"):
        Digits(binarise_seed=-1)
