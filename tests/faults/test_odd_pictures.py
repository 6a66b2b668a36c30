"""D8 to D15: odd pictures in a folder, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.files.preprocess import preprocess
from tests.data.pictures import decode, folder, noise, write
from tests.faults.folders import Make, served
from tests.faults.scores import record


def test_d8_16_bit_grey_is_scaled(make: Make, split: Path) -> None:
    rgb = noise()
    Image.fromarray(rgb[..., 0].astype("uint16") * 257).save(split / "train" / "a" / "gray16.png")
    Image.fromarray(rgb[..., 0]).save(split / "twin.png")
    data = make(split)
    index = data.paths("train").index(str(split / "train" / "a" / "gray16.png"))
    twin = preprocess(split / "twin.png", data.preprocessing()).float()
    assert data.plain("train")[index].float().mean() == pytest.approx(float(twin.mean()), rel=0.01)
    assert 100 < twin.mean() < 155  # and not white
    record("D8", 3)


def test_d9_unusual_modes_in_one_batch(make: Make, split: Path) -> None:
    rgb, place = noise(), split / "train" / "a"
    Image.fromarray(rgb).convert("CMYK").save(place / "cmyk.jpg")
    Image.fromarray(rgb[..., 0]).convert("LA").save(place / "la.png")
    Image.fromarray(rgb).quantize(8).save(place / "palette.png", transparency=0)
    Image.new("1", (32, 32)).save(place / "bilevel.png")
    Image.fromarray(np.random.default_rng(0).random((8, 8)).astype("float32")).save(place / "float.tif")
    Image.fromarray(np.full((8, 8), 700.0, dtype="float32")).save(place / "kelvin.tif")
    data = make(split, batch_size=99)
    images, _ = next(iter(data.train_dataloader()))
    assert images.shape == (9 + 5, 3, 16, 16)
    assert [(Path(path).name, cause) for path, cause in data.bad] == [
        ("kelvin.tif", "has floating-point values in 700..700; only 0..1 has a known meaning")
    ]
    scaled = decode(place / "float.tif")
    assert 90 < scaled.mean() < 165
    reference = np.asarray(Image.open(place / "cmyk.jpg").convert("RGB"))
    assert np.array_equal(decode(place / "cmyk.jpg"), reference)
    record("D9", 3)


def test_d10_all_exif_orientations_are_one_picture_in_training_and_prediction(make: Make, tmp_path: Path) -> None:
    upright = Image.fromarray(noise(6, 4)).resize((32, 48), Image.Resampling.BICUBIC)
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for orientation, turn in inverse.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        place = tmp_path / "p" / ("a" if orientation % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        stored.save(place / f"exif{orientation}.png", exif=exif)
    data = make(tmp_path / "p", val_fraction=0.0)
    images = data.plain("train")
    expected = preprocess(tmp_path / "p" / "a" / "exif1.png", data.preprocessing())
    assert len(images) == 8
    assert all(torch.equal(image, expected) for image in images)
    augmented = make(tmp_path / "p", val_fraction=0.0, aug="light")
    stored, _ = augmented.collection.pixels("source", range(8)) if served(augmented) else (None, None)
    assert all(torch.equal(one, stored[0]) for one in stored)
    assert all(torch.equal(preprocess(path, data.preprocessing()), expected) for path in data.paths("train"))
    record("D10", 3)


def test_d11_tiny_and_long_pictures_train_and_a_bomb_is_refused_by_name(make: Make, split: Path) -> None:
    Image.new("RGB", (1, 1)).save(split / "train" / "a" / "tiny.png")
    Image.new("RGB", (10, 3000)).save(split / "train" / "b" / "long.png")
    bomb = split / "train" / "c" / "bomb.png"
    Image.new("1", (14000, 14000)).save(bomb)
    for aug in ("none", "light"):
        data = make(split, aug=aug)
        assert served(data) == 11
        assert data.bad == [(str(bomb), "has 196,000,000 pixels, more than max_pixels = 178,956,970")]
    record("D11", 3)


def test_d12_links_in_a_circle_and_into_nothing(make: Make, split: Path) -> None:
    (split / "train" / "a" / "loop").symlink_to("..")
    (split / "train" / "a" / "x.jpg").symlink_to("nowhere")
    data = make(split)
    assert data.summary()["splits"]["train"] == 9  # each picture once
    assert data.labels("train").bincount().tolist() == [3, 3, 3]
    assert data.bad == [(str(split / "train" / "a" / "x.jpg"), "is a link to a file that does not exist")]
    assert any("train/a/loop" in warning for warning in data.summary()["warnings"])
    record("D12", 3)


def test_d13_odd_names_are_read(make: Make, split: Path) -> None:
    png = write(split / "x.png", 60).read_bytes()
    names = [
        "ünï 😀.png",
        "a b.png",
        "UPPER.JPG",
        "png bytes.jpg",
        "no suffix",
        "new\nline.png",
        "[x](1).png",
        "%20.png",
    ]
    for seed, name in enumerate(names):
        write(split / "y.jpg", 200 + seed)
        content = (split / "y.jpg").read_bytes() if name.endswith("JPG") else png + bytes([seed])
        (split / "train" / "a" / name).write_bytes(content)
    data = make(split)
    assert data.bad == []
    assert {Path(path).name for path in data.paths("train")} >= set(names)
    data.save_split(split / "split.csv")
    again = make(split, csv=str(split / "split.csv"))
    assert again.paths("train") == data.paths("train")
    record("D13", 3)


def test_d14_formats_beside_jpeg_make_their_class(make: Make, tmp_path: Path) -> None:
    for index, suffix in enumerate(("webp", "tif", "gif", "bmp", "ppm")):
        write(tmp_path / "p" / "a" / f"x.{suffix}", index)
    for index in range(3):
        write(tmp_path / "p" / "b" / f"{index}.jpg", 50 + index)
    data = make(tmp_path / "p", val_fraction=0.0)
    assert data.facts()["class_names"] == ["a", "b"]
    assert data.labels("train").bincount().tolist() == [5, 3]
    record("D14", 3)


def test_d15_the_top_folder_names_the_class(make: Make, tmp_path: Path) -> None:
    root = folder(tmp_path / "p", {"a/x": 2, "a/y": 2, "b/x": 2})
    data = make(root, val_fraction=0.0)
    assert data.facts()["class_names"] == ["a", "b"]
    assert data.labels("train").bincount().tolist() == [4, 2]
    assert any("folders inside class folders" in note for note in data.summary()["notes"])
    record("D15", 3)
