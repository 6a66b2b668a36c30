"""The four losses through the front door: each ends at its own minimiser, and half of a loss walks the same path."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from dashboard.losses import minimisers_figure
from data.outcomes import Outcomes
from models.losses import LossesTask
from tests.dashboard.titles import title
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from train import main

WORDS = ["--model", "losses", "--device", "cpu", "--data.test_samples", "2000"]


def run(tmp_path: Path, *words: str, report: str = "none", status: int = 0) -> dict[str, Any]:
    """Metrics of a run."""
    assert main([*WORDS, "--root", str(tmp_path / "runs"), "--report", report, *words]) == status
    (path,) = (tmp_path / "runs").glob("*/*/metrics.json")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def test_each_loss_ends_at_its_minimiser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, report="full")
    for name in ("squared", "half-squared", "cross-entropy"):
        assert metrics[f"gap/minimiser_{name}"] < 1e-8
    assert 0 <= metrics["gap/excess_absolute"] < 1e-6
    assert metrics["gap/half_squared_path"] < 1e-12
    assert metrics["gap/gradient"] < 1e-14
    assert metrics["theory/absolute"] == pytest.approx(2 * math.log(2))
    assert metrics["theory/squared"] == pytest.approx((1 + 4 + 9) / 3)
    assert metrics["test/cross-entropy"] == pytest.approx(metrics["theory/cross-entropy"], rel=0.05)
    assert {path.name for path in (tmp_path / "runs").glob("*/*/figures/*.png")} == {"minimisers.png", "gradient.png"}
    out = capsys.readouterr().out
    assert "of these predictions is infinite: nothing could be learned from it" in out
    assert "nan" not in out.lower()


@pytest.mark.parametrize(("lr", "ends"), [("1.5", True), ("2.2", True), ("2.4", False)])
def test_the_squared_error_diverges_where_the_help_says(
    tmp_path: Path, lr: str, ends: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Π |1 − 2 lr (1 − t/T)| over T steps goes as exp(T ((b ln b) / (b + 1) − 1)) with b = 2 lr − 1 above 0."""
    b = 2 * 2.296 - 1
    assert b * math.log(b) / (b + 1) == pytest.approx(1, abs=1e-3), "where it neither falls nor grows"
    assert (run(tmp_path, "--lr", lr, status=0 if ends else 1)["gap/minimiser_squared"] < 1e-8) == ends
    said = "squared error ended further from its minimiser than it began: --lr 2.4 is too large, see --model.help\n"
    assert (said in capsys.readouterr().err) != ends
    told = " ".join((LossesTask.__doc__ or "").split())
    assert "from 2.296 on" in told


def test_every_point_between_the_middle_samples_is_a_median(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--data.num_samples", "4")
    assert "due, the medians: 0.1558 to 0.6753, 2.3718 to 3.1830, 1.0410 to 2.4114 (" in capsys.readouterr().out
    assert metrics["gap/minimiser_absolute"] == 0  # 0.4000, 2.3725, 1.1950
    assert metrics["gap/excess_absolute"] == pytest.approx(0, abs=1e-12)


def test_the_samples_have_the_distributions_they_claim() -> None:
    data = Outcomes(num_samples=20_001)
    data.setup()
    group, number, label = data.parts["train"]
    for place, (mean, p) in enumerate(zip(data.means, data.probabilities, strict=True)):
        own = number[group == place]
        assert own.mean().item() == pytest.approx(mean, abs=4 * mean / len(own) ** 0.5)
        assert own.median().item() == pytest.approx(mean * math.log(2), abs=4 * mean / len(own) ** 0.5)
        assert label[group == place].mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / len(own)) ** 0.5)
    assert not torch.equal(data.parts["test"][1][:100], number[:100])


def test_sure_labels_have_no_entropy(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--data.means", "[1]", "--data.probabilities", "[1]", "--epochs", "1")
    assert metrics["theory/cross-entropy"] == 0
    assert all(math.isfinite(value) for value in metrics.values() if isinstance(value, float))


def test_groups_of_any_size_are_learned_and_the_error_is_that_of_redrawn_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.means", "[1e-9, 5, 1e6]", "--data.probabilities", "[0, 1, 0.5]"]
    metrics = run(tmp_path, *words)
    said = capsys.readouterr().out
    absolute = next(line for line in said.splitlines() if line.startswith("absolute"))
    assert "learned 6.287e-10, 3.0092, 676371.0" in absolute
    assert "-0.0000" not in said
    assert metrics["gap/excess_absolute"] < 1e-4
    # only the third group is spread: |y − m ln 2| of exponential y has variance 2 m² (1 − ln 2)
    error = float(absolute.split("±")[1].split(",")[0])
    assert error == pytest.approx(1e6 * math.sqrt(2 * (1 - math.log(2)) / 2000) / 3, rel=0.1)


def test_a_loss_that_got_nowhere_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--lr", "1e-5", status=1)
    assert (
        "the absolute error is less than half way there, 100 % of the way to a minimiser is left: more --epochs or"
        in (capsys.readouterr().err)
    )


def test_one_test_sample_of_a_group_has_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS[:-1], "1", "--root", str(tmp_path), "--report", "none"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "±" not in out
    assert "nan" not in out


def drawn(learned: float, scale: float = 1.0, medians: tuple[float, float] | None = None) -> Figure:
    f, p = np.linspace(0, 5 * scale, 200), np.linspace(0.01, 0.99, 50)
    due = {"absolute": 1.2 * scale, "squared": 2 * scale, "cross-entropy": 0.5}
    ends = {"absolute": learned, "squared": 2 * scale, "cross-entropy": 0.5}
    curves = {"absolute": np.abs(f - due["absolute"]) + scale, "squared": (f - due["squared"]) ** 2}
    return minimisers_figure(f, curves, p, 1 - p * (1 - p), due=due, learned=ends, floor=0.7, medians=medians)


def test_the_figure_tells_what_was_learned_beside_what_is_due() -> None:
    told = "learned by the absolute error: 0.178 (median 1.2); by the squared error: 2 (mean 2); by the cross entropy: "
    assert title(drawn(0.178)) == told + "0.5 (share of label 1: 0.5)"
    patterns = {str(line._unscaled_dash_pattern) for line in drawn(1.2).axes[0].lines if line.is_dashed()}
    assert len(patterns) == 2, "median and mean are told apart"
    assert "(medians 1.1 to 1.3);" in title(drawn(1.2, medians=(1.1, 1.3)))
    dots = [line for line in drawn(99.0).axes[0].lines if line.get_marker() == "o"]
    assert [float(np.ravel(dot.get_xdata())[0]) for dot in dots] == [2], "none where the curve does not reach"


def test_large_losses_are_numbered_at_their_ticks() -> None:
    for scale in (1e3, 1e-3):
        figure = drawn(scale, scale)
        figure.draw_without_rendering()
        assert figure.axes[0].yaxis.get_offset_text().get_text() == ""
        assert any("10" in tick.get_text() for tick in figure.axes[0].get_yticklabels())


def test_a_resumed_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*WORDS, "--data.steps", "3", "--epochs", "3", "--report", "none"]
    assert_equal_runs(*stopped_and_resumed(LossesTask, words, tmp_path, (1, 1), monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "-1"], "--model.lr must be above 0 and finite, got -1"),
        (["--data.means", "[0, 1, 1]"], "--data.means must be numbers above 0 up to 1e+06, at least one, got [0.0, 1."),
        (["--data.means", "[1e30, 1, 1]"], "--data.means must be numbers above 0 up to 1e+06, at least one, got [1e+"),
        (["--data.probabilities", "[0.5, 2, 0]"], "--data.probabilities must be numbers in [0, 1], got [0.5, 2.0, 0.0"),
        (
            ["--data.means", "[1, 2]"],
            "--data.means and --data.probabilities must be equally many, one for each group, ",
        ),
        (["--data.num_samples", "0"], "--data.num_samples must be between 1 and 1,000,000, got 0"),
    ],
)
def test_wrong_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*WORDS, "--root", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err
