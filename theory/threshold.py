"""Threshold units: which Boolean functions one of them computes, and how long Rosenblatt's rule takes to find it.

A unit says 1 where w·x + b > 0. Its rule adds y x̃ at each mistake, x̃ = (x, 1) and y = ±1, and makes at most (R/γ)²
mistakes: R is the longest x̃, γ the margin of the best separating plane through the origin.

Source:
    McCulloch and Pitts (1943); Rosenblatt (1958); Novikoff (1962), On convergence proofs for perceptrons; Lawson and
    Hanson (1974), chapter 23, for the margin; OEIS A000609 for the numbers of threshold functions, after Muroga
    (1971), table 2.3.2.
"""

# N points, D coordinates, T = 2^(2^n) truth tables

from __future__ import annotations

from functools import cache
from itertools import permutations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from theory.separability import separating_plane

Array = NDArray[np.float64]
SHARES = 10.0 ** -np.arange(11)  # s, of the longest point


def corners(n: int) -> Array:
    """All inputs of n bits in counting order, the first bit the slowest, shape (2^n, n)."""
    return np.array(list(product((0.0, 1.0), repeat=n)))


def fires(inputs: Array, weights: Array, threshold: float) -> NDArray[np.bool_]:
    """The McCulloch-Pitts unit: 1 where the weighted sum reaches the threshold.

    Args:
        inputs: Shape (N, D).
        weights: Preset, not learned, shape (D,).
        threshold: θ.

    Returns:
        Shape (N,).
    """
    return np.asarray(inputs @ weights >= threshold)


# Weights and threshold of three gates as units; in 1943 inhibition was an absolute veto and not a negative weight.
UNITS: dict[str, tuple[tuple[float, ...], float]] = {"and": ((1, 1), 2), "or": ((1, 1), 1), "not": ((-1,), 0)}


def extended(inputs: Array) -> Array:
    """Points with a 1 behind them, so that a plane with a bias is one through the origin, shape (N, D + 1)."""
    return np.hstack([inputs, np.ones((len(inputs), 1))])


def widest_margin(inputs: Array, labels: Array) -> float:
    """γ: distance of the nearest extended point to the best plane through the origin; 0 where none separates.

    Lawson and Hanson's least-distance programme: the shortest w with y w·x̃ ≥ s, of which γ = s/‖w‖. The distance that
    it finds is γ / √(γ² + s²), of which rounding leaves nothing where s is far above γ: s is lowered until it is not.
    A margin below 1e-10 of the longest x̃ is taken for 0.
    """
    from scipy.optimize import nnls

    signed = labels[:, None] * extended(inputs)  # (N, D + 1)
    longest = float(np.linalg.norm(signed, axis=1).max())
    target = np.append(np.zeros(signed.shape[1]), 1.0)
    for share in SHARES:
        system = np.vstack([signed.T / longest, np.full(len(labels), share)])
        solution, distance = nnls(system, target)
        if distance > 0.1:
            residual = system @ solution - target
            return longest * share * float(abs(residual[-1]) / np.linalg.norm(residual[:-1]))
    return 0.0


def novikoff_bound(inputs: Array, labels: Array) -> float:
    """(R/γ)², the most mistakes that Rosenblatt's rule can make; infinite where no plane separates."""
    margin = widest_margin(inputs, labels)
    longest = float(np.linalg.norm(extended(inputs), axis=1).max())
    return (longest / margin) ** 2 if margin else float("inf")


def update(plane: Array, inputs: Array, labels: Array) -> tuple[Array, int]:
    """One pass of Rosenblatt's rule: y x̃ is added at each mistake. Returns the new (w, b) and the mistakes."""
    mistakes = 0
    for point, label in zip(extended(inputs), labels, strict=True):
        if label * (plane @ point) <= 0:
            plane, mistakes = plane + label * point, mistakes + 1
    return plane, mistakes


def rosenblatt(inputs: Array, labels: Array, passes: int) -> tuple[Array, int]:
    """Rosenblatt's rule from zero weights, point by point, until a pass makes no mistake.

    Args:
        inputs: Shape (N, D).
        labels: −1 or 1, shape (N,).
        passes: Most passes over the points.

    Returns:
        (w, b), shape (D + 1,), and the number of mistakes made.
    """
    plane, mistakes = np.zeros(inputs.shape[1] + 1), 0
    for _ in range(passes):
        plane, made = update(plane, inputs, labels)
        mistakes += made
        if not made:
            break
    return plane, mistakes


def truth_tables(n: int) -> NDArray[np.int64]:
    """The numbers 0..2^(2^n) − 1: bit i of a number is the function's value at the i-th corner."""
    return np.arange(1 << (1 << n))


def as_labels(table: int, n: int) -> Array:
    """−1 or 1 at each corner, shape (2^n,)."""
    return np.array([1.0 if table >> i & 1 else -1.0 for i in range(1 << n)])


def classes(n: int) -> NDArray[np.int64]:
    """The least truth table into which each of them is turned by exchanging and negating inputs, shape (T,).

    A plane is carried along by such a change, so that one table of a class decides for all.
    """
    tables = truth_tables(n)
    places = corners(n).astype(int)
    value = 1 << np.arange(n)[::-1]
    least = tables.copy()
    for order in permutations(range(n)):
        for flip in product((0, 1), repeat=n):
            moved = (places[:, order] ^ np.array(flip)) @ value  # where each corner goes
            turned = np.zeros_like(tables)
            for i, j in enumerate(moved):
                turned |= (tables >> i & 1) << int(j)
            np.minimum(least, turned, out=least)
    return least


@cache
def count_separable(n: int) -> int:
    """Boolean functions of n inputs that one threshold unit computes, by one linear programme for each class."""
    representatives, sizes = np.unique(classes(n), return_counts=True)
    points = corners(n)
    return sum(
        int(size)
        for table, size in zip(representatives, sizes, strict=True)
        if separating_plane(points, as_labels(int(table), n)).separable
    )


@cache
def tables_with_weights(n: int, largest: int = 3) -> frozenset[int]:
    """Truth tables of threshold units of n inputs with whole weights up to ``largest`` in size.

    Up to n = 4 weights up to 3 reach every threshold function, which the linear programmes confirm.
    """
    points = corners(n)
    bits = 1 << np.arange(1 << n)
    found: set[int] = set()
    for weights in product(range(-largest, largest + 1), repeat=n):
        sums = points @ np.array(weights)
        for threshold in np.append(np.unique(sums), np.inf):
            found.add(int(bits[sums >= threshold].sum()))
    return frozenset(found)


def most_rows(name: str, n: int) -> int:
    """Corners, of 2^n, on which the best threshold unit agrees with a gate, for any n.

    A unit is monotone in each input or its negation. Along a chain of corners in which the inputs turn from 0 to 1 one
    by one it changes its value once, and the parity at every step: of an even number n the cube falls into
    C(n, n/2) chains symmetric about the middle, on each of which the unit is right at most once more than it is wrong;
    an odd n is two cubes of n - 1. So parity is met at 2^(n-1) + C(n-1, ⌊(n-1)/2⌋) corners at most, and by a majority
    of the inputs, some of them negated, it is. The other gates are threshold units themselves.

    Args:
        name: One of ``theory.gates.GATES``.
        n: Inputs, at least 1.

    Source:
        de Bruijn, Tengbergen and Kruyswijk (1951), for the chains.
    """
    return 2 ** (n - 1) + comb(n - 1, (n - 1) // 2) if name in ("xor", "xnor") else 2**n


def best_agreement(table: int, n: int) -> int:
    """Corners, of 2^n, on which the best threshold unit agrees with a Boolean function; n up to 4."""
    assert n <= 4
    return max((1 << n) - (table ^ one).bit_count() for one in tables_with_weights(n))
