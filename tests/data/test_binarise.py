"""Grey pictures drawn once as black and white ones."""

import pytest
import torch

from data.batches.binarise import binarise, draw
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


def test_pictures_of_fractions_are_drawn_on_their_own_scale() -> None:
    grey = torch.tensor([0.0, 0.25, 1.0]).repeat(40_000, 1)
    drawn = draw(grey, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float32
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean(0)[0] == 0
    assert drawn.mean(0)[2] == 1
    assert abs(float(drawn.mean(0)[1]) - 0.25) < 4.5 * (0.1875 / 40_000) ** 0.5


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


def test_only_training_pictures_are_drawn_anew() -> None:
    once, anew = (Digits(binarise=scheme, val_fraction=0.2, batch_size=1150) for scheme in ("sample", "redraw"))
    for part in ("val", "test"):
        assert torch.equal(once.part(part).images, anew.part(part).images)
    grey = Digits(val_fraction=0.2).part("train").images
    assert torch.equal(anew.part("train").images, grey)
    loader, sums = anew.train_dataloader(), torch.zeros(grey.shape[1:], dtype=torch.float64)
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        ((images, _),) = loader
        assert set(images.unique().tolist()) == {0, 255}
        sums += images.double().mean(0) / 255
    due = grey.double().mean(0) / 255
    error = (due * (1 - due) / (40 * len(grey))).sqrt()
    assert ((sums / 40 - due).abs() <= 4.5 * error).all()
    ((again, _),) = loader  # the same epoch
    assert torch.equal(again, images)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="binarise_seed must be 0 or more, got -1"):
        Digits(binarise_seed=-1)
    for scheme in ("none", "threshold"):
        with pytest.raises(ValueError, match=r"binarise_seed is only for --data\.binarise sample or redraw, got 5"):
            Digits(binarise=scheme, binarise_seed=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        Digits(seed=-1)
