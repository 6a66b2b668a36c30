"""A picture is prepared as its full pixels say, whoever opens the file and whatever its format.

What other programs are told to do (docs/fine-tuning.md, Export), measured on the ants and bees:

    DATA_ROOT=… python -m pytest -m slow -s tests/data/test_recipe.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from data.files.decode import read_picture
from data.files.preprocess import centre_window, needed_side, prepare, preprocess, preprocessing, stored_preprocessing
from data.files.store import PixelStore
from tests.data.pictures import decode, encoded, noise


def large_jpeg(**options: Any) -> bytes:
    return encoded(Image.fromarray(noise(75, 100)).resize((800, 600)), "JPEG", quality=90, **options)


@pytest.mark.parametrize("kind", ["resize-crop", "stretch", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_gives_what_its_pixels_give(kind: str, channels: int) -> None:
    content, settings = large_jpeg(), preprocessing(kind, (32, 24), channels)
    assert torch.equal(preprocess(content, settings), preprocess(encoded(Image.fromarray(decode(content))), settings))


def test_what_was_validated_on_smaller_jpegs_goes_on_so() -> None:
    content, now = large_jpeg(), preprocessing(image_size=(32, 32))
    before = {name: value for name, value in now.items() if name != "reduce_jpeg"}
    then = stored_preprocessing(before)
    smaller = read_picture(content, short_side=needed_side(then)).pixels
    assert smaller.shape == (75, 100, 3)
    assert torch.equal(preprocess(content, then), prepare(smaller, then))
    assert not torch.equal(preprocess(content, then), preprocess(content, now))
    assert stored_preprocessing(now) == now


def test_pixels_kept_under_the_other_rule_are_not_found(tmp_path: Path) -> None:
    now = preprocessing(image_size=(32, 32))
    others = [{**now, "reduce_jpeg": True}, {name: now[name] for name in now if name != "reduce_jpeg"}]
    files = {PixelStore(tmp_path, settings, 40).file("plain", ["a"]) for settings in (now, *others)}
    assert len(files) == 3


def by_recipe(file: Path, settings: dict[str, Any]) -> Tensor:
    """What the documentation tells other programs to do, with Pillow; uint8, shape (C, H, W)."""
    height, width = settings["image_size"]
    with Image.open(file) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
    box = centre_window(picture.width, picture.height, width, height, settings["crop"])
    resized = picture.crop(box).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


@pytest.mark.slow
@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="needs DATA_ROOT with hymenoptera_data")
@pytest.mark.parametrize(("side", "crop"), [(64, 0.9), (224, 0.875), (288, 0.9)])
def test_the_recipe_for_other_programs_is_within_two_levels(side: int, crop: float) -> None:
    files = sorted(Path(os.environ["DATA_ROOT"], "hymenoptera_data").glob("*/*/*.jp*g"))
    assert len(files) == 397
    settings = preprocessing(image_size=(side, side), crop=crop)
    largest = {}
    for reduced in (False, True):
        ours = (preprocess(file, {**settings, "reduce_jpeg": reduced}) for file in files)
        apart = [int((a.int() - by_recipe(file, settings)).abs().max()) for a, file in zip(ours, files, strict=True)]
        largest[reduced] = max(apart)
        beyond = sum(levels > 2 for levels in apart)
        print(f"{side} px, reduce_jpeg {reduced}: {max(apart)} levels of 255 at most, more than two in {beyond} of 397")
    assert largest[False] <= 2 < largest[True]
