"""What is known of linear regions beforehand: constructions to their last piece, bounds, expected counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from theory.regions import bounds, constructions
from theory.regions.count import count_regions, square
from theory.regions.line import kinks, linear_pieces
from theory.regions.network import Layer, outputs, random_network


@pytest.mark.parametrize("stages", [1, 2, 5, 10, 16])
def test_the_sawtooth_has_all_its_pieces(stages: int) -> None:
    layers = constructions.sawtooth(stages)
    assert len(layers) == stages + 1
    assert linear_pieces(layers, 0.0, 1.0) == 2**stages
    x = np.random.default_rng(0).random(100)
    assert np.array_equal(outputs(layers, x[:, None])[:, 0], constructions.sawtooth_values(x, stages))


@pytest.mark.parametrize("stages", range(1, 11))
def test_the_square_has_its_error_to_the_last_bit(stages: int) -> None:
    assert constructions.measured_square_error(stages) == 2.0 ** -(2 * stages + 2)
    x = np.linspace(0, 1, 9973)
    dense = np.abs(outputs(constructions.square(stages), x[:, None])[:, 0] - x**2).max()
    assert dense <= 2.0 ** -(2 * stages + 2) * (1 + 1e-9)


def test_the_shallow_floor_for_the_square() -> None:
    assert constructions.shallow_pieces_needed(2.0**-16) == 91
    # The best line on one cell, found by linear programming over samples.
    from scipy.optimize import linprog

    x = np.linspace(0, 1 / 5, 401)
    columns = np.stack([np.ones_like(x), x], 1)
    upper = np.concatenate([np.append(columns, -np.ones((401, 1)), 1), np.append(-columns, -np.ones((401, 1)), 1)])
    best = linprog([0, 0, 1], A_ub=upper, b_ub=np.concatenate([x**2, -(x**2)]), bounds=[(None, None)] * 3)
    assert best.fun == pytest.approx(constructions.shallow_square_error(5), rel=1e-4)


@pytest.mark.parametrize("widths", [[3], [2, 3], [3, 3], [2, 2, 2], [4, 3]])
@pytest.mark.parametrize("dimension", [1, 2])
def test_bounds_hold_and_the_upper_one_is_the_sum_as_printed(widths: list[int], dimension: int) -> None:
    # Serra et al., theorem 1, summed term by term.
    total = 0
    for j in itertools.product(*(range(width + 1) for width in widths)):
        rest = [min([dimension, *(w - i for w, i in zip(widths[:k], j[:k], strict=True))]) for k in range(len(widths))]
        if all(taken <= most for taken, most in zip(j, rest, strict=True)):
            total += math.prod(math.comb(w, i) for w, i in zip(widths, j, strict=True))
    assert bounds.upper_bound(widths, dimension) == total
    assert bounds.lower_bound(widths, dimension) <= total <= bounds.upper_bound(widths, dimension, slope=0.1)
    assert total <= 2 ** sum(widths)
    if dimension == 2:
        for seed in range(20):
            assert count_regions(random_network(widths, seed), square(100.0)) <= total


@pytest.mark.parametrize(("folds", "units"), [(1, 3), (2, 3), (2, 5), (3, 4)])
def test_a_layer_that_folds_repeats_every_region(folds: int, units: int) -> None:
    normals = np.random.default_rng(units).normal(size=(units, 2))
    layers = constructions.folded(folds, normals, normals @ [0.5, 0.5] + 0.01 * np.arange(units) ** 2)
    unit_square = square(0.5, (0.5, 0.5))
    places = np.random.default_rng(0).random((200, 2))
    folded = 1 - np.abs(places * folds % 2 - 1)  # a zigzag from 0 to 1 and back
    due = np.maximum(folded @ normals.T - (normals @ [0.5, 0.5] + 0.01 * np.arange(units) ** 2), 0)
    assert np.abs(outputs(layers, places) - due).max() < 1e-12
    assert count_regions(layers, unit_square) == folds**2 * count_regions(
        [layers[1]._replace(weight=normals)], unit_square
    )
    with pytest.raises(ValueError, match="folds must be at least 1, got 0"):
        constructions.folded(0, normals, normals[:, 0])


def test_bounds_by_number() -> None:
    assert bounds.lower_bound([4, 4, 4], 2) == 4 * 4 * 11
    assert bounds.upper_bound([300], 2) == 45151
    assert bounds.typical_order([100] * 3, 2) == 45000
    assert bounds.upper_bound([2] * 10, 1) >= 2**10


def test_expected_counts_of_random_layers() -> None:
    draw = np.random.default_rng(0)
    kappa, units, runs = 0.7, 12, 600
    found = []
    for _ in range(runs):
        layer = Layer(draw.normal(0, 2.0, (units, 2)), draw.normal(0, 2.0 * kappa, units), 0.0)
        found.append(count_regions([layer], square(1.5)))
    error = np.std(found, ddof=1) / math.sqrt(runs)
    assert np.mean(found) == pytest.approx(bounds.expected_regions(units, 1.5, kappa), abs=4 * error)
    # In a square that holds everything it is Zaslavsky's number.
    assert bounds.expected_regions(units, 1e9, kappa) == pytest.approx(bounds.arrangement(units, 2), rel=1e-6)
    lines = [
        len(kinks([Layer(draw.normal(size=(64, 1)), draw.normal(size=64), 0.0)], 0.0, 1.0)) - 2 for _ in range(runs)
    ]
    error = np.std(lines, ddof=1) / math.sqrt(runs)
    assert np.mean(lines) == pytest.approx(bounds.expected_breakpoints(64, 0.0, 1.0, 1.0), abs=4 * error)
