"""How many linear regions a network can have, must be able to have, and has at random.

Letters: n units of a layer, n₀ dimension of the input (or of the slice on which is counted), L layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def _check(widths: Sequence[int], dimension: int) -> None:
    if not widths or min(widths) < 1:
        raise ValueError(f"widths must be at least one layer of at least 1 unit, got {list(widths)}")
    if dimension < 1:
        raise ValueError(f"dimension must be at least 1, got {dimension}")


def arrangement(hyperplanes: int, dimension: int) -> int:
    """Regions of n hyperplanes in general position, Σ_{j≤n₀} C(n, j): exact for one layer.

    Source:
        Zaslavsky (1975), Facing up to arrangements.
    """
    return sum(math.comb(hyperplanes, j) for j in range(dimension + 1))


def lower_bound(widths: Sequence[int], dimension: int) -> int:
    """Some ReLU network of these widths has at least so many: (Π_{l<L} ⌊n_l/n₀⌋^{n₀}) Σ_{j≤n₀} C(n_L, j).

    Args:
        widths: n_1 … n_L.
        dimension: n₀; the bound says 0 when a layer but the last is narrower.

    Raises:
        ValueError: If a width or the dimension is below 1.

    Source:
        Montúfar, Pascanu, Cho, Bengio (2014), On the number of linear regions of deep neural networks, theorem 4.
    """
    _check(widths, dimension)
    folds = math.prod((width // dimension) ** dimension for width in widths[:-1])
    return folds * arrangement(widths[-1], dimension)


def upper_bound(widths: Sequence[int], dimension: int, slope: float = 0.0) -> int:
    """No network of these widths has more.

    Σ over j_1 … j_L of Π C(n_l, j_l), where 0 ≤ j_l ≤ min(n₀, n_1 - j_1, …, n_{l-1} - j_{l-1}, n_l): of n_l units, j_l
    bend within the region and at most n_l - j_l need be positive, which limits the rank of what comes after. With a
    slope left of 0 nothing is lost but width, and the limit is min(n₀, n_1, …, n_{l-1}).

    Args:
        widths: n_1 … n_L.
        dimension: n₀.
        slope: 0 for ReLU, anything else for leaky ReLU.

    Raises:
        ValueError: If a width or the dimension is below 1.

    Source:
        Serra, Tjandraatmadja, Ramalingam (2018), Bounding and counting linear regions of deep neural networks,
        theorem 1; for leaky ReLU Montúfar (2017), Notes on the number of linear regions of deep neural networks.
    """
    _check(widths, dimension)
    if slope:
        total = 1
        for width in widths:
            total *= arrangement(width, dimension)
            dimension = min(dimension, width)
        return total
    ways = {dimension: 1}  # by the rank that is left
    for width in widths:
        following: dict[int, int] = {}
        for rank, count in ways.items():
            for j in range(min(rank, width) + 1):
                left = min(rank, width - j)
                following[left] = following.get(left, 0) + count * math.comb(width, j)
        ways = following
    return sum(ways.values())


def typical_order(widths: Sequence[int], dimension: int) -> float:
    """Order that the count at initialisation does not exceed, (Σ n_l)^{n₀} / n₀!, however the neurons are stacked.

    The theorem has (T Σ n_l)^{n₀} / n₀! with a constant T, as a bound from above. Shallow networks have counts of this
    order; where the depth is large beside the width, the count falls far below it.

    Source:
        Hanin, Rolnick (2019), Deep ReLU networks have surprisingly few activation patterns, theorem 1.
    """
    _check(widths, dimension)
    return float(sum(widths) ** dimension / math.factorial(dimension))


def expected_breakpoints(units: int, low: float, high: float, bias_ratio: float) -> float:
    """Expected kinks on [low, high] of one random layer on the line: n (atan(high/κ) - atan(low/κ))/π, κ = σ_b/σ_w.

    The kink -b/w of a Gaussian weight and bias has a Cauchy distribution of scale κ. On [-T, T] this is
    n (2/π) atan(T σ_w/σ_b).

    Args:
        units: n.
        low: Left end.
        high: Right end.
        bias_ratio: κ, above 0.
    """
    return units * (math.atan(high / bias_ratio) - math.atan(low / bias_ratio)) / math.pi


def expected_regions(units: int, half_width: float, bias_ratio: float) -> float:
    """Expected regions in [-T, T]² of one layer with Gaussian weights and biases: exact.

    Put the square at height κ = σ_b/σ_w above the origin of R³. The line w·x + b = 0 is then cut out by the plane
    through the origin with normal (w, b/κ), uniform on the sphere. It meets the square with probability (perimeter of
    the square seen from the origin, as angle)/2π; two lines cross in the square with probability (its solid angle)/2π:

        1 + n · (4/2π) acos(κ²/(2T² + κ²)) + C(n, 2) · (2/π) atan(T²/(κ √(2T² + κ²))).

    The regions in a convex set are 1 + lines + crossings in it; on the whole plane this is Zaslavsky's 1 + n + C(n, 2).

    Args:
        units: n.
        half_width: T, above 0.
        bias_ratio: κ, above 0.

    Source:
        Santaló (1976), Integral geometry and geometric probability, chapter 18 (great circles that meet a convex set).
    """
    square, height = half_width**2, bias_ratio**2
    lines = 4 / (2 * math.pi) * math.acos(height / (2 * square + height))
    crossings = 2 / math.pi * math.atan(square / (bias_ratio * math.sqrt(2 * square + height)))
    return 1 + units * lines + math.comb(units, 2) * crossings
