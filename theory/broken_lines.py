"""What broken lines can and cannot do: asymptotic floors, starts for their knots, and their form as a network.

E_N is the least root mean square error of a continuous broken line of N pieces on [0, 1]. On a cell of length h where
f'' = c the best line leaves the squared error c² h⁵ / 720; with the errors of all cells made equal,

    N² E_N → (1/√720) (∫|f''|^{2/5})^{5/2};

on an interval [a, b], with f'' and the integral there, 1/√(720 (b - a)) takes the place of 1/√720.

Source:
    Burchard and Hale (1975), Piecewise polynomial approximation on optimal meshes. de Boor (1973), Good approximation
    by splines with variable knots.
"""

# M samples, N pieces

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.segmentation import Segmentation

Array = NDArray[np.float64]
L2_CONSTANT = 1 / math.sqrt(720)


def asymptotic_l2(curvature: ArrayLike) -> float:
    """Limit of N² E_N in L2. Args: curvature, f'' at the middles of equal cells of [0, 1], shape (M,)."""
    return L2_CONSTANT * float(np.mean(np.abs(np.asarray(curvature)) ** 0.4)) ** 2.5


def jump_floor(jump: float) -> float:
    """Least sup error of any continuous function at a jump: it cannot be near both sides. Args: jump, its height."""
    return abs(jump) / 2


def ramp_l1(slope: float) -> float:
    """L1 distance of the unit step and a ramp through its middle: two triangles of height 1/2, 1 / (4 slope).

    Args:
        slope: Steepness of the ramp, above 0.
    """
    return 1 / (4 * slope)


def equidistributed_knots(x: Array, y: Array, pieces: int) -> Array:
    """Knots that share ∫|f''|^{2/5} equally, f'' from second differences of the samples.

    Args:
        x: Samples in [0, 1] in ascending order, at least 3, shape (M,).
        y: Their values, without noise, shape (M,).
        pieces: N.

    Returns:
        Knots from 0 to 1, shape (N + 1,).
    """
    places = np.unique(x, return_index=True)[1]
    x, y = x[places], y[places]
    if len(x) < 3:
        return np.linspace(0, 1, pieces + 1)
    curvature = np.abs(np.diff(np.diff(y) / np.diff(x)) / (x[2:] - x[:-2]))  # f'' / 2 at x[1:-1]
    density = curvature**0.4
    density = np.maximum(density, 1e-3 * density.mean()) if density.any() else np.ones_like(density)
    edges = np.concatenate([[0.0], (x[1:-2] + x[2:-1]) / 2, [1.0]])
    share = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    return np.interp(np.arange(pieces + 1) / pieces, share / share[-1], edges)


def segmentation_knots(x: Array, y: Array, best: Segmentation, pieces: int, ramps: int = 0) -> Array:
    """Knots where the pieces of the best segmentation meet; at the highest jumps two, for a steep piece between.

    Args:
        x: Samples in [0, 1] in ascending order, shape (M,).
        y: Their values, shape (M,).
        best: Their best segmentation into at least N - ``ramps`` pieces.
        pieces: N.
        ramps: Jumps to give a piece of their own, below N.

    Returns:
        Knots from 0 to 1, shape (N + 1,); where the segmentation needs fewer pieces, the longest cells are halved.
    """
    starts = best.boundaries(pieces - ramps)
    starts = np.unique(starts[(starts > 0) & (starts < len(x))])
    ends = np.concatenate([[0], starts, [len(x)]])
    lines = [_line(x[a:b], y[a:b]) for a, b in pairwise(ends)]
    middle = (x[starts - 1] + x[starts]) / 2
    jumps = [abs(left(place) - right(place)) for left, right, place in zip(lines, lines[1:], middle, strict=False)]
    steep = set(np.argsort(jumps)[::-1][:ramps].tolist())
    inner = [
        [x[s - 1], x[s]] if number in steep else [m] for number, (s, m) in enumerate(zip(starts, middle, strict=True))
    ]
    knots = np.unique(np.concatenate([[0.0], *inner, [1.0]]))
    while len(knots) <= pieces:
        widest = int(np.diff(knots).argmax())
        knots = np.insert(knots, widest + 1, (knots[widest] + knots[widest + 1]) / 2)
    return knots


def _line(x: Array, y: Array) -> np.poly1d:
    """The best line through samples."""
    dx = x - x.mean()
    slope = dx @ y / (dx @ dx) if dx @ dx > 0 else 0.0
    return np.poly1d([slope, y.mean() - slope * x.mean()])


def settled(knots: Array, values: Array, x: Array) -> tuple[Array, Array]:
    """The same broken line on the samples, its pieces between two neighbouring samples as long as they can be.

    Such a piece is a jump, and may be as steep as one likes. Laid from sample to sample it is least steep, and sums
    with it lose the fewest digits.

    Args:
        knots: Ascending, shape (N + 1,).
        values: At the knots, shape (N + 1,).
        x: Samples in ascending order, shape (M,).
    """
    knots, values = knots.copy(), values.copy()
    i = 1
    while i < len(knots) - 2:
        after = int(np.searchsorted(x, knots[i], side="right"))
        if not 0 < after < len(x):
            i += 1
            continue
        left, right = x[after - 1], x[after]
        j = min(int(np.searchsorted(knots, right, side="right")) - 1, len(knots) - 2)  # the last knot of the gap
        first = i - (knots[i - 1] == left)
        if j > first and (first == 0 or knots[first - 1] < left) and right < knots[j + 1]:
            start = values[first]
            if knots[first] > left:
                start -= (knots[first] - left) * (values[first] - values[first - 1]) / (knots[first] - knots[first - 1])
            end = values[j] + (right - knots[j]) * (values[j + 1] - values[j]) / (knots[j + 1] - knots[j])
            knots[first], values[first] = left, start
            # What the gap has more than two of goes to the piece behind it, where it bends nothing; the next gap may
            # then have too many, and is looked at next.
            knots[first + 1 : j + 2] = np.linspace(right, knots[j + 1], j - first + 1)
            values[first + 1 : j + 2] = np.linspace(end, values[j + 1], j - first + 1)
            i = first + 1
        else:
            i = max(j, i) + 1
    return knots, values


def as_network(knots: Array, values: Array, slope: float = 0.0) -> tuple[Array, Array, Array, float]:
    """A broken line on [0, 1] as a network of one hidden layer with as many units as it has pieces.

    With slopes s_i, jumps a_i = s_{i+1} - s_i and the line c + s x of one of the pieces,

        f(x) = c + s relu(x) + Σ_{left of it} a_i relu(k_i - x) + Σ_{right of it} a_i relu(x - k_i)      for x ≥ 0.

    Terms of opposite signs cancel, and digits with them: the piece is that for which they are smallest. A leaky ReLU l
    of slope α does the same, since relu(z) = (l(z) - α z) / (1 - α).

    Args:
        knots: k_0 = 0 … k_N = 1, shape (N + 1,).
        values: f at the knots, shape (N + 1,).
        slope: α, of the activation for negative arguments, below 1.

    Returns:
        Input weights ±1 (N,), hidden biases (N,), output weights (N,) and the output bias.
    """
    slopes = np.diff(values) / np.diff(knots)
    size, inner = np.abs(np.diff(slopes)), knots[1:-1]
    left = np.concatenate([[0.0], np.cumsum(size * inner)])  # largest sum of the terms left of each piece
    right = np.concatenate([np.cumsum((size * (1 - inner))[::-1])[::-1], [0.0]])
    middle = int((np.abs(slopes) + np.maximum(left, right)).argmin())
    side = np.where(np.arange(len(inner)) >= middle, 1.0, -1.0)  # +1: opens to the right
    jumps = np.diff(slopes) / (1 - slope)
    through = values[middle] - slopes[middle] * knots[middle]
    affine = slopes[middle] - slope * (jumps @ side)
    offset = through + slope * (jumps @ (side * inner))
    biases = np.concatenate([[0.0], -side * inner])
    return np.concatenate([[1.0], side]), biases, np.concatenate([[affine], jumps]), float(offset)
