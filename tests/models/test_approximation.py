"""Approximation by one hidden layer: the search against finite differences and its floor, families one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.approximation.descent import LBFGS, Adam
from models.approximation.family import Activation, Family, activation_function
from models.approximation.gauss_newton import GaussNewton
from models.approximation.knots import ABSENT, begin, evaluate, fit_values, improve, knots_of, log_gaps_of
from models.approximation.measure import Drawing
from models.approximation.pictures import pictures
from models.approximation.reference import closed_constant, estimated_constant, find_floors, function_at, one_network
from models.approximation.results import Method, Result, fitted_slope, ratio
from models.approximation.search import Line, SplineSearch, moved_over
from tests.dashboard.titles import title
from theory.expression import Expression
from theory.named_functions import TARGETS
from theory.segmentation import best_segmentation


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
def test_the_lines_found_are_networks_to_rounding(name: str) -> None:
    x = grid(4096)
    y = Expression(TARGETS[name].formula)(x)
    search = SplineSearch([8, 16], 1)
    for _ in range(12):
        search.step(x, y, [0.0, 0.0])
    for line, fit in zip(search.best(x, y), search.current(x, y).error.view(2, -1).amin(1), strict=True):
        values = evaluate(line.knots[None], line.values[None], x)[0]
        steepest = float((line.values.diff() / line.knots.diff()).abs().max())  # by which it multiplies rounding of x
        away = float((one_network(line, 0.0, 0.0, 1.0)(x[:, None])[:, 0] - values).abs().max())
        assert away <= 4 * steepest * torch.finfo(torch.float64).eps
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


def test_lbfgs_rests_where_there_is_nothing_left_to_learn() -> None:
    """A constant, as it is standardised: the gradient reaches 0, or numbers whose squares vanish."""
    x = grid(60)
    search = LBFGS(Family([4], 3, "relu", seed=1))
    for _ in range(100):
        loss = search.step(x, torch.zeros_like(x))
    assert (loss < 1e-28).all()
    assert all(state.isfinite().all() for state in search.state_dict().values())


def test_lbfgs_goes_on_after_a_gradient_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    x = grid(60)
    y = torch.sin(3 * x)
    search = LBFGS(Family([4], 2, "tanh", seed=2))
    for _ in range(5):
        before = search.step(x, y)
    rows, found = search.family.rows.detach().clone(), search.family.loss_and_gradient

    def broken(rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss, gradient = found(rows, x, y)
        gradient[0] = float("nan")
        return loss, gradient

    with monkeypatch.context() as patched:
        patched.setattr(search.family, "loss_and_gradient", broken)
        for _ in range(3):
            after = search.step(x, y)
    assert torch.equal(search.family.rows[0], rows[0])
    assert after[0] == before[0], "its last finite error"
    assert after[1] < before[1], "the other one goes on meanwhile"
    search.step(x, y)
    assert search.step(x, y)[0] < after[0]


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
    assert floors.family == "polynomials of degree 6", "in the headline, where pieces would be another floor"
    torch.testing.assert_close(activation_function("polynomial", 3)(x), 4 * x**3 - 3 * x)


def test_a_network_of_n_units_is_held_to_the_floor_of_one_more_piece() -> None:
    x = grid(400)
    y = torch.relu(x - 0.4)  # one unit, two pieces
    floors = find_floors((x, y, y), [1, 2], "relu", 0)
    assert floors.values is not None
    assert floors.values[0] > 0.05 > 1e-9 > floors.units[0]
    assert floors.values[1] == floors.units[0]


def test_the_constant_of_the_rate_is_known_only_where_the_curvature_is() -> None:
    x = np.linspace(0, 1, 4097)
    assert closed_constant("sine") == pytest.approx(estimated_constant(x, np.sin(2 * np.pi * x)), rel=1e-3)
    root = closed_constant("root")
    assert root == pytest.approx(0.24 / 0.44**2.5 / 720**0.5)  # ∫ (0.24 x^-1.4)^0.4 = 0.24^0.4 / 0.44
    assert estimated_constant(x, x**0.6) is None  # the slope at 0 is infinite
    assert estimated_constant(x, np.sin(2 * np.pi * x) + (x > 0.3)) is None
    assert estimated_constant(x, np.maximum(x - 0.4, 0)) is None
    x = np.linspace(0, 1, 10_001)
    for jump in np.geomspace(1e-6, 1, 13):  # a small one changes little when every second sample is left out
        found = estimated_constant(x, np.sin(2 * np.pi * x) + jump * (x > 0.3))
        assert found is None or found == pytest.approx(closed_constant("sine"), rel=0.011), jump


def result_of(errors: list[float], floors: list[float]) -> Result:
    method = Method("projection", np.array(errors)[:, None], np.zeros(len(errors), dtype=np.int64), 1, 0.1)
    widths = [2**place for place in range(len(errors))]
    return Result("f", widths, 100, 1.0, method, [], floors, "floor", "{} pieces", errors, constant=1.0)


def test_an_error_is_no_ratio_where_the_floor_is_0() -> None:
    found = result_of([0.02, 1e-3, 1e-17], [0.01, 0.0, 0.0])
    assert found.headline() == (
        "f: × 2 of the proved floor of 1 piece; exact, as the floor 0 of 4 pieces allows; RMS 1.0e-03 where the "
        "floor of 2 pieces is 0"
    )
    assert "rate" not in dict(found.findings())  # a slope towards 0 says nothing
    found.unit_floors = [1e-3, 0.0, 1e-17]
    assert dict(found.findings())["any knots"].endswith(" comes below 1.0000e-03 (N = 1)")
    found.unit_floors = [0.0, 0.0, 0.0]  # then, too, the floor of one piece holds no network of one unit
    assert dict(found.findings())["any knots"].endswith(" comes below 0 (N = 1)")
    found = result_of([0.0], [0.0])
    found.unit_floors = [0.0]
    assert "any knots" not in dict(found.findings())
    rate = dict(result_of([0.4, 0.1], [0.4, 0.1]).findings())["rate"]
    assert "RMS·N² = 0.4 (estimated 1 =" in rate


def test_an_error_below_the_floor_names_the_floor_that_holds() -> None:
    found = result_of([0.02, 0.009, 1e-4], [0.01, 0.01, 0.01])
    found.unit_floors = [0.008, 0.005, 0.0]
    assert found.headline() == (
        "f: × 2 of the proved floor of 1 piece; below the floor of 2, 4 pieces (× 0.9000, × 0.0100), since N units can "
        "make N + 1 pieces, whose floor is 5.0000e-03, 0"
    )
    assert not found.passes(0.01 * (1 - 1e-8), 0), "on the floor but for rounding"


def test_a_method_below_the_floor_brings_the_floor_of_more_pieces() -> None:
    found = result_of([0.02], [0.01])
    found.unit_floors, found.starts = [0.008], {"random 1": np.array([0.03])}
    found.others = [Method("Adam", np.array([[0.009]]), np.zeros(1, dtype=np.int64), 1, 0.1)]
    x, empty = torch.zeros(4, 2), torch.zeros(1, 4)
    drawing = Drawing((x, empty[0], empty[0]), empty, [], [], empty[0], empty, None)
    name, figure = next(pictures(found, drawing, None, 0.0, 1.0))
    assert name == "error"
    assert title(figure).endswith("N units can make N + 1 pieces, the floor is of N")
    lines = dict(found.findings())
    assert lines["blind starts"] == "from 1 random set of knots the same search ends at × 3"
    assert lines["budget"].endswith("; 1 seed")


def test_an_error_between_the_samples_that_is_another_is_told() -> None:
    found = result_of([1e-17, 0.1], [0.0, 0.1])
    found.test_errors = [0.2, 0.11]
    assert found.headline() == (
        "f: × 1.0000 of the proved floor of 2 pieces; exact on the 100 samples, as the floor 0 of 1 piece allows; "
        "between the samples the error is 0.2 with 1 unit"
    )
    lines = dict(found.findings())
    assert "on the samples, 2.0000e-01 between them" in lines["N = 1"]
    assert "between" not in lines["N = 2"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 4.0), (-2.0, 1.0), (0.0, 0.25)])
def test_the_constant_of_the_rate_is_its_formula_on_every_interval(low: float, high: float) -> None:
    x = grid(2048)
    y = torch.exp(low + (high - low) * x)  # f'' = f
    length = high - low
    integral = 2.5 * (np.exp(0.4 * high) - np.exp(0.4 * low))  # ∫ e^(2x/5)
    found = find_floors((x, y, y), [40], "relu", 0)
    assert found.constant == pytest.approx(integral**2.5 / np.sqrt(720 * length), rel=1e-3)
    assert found.values is not None
    assert 40**2 * found.values[0] == pytest.approx(found.constant, rel=0.02)
    result = result_of([0.4, 0.1], [0.4, 0.1])
    result.length = length
    due = "/ √720)" if length == 1 else f"/ √(720 · {length:g}))"
    assert dict(result.findings())["rate"].endswith(due)


def test_a_function_is_known_between_its_samples_only_where_it_gives_them() -> None:
    x, places = grid(10), torch.linspace(0, 1, 7, dtype=torch.float64)
    y = torch.sin(2 * torch.pi * (2 + 3 * x))
    for name in ("sine", "sin(2*pi*x)"):
        found = function_at(name, 2.0, 5.0, x, y, places)
        assert found is not None
        torch.testing.assert_close(found, torch.sin(2 * torch.pi * (2 + 3 * places)))
    assert function_at("mine.csv", 2.0, 5.0, x, y, places) is None
    assert function_at("x", 2.0, 5.0, x, y, places) is None, "a file of this name"


def test_ratios_and_slopes() -> None:
    assert ratio(2.0, 1.0, 1.0) == 2
    assert ratio(1e-17, 0.0, 1.0) == 1
    assert ratio(1e-3, 0.0, 1.0) == float("inf")
    assert fitted_slope([8, 16, 32], [8.0**-2, 16.0**-2, 32.0**-2]) == pytest.approx(-2)
    assert np.isnan(fitted_slope([8], [1.0]))
