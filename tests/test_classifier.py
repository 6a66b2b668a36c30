"""A trained classifier in a program: every form of a picture gives what its file gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifier import Classifier, load
from tests.conftest import Trained
from trainer.errors import UserError


@pytest.fixture
def model(trained: Trained) -> Classifier:
    return load(trained.folder)


def stroke(mode: str = "L") -> Image.Image:
    paper = np.full((40, 40), 255, dtype=np.uint8)
    paper[6:34, 17:23] = 0
    return Image.fromarray(paper).convert(mode)


def same_as_file(model: Classifier, file: Path) -> None:
    with Image.open(file) as picture:
        assert torch.equal(model.prepare([picture]), model.prepare([file])), file.name
    assert torch.equal(model.prepare([file.read_bytes()]), model.prepare([str(file)]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_in_memory_is_its_file(mode: str, model: Classifier, tmp_path: Path) -> None:
    deep = Image.fromarray(np.asarray(stroke()).astype(np.uint16) * 257)
    picture = deep if mode == "I;16" else stroke(mode)
    picture.save(tmp_path / "a.png")
    same_as_file(model, tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_colour_is_kept(mode: str, model: Classifier, tmp_path: Path) -> None:
    plain = np.asarray(stroke()).copy()
    plain[26:32, 8:32] = 100  # a bar that nobody is to see
    picture = Image.fromarray(plain).convert(mode)
    clear = picture.getpixel((20, 28))
    assert clear is not None
    picture.save(tmp_path / "a.png", transparency=clear)
    same_as_file(model, tmp_path / "a.png")
    assert not torch.equal(model.prepare([tmp_path / "a.png"]), model.prepare([picture]))


def test_compressed_pictures_are_not_compressed_again(model: Classifier, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.tif", compression="jpeg", quality=30)
    same_as_file(model, tmp_path / "a.tif")
    stroke("CMYK").save(tmp_path / "b.tif")
    same_as_file(model, tmp_path / "b.tif")


def test_an_orientation_is_heeded(model: Classifier, tmp_path: Path) -> None:
    picture = stroke("RGB").rotate(20, fillcolor="white")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    same_as_file(model, tmp_path / "a.png")


def test_arrays_and_nothing(model: Classifier) -> None:
    grey = np.asarray(stroke())
    colour = np.asarray(stroke("RGB"))
    assert torch.equal(model.probabilities([grey]), model.probabilities([colour]))
    assert model.probabilities([]).shape == (0, 10)
    assert model.features([grey, colour]).shape[0] == 2
    prepared = model.prepare([grey])
    assert torch.equal(model.probabilities(prepared), model.probabilities([grey]))
    assert torch.allclose(model.probabilities([grey], tta=3).sum(1), torch.ones(1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a.png", "given as a list, got str"),
        ([np.zeros((4, 4))], r"uint8, .* got float64 \(4, 4\)"),
        ([7], "got int"),
        ([Image.new("HSV", (8, 8))], "a picture of mode HSV cannot be read"),
        (torch.zeros(1, 1, 8, 8), r"uint8 of shape \(N, 1, 8, 8\), got torch.float32"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"got torch.uint8 \(1, 8, 8\)"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, said: str, model: Classifier) -> None:
    with pytest.raises(TypeError, match=said):
        model.probabilities(given)


@pytest.mark.parametrize(
    ("words", "said"),
    [({"device": "banana"}, "--device must be one of"), ({"precision": "float32"}, "expected auto, .*got 'float32'")],
)
def test_a_wrong_device_or_precision_is_named(words: dict[str, Any], said: str, trained: Trained) -> None:
    with pytest.raises(UserError, match=said):
        load(trained.folder, **words)


@pytest.mark.parametrize("tta", [None, 1, 5])
def test_logarithms_are_those_of_the_probabilities_also_where_these_are_0(model: Classifier, tta: int | None) -> None:
    images = torch.randint(0, 17, (6, *model.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)) * 15
    assert torch.allclose(model.log_probabilities(images, tta).exp(), model.probabilities(images, tta), atol=1e-6)
    cold = replace(model, temperature=1e-4)
    assert bool((cold.probabilities(images, tta) == 0).any())
    assert bool(torch.isfinite(cold.log_probabilities(images, tta)).all())


@pytest.mark.parametrize("surroundings", ["bfloat16", "float64", "meta", "autocast"])
def test_what_the_program_around_has_set_changes_no_answer(surroundings: str, trained: Trained) -> None:
    pictures = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    due = load(trained.folder).probabilities(pictures)
    try:
        if surroundings == "meta":
            torch.set_default_device("meta")
        elif surroundings != "autocast":
            torch.set_default_dtype(getattr(torch, surroundings))
        with torch.autocast("cpu", torch.bfloat16, enabled=surroundings == "autocast"):
            found = load(trained.folder).probabilities(pictures)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, due)
