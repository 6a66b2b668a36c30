"""How continuous a function is: moduli of continuity, interpolation, Weierstrass's sums, extrema that can be counted.

Source:
    Weierstrass (1872); Hardy (1916), Weierstrass's non-differentiable function; Heine (1872) for uniform continuity.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def weierstrass(x: Array, a: float, b: float, terms: int) -> Array:
    """Partial sum of a^k cos(b^k π x) over k = 0..terms, the shape of ``x``."""
    powers = np.arange(terms + 1)
    return np.asarray((a**powers * np.cos(np.pi * x[..., None] * b**powers)).sum(-1))


def weierstrass_slope(x: Array, a: float, b: float, terms: int) -> Array:
    """Derivative of the partial sum: −π Σ (ab)^k sin(b^k π x)."""
    powers = np.arange(terms + 1)
    return np.asarray(-np.pi * ((a * b) ** powers * np.sin(np.pi * x[..., None] * b**powers)).sum(-1))


def weierstrass_extrema(a: float, b: int, terms: int, per_wave: int = 64) -> int:
    """Extrema of the partial sum inside (0, 1): sign changes of its derivative on a fine grid."""
    points = per_wave * b**terms
    slopes = weierstrass_slope((np.arange(points) + 0.5) / points, a, b, terms)
    return int((np.sign(slopes[1:]) != np.sign(slopes[:-1])).sum())


def modulus_of_continuity(values: Array, steps: int) -> float:
    """ω(f, h): the largest change of sampled values over at most ``steps`` steps of the grid."""
    return max(float(np.abs(values[lag:] - values[:-lag]).max()) for lag in range(1, steps + 1))


def interpolation_error(values: Array, steps: int) -> float:
    """Largest distance between sampled values and the polygon through every ``steps``-th of them.

    Args:
        values: f on a uniform grid, 1 + a multiple of ``steps`` values.
        steps: Grid steps between two nodes.
    """
    places = np.arange(len(values))
    return float(np.abs(values - np.interp(places, places[::steps], values[::steps])).max())


def weak_extrema(values: Array) -> NDArray[np.bool_]:
    """Where f(x0) >= f(x) for all neighbours, or <= for all: the inner places of a sampled function."""
    before, here, after = values[:-2], values[1:-1], values[2:]
    return np.asarray(((here >= before) & (here >= after)) | ((here <= before) & (here <= after)))


def strict_extrema(values: Array) -> NDArray[np.bool_]:
    """The same with > and <."""
    before, here, after = values[:-2], values[1:-1], values[2:]
    return np.asarray(((here > before) & (here > after)) | ((here < before) & (here < after)))


def simplest_between(low: Fraction, high: Fraction) -> Fraction:
    """The rational number of the smallest denominator strictly between two numbers (Stern-Brocot tree).

    Raises:
        ValueError: If there is nothing between them.
    """
    if not low < high:
        raise ValueError(f"there is no number between {low} and {high}")
    if low < 0 < high:
        return Fraction(0)
    if high <= 0:
        return -simplest_between(-high, -low)
    whole = low.numerator // low.denominator
    if whole + 1 < high:
        return Fraction(whole + 1)
    # Both lie in [whole, whole + 1]: descend into the fractional parts.
    rest_low, rest_high = low - whole, high - whole
    if rest_low == 0:  # 1/n < rest_high
        return whole + Fraction(1, rest_high.denominator // rest_high.numerator + 1)
    return whole + 1 / simplest_between(1 / rest_high, 1 / rest_low)
