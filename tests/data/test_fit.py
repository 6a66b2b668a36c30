"""Wide and tall pictures: what is said of them, and what shows all of them in training, validation and prediction."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import predict
import train
from data.files.preprocess import preprocess
from data.folder import Folder


def wide(root: Path, count: int = 6, height: int = 20, width: int = 100) -> Path:
    """Grey pictures with a red mark at the left end (class a) or a blue one (class b)."""
    for number in range(2 * count):
        pixels = np.full((height, width, 3), 100 + number, dtype=np.uint8)
        pixels[:, : width // 10] = (255, 0, 0) if number % 2 else (0, 0, 255)
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "ab"[number % 2] / f"{number}.png")
    return root


def made(root: Path, **options: object) -> Folder:
    built = Folder(str(root), image_size=30, cache_dir=str(root.parent / "cache"), seed=0, **options)  # type: ignore[arg-type]
    built.setup()
    return built


def marks(images: torch.Tensor) -> torch.Tensor:
    """Whether pictures, shape (N, 3, H, W), show a mark: a place that is not grey."""
    spread = images.float().amax(1) - images.float().amin(1)  # (N, H, W)
    return spread.flatten(1).amax(1) > 100


def test_a_user_is_told_how_little_of_wide_pictures_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = wide(tmp_path / "p")
    made(root, crop=0.9)
    said = capsys.readouterr().err
    assert "warning: validation and prediction see the middle of a picture alone, 16 % of its area (median)" in said
    assert "--data.fit pad or --data.fit stretch shows all of it" in said
    for fit in ("stretch", "pad"):
        made(root, fit=fit)
        assert "of its area" not in capsys.readouterr().err
    made(wide(tmp_path / "q", width=26), crop=0.9)  # 4:3
    assert "of its area" not in capsys.readouterr().err


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_all_of_a_picture_is_seen_in_training_and_validation(tmp_path: Path, fit: str) -> None:
    root = wide(tmp_path / "p")
    assert not marks(made(root).plain("val")).any()
    data = made(root, fit=fit, background="#646464", min_area=1.0)
    assert marks(data.plain("val")).all()
    assert torch.equal(data.plain("val"), torch.stack([preprocess(p, data.preprocessing()) for p in data.paths("val")]))
    views = torch.cat([images for images, _ in data.train_dataloader()])
    assert len(views) == len(data.paths("train"))
    # A window of another shape than the square's loses some of a side: 1 - sqrt(3/4), the mark is a tenth of it.
    assert marks(views).float().mean() > 0.5
    crops = torch.cat([images for images, _ in made(root, min_area=1.0).train_dataloader()])
    assert marks(crops).float().mean() < 0.5


def test_a_padded_view_has_the_proportions_of_the_picture(tmp_path: Path) -> None:
    data = made(wide(tmp_path / "p"), fit="pad", background="white", min_area=1.0)
    for images, _ in data.train_dataloader():
        rows = (images.float().mean((1, 3)) < 250).sum(1)  # of the picture, out of 30; a fifth of it
        assert ((rows >= 5) & (rows <= 9)).all()


def test_without_fit_the_settings_are_those_of_crop(tmp_path: Path) -> None:
    root = wide(tmp_path / "p")
    assert made(root, crop=0.9).preprocessing() == {
        "kind": "resize-crop", "image_size": [30, 30], "channels": 3, "background": "white",
        "max_pixels": 178956970, "interpolation": "bicubic", "reduce_jpeg": False, "crop": 0.9,
    }  # fmt: skip
    with pytest.raises(ValueError, match="fit must be one of crop, stretch, pad, got 'squash'"):
        made(root, fit="squash")


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_prediction_prepares_pictures_as_validation_did(tmp_path: Path, fit: str) -> None:
    root = wide(tmp_path / "p", count=10)
    words = ["--model", "cnn", "--data", str(root), "--data.image_size", "32", "--data.fit", fit]
    assert train.main([*words, "--data.cache_dir", str(tmp_path / "c"), "--root", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").glob("*/*/")
    with open(run / "top_losses.csv", newline="") as table:
        judged = {row["path"]: row["predicted"] for row in csv.DictReader(table)}
    assert predict.main([str(run), *judged, "--out", str(tmp_path / "out.csv")]) == 0
    with open(tmp_path / "out.csv", newline="") as table:
        found = {row["path"]: row["label"] for row in csv.DictReader(table)}
    assert found == judged
    settings = predict.load(str(run), "cpu").preprocessing
    assert settings["kind"] == fit
    assert "crop" not in settings


def test_a_crop_of_what_is_not_cropped_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "cnn", "--data", str(wide(tmp_path / "p")), "--data.fit", "pad", "--data.crop", "0.9"]
    assert train.main(words) == 2
    assert "--data.crop: not used by --data.fit pad, which shows all" in capsys.readouterr().err
