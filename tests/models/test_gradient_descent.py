"""Descent through the front door: minima, saddles, edges, divergence that fails and divergence that was wanted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dashboard.descent import path_figure, shrinking_figure
from models.descent_drawn import distances, heading, land
from models.gradient_descent import GradientDescentTask
from models.running_away import runs_away
from tests.dashboard.titles import title
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from train import main

WORDS = ["--model", "gradient-descent", "--device", "cpu"]


def run(tmp_path: Path, *words: str, status: int = 0, report: str = "none") -> dict[str, Any]:
    """Metrics of a run."""
    assert main([*WORDS, "--report", report, "--root", str(tmp_path / "runs"), *words]) == status
    (path,) = (tmp_path / "runs").glob("*/*/metrics.json")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def test_the_bowl(tmp_path: Path) -> None:
    metrics = run(tmp_path, report="full")
    assert metrics["test/value"] == pytest.approx(metrics["theory/value"]) == pytest.approx(3)
    assert metrics["gap/distance"] < 1e-8
    assert [metrics[f"test/factor_{axis}"] for axis in (1, 2)] == pytest.approx([0.8, 0.6], rel=1e-9)
    assert [metrics[f"theory/factor_{axis}"] for axis in (1, 2)] == pytest.approx([0.8, 0.6], rel=1e-12)
    assert metrics["gap/path"] < 1e-12
    assert metrics["test/edge"] == pytest.approx(metrics["theory/edge"], rel=0.01)
    names = {path.name for path in (tmp_path / "runs").glob("*/*/figures/*.png")}
    assert names == {"path.png", "distance.png", "factor.png"}


def test_one_step_of_a_quarter_is_enough_on_the_parabola(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--data.function", "parabola", "--lr", "0.25")
    assert (metrics["test/steps"], metrics["test/value"], metrics["gap/distance"]) == (1, 2, 0)
    assert "to the last digit the path predicted before the first step" in capsys.readouterr().out


def test_the_saddle_is_reported_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--data.function", "saddle", status=1, report="full")
    assert metrics["test/diverged"] == 1
    assert metrics["test/factor_1"] == pytest.approx(1 + 0.1 * 2.47213595, rel=1e-6)
    captured = capsys.readouterr()
    assert "f has no minimum: the stationary point (-0.5, 0.5) is a saddle" in captured.out
    assert captured.err.startswith("train.py: diverged at step ")
    assert len(captured.err.splitlines()) == 1
    assert captured.out.splitlines()[-1].startswith("run: ")


def test_divergence_that_was_wanted_is_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--lr", "0.6", "--model.expect", "divergence")
    out = capsys.readouterr().out
    assert "beyond the edge 2/L = 0.5, each step multiplies the distance by 1.4" in out
    assert "epoch 2/5" in out
    assert "epoch 3/5" not in out, "it diverges in the second epoch; a frozen loss is not logged again"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--data.function", "x"],
            "no minimum: the gradient of x vanishes nowhere, f fell from 1 to -9 and falls without end",
        ),
        (["--data.function", "x^2 - y^2", "--data.start", "[1, 0]"], "the stationary point (0, 0) is a saddle"),
    ],
)
def test_a_path_to_no_minimum_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    run(tmp_path, *words, status=1)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("formula", ["abs(x)", "abs(x) + abs(y)", "relu(x - 1) + relu(-x - 1)"])
def test_a_broken_line_reaches_its_minimum(tmp_path: Path, capsys: pytest.CaptureFixture[str], formula: str) -> None:
    metrics = run(tmp_path, "--data.function", formula)
    assert metrics["test/value"] == pytest.approx(0, abs=1e-12)
    assert "no quadratic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("formula", "start", "lr", "says"),
    [
        # f(0.1) = -0.0099; the first step goes to 2.06, the second to -306.4
        ("x^4 - x^2", [0.1], 10.0, "f rose from -0.0099 to 8.81e+09: a step of α = 10 is too long"),
        ("x^2 - y^2", [1.0, 0.0], 3.0, "α = 3 is beyond the edge 2/L = 1, each step multiplies the distance by 5"),
        ("x^2 - y^2", [0.0, 1.0], 0.1, "f has no minimum: the stationary point (0, 0) is a saddle"),
        ("x^2 - x^3", [0.9], 0.5, "lowest curvature -2, and f fell from 0.081 to "),
        ("x^4", [3.0], 1.0, "f rose from 81 to "),
    ],
)
def test_why_a_path_ran_away(formula: str, start: list[float], lr: float, says: str) -> None:
    task = GradientDescentTask(formula, start, lr=lr)
    optimizer = task.configure_optimizers()
    for _ in range(400):
        optimizer.zero_grad()
        task.function(task.point).backward()
        optimizer.step()
        task.stopped = runs_away(task.function, task.point.detach(), torch.tensor(start, dtype=torch.float64))
        if task.stopped and not torch.isfinite(task.function(task.point)):
            break
        task.path.append(task.point.tolist())
        if task.stopped:
            break
    assert says in task.course().reason()
    assert ("falls without end" in task.course().reason()) == (lr == 0.1)


def test_divergence_that_was_wanted_and_did_not_come_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--model.expect", "divergence", status=1)
    assert "no divergence in 100 steps, although it was expected" in capsys.readouterr().err


@pytest.mark.parametrize(("rule", "lr"), [("momentum", "0.05"), ("nesterov", "0.05"), ("newton", "0.5")])
def test_every_linear_rule_follows_its_prediction(tmp_path: Path, rule: str, lr: str) -> None:
    metrics = run(tmp_path, "--model.rule", rule, "--lr", lr)
    assert metrics["gap/path"] < 1e-12
    for axis in (1, 2):
        assert metrics[f"test/factor_{axis}"] == pytest.approx(metrics[f"theory/factor_{axis}"], rel=1e-5)


def test_adam_descends_without_a_factor(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--model.rule", "adam", "--data.function", "x^4 + y^2 - x*y")
    assert metrics["test/value"] == pytest.approx(-1 / 64, abs=1e-3)
    assert "theory/factor_1" not in metrics


@pytest.mark.parametrize(
    ("words", "says", "lacks"),
    [
        (
            ["--model.rule", "newton", "--data.function", "x^4"],
            ["degenerate: f = ", "; the gradient vanishes at x = 0, where the curvatures do not decide",
             "curvatures 0 at its degenerate stationary point x = 0"],
            ["due", "factor"],
        ),
        (
            ["--data.function", "x^4"],
            ["not yet at rest: f = ", "curvatures 0 at its degenerate stationary point x = 0"],
            ["due", "factor"],
        ),
        (
            ["--data.function", "(x-y)^2", "--data.start", "[1,3]"],
            ["minimum: f = ", ", one of a whole line of minima", "curvatures 0, 4 at its line of minima through (2, 2)",
             "factor, λ = 4  0.600000 a step, due |1 − αλ| = 0.600000", "due 2/L = 0.5000"],
            ["factor, λ = 0", "do not decide", "degenerate"],
        ),
        (
            ["--data.function", "(x-y)^2", "--data.start", "[1,3]", "--model.rule", "newton", "--lr", "0.5"],
            ["minimum: f = ", "due 2 = 2.0000"],
            ["degenerate"],
        ),
        (
            ["--data.function", "1000000*x^2 + 0.000001*y^2", "--lr", "1e-7"],
            ["not yet at rest: f = 1e-06 at (0, 1)", "a minimum 0 lies at (0, 0)", "due 2/L = 1e-06"],
            ["degenerate"],
        ),
        (
            ["--lr", "0.5"],
            ["swings for ever: f = 11 at (2, 0) after 100 steps; α = 0.5 is the edge 2/L itself, where each step "
             "multiplies the distance along λ = 4 by −1"],
            ["not yet at rest"],
        ),
    ],
)  # fmt: skip
def test_what_is_said_where_curvatures_vanish_or_differ_by_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: list[str], lacks: list[str]
) -> None:
    run(tmp_path, *words)
    lines = capsys.readouterr().out.splitlines()
    out = "\n".join(line for line in lines if line.startswith(("outcome", "function", "factor", "edge", "whole")))
    squeezed = " ".join(out.split())
    for text in says:
        assert " ".join(text.split()) in squeezed
    for text in lacks:
        assert text not in squeezed


def test_no_figure_of_factors_at_a_degenerate_point(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--data.function", "x^4", "--model.rule", "newton", report="full")
    assert not any("factor" in name for name in metrics)
    names = {path.name for path in (tmp_path / "runs").glob("*/*/figures/*.png")}
    assert names == {"path.png", "distance.png"}


def test_a_flat_direction_is_not_drawn() -> None:
    task = GradientDescentTask("(x-y)^2", [1.0, 3.0])
    task.path += [[1.2, 2.8], [1.4, 2.6]]
    found, due, curvature = distances(task.course())
    assert curvature == [4.0]
    assert found.shape == (3, 1)
    assert due is not None
    assert due.shape == (3, 1)


def test_the_title_of_the_distances_names_no_value_that_is_not_drawn() -> None:
    figure = shrinking_figure(np.array([[1.0, 2.0], [0.0, 1e-5]]), None, [-2.0, 1.0])
    assert title(figure).endswith(": 1 → below 10⁻¹⁷ (not drawn), 2 → 10⁻⁵")


@pytest.mark.parametrize(("wide", "aspect"), [(1.0, 1.0), (100.0, "auto")])
def test_contours_are_crossed_at_a_right_angle_where_the_axes_allow_it(wide: float, aspect: Any) -> None:
    task = GradientDescentTask("x^2+y^2", [wide, 1.0])
    task.path += [[0.5 * wide, 0.5], [0.25 * wide, 0.25]]
    drawn = land(task.course())
    assert path_figure(*drawn, title="f").axes[0].get_aspect() == aspect
    assert heading(task.course(), drawn[0]) == task.course().outcome()
    assert heading(task.course(), drawn[0][:2]).endswith("; first step of 2 shown")


def test_running_away_past_a_degenerate_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--data.function", "x^3", "--data.start", "[-0.5]", status=1)
    captured = capsys.readouterr()
    assert "f fell from -0.125 to -3.06e+09, and its stationary point x = 0 is degenerate" in captured.err
    assert "is a degenerate" not in captured.out
    assert "factor" not in captured.out, "far from the point f is no quadratic"


def test_leaving_the_domain_is_divergence_and_no_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--data.function", "log(x)", status=1)
    assert all(value == value for value in metrics.values())
    captured = capsys.readouterr()
    assert "f is not finite there" in captured.err
    assert "nan" not in captured.out.lower()


def test_a_resumed_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*WORDS, "--model.rule", "adam", "--model.steps", "3", "--data.rounds", "2", "--report", "none"]
    assert_equal_runs(*stopped_and_resumed(GradientDescentTask, words, tmp_path, (2, 1), monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "0"], "--model.lr must be above 0 and finite, got 0"),
        (
            ["--model.rule", "momentum", "--model.momentum", "1"],
            "--model.momentum must be at least 0 and below 1, got 1.0",
        ),
        (["--model.steps", "0"], "--model.steps must be between 1 and 100,000, got 0"),
        (["--model.steps", "1000000000000"], "--model.steps must be between 1 and 100,000, got 1000000000000"),
        (["--data.function", "bowle"], "no function named 'bowle', did you mean 'bowl'?"),
        (["--data.function", "__import__('os')"], "--data.function: '__import__' in"),
        (["--data.function", "x^2 + z"], "'z' in 'x^2 + z' is not known; known: x, y, pi, e"),
        (["--data.function", "3"], "is a constant: there is nothing to descend"),
        (["--data.function", "log(x)", "--data.start", "[-1]"], "is not finite at the start [-1.0]"),
        (["--data.start", "[1]"], "--data.start must be 2 finite numbers, for x and y, got [1.0]"),
        (["--data.rounds", "0"], "--data.rounds must be between 1 and 10,000, got 0"),
        (["--data", "digits"], "; its usual data are --data landscape, see --model gradient-descent --data.help"),
    ],
)
def test_wrong_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*WORDS, "--root", str(tmp_path), *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_path_that_overflows_has_run_away(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--data.function", "x^2+1e-20*x^4+y^2")
    assert metrics["test/edge"] == pytest.approx(metrics["theory/edge"], rel=0.01)


def test_a_cycle_beyond_the_edge_cannot_settle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """x⁴ − 2x² curves by 12 − 4 = 8 at its minimum 1, so that 2/L = 1/4."""
    words = ["--data.function", "x^4-2*x^2+y^2", "--data.start", "[0.01,1]", "--epochs", "20"]
    metrics = run(tmp_path / "beyond", *words, "--lr", "0.3", status=1)
    assert not [name for name in metrics if "factor" in name]
    captured = capsys.readouterr()
    why = "α = 0.3 is beyond the edge 2/L = 0.25 of the minimum -1 at (1, 0): it cannot settle\n"
    assert captured.err == f"train.py: {why}"
    assert why in captured.out
    assert "not yet at rest" not in captured.out
    run(tmp_path / "within", *words, "--lr", "0.2")


def test_a_curvature_beside_which_rounding_is_larger_is_no_line_of_minima(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "steep", "--data.function", "1e-8*x^2+1e8*y^2", "--lr", "1e-9")
    said = capsys.readouterr().out
    assert "flat to rounding" in said
    assert "line of minima" not in said
    run(tmp_path / "line", "--data.function", "(x-y)^2", "--data.start", "[1,0]")
    said = capsys.readouterr().out
    assert "one of a whole line of minima" in said
    assert "flat to rounding" not in said


def test_far_from_the_minimum_there_is_no_factor_and_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.function", "(1-x)^2 + 100*(y-x^2)^2", "--data.start", "[-1, 1]", "--lr", "0.001"]
    metrics = run(tmp_path, *words)
    assert not [name for name in metrics if "factor" in name]
    assert "factor    none yet: at a distance of 1.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("formula", "start", "path", "says"),
    [
        ("(1-x)^2 + 100*(y-x^2)^2", [-1.0, 1.0], [[-0.99, 1.0]] * 8, "not near yet: at a distance of 2"),
        ("x^2", [1.0], [[0.0]], "at rest after 1 step, too soon to measure"),
        ("x^2", [0.0], [], "no step was taken"),
        ("2*x^2 + y^2", [1.0, 1.0], [[0.6, 0.8]], "too few steps to measure"),
    ],
)
def test_why_no_factor_was_measured(formula: str, start: list[float], path: list[list[float]], says: str) -> None:
    task = GradientDescentTask(formula, start)
    task.path += path
    assert says in task.course().unmeasured()
