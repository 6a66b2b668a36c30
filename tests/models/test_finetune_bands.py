"""Fine-tuning on pictures of five channels, from the command line to the answers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import predict
import train
from dashboard.style import as_pictures
from data.files.preprocess import preprocess, preprocessing
from models.cnn import CNNTask
from models.finetune.backbones import build_backbone
from tests.exported import exported_answers, exported_file
from tests.models.band_folder import SIDE, make_bands, save_frames
from tests.models.small_folder import last, metrics, stop_after, words
from tests.refusals import refused
from tests.runs import lasting, only_run, table
from tests.trainer.exact import assert_equal

FIVE = ["--data.channels", "5"]
OWN_NETWORK = ["--lr", "0.01", "--batch_size", "4"]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `make_bands`."""
    return make_bands(tmp_path_factory.mktemp("stacks") / "pictures")


@pytest.fixture(scope="module")
def head(stacks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a head alone, with all that it draws."""
    root = tmp_path_factory.mktemp("head")
    given = words(stacks, root, *FIVE, "--model.tune", "head")
    given[given.index("--report") + 1] = "full"
    assert train.main(given) == 0
    return only_run(root)


def test_a_run_draws_all_of_its_figures_and_says_once_which_channels_they_show(
    stacks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(stacks, tmp_path, *FIVE, epochs=1)
    given[given.index("--report") + 1] = "full"
    assert train.main(given) == 0
    said = capsys.readouterr()
    assert "could not be drawn" not in said.err
    assert "cannot be drawn" not in said.err
    assert "data    folder: 5×32×32" in said.out
    run = only_run(tmp_path)
    drawn = {file.stem for file in (run / "figures").glob("*.png")}
    assert {"mistakes", "batch", "feature_maps", "grad_cam", "filters"} <= drawn
    for page in (run / "report.md", run / "MODEL_CARD.md"):
        assert page.read_text().count("of 5 channels the first three as red, green and blue") == 1
    assert last(tmp_path)["hyper_parameters"]["in_channels"] == 5
    assert last(tmp_path)["house"]["preprocessing"]["channels"] == 5


def test_grey_and_colour_are_said_nothing_of(pictures: Path, tmp_path: Path) -> None:
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == 0
    assert "figures show" not in (only_run(tmp_path) / "report.md").read_text()


def test_prediction_agrees_with_validation_and_other_pictures_get_a_row_with_the_cause(
    stacks: Path, head: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "colour.jpg")
    save_frames(tmp_path / "four.tif", np.zeros((4, SIDE, SIDE), np.uint8))
    files = sorted((stacks / "val").glob("*/*.tif"))
    asked = [tmp_path / "colour.jpg", *files, tmp_path / "four.tif"]
    out, why = tmp_path / "out.csv", tmp_path / "why"
    given = [str(head), *map(str, asked), "--device", "cpu", "--out", str(out), "--explain", str(why), "--tta", "2"]
    assert predict.main(given) == 0
    assert predict.main([str(head), *map(str, asked), "--device", "cpu", "--out", str(out), "--overwrite"]) == 0
    rows = table(out)
    assert [row["path"] for row in rows] == [str(file) for file in asked]
    assert rows[0]["error"] == "has 3 channels, 5 are wanted (--data.channels)"
    assert rows[-1]["error"] == "has 4 channels, 5 are wanted (--data.channels)"
    assert not any(row["error"] for row in rows[1:-1])
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows[1:-1])
    assert right / len(files) == metrics(head.parent.parent)["val/accuracy"]
    shown = sorted(why.glob("*.png"))
    assert len(shown) == len(files)
    settings = predict.load(str(head), "cpu").preprocessing
    picture = as_pictures(preprocess(files[0], settings)[None].numpy())[0]
    drawn = np.asarray(Image.open(shown[0]))
    factor = drawn.shape[0] // SIDE
    assert np.array_equal(drawn[::factor, : drawn.shape[1] // 2 : factor], picture)


@pytest.mark.parametrize("kind", ["onnx", "torch-export", "safetensors"])
def test_an_exported_network_answers_alike(head: Path, stacks: Path, tmp_path: Path, kind: str) -> None:
    out = exported_file(kind, tmp_path)
    assert predict.main(["export", str(head), "--to", kind, "--out", str(out)]) == 0
    classifier = predict.load(str(head), "cpu", "32-true")
    images = torch.stack([preprocess(file, classifier.preprocessing) for file in sorted(stacks.glob("val/*/*.tif"))])
    with torch.no_grad():
        expected = (classifier.task(images) / classifier.temperature).softmax(1)
    probabilities, facts = exported_answers(kind, out, images)
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=0)
    assert facts["preprocessing"] == classifier.preprocessing


def test_a_stopped_run_goes_on_exactly_and_its_settings_repeat_it(
    stacks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train.main(words(stacks, tmp_path / "whole", *FIVE, "--data.aug", "light", epochs=2)) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 1, 0)
        assert train.main(words(stacks, tmp_path / "cut", *FIVE, "--data.aug", "light", epochs=2)) == 143
    assert train.main(["--resume", str(only_run(tmp_path / "cut"))]) == 0
    config = str(only_run(tmp_path / "whole") / "config.yaml")
    assert train.main(["-c", config, "--root", str(tmp_path / "again")]) == 0
    for name in ("cut", "again"):
        assert_equal(last(tmp_path / name)["state_dict"], last(tmp_path / "whole")["state_dict"])
    assert lasting(only_run(tmp_path / "again")) == lasting(only_run(tmp_path / "whole"))


def test_folds_and_a_file_of_weights_of_three_channels(stacks: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(build_backbone("resnet18", 2, weights="none").state_dict(), tmp_path / "rgb.pth")
    more = ["--model.tune", "head", "--data.num_folds", "3", "--data.fold", "1", "--model.views", "mirror"]
    given = words(stacks / "train", tmp_path / "runs", *FIVE, *more)
    given[given.index("none")] = str(tmp_path / "rgb.pth")
    given[given.index("shufflenet_v2_x0_5")] = "resnet18"
    assert train.main(given) == 0
    assert last(tmp_path / "runs")["state_dict"]["network.body.conv1.weight"].shape == (64, 5, 7, 7)


def test_our_own_network_takes_any_number_of_channels_too(tmp_path: Path) -> None:
    for channels in (2, 4):
        stacks = make_bands(tmp_path / f"pictures{channels}", channels, (4, 2))
        given = ["--model", "cnn", "--model.backbone", "cnn", "--model.widths", "[4]", "--data", str(stacks)]
        given += ["--data.channels", str(channels), "--data.image_size", "16", "--epochs", "1", "--device", "cpu"]
        given += ["--data.cache_dir", str(tmp_path / "cache"), "--report", "none", "--root", str(tmp_path / "runs")]
        assert train.main([*given, *OWN_NETWORK]) == 0


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("channels", [4, 5, 7])
def test_equal_channels_of_a_file_answer_like_a_grey_picture_in_colour(
    backbone: str, channels: int, tmp_path: Path
) -> None:
    """From the file to the features: each colour's copies share its weight, and have its mean and deviation."""
    grey = np.random.default_rng(0).integers(0, 256, (80, 72), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    save_frames(tmp_path / "grey.tif", np.repeat(grey[None], channels, axis=0))
    weights = "default"  # come with the installation
    if backbone != "efficientnet_lite0":
        torch.manual_seed(0)
        weights = str(tmp_path / "rgb.pth")
        torch.save(build_backbone(backbone, 2, weights="none").state_dict(), weights)
    features = []
    for number, name in ((3, "grey.png"), (channels, "grey.tif")):
        settings = preprocessing(image_size=(64, 64), channels=number)
        images = preprocess(tmp_path / name, settings)[None]
        facts = {"class_names": ["a", "b"], "image_size": [64, 64], "mean": [0.5] * number, "std": [0.2] * number}
        task = CNNTask(in_channels=number, backbone=backbone, weights=weights, **facts).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            features.append(task.network.features(task.normalise(images)))
    assert float((features[0] - features[1]).abs().max()) < 1e-4 * float(features[0].std())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *[("--data.channels", value, f"--data.channels must be a whole number in 1..32, got {value}")
          for value in ("0", "-1", "33")],
        *[("--data.channels", value, f"--data.channels: expected a whole number, got '{value}'")
          for value in ("x", "2.5", "null")],
        ("--model.in_channels", "5", "no option '--model.in_channels', did you mean '--data.channels'?"),
        ("--data.background", "black", "--data.background: not used by --data.channels 5"),
        ("--data.aug", "trivial", "--data.aug trivial changes colours, and 5 channels are none: allowed are light"),
        ("--data.aug", "rand", "--data.aug rand changes colours, and 5 channels are none: allowed are light"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_one_line_before_a_file_is_read(
    option: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()  # with nothing in it: it would be complained of, if it were looked into
    given = words(tmp_path / "pictures", tmp_path / "runs", *([] if option == "--data.channels" else FIVE))
    place = given.index("--root")
    refused([*given[:place], *given[place + 2 :], option, value], message, tmp_path / "runs", capsys)


def test_in_channels_of_a_settings_file_or_of_other_data_is_told_where_it_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("model: {name: cnn, in_channels: 4}\ndata: {name: folder, path: x}\n")
    message = "mine.yaml: no setting 'model.in_channels', did you mean 'data.channels'?"
    assert train.main(["-c", str(tmp_path / "mine.yaml"), "--root", str(tmp_path / "runs")]) == 2
    assert re.search(re.escape(message) + r"\n$", capsys.readouterr().err)
    message = "no option '--model.in_channels'"
    refused(["--model", "cnn", "--data", "digits", "--model.in_channels", "5"], message, tmp_path / "runs", capsys)


def test_a_folder_without_such_pictures_is_refused_with_what_they_have(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(pictures, tmp_path / "runs", *FIVE)
    place = given.index("--root")
    message = (
        f"{pictures} has no class to train on…has 3 channels, 5 are wanted (--data.channels) (and 31 more), all for"
    )
    refused([*given[:place], *given[place + 2 :]], message, tmp_path / "runs", capsys)
