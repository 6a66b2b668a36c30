"""Broken lines whose pieces meet: the best on a grid by trying all, and a bound that no line of any knots passes."""

import itertools

import numpy as np
import pytest

from theory import joined_bound
from theory.joined_bound import cells_of, least_joined
from theory.joined_pieces import best_joined
from theory.segmentation import best_segmentation

PLACES = np.linspace(0, 1, 9)


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = (np.arange(count) + 0.5) / count
    return x, np.sin(generator.uniform(6, 14) * x) + generator.normal(size=count) * 0.2


def error_of(x: np.ndarray, y: np.ndarray, knots: np.ndarray) -> float:
    """Of the least squares fit in the hat basis, by numpy."""
    hats = np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], 1)
    return float(np.sqrt(np.mean((hats @ np.linalg.lstsq(hats, y)[0] - y) ** 2)))


def by_trying(x: np.ndarray, y: np.ndarray, places: np.ndarray, pieces: int) -> float:
    inner = itertools.combinations(places[1:-1], pieces - 1)
    return min(error_of(x, y, np.array([places[0], *knots, places[-1]])) for knots in inner)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_line_on_a_grid_is_that_of_trying_all(seed: int) -> None:
    x, y = samples(60, seed)
    found = best_joined(x, y, PLACES, 5)
    for pieces in range(1, 6):
        due = by_trying(x, y, PLACES, pieces)
        assert found.errors[pieces - 1] == pytest.approx(due, rel=1e-9)
        assert error_of(x, y, found.knots(pieces)) == pytest.approx(due, rel=1e-9)


@pytest.mark.parametrize("height", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("noise", [1e-6, 1e-8, 1e-10, 1e-12])
def test_small_errors_are_those_of_the_line(noise: float, height: float) -> None:
    """Of a broken line and noise the error is that of the noise fitted alone: the line is in the span of the hats."""
    x, _ = samples(60, 0)
    knots, alone = np.array([0, 0.25, 0.625, 1]), np.random.default_rng(0).normal(size=60)
    found = best_joined(x, height * (np.interp(x, knots, [0, 4, -3, 5]) + noise * alone), PLACES, 8)
    assert found.knots(3) == pytest.approx(knots)
    assert found.errors[2] == pytest.approx(height * noise * error_of(x, alone, knots), rel=2e-15 / noise + 1e-9, abs=0)
    assert (np.diff(found.errors) <= 0).all()
    for pieces in range(4, 9):
        due = height * noise * error_of(x, alone, found.knots(pieces))
        assert found.errors[pieces - 1] == pytest.approx(due, rel=2e-15 / noise + 1e-9, abs=0)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_of_a_straight_line_the_errors_are_rounding_and_never_rise(slope: float) -> None:
    x, _ = samples(60, 0)
    found = best_joined(x, 3 + slope * x, PLACES, 8)
    assert found.errors[0] < 1e-15
    assert (np.diff(found.errors) <= 0).all()
    assert [len(found.knots(pieces)) for pieces in range(1, 9)] == [*range(2, 10)]
    assert all((np.diff(found.knots(pieces)) > 0).all() for pieces in range(1, 9))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("pieces", [2, 3])
def test_the_bound_is_below_every_line_and_near_the_best(seed: int, pieces: int) -> None:
    x, y = samples(60, seed)
    fine = np.linspace(0, 1, 241)  # four places in every gap between samples
    best = best_joined(x, y, fine, pieces)
    bound = least_joined(x, y, pieces, float(best.errors[-1]))
    floor = best_segmentation(x, y, pieces).floors[-1]
    assert bound is not None
    assert floor * (1 - 1e-9) <= bound <= best.errors[-1]
    assert bound >= 0.97 * best.errors[-1]
    # Told of a much worse line it looks at more, and finds a bound that is none the less valid.
    other = least_joined(x, y, pieces, 1.5 * float(best.errors[-1]))
    assert other is not None
    assert other <= best.errors[-1]


@pytest.mark.parametrize("place", [0.02, 0.3, 0.98])
def test_the_bound_is_below_steep_lines_that_meet_anywhere_between_two_samples(place: float) -> None:
    """The knot is far from the middle of its gap, where the pieces are apart by slope times distance."""
    x = (np.arange(60) + 0.5) / 60
    knots = np.array([0, (19.5 + place) / 60, (39.5 + place) / 60, 1])
    y = np.interp(x, knots, [0, 4, -3, 5]) + 1e-3 * np.random.default_rng(0).normal(size=60)
    known = error_of(x, y, knots)
    bound = least_joined(x, y, 3, known)
    assert bound is not None
    assert bound <= known
    other = least_joined(x, y, 3, 20 * known)  # told of a worse line, it is not cut off at the known one
    assert other is not None
    assert other <= known


def test_the_bound_sees_the_price_of_meeting() -> None:
    """Four half waves by four pieces: those that need not meet are 2 % better than any that do."""
    x = (np.arange(160) + 0.5) / 160
    y = np.sin(4 * np.pi * x)
    best = best_joined(x, y, np.linspace(0, 1, 161), 4)
    bound = least_joined(x, y, 4, float(best.errors[-1]))
    assert bound is not None
    assert best_segmentation(x, y, 4).floors[-1] < 0.995 * bound
    assert best.errors[-1] / 1.01 <= bound <= best.errors[-1]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_gap_is_in_a_cell(size: int) -> None:
    x = np.sort(np.random.default_rng(0).random(18))
    cells = cells_of(x, size)
    for a, b in itertools.pairwise(x):
        inside = (cells.middle - cells.half <= a + 1e-12) & (b <= cells.middle + cells.half + 1e-12)
        assert inside.sum() == 1
        (cell,) = np.flatnonzero(inside)
        assert (x[: cells.left[cell]] <= a).all()
        assert (x[cells.right[cell] :] >= b).all()


def test_refusals() -> None:
    x, y = samples(20, 0)
    with pytest.raises(ValueError, match="must ascend, enclose the samples"):
        best_joined(x, y, np.array([0.0, 0.5]), 1)
    with pytest.raises(ValueError, match="must ascend, enclose the samples"):
        best_joined(x, y, PLACES, 9)


def test_a_bound_that_takes_too_many_comparisons_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(0, 1, 200)
    y = np.sin(2 * np.pi * 4 * x)
    error = 1.5 * best_segmentation(x, y, 4).floors[3]
    whole = least_joined(x, y, 4, error)
    assert whole is not None
    monkeypatch.setattr(joined_bound, "MOST_LOOKED", 100)
    assert least_joined(x, y, 4, error) is None
