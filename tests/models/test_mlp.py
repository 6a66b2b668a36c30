"""Approximation by one hidden layer, as whole runs: certificate, figures, resuming, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.functions import Functions
from models.mlp import MLPTask, check_widths
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.runs import only_run
from train import main

pytestmark = pytest.mark.filterwarnings("ignore:.*(LeafSpec|num_workers|callbacks used to create the checkpoint).*")


SMALL = [
    "--data.num_samples",
    "200",
    "--data.steps",
    "4",
    "--epochs",
    "3",
    "--model.widths",
    "[3, 5]",
    "--model.seeds",
    "2",
]


def run(root: Path, *words: str, report: str = "brief") -> tuple[dict[str, Any], Path]:
    assert main(["--model", "mlp", *SMALL, "--root", str(root), "--device", "cpu", "--report", report, *words]) == 0
    (folder,) = (root / "mlp-functions").iterdir()
    return json.loads((folder / "metrics.json").read_text()), folder


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return state


def test_a_run_prints_its_certificate_and_draws_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics, folder = run(tmp_path, "--data.function", "square", report="full")
    printed = capsys.readouterr().out
    assert metrics["gap/ratio_5"] == pytest.approx(1, abs=0.01)
    # of x² all pieces are equal: N² F_N = 2/√720
    assert metrics["theory/floor_5"] == pytest.approx(2 / 720**0.5 / 25, rel=2e-3)  # 200 samples
    assert metrics["gap/ratio_adam_5"] > 1.5
    assert metrics["gap/network_minus_spline"] < 1e-13
    for word in ("certificate", "floor", "Adam", "L-BFGS", "of the proved floor"):
        assert word in printed
    assert {path.name for path in (folder / "figures").iterdir()} == {"error.png", "fit.png", "knots.png", "units.png"}


@pytest.mark.parametrize(
    "words",
    [
        ("--model.activation", "tanh"),
        ("--model.activation", "leaky_relu", "--model.hidden", "4"),
        ("--model.method", "adam"),
        ("--model.method", "lbfgs"),
        ("--data.function", "saddle"),
        ("--data.function", "ripple", "--model.activation", "sin"),
        ("--data.function", "sine", "--data.noise", "0.01"),
        ("--data.function", "7"),
        ("--data.function", "step"),
        ("--model.hidden", "1"),
    ],
)
def test_every_way_runs_and_draws(tmp_path: Path, words: tuple[str, ...]) -> None:
    place = SMALL.index("--model.widths")
    given = [*SMALL[:place], *SMALL[place + 2 :]] if "--model.hidden" in words else SMALL
    assert main(["--model", "mlp", *given, "--root", str(tmp_path), "--device", "cpu", *words]) == 0
    (folder,) = (tmp_path / "mlp-functions").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert all(np.isfinite(value) for value in metrics.values() if isinstance(value, float))
    assert any(tag.startswith("test/rms_") for tag in metrics)


def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--model", "mlp", *SMALL, "--device", "cpu", "--report", "none"]
    assert_equal_runs(*stopped_and_resumed(MLPTask, words, tmp_path, (1, 2), monkeypatch))


def test_a_run_that_is_lengthened_ends_as_if_begun_so_long_where_the_fall_of_the_rate_is_given(tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole", "--model.rounds", "12")
    part = run_short(tmp_path / "part", "--model.rounds", "12")
    assert main(["--resume", str(part), "--epochs", "3", "--report", "none"]) == 0
    first, second = weights(whole), weights(part)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_rate_of_adam_falls_over_the_epochs_of_the_run(tmp_path: Path, epochs: int) -> None:
    words = ["--model.method", "adam", "--epochs", str(epochs), "--model.hidden", "3"]
    given = [*SMALL[:4], *words, "--model.seeds", "2", "--data.function", "sine", "--report", "none"]
    assert main(["--model", "mlp", *given, "--root", str(tmp_path / "free")]) == 0
    fixed = ["--model.rounds", str(4 * epochs)]  # of four steps an epoch
    assert main(["--model", "mlp", *given, *fixed, "--root", str(tmp_path / "fixed")]) == 0
    free, fixed_rows = (weights(only_run(tmp_path / name))["searches.adam.family.rows"] for name in ("free", "fixed"))
    assert torch.equal(free, fixed_rows)


@pytest.mark.parametrize(
    ("rounds", "says"),
    [
        ("4", "rate of Adam  fell to 0 in 4 rounds: the other 8 of 12 moved nothing"),
        ("24", "rate of Adam  was still 50.0% of its start at the end: 12 of the 24 rounds of its fall"),
    ],
)
def test_a_rate_that_does_not_end_with_the_run_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rounds: str, says: str
) -> None:
    run(tmp_path, "--model.rounds", rounds)
    assert says in capsys.readouterr().out
    run(tmp_path / "free")
    assert "rate of Adam" not in capsys.readouterr().out


def run_short(root: Path, *more: str) -> Path:
    words = [*SMALL[:4], "--epochs", "1", *SMALL[6:], *more]
    assert main(["--model", "mlp", *words, "--root", str(root), "--device", "cpu", "--report", "none"]) == 0
    (folder,) = (root / "mlp-functions").iterdir()
    return folder


def test_the_same_settings_give_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    _, first = run(tmp_path / "a")
    config = str(first / "config.yaml")
    assert main(["-c", config, "--root", str(tmp_path / "b"), "--report", "none"]) == 0
    (second,) = (tmp_path / "b/mlp-functions").iterdir()
    _, other = run(tmp_path / "c", "--seed", "1")
    a, b, c = weights(first), weights(second), weights(other)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["searches.adam.family.rows"], c["searches.adam.family.rows"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model.hidden", "0"), "--model.hidden must be between 1 and 512, got 0"),
        (("--model.widths", "[]"), "--model.widths needs at least one number of units, got []"),
        (("--model.seeds", "0"), "--model.seeds must be between 1 and 50, got 0"),
        (("--model.activation", "relo"), "expected"),
        (("--data.function", "sinee"), "did you mean 'sine'"),
        (("--data.function", "log(x-2)"), "is nan at x ="),
        (("--data.function", "no.csv"), "No such file"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert main(["--model", "mlp", "--root", str(tmp_path), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert not list(tmp_path.iterdir())


def test_widths_are_sorted_and_single() -> None:
    assert check_widths([16, 8, 8], None) == [8, 16]
    assert check_widths([16, 8], 32) == [32]


def test_two_samples_are_enough_to_run(tmp_path: Path) -> None:
    words = ["--data.num_samples", "2", "--data.function", "abs", *SMALL[2:]]
    assert main(["--model", "mlp", *words, "--root", str(tmp_path), "--device", "cpu", "--report", "none"]) == 0


def test_noise_is_not_seen_through() -> None:
    """The floor of the noiseless values must not steer a search on noisy ones."""
    data = Functions("sine", num_samples=64, noise=0.1)
    facts = data.facts()
    task = MLPTask(**facts, widths=[4], seeds=1)
    assert task.hparams["noisy"]
    assert task.searches.spline is not None
    assert task.searches.spline.noisy


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["square", "exponential", "root", "sine", "sine4", "tanh", "runge", "step-sine", "step", "abs"]
)
def test_the_recipe_reaches_the_floor_of_every_function(tmp_path: Path, name: str) -> None:
    words = ["--model", "mlp", "--data.function", name, "--model.compare", "false", "--root", str(tmp_path)]
    assert main([*words, "--report", "none"]) == 0
    (folder,) = (tmp_path / "mlp-functions").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["gap/ratio_8"] <= 1.05
    assert max(metrics[f"gap/ratio_{width}"] for width in (16, 32, 64)) <= 1.01
