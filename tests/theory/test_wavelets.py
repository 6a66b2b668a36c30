"""Wavelet transforms are orthonormal, and see no polynomial below their number of vanishing moments."""

import numpy as np
import pytest

from theory.wavelets import FILTERS, decay, squared_errors, transform


@pytest.mark.parametrize("moments", [1, 2])
def test_the_energy_is_kept_and_the_transform_is_orthonormal(moments: int) -> None:
    rng = np.random.default_rng(0)
    matrix = np.stack([transform(unit.reshape(8, 8), moments).ravel() for unit in np.eye(64)])
    assert matrix @ matrix.T == pytest.approx(np.eye(64), abs=1e-12)
    picture = rng.normal(size=(16, 16))
    assert (transform(picture, moments) ** 2).sum() == pytest.approx((picture**2).sum())


@pytest.mark.parametrize("moments", [1, 2])
def test_bytes_are_not_truncated(moments: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    np.testing.assert_array_equal(transform(picture, moments), transform(picture.astype(float), moments))


@pytest.mark.parametrize("moments", [1, 2])
def test_vanishing_moments(moments: int) -> None:
    low = FILTERS[moments]
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    for power in range(moments):
        assert high @ np.arange(len(low)) ** power == pytest.approx(0, abs=1e-12)
    assert abs(high @ np.arange(len(low)) ** moments) > 0.1


def test_a_constant_picture_is_one_haar_coefficient() -> None:
    errors = squared_errors(transform(np.ones((8, 8)), 1))
    assert errors[0] == pytest.approx(64)
    assert errors[1:] == pytest.approx(np.zeros(64), abs=1e-12)


def test_the_slope_of_a_power() -> None:
    n = np.arange(1, 1001, dtype=float)
    assert decay(np.concatenate([[9.0], n**-1.5]), 10, 900) == pytest.approx(-1.5)
