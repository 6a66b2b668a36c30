"""Whether there is a maximum of the likelihood: it is found, or its absence is said with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

import train
from tests.models.test_glm import QUICK, run


def test_separable_samples_name_the_way_out_and_a_prior_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "glm", "--data.num_samples", "2", *QUICK]
    assert train.main([*words, "--root", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("train.py: bernoulli has no finite maximum of the likelihood on these 2 samples")
    assert said.count("\n") == 1
    assert said.endswith("help: --data.num_samples, --data.signal, --model.prior_deviation\n")
    assert not (tmp_path / "none").exists()
    _, metrics = run(tmp_path / "prior", "--data.num_samples", "2", "--model.prior_deviation", "2")
    assert metrics["gap/distance_irls"] < 1e-12


@pytest.mark.parametrize(
    "words",
    [
        ["--data.num_samples", "10", "--data.signal", "3", "--data.sample_seed", "14"],
        ["--data.num_samples", "2", "--data.sample_seed", "1"],
    ],
)
def test_separated_samples_get_no_figures_however_long_they_run(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--model", "glm", "--root", str(tmp_path), "--epochs", "20", *words, *QUICK]) == 2
    assert "classes can be separated; more samples, a weaker signal or a prior help: " in capsys.readouterr().err


def test_too_few_samples_of_a_gaussian_have_no_unique_maximum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.family", "gaussian", "--data.num_samples", "3", "--data.num_features", "5", *QUICK]
    assert train.main(["--model", "glm", "--root", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert "gaussian has no unique maximum of the likelihood on these 3 samples, fewer than the 6 coefficients" in said
    assert said.endswith("more samples or a prior help: --data.num_samples, --model.prior_deviation\n")


def test_newton_arrives_on_a_steep_sample_of_counts(tmp_path: Path) -> None:
    words = ["--data.num_samples", "2000", "--data.num_features", "50", "--data.signal", "3"]
    _, metrics = run(tmp_path, "--data.family", "poisson", *words)
    assert metrics["gap/distance_irls"] < 1e-12
    assert 0.001 < metrics["test/wald_p"] < 0.999
