"""Generalised linear models through the front door: the estimates, the tables, resume and replay, wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression

import train
from data.samples import Samples
from data.tables import Tables, saturated_rows
from models.glm import GLMTask
from models.regression.adjustment import set_treatment
from models.regression.convergence import Convergence
from models.regression.likelihood import Likelihood, predictors
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.refusals import refused
from tests.runs import weights
from theory.causality import TABLES
from theory.exponential_family import FAMILIES, mean
from theory.newton import fit

QUICK = ["--device", "cpu", "--report", "none"]


def run(root: Path, *words: str) -> tuple[Path, dict[str, Any]]:
    """One run of ``--model glm`` and its metrics."""
    assert train.main(["--model", "glm", "--root", str(root), *QUICK, *words]) == 0
    (folder,) = root.glob("*/*")
    return folder, json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("family", FAMILIES)
def test_three_solvers_meet_beside_the_truth(family: str, tmp_path: Path) -> None:
    _, metrics = run(tmp_path, "--data.family", family, "--data.num_features", "2", "--data.test_samples", "2000")
    assert metrics["gap/distance_irls"] < 1e-13
    assert metrics["gap/distance_lbfgs"] < 1e-6
    assert metrics["test/wald_p"] > 1e-3
    assert abs(metrics["gap/loss"]) < 12 * metrics["theory/excess_loss"]
    assert metrics["test/descent_rate"] <= metrics["theory/descent_rate"] + 1e-3


def test_the_curvatures_of_the_maximum_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = torch.linalg.eigvalsh, []
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda matrix: asked.append(matrix) or found(matrix))
    run(tmp_path, "--epochs", "2", "--model.steps", "5")
    assert len(asked) == 1


def test_the_estimate_is_that_of_scikit_learn(tmp_path: Path) -> None:
    folder, metrics = run(tmp_path, "--data.sample_seed", "3")
    data = Samples(sample_seed=3)
    data.setup()
    x, y = next(iter(data.train_dataloader()))
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, solver="newton-cholesky").fit(x, y[:, 0])
    np.testing.assert_allclose(weights(folder)["newton.theta"][:, 0], theirs.coef_[0], atol=1e-9)
    away = theirs.coef_[0] - np.array(data.facts()["truth"])[:, 0]
    p = theirs.predict_proba(x)[:, 1]
    information = (x.numpy() * (p * (1 - p))[:, None]).T @ x.numpy()
    assert metrics["test/wald"] == pytest.approx(away @ information @ away, rel=1e-6)
    assert metrics["test/wald_p"] == pytest.approx(stats.chi2.sf(metrics["test/wald"], 2))


def test_a_prior_makes_it_ridge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, metrics = run(tmp_path, "--data.family", "gaussian", "--model.prior_deviation", "0.2", "--epochs", "1")
    assert metrics["gap/ridge"] < 1e-12
    laws = {"theory/excess_loss", "test/wald", "theory/wald", "test/wald_p"}
    assert not laws & metrics.keys(), "a prior moves the maximum away from where these laws hold"
    assert "DK/2n" not in capsys.readouterr().out


def test_laws_for_large_samples_are_called_so_and_their_letters_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--data.family", "poisson", "--data.num_samples", "5")
    out = capsys.readouterr().out
    assert "(for large n DK/2n = 2.0e-01 on average: D = 2 features with the constant, K = 1 natural parameter, " in out
    assert "χ² with 2 degrees, its law for large n, has mean 2" in out


@pytest.mark.parametrize("family", FAMILIES)
def test_predictors_lead_to_the_means_by_slopes_of_autograd(family: Any) -> None:
    eta = torch.randn(4, 3 if family == "softmax" else 1, generator=torch.Generator().manual_seed(0)).double()
    values, slopes = predictors(family, eta)
    due = mean(family, eta)
    if family == "softmax":
        due = torch.cat([1 - due.sum(1, keepdim=True), due], 1)
    back = {"gaussian": values, "poisson": values.exp()}.get(family, values.sigmoid())
    torch.testing.assert_close(back, due)
    found = torch.autograd.functional.jacobian(lambda one: predictors(family, one[None])[0][0], eta[2])
    torch.testing.assert_close(slopes[2], found)


@pytest.mark.parametrize(
    ("family", "options", "highest"),
    [
        ("bernoulli", {"num_samples": 12, "sample_seed": 3}, 1.0),
        ("poisson", {"num_samples": 5}, np.inf),
        ("softmax", {"num_samples": 40}, 1.0),
    ],
)
def test_the_band_of_a_mean_stays_in_its_range(family: Any, options: dict[str, int], highest: float) -> None:
    data = Samples(family, **options)
    data.setup()
    sample, facts = next(iter(data.train_dataloader())), data.facts()
    maximum = fit(family, *sample)
    found = Likelihood(
        family, maximum.theta, maximum, sample, sample, 1.0, facts["truth"], 0.0, facts["feature_names"],
        Convergence([], [], 1.0),
    )  # fmt: skip
    middle, low, high, truth = found.curve(torch.linspace(-3, 3, 50, dtype=torch.float64))
    assert float(low.min()) >= 0
    assert float(high.max()) <= highest
    assert bool(((low <= middle) & (middle <= high)).all())
    assert middle.shape == truth.shape == low.shape


@pytest.mark.parametrize(
    ("table", "adjusted", "crude"),
    [("kidney-stones", (0.8325, 0.7789), (0.7800, 0.8257)), ("berkeley", (0.3873, 0.4300), (0.4452, 0.3035))],
)
def test_simpson(table: str, adjusted: tuple, crude: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, metrics = run(tmp_path, "--data", "tables", "--data.table", table)
    for place, name in enumerate(("first", "second")):
        assert metrics[f"test/adjusted_{name}"] == pytest.approx(adjusted[place], abs=5e-5)
        assert metrics[f"test/crude_{name}"] == pytest.approx(crude[place], abs=5e-5)
    assert metrics["gap/adjusted"] < 1e-12
    assert metrics["test/effect_adjusted"] * metrics["test/effect_crude"] < 0
    out = capsys.readouterr().out
    assert "reversed by adjusting" in out
    assert ("| do" in out, "standardised" in out) == ((True, False) if table == "kidney-stones" else (False, True))


def test_the_collider(tmp_path: Path) -> None:
    _, metrics = run(tmp_path, "--data", "tables", "--data.table", "collider", "--data.noise", "0.5")
    assert metrics["theory/slope_given"] == pytest.approx(-0.8)
    assert abs(metrics["gap/slope_given_errors"]) < 4
    assert abs(metrics["gap/slope_errors"]) < 4
    assert metrics["test/partial_correlation"] == pytest.approx(-0.8, abs=0.05)


@pytest.mark.parametrize(("table", "deviation"), [("kidney-stones", "0.5"), ("collider", "0.1")])
def test_with_a_prior_no_number_of_a_table_is_due(
    table: str, deviation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "tables", "--data.table", table, "--model.prior_deviation", deviation]
    _, metrics = run(tmp_path, *words)
    laws = {"theory/adjusted_first", "gap/adjusted", "theory/slope_given", "gap/slope_given_errors"}
    assert not laws & metrics.keys()
    said = capsys.readouterr().out
    assert f"; shrunk by the prior N(0, {deviation}²), so that no number is due\n" in said
    assert "largest gap" not in said
    assert "-0.5000 due\n" not in said


def test_rows_are_the_people_of_the_table() -> None:
    for name, study in TABLES.items():
        x, y, names = saturated_rows(name)
        successes, trials = study.tensors()
        assert x.shape == (int(trials.sum()), 2 * len(study.strata))
        assert len(names) == x.shape[1]
        rates = torch.sigmoid(x.unique(dim=0) @ fit("bernoulli", x, y).theta)[:, 0]
        np.testing.assert_allclose(rates.sort().values, (successes / trials).flatten().sort().values, atol=1e-12)
        treated = set_treatment(x, 1.0)
        assert torch.equal(set_treatment(treated, 0.0)[:, 2 : 1 + len(study.strata)], x[:, 2 : 1 + len(study.strata)])
        assert torch.equal(torch.where(x[:, 1:2] == 1, treated, x), x)


@pytest.mark.parametrize(
    ("words", "figure"),
    [
        *((["--data.family", family], "fit") for family in FAMILIES),
        (["--data.num_features", "3"], "fit"),
        (["--data", "tables"], "simpson"),
        (["--data", "tables", "--data.table", "collider"], "collider"),
    ],
)
def test_every_figure_is_drawn(words: list[str], figure: str, tmp_path: Path) -> None:
    assert train.main(["--model", "glm", "--root", str(tmp_path), "--device", "cpu", "--epochs", "1", *words]) == 0
    assert {path.stem for path in tmp_path.glob("*/*/figures/*.png")} >= {figure, "solvers"}


def test_stop_and_resume_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--model", "glm", "--epochs", "4", *QUICK]
    assert_equal_runs(*stopped_and_resumed(GLMTask, words, tmp_path, (1, 0), monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.family", "poison"], "--data.family: expected gaussian, bernoulli, poisson, softmax, got 'poison'"),
        (["--data.num_samples", "1"], "--data.num_samples must be between 2 and 1,000,000, got 1"),
        (["--data.noise", "0.1"], "--data.noise is only for --data.family gaussian, got 0.1"),
        (["--data.family", "poisson", "--data.num_classes", "4"], "--data.num_classes is only for --data.family softm"),
        (["--data.family", "gaussian", "--data.noise", "0"], "--data.noise must be between 1e-06 and 1,000,000, got 0"),
        (["--data.family", "gaussian", "--data.noise", "1e30"], "--data.noise must be between 1e-06 and 1,000,000, go"),
        (["--data.family", "gaussian", "--data.noise", "1e200"], "--data.noise: expected a number of at most 3.4e+38"),
        (["--data", "tables", "--data.noise", "2"], "--data.noise is only for --data.table collider, got 2.0"),
        (["--data.test_samples", "0"], "--data.test_samples must be between 1 and 1,000,000, got 0"),
        (["--data.signal", "5"], "--data.signal must be above 0 and at most 3, got 5.0"),
        (["--lr", "0"], "--model.lr must be above 0 and finite, got 0.0"),
        (["--model.prior_deviation", "-1"], "--model.prior_deviation must be above 0, or none, got -1.0"),
        (["--model.steps", "0"], "--model.steps must be between 1 and 100,000, got 0"),
        (["--model.steps", "1000000000000"], "--model.steps must be between 1 and 100,000, got 1000000000000"),
        (["--data", "tables", "--data.noise", "-1"], "--data.noise must be between 1e-06 and 1,000,000, got -1.0"),
        (
            ["--data", "digits"],
            "--model glm cannot learn from --data digits, which does not say ",
        ),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["--model", "glm", *words], message, tmp_path, capsys)


def test_a_step_past_the_edge_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--lr", "2.5", "--epochs", "2")
    assert "the step is past the edge 2 / λ" in capsys.readouterr().out


def test_divergence_is_said_with_its_step_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data.family", "gaussian", "--lr", "2.5", "--model.steps", "300", "--epochs", "1", *QUICK]
    assert train.main(["--model", "glm", *words, "--root", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "gradient descent diverged (" in captured.out
    data = Samples(family="gaussian")
    data.setup()
    x, y = (part.numpy() for part in next(iter(data.train_dataloader())))
    information = x.T @ x
    goal = np.linalg.solve(information, x.T @ y)  # least squares
    theta, distances = np.zeros_like(goal), [float(np.linalg.norm(goal))]
    while distances[-1] <= 1e9 * max(distances[0], 1):
        theta = theta - 2.5 / np.linalg.eigvalsh(information)[-1] * (information @ theta - x.T @ y)
        distances.append(float(np.linalg.norm(theta - goal)))
    first = max(step for step, distance in enumerate(distances) if distance <= distances[0]) + 1
    said = captured.err.strip()
    assert said.startswith(f"train.py: gradient descent diverged at step {first}: ")
    assert f" {distances[-1]:.1e} after step {len(distances) - 1}; " in said
    assert said.endswith("--model.lr 2.5 is past the edge 2, at the maximum each step multiplies the distance by 1.5")


def test_a_step_to_where_nothing_is_finite_is_undone_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.family", "poisson", "--lr", "1e20", "--epochs", "2", *QUICK]
    assert train.main(["--model", "glm", *words, "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("train.py: gradient descent diverged at step 1: step 1 led to where the likelihood is not ")
    (folder,) = tmp_path.glob("*/*")
    assert (weights(folder)["descent.theta"] == 0).all()


@pytest.mark.parametrize(("lr", "due"), [("1e-30", "1 − 5.2e-31"), ("1e-8", "1 − 5.2e-09")])
def test_a_step_too_small_is_not_called_too_long(
    lr: str, due: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--lr", lr, "--epochs", "1")
    out = capsys.readouterr().out
    assert f"the step is too small: each one leaves {due} of the distance" in out
    assert "edge" not in out


def test_data_are_a_function_of_the_seed_alone() -> None:
    def first(seed: int) -> torch.Tensor:
        data = Samples(sample_seed=seed)
        data.setup()
        data.setup()
        x, _ = next(iter(data.train_dataloader()))
        return x

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert Tables().facts()["truth"] is None
