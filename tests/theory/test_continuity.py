"""Extrema, moduli and rational numbers against functions whose answers are known."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.continuity import (
    interpolation_error,
    modulus_of_continuity,
    simplest_between,
    strict_extrema,
    weak_extrema,
    weierstrass,
    weierstrass_extrema,
    weierstrass_slope,
)


def test_weierstrass_sums_and_their_slopes() -> None:
    assert weierstrass(np.array([0.0, 1.0]), 0.5, 3, 2) == pytest.approx([1.75, -1.75])
    x, h = np.array([0.2, 0.61]), 1e-6
    due = (weierstrass(x + h, 0.7, 3, 3) - weierstrass(x - h, 0.7, 3, 3)) / (2 * h)
    assert weierstrass_slope(x, 0.7, 3, 3) == pytest.approx(due, rel=1e-6)


def test_a_single_cosine_has_its_extrema() -> None:
    # cos(5πx) alone (a huge weight on the last term): extrema at x = 1/5 ... 4/5.
    assert weierstrass_extrema(1e6, 5, 1) == 4


def test_the_modulus_of_a_line_and_a_root() -> None:
    x = np.linspace(0, 1, 101)
    assert modulus_of_continuity(3 * x, 10) == pytest.approx(0.3)
    assert modulus_of_continuity(np.sqrt(x), 25) == pytest.approx(0.5)


def test_interpolation_of_a_parabola() -> None:
    x = np.linspace(0, 1, 65)
    assert interpolation_error(x**2, 16) == pytest.approx((16 / 64) ** 2 / 4)  # h²/8 · f''
    assert interpolation_error(2 * x - 1, 16) == pytest.approx(0, abs=1e-15)


def test_weak_and_strict_extrema() -> None:
    values = np.array([0.0, 1.0, 0.0, 0.0, 2.0, 3.0])
    assert strict_extrema(values).tolist() == [True, False, False, False]
    assert weak_extrema(values).tolist() == [True, True, True, False]


@given(st.fractions(-5, 5, max_denominator=40), st.fractions(-5, 5, max_denominator=40))
def test_the_simplest_number_between_two(a: Fraction, b: Fraction) -> None:
    low, high = min(a, b), max(a, b)
    if low == high:
        with pytest.raises(ValueError, match="no number between"):
            simplest_between(low, high)
        return
    found = simplest_between(low, high)
    assert low < found < high
    for denominator in range(1, found.denominator):
        first = (low * denominator).__floor__() + 1
        assert not Fraction(first, denominator) < high
