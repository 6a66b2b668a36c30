"""Approximation by one hidden layer: the search against finite differences and its floor, and whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.functions import Functions
from models.approximation.descent import LBFGS, Adam
from models.approximation.family import Activation, Family, activation_function
from models.approximation.gauss_newton import GaussNewton
from models.approximation.knots import ABSENT, begin, evaluate, fit_values, improve, knots_of, log_gaps_of
from models.approximation.reference import find_floors, one_network
from models.approximation.results import fitted_slope, ratio
from models.approximation.search import Line, SplineSearch, moved_over
from models.mlp import MLPTask, check_widths
from theory.expression import Expression
from theory.named_functions import TARGETS
from theory.segmentation import best_segmentation
from train import main

pytestmark = pytest.mark.filterwarnings("ignore:.*(LeafSpec|num_workers|callbacks used to create the checkpoint).*")


def grid(count: int = 400) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def random_knots(pieces: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    gaps = 0.3 + torch.rand(pieces, generator=generator, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), (gaps / gaps.sum()).cumsum(0)])


def test_values_are_least_squares_and_padding_changes_nothing() -> None:
    x, knots = grid(), random_knots(7)
    y = torch.sin(9 * x)
    design = np.stack([np.interp(x, knots, np.eye(8)[m]) for m in range(8)], 1)
    due = np.linalg.lstsq(design, y.numpy())[0]
    for most in (7, 12):
        fit = fit_values(knots_of(log_gaps_of(knots, most)[None]), x, y)
        np.testing.assert_allclose(fit.values[0, :8], due, atol=1e-10)
        assert float(fit.error) == pytest.approx(float(((design @ due - y.numpy()) ** 2).sum()), rel=1e-10)
    assert (log_gaps_of(knots, 9)[7:] == ABSENT).all()


def test_the_gradient_by_the_knots_is_that_of_differences() -> None:
    x, knots = grid(2000), random_knots(6)
    y = torch.exp(2 * x) * torch.sin(6 * x)
    fit = fit_values(knots[None], x, y)
    for place in range(1, 6):
        errors = []
        for sign in (1, -1):
            moved = knots.clone()
            moved[place] += sign * 2e-5
            errors.append(float(fit_values(moved[None], x, y).error))
        slope = (errors[0] - errors[1]) / 4e-5
        # ½‖r‖² has the gradient -a_i v_iᵀ r
        assert -2 * float(fit.jumps[0, place] * fit.pull[0, place]) == pytest.approx(slope, rel=2e-3, abs=1e-4)


def test_lines_reach_their_floor_from_the_segmentation() -> None:
    x = grid(1024)
    y = torch.tanh(20 * (x - 0.4)) + x
    widths = [3, 8, 20]
    floors = best_segmentation(x.numpy(), y.numpy(), 20).floors
    due = [float(floors[width - 1]) for width in widths]
    search = SplineSearch(widths, 1)
    for _ in range(150):
        search.step(x, y, due)
    for line, floor in zip(search.best(x, y), due, strict=True):
        assert line.error**0.5 == pytest.approx(floor, rel=0.01)
        assert line.error**0.5 >= floor * (1 - 1e-9)


def test_the_error_never_rises_and_knots_stay_in_order() -> None:
    x = grid()
    y = torch.sin(12 * x)
    search = begin(torch.stack([log_gaps_of(random_knots(6, seed), 6) for seed in range(4)]))
    fit = fit_values(knots_of(search.log_gaps), x, y)
    for _ in range(30):
        before = fit.error
        search, fit = improve(search, fit, x, y)
        assert (fit.error <= before).all()
        assert (knots_of(search.log_gaps).diff() > 0).all()


def test_a_knot_moved_over_leaves_their_number() -> None:
    x, knots = grid(), random_knots(8)
    generator = torch.Generator().manual_seed(0)
    moved = moved_over(knots, torch.sin(9 * knots), x, torch.sin(9 * x), generator)
    assert len(moved) == 9
    assert (moved.diff() > 0).all()
    assert len(set(moved.tolist()) - set(knots.tolist())) == 1


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_line_is_a_network_on_its_own_interval(slope: float) -> None:
    knots = random_knots(9)
    line = Line(knots, torch.sin(5 * knots), 0.0)
    network = one_network(line, slope, -3.0, 5.0)
    x = torch.linspace(0, 1, 301, dtype=torch.float64)
    found = network((-3 + 8 * x)[:, None])[:, 0]
    torch.testing.assert_close(found, evaluate(line.knots[None], line.values[None], x)[0], atol=1e-13, rtol=0)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if len(target.variables) == 1])
def test_the_lines_found_are_networks_to_thirteen_digits(name: str) -> None:
    x = grid(4096)
    y = Expression(TARGETS[name].formula)(x)
    search = SplineSearch([8, 16], 1)
    for _ in range(12):
        search.step(x, y, [0.0, 0.0])
    for line, fit in zip(search.best(x, y), search.current(x, y).error.view(2, -1).amin(1), strict=True):
        values = evaluate(line.knots[None], line.values[None], x)[0]
        assert float((one_network(line, 0.0, 0.0, 1.0)(x[:, None])[:, 0] - values).abs().max()) <= 1e-13
        assert float((values - y).square().sum()) == pytest.approx(float(fit), rel=1e-9, abs=1e-20)


def test_a_family_is_networks_one_by_one() -> None:
    family = Family([3, 5], 2, "tanh", num_inputs=2, seed=4)
    x = torch.rand(7, 2, dtype=torch.float64)
    (weight, bias), (outer, offset) = family.layers(family.rows.detach())
    for row, width in enumerate([3, 3, 5, 5]):
        hidden = torch.tanh(x @ weight[row, :width].T + bias[row, :width])
        torch.testing.assert_close(family(x)[row], hidden @ outer[row, 0, :width] + offset[row, 0])


def test_gradients_of_absent_units_are_zero_and_adam_is_torchs() -> None:
    x = grid(50)
    y = torch.sin(6 * x)
    family, twin = (Family([2, 4], 1, "sigmoid", seed=1) for _ in range(2))
    ours = Adam(family, 0.01, 10**9)
    theirs = torch.optim.Adam([twin.rows], lr=0.01)
    for _ in range(20):
        ours.step(x, y)
        theirs.zero_grad()
        (twin(x) - y).square().mean(1).sum().backward()
        assert twin.rows.grad is not None
        twin.rows.grad *= twin.mask
        theirs.step()
    torch.testing.assert_close(family.rows, twin.rows)
    assert (family.rows[0][family.mask[0] == 0] == 0).all()


def test_lbfgs_finds_the_minimum_of_a_smooth_family() -> None:
    x = grid(60)
    y = torch.sin(3 * x)
    search = LBFGS(Family([4], 2, "tanh", seed=2))
    losses = torch.stack([search.step(x, y) for _ in range(150)])
    assert (losses.diff(dim=0) <= 1e-15).all()
    assert (losses[-1] < 1e-6).all()


@pytest.mark.parametrize("activation", ["tanh", "gelu", "gaussian", "sin", "sigmoid"])
def test_projection_beats_the_descents_by_far(activation: Activation) -> None:
    x = grid(128)
    y = torch.sin(6 * x)
    search = GaussNewton(Family([6], 2, activation, spread=True, seed=0))
    for _ in range(40):
        errors = search.step(x, y)
    assert float(errors.min()) < 1e-6


def test_a_polynomial_network_is_no_better_than_its_degree() -> None:
    x = grid(300)
    y = (x - 0.5).abs()
    floors = find_floors((x, y, y), [8], "polynomial", 6)
    assert floors.values is not None
    search = GaussNewton(Family([8], 2, "polynomial", degree=6, seed=0))
    for _ in range(60):
        error = float(search.step(x, y).min()) ** 0.5
    assert floors.values[0] * (1 - 1e-9) <= error <= floors.values[0] * 1.05
    torch.testing.assert_close(activation_function("polynomial", 3)(x), 4 * x**3 - 3 * x)


def test_ratios_and_slopes() -> None:
    assert ratio(2.0, 1.0, 1.0) == 2
    assert ratio(1e-17, 0.0, 1.0) == 1
    assert ratio(1e-3, 0.0, 1.0) == float("inf")
    assert fitted_slope([8, 16, 32], [8.0**-2, 16.0**-2, 32.0**-2]) == pytest.approx(-2)
    assert np.isnan(fitted_slope([8], [1.0]))


# --- runs ---

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
    status = main(["--model", "mlp", *SMALL, "--root", str(tmp_path), "--device", "cpu", *words])
    assert status == 0
    (folder,) = (tmp_path / "mlp-functions").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert all(np.isfinite(value) for value in metrics.values() if isinstance(value, float))
    assert any(tag.startswith("test/rms_") for tag in metrics)


def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole")
    part = run_short(tmp_path / "part")
    assert main(["--resume", str(part), "--epochs", "3", "--report", "none"]) == 0
    first, second = weights(whole), weights(part)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def run_short(root: Path) -> Path:
    words = [*SMALL[:4], "--epochs", "1", *SMALL[6:]]
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
        (("--model.hidden", "0"), "--model.hidden must be 1 to 512 units, got 0"),
        (("--model.widths", "[]"), "--model.widths must be 1 to 512 units"),
        (("--model.seeds", "0"), "--model.seeds must be 1 to 50"),
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
