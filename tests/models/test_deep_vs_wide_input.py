"""What --model deep-vs-wide refuses, and how it says so."""

from pathlib import Path

import pytest

import train
from models.deep_vs_wide import DeepVsWideTask
from tests.refusals import refused

SMALL = ["--model.neurons", "8", "--model.depths", "[1,2]", "--model.num_networks", "2", "--data.num_points", "80"]
SMALL += ["--data.num_test", "50", "--device", "cpu"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.neurons", "0"], "--model.neurons must be between 1 and 1,000,000, got 0"),
        (["--model.neurons", "1000000000000"], "--model.neurons must be between 1 and 1,000,000, got 1000000000000"),
        (["--model.depths", "[1000000000000]"], "--model.depths must be between 1 and 1,000 each, got [10"),
        (["--model.depths", "[2,40]", "--model.budget", "parameters"], "--model.depths: no network of 40 hidden la"),
        (["--model.depths", "[1,9]"], "--model.depths: 8 neurons fill 1 to 8 layers, not 9"),
        (["--model.depths", "[0]"], "--model.depths must be between 1 and 1,000 each, got [0]"),
        (["--model.depths", "[2,2]"], "--model.depths must be different whole numbers from 1, got [2, 2]"),
        (["--model.num_networks", "0"], "--model.num_networks must be between 1 and 100,000, got 0"),
        (["--model.view", "[3,4]"], "--model.view [3.0, 4.0] lies outside the data, which fills [-1, 1]"),
        (["--model.view", "[1,0]"], "--model.view must be [low, high] with -1e+09 < low < high < 1e+09, got [1."),
        (["--model.view", "[1e12,2e12]"], "--model.view must be [low, high] with -1e+09 < low < high < 1e+09, got"),
        (["--model.image_size", "[0]"], "no option '--model.image_size'"),
        (["--model.slope", "0.5"], "--model.slope: only for --model.activation leaky_relu"),
        (["--model.activation", "leaky_relu", "--model.slope", "1"], "--model.slope must be above -1 and below 1, g"),
        (["--lr", "0"], "--model.lr must be above 0 and at most 10, got 0.0"),
        (["--model.checkpoint", "nowhere"], "--model.checkpoint nowhere: no checkpoint there"),
        (["--model.checkpoint", __file__], f"--model.checkpoint {__file__} is no checkpoint of one of our runs"),
        (["--model.max_regions", "5"], "--model.max_regions 5: more than 5 linear regions: at least "),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = list(SMALL)
    for option in words[::2]:
        if option in given:
            place = given.index(option)
            del given[place : place + 2]
    refused(["--model", "deep-vs-wide", *given, *words], message, tmp_path, capsys)


def test_a_picture_network_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        train.main(["--model", "cnn", "--epochs", "1", "--report", "none", "--device", "cpu", "--root", str(tmp_path)])
        == 0
    )
    (folder,) = tmp_path.glob("*/*")
    capsys.readouterr()
    words = ["--model", "deep-vs-wide", *SMALL, "--model.checkpoint", str(folder)]
    message = (
        f"--model.checkpoint {folder}: network.… is Conv2d; regions are counted for Linear, ReLU and LeakyReLU only"
    )
    refused(words, message, tmp_path / "no", capsys)


def test_a_file_of_an_older_version_holds_facts_as_options(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    facts = "  in_features: 0\n  circles: []\n"
    file.write_text(f"model:\n  name: deep-vs-wide\n{facts}data:\n  name: digits\ntrainer:\n  max_epochs: 1\n")
    words = ["-c", str(file), "--device", "cpu", "--report", "none", "--model.num_networks", "1"]
    assert train.main([*words, "--root", str(tmp_path / "runs")]) == 0


def test_sizes_of_pictures_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^image_size must be \[height, width\] from 1"):
        DeepVsWideTask(["a", "b"], image_size=[0, 3])


def test_a_run_without_layers_is_refused_by_what_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "other"
    words = ["--model", "gradient-descent", "--epochs", "1", "--report", "none", "--device", "cpu"]
    assert train.main([*words, "--root", str(root)]) == 0
    (folder,) = root.glob("*/*")
    capsys.readouterr()
    message = (
        f"--model.checkpoint {folder}: gradient-descent of {folder.name} has no layers; "
        "regions are counted for Linear, ReLU and LeakyReLU\n"
    )
    refused(["--model", "deep-vs-wide", *SMALL, "--model.checkpoint", str(folder)], message, tmp_path / "no", capsys)
