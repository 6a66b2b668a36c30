"""What is known of a backbone by its name: the pictures that its weights want, and that there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

import train
from data.folder import Folder
from models.finetune.architectures import build_architecture
from models.finetune.early import check_names, picture_settings
from tests.models.small_folder import last, words


@pytest.mark.parametrize(
    "name",
    ["resnet18", "efficientnet_b1", "inception_v3", "vit_b_16", "timm/mobilenetv3_small_050"],
)
def test_pictures_are_prepared_as_the_network_says_when_it_is_built(name: str) -> None:
    built = build_architecture(name).preprocessing
    early = picture_settings(name)
    assert [early["image_size"]] * 2 == built["image_size"]
    assert early["crop"] == pytest.approx(built["crop_fraction"])
    assert early["interpolation"] == built["interpolation"]


@pytest.mark.parametrize(
    ("name", "expected"), [("resnet18", (224, 224 / 256, "bilinear")), ("inception_v3", (299, 299 / 342, "bilinear"))]
)
def test_published_evaluations(name: str, expected: tuple[int, float, str]) -> None:
    """torchvision's documentation of the default weights: 256 → 224 and 342 → 299."""
    settings = picture_settings(name)
    size, crop, interpolation = expected
    assert settings == {"image_size": size, "crop": pytest.approx(crop), "interpolation": interpolation}


def test_a_run_takes_them_and_an_option_overrides_them(pictures: Path, tmp_path: Path) -> None:
    given = words(pictures, tmp_path, "--model.tune", "head")
    place = given.index("--data.image_size")
    del given[place : place + 2]
    given[given.index("shufflenet_v2_x0_5")] = "squeezenet1_1"
    assert train.main([*given, "--data.image_size", "48"]) == 0
    preprocessing = last(tmp_path)["house"]["preprocessing"]
    assert preprocessing["image_size"] == [48, 48]
    assert preprocessing["crop"] == pytest.approx(224 / 256)
    assert preprocessing["interpolation"] == "bilinear"


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnt18", "default", "did you mean 'resnet18'"),
        ("timm/resnt18", "default", "did you mean 'timm/resnet18'"),
        ("resnet18", "nowhere.pth", "no weights 'nowhere.pth'; allowed: 'default', 'none' or a file"),
        ("resnet18", "nome", "did you mean 'none'"),
        ("resnet18", ".", "is a folder"),
        ("resnet18", "/dev/null", "is no regular file"),
    ],
)
def test_wrong_names_are_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_names(name, weights)


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"no weights", "", "is no weights file, or a truncated one"),
        (b"", "#sha256=" + 8 * "0", "expected 00000000"),
    ],
)
def test_a_damaged_weights_file_is_refused_before_the_pictures_are_looked_at(
    content: bytes,
    suffix: str,
    message: str,
    tmp_path: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def look(*_: object) -> None:
        raise AssertionError("the pictures are looked at")

    monkeypatch.setattr(Folder, "setup", look)
    monkeypatch.setattr(Folder, "prepare_data", look)
    file = tmp_path / "own.pth"
    file.write_bytes(content)
    given = ["--model", "cnn", "--data", str(pictures), "--model.backbone", "resnet18"]
    assert train.main([*given, "--model.weights", f"{file}{suffix}", "--root", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
