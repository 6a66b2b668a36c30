"""What the proof of the bound leaves out never lies below what it keeps."""

from itertools import combinations

import numpy as np
import pytest

from theory.joined_bound import _Parabolas, least_joined, thinned

# P parabolas, T cells, H heights.


@pytest.mark.parametrize("tolerance", [1e-9, 0.05, 0.5])
def test_the_least_of_the_kept_parabolas_is_nowhere_above_the_least_of_all(tolerance: float) -> None:
    """Also where many are left out, because another is lower by less than a large tolerance."""
    heights = np.linspace(-4, 4, 2001)
    left_out = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        cell = np.sort(draw.integers(0, 3, 60))
        lines = _Parabolas(cell, draw.uniform(0.2, 2, 60), draw.normal(0, 2, 60), draw.normal(0, 1, 60))
        most = np.full(3, 1.5)
        kept, looked = thinned(lines, most, tolerance)
        assert looked > 0
        left_out += 60 - len(kept.cell)
        for number in range(3):
            least, found = (
                (parts.a[:, None] * heights**2 + parts.b[:, None] * heights + parts.c[:, None]).min(0)
                for parts in (lines.of(lines.cell == number), kept.of(kept.cell == number))
            )
            matters = least <= most[number]
            assert matters.any()
            assert (found[matters] <= least[matters] + 1e-12).all()
            assert (found[matters] >= least[matters] - tolerance - 1e-12).all(), (
                "and it is lowered by no more than that"
            )
    assert left_out > 100


@pytest.mark.parametrize("seed", range(3))
def test_places_of_several_samples_have_a_bound_below_every_line(seed: int) -> None:
    """Gaps between equal places have length 0; brute force over knots on a fine grid, by least squares on hats."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(5)).repeat(4)
    y = np.sin(6 * x) + 0.1 * rng.normal(size=len(x))
    places, least = np.linspace(x[0], x[-1], 18), np.inf
    for inner in combinations(places[1:-1], 3):
        knots = np.array([x[0], *inner, x[-1]])
        hats = np.stack([np.interp(x, knots, row) for row in np.eye(5)], 1)
        values = np.linalg.lstsq(hats, y)[0]
        least = min(least, float(np.square(hats @ values - y).mean()))
    bound = least_joined(x, y, 4, least**0.5)
    assert bound is not None
    assert 0 < bound <= least**0.5


@pytest.mark.parametrize("slope", [1e6, 1e8, 1e10])
def test_a_steep_trend_changes_no_bound(slope: float) -> None:
    """A broken line less a line is a broken line: with the trend the bound is that without it, and below a fit."""
    rng = np.random.default_rng(3)
    x = np.sort(rng.random(200))
    y = np.sin(9 * x) + 0.1 * rng.normal(size=200)
    knots = np.linspace(x[0], x[-1], 5)
    hats = np.stack([np.interp(x, knots, row) for row in np.eye(5)], 1)
    error = float(np.sqrt(np.square(hats @ np.linalg.lstsq(hats, y)[0] - y).mean()))
    due, bound = least_joined(x, y, 4, 1.3 * error), least_joined(x, y + slope * x, 4, 1.3 * error)
    assert due is not None
    assert bound is not None
    assert bound == pytest.approx(due, rel=1e-6)
    assert 0.5 * error < bound <= error


def test_where_rounding_decides_there_is_no_bound() -> None:
    x = (np.arange(1000) + 0.5) / 1000
    for y in (np.abs(x - 0.5), np.abs(x - 0.5) + 1e6 * x, 3 * x + 1):  # two pieces are exact
        for error in (1e-7, 1e-9, 1e-12):
            assert least_joined(x, y, 2, error) is None
