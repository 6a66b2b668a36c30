"""The floor of straight pieces: against brute force, the published table, and a convex function's closed form."""

import math
from itertools import pairwise

import numpy as np
import pytest

from theory.broken_lines import (
    L2_CONSTANT,
    as_network,
    asymptotic_l2,
    equidistributed_knots,
    jump_floor,
    ramp_l1,
    segmentation_knots,
    settled,
)
from theory.expression import Expression
from theory.named_functions import TARGETS, variables_of
from theory.segmentation import BLOCK, best_segmentation, line_error

GRID = (np.arange(4096) + 0.5) / 4096


def brute_force(x: np.ndarray, y: np.ndarray, pieces: int) -> list[float]:
    """Bellman's recursion over the cost of every pair, each line fitted by itself."""
    size = len(x)
    cost = np.array([[line_error(x[i:j], y[i:j]) if j > i else 0.0 if i == j else np.inf for j in range(size + 1)]
                     for i in range(size + 1)])  # fmt: skip
    least, found = cost[0], []
    for _ in range(pieces):
        found.append(math.sqrt(least[-1] / size))
        least = (least[:, None] + cost).min(0)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 90])
@pytest.mark.parametrize("kind", ["noise", "walk", "smooth", "ties", "steps"])
def test_floors_are_those_of_brute_force(size: int, kind: str) -> None:
    generator = np.random.default_rng(size)
    x = np.sort(generator.random(size))
    y = {
        "noise": generator.normal(size=size), "walk": np.cumsum(generator.normal(size=size)), "smooth": np.exp(3 * x),
        "ties": generator.normal(size=size), "steps": np.floor(4 * x),
    }[kind]  # fmt: skip
    x = np.round(x, 1) if kind == "ties" else x
    np.testing.assert_allclose(best_segmentation(x, y, 6).floors, brute_force(x, y, 6), atol=1e-10)


def test_lines_cost_what_least_squares_says() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.random(30), generator.normal(size=30)
    design = np.stack([x, np.ones(30)], 1)
    assert line_error(x, y) == pytest.approx(np.linalg.lstsq(design, y)[1].item())


# Root mean square floors for N = 8, 16, 32, 64, to eight digits: the references of the project's table of claims.
TABLE = {
    "square": (1.1646076e-3, 2.9114358e-4, 7.2777564e-5, 1.8186060e-5),
    "exponential": (1.7935444e-3, 4.4753514e-4, 1.1180686e-4, 2.7925870e-5),
    "root": (9.9141916e-4, 2.5809319e-4, 6.5081025e-5, 1.5833421e-5),
    "sine": (1.2767578e-2, 3.1664219e-3, 7.9973705e-4, 2.0163710e-4),
    "sine4": (1.9407559e-1, 3.9505355e-2, 1.0741128e-2, 2.9236909e-3),
    "tanh": (2.8340941e-3, 6.6473294e-4, 1.6289081e-4, 3.9527518e-5),
    "runge": (7.3471997e-3, 1.8824701e-3, 4.8968947e-4, 1.2555902e-4),
    "step-sine": (5.4925055e-2, 1.3058433e-2, 3.6436416e-3, 9.8225186e-4),
}


def sampled(name: str) -> np.ndarray:
    import torch

    return Expression(TARGETS[name].formula)(torch.from_numpy(GRID)).numpy()


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "step-sine" else pytest.mark.slow) for n in TABLE])
def test_floors_of_the_table(name: str) -> None:
    floors = best_segmentation(GRID, sampled(name), 64).floors
    np.testing.assert_allclose(floors[[7, 15, 31, 63]], TABLE[name], rtol=1e-6)
    assert (np.diff(floors) <= 0).all()


def test_boundaries_cost_the_floor() -> None:
    y = sampled("runge")
    best = best_segmentation(GRID, y, 12)
    ends = [*best.boundaries(12), len(y)]
    assert ends[0] == 0
    total = sum(line_error(GRID[a:b], y[a:b]) for a, b in pairwise(ends))
    assert math.sqrt(total / len(y)) == pytest.approx(best.floors[11], rel=1e-10)


def test_fewer_pieces_are_read_off_the_kept_table() -> None:
    x, y = GRID[::16], sampled("runge")[::16]
    four = best_segmentation(x, y, 4).floors
    nine = best_segmentation(x, y, 9).floors
    assert np.array_equal(nine[:4], four)
    assert np.array_equal(best_segmentation(x, y, 4).floors, four)


def test_what_is_no_function_is_refused() -> None:
    for x, y, pieces in (
        ([0.0, 1.0], [0.0], 1), ([], [], 1), ([1.0, 0.0], [0.0, 0.0], 1), ([0.0, 1.0], [0.0, math.nan], 1),
        ([0.0, 1.0], [0.0, 1.0], 0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"allowed|must be"):
            best_segmentation(np.array(x), np.array(y), pieces)


def test_the_asymptotic_constant_is_the_error_of_one_cell() -> None:
    # x²/2 on [0, 1]: f'' = 1. Best line by least squares, against the constant.
    error = np.sqrt(line_error(GRID, GRID**2 / 2) / 4096)
    assert error == pytest.approx(L2_CONSTANT, rel=1e-6)
    assert asymptotic_l2(np.ones(5)) == pytest.approx(L2_CONSTANT)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.constant is not None])
def test_constants_are_the_integrals(name: str) -> None:
    import torch

    x = torch.from_numpy((np.arange(200_000) + 0.5) / 200_000).requires_grad_()
    (first,) = torch.autograd.grad(Expression(TARGETS[name].formula)(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    found = asymptotic_l2(second.detach().numpy()) / L2_CONSTANT
    assert found == pytest.approx(TARGETS[name].constant, rel=0.02 if name == "root" else 1e-4)


def test_equal_curvature_gives_equal_cells_and_few_samples_too() -> None:
    np.testing.assert_allclose(equidistributed_knots(GRID, GRID**2, 8), np.linspace(0, 1, 9), atol=1e-6)
    np.testing.assert_allclose(
        equidistributed_knots(np.array([0.0, 1.0]), np.array([0.0, 3.0]), 4), np.linspace(0, 1, 5)
    )
    np.testing.assert_allclose(equidistributed_knots(GRID, 0 * GRID, 4), np.linspace(0, 1, 5), atol=1e-9)
    # f = exp(5 (x - 1)): |f''|^{2/5} is proportional to e^{2x}, whose integral up to k is (e^{2k} - 1) / 2
    x, shares = np.linspace(0, 1, 4001), np.arange(9) / 8
    due = np.log1p((math.e**2 - 1) * shares) / 2
    np.testing.assert_allclose(equidistributed_knots(x, np.exp(5 * (x - 1)), 8), due, atol=1e-3)


def test_a_ramp_stands_between_the_samples_of_the_jump() -> None:
    y = (GRID >= 0.3) * 2.0 + GRID**2
    best = best_segmentation(GRID, y, 6)
    knots = segmentation_knots(GRID, y, best, 6, ramps=1)
    jump = int(np.argmax(GRID >= 0.3))
    assert len(knots) == 7
    assert GRID[jump - 1] in knots
    assert GRID[jump] in knots


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.5])
def test_a_network_is_its_broken_line(slope: float) -> None:
    generator = np.random.default_rng(3)
    knots = np.concatenate([[0], np.sort(generator.random(9)), [1]])
    values = generator.normal(size=11)
    inner, bias, weight, offset = as_network(knots, values, slope)
    x = np.linspace(0, 1, 1001)
    z = x[:, None] * inner + bias
    found = np.where(z > 0, z, slope * z) @ weight + offset
    np.testing.assert_allclose(found, np.interp(x, knots, values), atol=1e-12 * np.abs(weight).max())


def test_a_piece_between_two_samples_is_laid_from_one_to_the_other() -> None:
    jump = 0.7 * (GRID > 0.3) + GRID
    after = int(np.searchsorted(GRID, 0.3))
    left, right = GRID[after - 1], GRID[after]
    steep = np.array([0.0, left + 0.4 * (right - left), left + 0.5 * (right - left), 0.8, 1.0])
    values = steep + 0.7 * np.array([0, 0, 1, 1, 1])
    knots, heights = settled(steep, values, GRID)
    assert knots.tolist() == [0.0, left, right, 0.8, 1.0]
    np.testing.assert_allclose(np.interp(GRID, knots, heights), jump, rtol=0, atol=1e-14)
    apart = np.array([0.0, left - 1e-3, right + 1e-3, 0.8, 1.0])  # samples lie inside: nothing changes
    assert settled(apart, values, GRID)[0].tolist() == apart.tolist()


def test_jump_and_ramp() -> None:
    x = np.linspace(-1, 1, 2_000_001)
    for slope in (2.0, 30.0):
        ramp = np.clip(slope * x + 0.5, 0, 1)
        assert np.trapezoid(np.abs(ramp - (x > 0)), x) == pytest.approx(ramp_l1(slope), rel=1e-4)
    assert jump_floor(-3.0) == 1.5


def test_every_named_function_is_a_formula() -> None:
    for target in TARGETS.values():
        Expression(target.formula, target.variables)
    assert variables_of("x*yes") == ("x",)


def test_a_small_part_beside_a_kink_has_its_floor_or_none() -> None:
    x = (np.arange(512) + 0.5) / 512
    wave = np.sin(8 * np.pi * x)
    large, small, lost = (
        best_segmentation(x, np.abs(x - 0.37) + size * wave, 32).floors for size in (1e-4, 1e-5, 1e-7)
    )
    np.testing.assert_allclose(small[3:] / 1e-5, large[3:] / 1e-4, rtol=1e-6)
    assert lost[31] == 0
