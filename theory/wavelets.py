"""Orthonormal wavelets on the torus and how fast the best N of them approximate.

A filter of p vanishing moments sees no polynomial below degree p: on a smooth picture its squared N-term error falls
as N^-p, along an edge only as N^-1, whatever p is.

Source:
    Daubechies (1988), Orthonormal bases of compactly supported wavelets; Mallat (2009), sections 9.1.3 and 9.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROOT3 = np.sqrt(3.0)
# Low-pass filters by their number of vanishing moments: Haar and Daubechies' filter of length 4.
FILTERS = {
    1: np.array([1.0, 1.0]) / np.sqrt(2),
    2: np.array([1 + _ROOT3, 3 + _ROOT3, 3 - _ROOT3, 1 - _ROOT3]) / (4 * np.sqrt(2)),
}


def transform(picture: Array, moments: int) -> Array:
    """Coefficients of a periodic picture in a two-dimensional orthonormal wavelet basis.

    Args:
        picture: Shape (n, n), n a power of two.
        moments: Vanishing moments of the wavelet, 1 or 2.

    Returns:
        Coefficients, shape (n, n), with the same sum of squares.
    """
    low = FILTERS[moments]
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    coefficients, size = np.array(picture, np.float64), len(picture)
    while size >= len(low):
        block = coefficients[:size, :size]
        for axis in (0, 1):
            block = np.concatenate([_filtered(block, taps, axis) for taps in (low, high)], axis)
        coefficients[:size, :size] = block
        size //= 2
    return coefficients


def _filtered(block: Array, taps: Array, axis: int) -> Array:
    """Circular correlation with the filter, every second value kept."""
    full = np.sum([tap * np.roll(block, -k, axis) for k, tap in enumerate(taps)], axis=0)
    return np.asarray(full.take(range(0, block.shape[axis], 2), axis))


def squared_errors(coefficients: Array) -> Array:
    """Squared error of the best N terms for N = 0, 1, ...: the energy of all but the N largest coefficients."""
    energy = np.sort((coefficients**2).ravel())
    return np.concatenate([np.cumsum(energy)[::-1], [0.0]])


def decay(errors: Array, first: int, last: int) -> float:
    """Slope of log error in log N over first <= N <= last."""
    places = np.unique(np.geomspace(first, last, 40).astype(int))
    return float(np.polyfit(np.log(places), np.log(errors[places]), 1)[0])
