"""Capacity, regularisers and double descent through the front door, against exact expectations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train
from models.capacity.evidence import Evidence
from models.capacity.learners import Networks, Polynomials
from models.capacity.results import Risks, Sweep, distance
from models.generalisation import GeneralisationTask
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.refusals import refused
from theory.evidence import legendre
from theory.regularisation import descent_iterate, ridge, spectral_filter

QUICK = {"--device": "cpu", "--report": "none", "--model.draws": "0"}
SMALL = {"--model.max_size": "6", "--data.replicas": "40", "--epochs": "3"}
FULL = {"--report": "full"}


def words(root: Path, options: dict[str, str]) -> list[str]:
    pairs = {"--model": "generalisation", "--root": str(root), **QUICK, **SMALL, **options}
    return [word for pair in pairs.items() for word in pair]


def run(root: Path, options: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    assert train.main(words(root, options)) == 0
    (folder,) = root.glob("*/*")
    return folder, json.loads((folder / "metrics.json").read_text())


def trained(steps: int, **options: float) -> tuple[Polynomials, torch.Tensor, torch.Tensor]:
    """Polynomials to degree 4 after some steps of torch's gradient descent on random responses."""
    settings = {"lr": 0.7, "weight_decay": 0.0, "dropout": 0.0, "noise": 0.0, **options}
    torch.manual_seed(0)
    x = 2 * torch.rand(20, dtype=torch.float64) - 1
    y = torch.randn(20, 1, dtype=torch.float64).expand(-1, 300)
    model = Polynomials(4, 300, **settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        model.objective(x, y).backward()
        optimizer.step()
    return model, x, y


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_descent_is_its_closed_form_at_every_degree(weight_decay: float) -> None:
    model, x, y = trained(33, weight_decay=weight_decay)
    for degree in range(5):
        features = legendre(x, degree)
        due = descent_iterate(model.matrix(x, degree), features.T @ y / 20, float(model.steps(x)[degree]), 33)
        ours = model.weight[degree, :, : degree + 1].T
        torch.testing.assert_close(ours, due, atol=1e-13, rtol=0)
        assert not model.weight[degree, :, degree + 1 :].any()


def test_the_filter_and_the_end_are_those_of_ridge() -> None:
    model, x, y = trained(5, weight_decay=0.05)
    eigenvalues = torch.linalg.eigvalsh(model.matrix(x, 4))
    due = spectral_filter(eigenvalues, float(model.steps(x)[-1]), 5)
    torch.testing.assert_close(Sweep.filter_of(model, x, y), due, atol=1e-12, rtol=0)
    model, x, y = trained(2000, weight_decay=0.05)
    torch.testing.assert_close(model.weight[4].T, ridge(legendre(x, 4), y, 0.05 * 20), atol=1e-10, rtol=0)


@pytest.mark.parametrize("switch", [{"dropout": 0.3}, {"noise": 0.5}, {"dropout": 0.2, "noise": 0.2}])
def test_the_mean_over_masks_and_noise_is_the_closed_form(switch: dict[str, float]) -> None:
    model, x, y = trained(12, **switch)
    features = legendre(x, 4)
    due = descent_iterate(model.matrix(x, 4), features.T @ y[:, 0] / 20, float(model.steps(x)[-1]), 12)
    weight = model.weight[4].detach()
    score = (weight.mean(0) - due) / (weight.std(0) / 300**0.5)
    assert float(score.abs().max()) < 4
    plain = descent_iterate(features.T @ features / 20, features.T @ y[:, 0] / 20, float(model.steps(x)[-1]), 12)
    assert float(((weight.mean(0) - plain) / (weight.std(0) / 300**0.5)).abs().max()) > 8, "the switch does something"


def test_networks_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    model = Networks(8, 3, weight_decay=0.1, dropout=0.0, noise=0.0)
    x, y = torch.linspace(-1, 1, 9), torch.randn(9, 3)
    model.objective(x, y).backward()
    assert model.slope.grad is not None
    first = model.slope.grad[1, 0].clone()
    model.zero_grad()
    changed = y.clone()
    changed[:, 1:] = 0
    with torch.no_grad():
        model.weight[2] = 5
    model.objective(x, changed).backward()
    torch.testing.assert_close(model.slope.grad[1, 0], first)
    assert not model.slope.grad[1, :, 2:].any(), "units beyond the width are never used"


def test_errors_are_the_exact_risks(tmp_path: Path) -> None:
    folder, metrics = run(tmp_path, {**FULL, "--model.draws": "400"})
    assert metrics["gap/iterate"] < 1e-12
    assert metrics["gap/risk_scores"] < 4.5
    assert metrics["test/best_size"] == 3
    assert metrics["theory/evidence_degree"] == metrics["test/evidence_degree"] == 3
    assert metrics["test/error"] > metrics["theory/noise_floor"] == 0.25
    assert metrics["test/law_smallest_p"] > 1e-4
    assert metrics["test/peak_median_risk"] == pytest.approx(metrics["theory/peak_median_risk"], rel=0.3)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn >= {"capacity", "double_descent", "spectral_filter"}
    assert "no free lunch" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    "switch",
    [
        {"--model.dropout": "0.2"},
        {"--model.augmentation": "0.3", "--data.function": "step"},
        {"--model.dropout": "0.5", "--model.augmentation": "1.0"},
    ],
)
def test_random_regularisers_have_the_mean_of_the_closed_form(switch: dict[str, str], tmp_path: Path) -> None:
    _, metrics = run(tmp_path, switch)
    assert metrics["gap/iterate_scores"] < 4.5
    # Masks only add variance to the risk of the mean iterate; 40 replicas know it within 5 %.
    assert metrics["test/error_largest"] > 0.85 * metrics["theory/error_largest"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"--model.max_size": "4", "--model.weight_decay": "1000"}, (", overfitting: degree 3 has 0.2", "do worse in")),
        ({"--model.max_size": "2"}, (", no overfitting; ", "do better in")),
        ({"--model.max_size": "12"}, (", overfitting: degree 3 has 0.2", "(exact 0.2831); ", "do better in")),
    ],
)
def test_overfitting_is_said_where_the_numbers_say_it(
    options: dict[str, str], says: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, options)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("least squares")]
    for text in says:
        assert text in line


def test_a_bound_is_not_called_exact_and_the_error_has_its_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, metrics = run(tmp_path, {"--model.dropout": "0.5", "--model.max_size": "3"})
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("test error")]
    said = re.search(r"best on these draws: (\S+) ± (\S+) \(at least (\S+) over all draws\)", line)
    assert said is not None
    assert [float(said[1]), float(said[3])] == pytest.approx([metrics["test/error"], metrics["theory/error"]], abs=1e-4)
    assert 0.002 < float(said[2]) < 0.02, "40 replicas of 200 points"
    assert "exact" not in line


@pytest.mark.parametrize(
    ("scores", "replicas", "said"),
    [
        (94.7, 2, "at most 94.7 standard errors (of 2 replicas: too few for a verdict) from"),
        (8.0, 10, "within 8.0 standard errors of"),  # Student's t of 9 degrees has heavy tails
        (8.0, 200, "NOT as due, 8.0 standard errors from"),
        (5.0, 200, "within 5.0 standard errors of"),
    ],
)
def test_few_replicas_give_no_verdict(scores: float, replicas: int, said: str) -> None:
    assert distance(scores, replicas) == said


def test_as_many_features_as_points_leave_figures(tmp_path: Path) -> None:
    """Rounding may then make the smallest eigenvalue negative."""
    folder, _ = run(tmp_path, {**FULL, "--data.num_samples": "40", "--model.max_size": "39", "--model.draws": "100"})
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn >= {"capacity", "double_descent", "spectral_filter"}


def test_networks_train(tmp_path: Path) -> None:
    network = {"--model.learner": "network", "--model.max_size": "8", "--data.replicas": "4", "--model.dropout": "0.1"}
    folder, metrics = run(tmp_path, {**FULL, **network, "--data.function": "sine"})
    assert metrics["test/error"] < 0.75, "better than the mean, whose error is 1/2 + 1/4"
    assert (folder / "figures/capacity.png").exists()


def test_the_law_is_tested_at_the_peak_too() -> None:
    risks = Risks.draw(10, 500, torch.Generator().manual_seed(0))
    assert {9, 10, 11} <= {*risks.features}
    assert np.isinf(risks.means_due[risks.features.index(10)])
    assert np.isfinite(risks.medians_due).all()
    assert risks.p_values.min() > 1e-3


def test_stop_and_resume_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of dropout are drawn in every step; an epoch is one batch."""
    pairs = {"--model": "generalisation", **QUICK, **SMALL, "--model.dropout": "0.2"}
    given = [word for pair in pairs.items() for word in pair]
    assert_equal_runs(*stopped_and_resumed(GeneralisationTask, given, tmp_path, (1, 0), monkeypatch))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model.max_size", "30"], "--model.max_size must be between 1 and 29 for 30 points, got 30"),
        (["--lr", "2"], "--model.lr of a polynomial must be above 0 and below 2, got 2.0"),
        (["--model.weight_decay", "1000001"], "--model.weight_decay must be between 0 and 1,000,000, got 1000001"),
        (["--model.augmentation", "-1"], "--model.augmentation must be between 0 and 1,000,000, got -1"),
        (["--model.dropout", "1"], "--model.dropout must be at least 0 and below 1, got 1.0"),
        (["--model.weight_decay", "-1"], "--model.weight_decay must be between 0 and 1,000,000, got -1.0"),
        (["--model.draws", "3"], "--model.draws must be 0, or between 100 and 100,000, got 3"),
        (["--model.draws", "-1"], "--model.draws must be 0, or between 100 and 100,000, got -1"),
        (["--model.steps", "0"], "--model.steps must be between 1 and 1,000,000, got 0"),
        (["--model.steps", "1000000000000"], "--model.steps must be between 1 and 1,000,000, got 1000000000000"),
        (["--model.draw_samples", "4"], "--model.draw_samples must be between 5 and 200, got 4"),
        (["--data.noise", "0"], "--data.noise must be between 1e-06 and 1,000,000, got 0.0"),
        (["--data.num_samples", "3"], "--data.num_samples must be between 4 and 100,000, got 3"),
        (["--data.function", "circle"], "--data.function: expected cubic, sine, step, got 'circle'"),
    ],
)
def test_wrong_input_is_one_line(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["--model", "generalisation", *given], message, tmp_path, capsys)


def test_a_degree_that_was_not_compared_is_not_said_to_be_missed() -> None:
    places = torch.linspace(-0.9, 0.9, 12, dtype=torch.float64)
    sample = places, (places**3)[:, None].expand(-1, 3)
    assert Evidence.of(sample, "cubic", 0.1, 2).degree is None
    assert Evidence.of(sample, "cubic", 0.1, 3).degree == 3
