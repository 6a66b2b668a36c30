"""The best fit by N straight pieces that meet, with knots on given places: dynamic programming on parabolas, exact.

Let f_k(t, φ) be the least squared error, over the samples left of place p_t, of a broken line of k pieces whose knots
lie on the places and which has the height φ at p_t. A piece from height u at p_s to φ at p_t has a squared error
quadratic in (u, φ), hence

    f_k(t, φ) = min_{s<t} min_u  f_{k-1}(s, u) + C(s, t, u, φ),        f_0(0, φ) = 0,

is the least of finitely many parabolas in φ: minimising one parabola plus C over u gives a parabola again. Only those
that are the least at some height need to be kept, a handful of them.

``theory.segmentation`` drops the requirement that pieces meet: its floor lies below, and the difference is the price of
continuity, which no choice of knots pays off.

The recursion's costs are differences of large sums: what is below 1e-15 of the squared range of the values is rounding
there. The errors are therefore summed afresh from the residuals of the chosen line. Where they are below 3e-8 of the
range, they are right for its knots, but other knots may be better.

Source:
    Fearnhead, Maidstone, Letchford (2019), Detecting changes in slope with an L0 penalty, Journal of Computational and
    Graphical Statistics 28 (the recursion and its pruning; there with a price for each knot).
"""

# M samples, G + 1 places, N pieces, K candidates

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.intp]
MARGIN = 0.5  # of the range of the values, by which heights may leave it


class _Parabolas(NamedTuple):
    """a φ² + b φ + c, and which parabola of one piece less each came from: its place and its number there."""

    a: Array
    b: Array
    c: Array
    place: Whole
    number: Whole


@dataclass(frozen=True)
class Joined:
    """The best broken lines of 1 … N pieces with knots on the places.

    Attributes:
        errors: Root mean square errors, shape (N,); never rising.
        places: Where knots may lie, shape (G + 1,).
        chosen: Numbers of the places of each line's knots.
    """

    errors: Array
    places: Array
    chosen: list[list[int]]

    def knots(self, pieces: int) -> Array:
        """The knots of the best line of so many pieces, from the first place to the last, shape (pieces + 1,)."""
        return self.places[self.chosen[pieces - 1]]


def best_joined(x: Array, y: Array, places: Array, pieces: int) -> Joined:
    """Globally best continuous broken lines of 1 … N pieces with knots on given places.

    Args:
        x: Samples in ascending order, shape (M,).
        y: Their values, shape (M,). Heights at knots are sought in their range, widened by half of it on both sides.
        places: Ascending, the first at or left of all samples, the last at or right of them, shape (G + 1,).
        pieces: N, 1 to G.

    Raises:
        ValueError: If the places do not ascend or do not enclose the samples, or there are too few for the pieces.
    """
    cells = len(places) - 1
    if not 1 <= pieces <= cells or (np.diff(places) <= 0).any() or not places[0] <= x[0] <= x[-1] <= places[-1]:
        raise ValueError(f"{cells + 1} places for {pieces} pieces must ascend, enclose the samples and be one more")
    centre, scale = float(y.mean()), float(np.ptp(y)) or 1.0
    low = (y.min() - centre) / scale - MARGIN
    high = (y.max() - centre) / scale + MARGIN
    cost = _costs(x, (y - centre) / scale, places)
    zero, none = np.zeros(1), np.zeros(1, dtype=np.intp)
    levels = [[_Parabolas(zero, zero, zero, none, none), *[_nothing() for _ in range(cells)]]]
    ends = []
    for k in range(1, pieces + 1):
        before = [np.concatenate(part) for part in zip(*levels[-1], strict=True)]
        counts = np.array([len(at.a) for at in levels[-1]])
        place, number = np.repeat(np.arange(cells + 1), counts), np.concatenate([np.arange(n) for n in counts])
        first = np.concatenate([[0], np.cumsum(counts)])
        level = [_nothing() for _ in range(cells + 1)]
        for t in range(k, cells + 1):
            here = slice(0, first[t])
            a, b, c = _extended(*(part[here] for part in before[:3]), *(sums[place[here], t] for sums in cost))
            if t < cells:
                kept = lower_envelope(a, b, c, low, high)
                level[t] = _Parabolas(a[kept], b[kept], c[kept], place[kept], number[kept])
            else:
                least = np.where(a > 0, c - b * b / np.where(a > 0, 4 * a, 1.0), c)
                best = int(least.argmin())
                ends.append((int(place[best]), int(number[best])))
        levels.append(level)
    errors = np.empty(pieces)
    chosen: list[list[int]] = []
    for k, end in enumerate(ends):
        path = _path(levels, k + 1, *end)
        error = line_error(x, (y - centre) / scale, places[path])
        if k and error > errors[k - 1]:  # rounding chose: one more knot on the line before is no worse
            path = _with_one_more(chosen[-1])
            error = min(line_error(x, (y - centre) / scale, places[path]), errors[k - 1])
        errors[k] = error
        chosen.append(path)
    return Joined(scale * errors, places, chosen)


def line_error(x: Array, y: Array, knots: Array) -> float:
    """Root mean square error of the best broken line with these knots, from its residuals.

    Args:
        x: Samples, shape (M,).
        y: Their values, shape (M,).
        knots: Ascending, around the samples, shape (N + 1,).
    """
    hats = np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], 1)  # (M, N + 1)
    for _ in range(2):  # once more for what rounding left of a high one
        y = y - hats @ np.linalg.lstsq(hats, y, rcond=None)[0]
    return float(np.sqrt(np.mean(y * y)))


def _path(levels: list[list[_Parabolas]], pieces: int, place: int, number: int) -> list[int]:
    """Numbers of the places of a line's knots. Args: all parabolas; its pieces; where its last piece came from."""
    path = [len(levels[0]) - 1]
    for level in levels[pieces - 1 :: -1]:
        path.append(place)
        place, number = int(level[place].place[number]), int(level[place].number[number])
    return path[::-1]


def _with_one_more(path: list[int]) -> list[int]:
    """The knots and the place in the middle of the most places between two of them."""
    gap = int(np.diff(path).argmax())
    return [*path[: gap + 1], (path[gap] + path[gap + 1]) // 2, *path[gap + 1 :]]


def lower_envelope(a: Array, b: Array, c: Array, low: float, high: float) -> Whole:
    """Numbers of the parabolas a φ² + b φ + c that are the least of all somewhere in [low, high].

    Args:
        a: Shape (K,).
        b: Shape (K,).
        c: Shape (K,).
        low: Where to begin.
        high: Where to end.
    """
    now, at, kept = int((a * low**2 + b * low + c).argmin()), low, []
    for _ in range(2 * len(a)):
        kept.append(now)
        # The difference to the present one falls through 0 at 2 dc / (√D - db) = (-db - √D) / 2 da.
        da, db, dc = a - a[now], b - b[now], c - c[now]
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(db * db - 4 * da * dc)
            falls = np.where(db < 0, 2 * dc / (root - db), (-db - root) / (2 * da))
        falls[~(falls > at)] = np.inf
        falls[now] = np.inf
        following = int(falls.argmin())
        if not falls[following] < high:
            break
        now, at = following, float(falls[following])
    return np.unique(kept)


def _nothing() -> _Parabolas:
    none = np.zeros(0, dtype=np.intp)
    return _Parabolas(np.zeros(0), np.zeros(0), np.zeros(0), none, none)


def _costs(x: Array, y: Array, places: Array) -> list[Array]:
    """C(s, t, u, φ) = v² u² + 2 vw uφ + w² φ² - 2 vy u - 2 wy φ + y², summed over samples between p_s and p_t.

    v = (p_t - x) / (p_t - p_s) and w = 1 - v are the hats of the two ends.

    Returns:
        The six sums, each of shape (G + 1, G + 1), of use for s < t.
    """
    shift = (places[0] + places[-1]) / 2
    x, p = x - shift, places - shift
    edges = np.searchsorted(x, p)
    edges[-1] = len(x)
    powers = [np.ones_like(x), x, x * x, y, x * y, y * y]
    totals = [np.concatenate([[0.0], np.cumsum(power)])[edges] for power in powers]
    n, sx, sxx, sy, sxy, syy = (total[None, :] - total[:, None] for total in totals)
    left, right = p[:, None], p[None, :]
    length = np.where(left < right, right - left, 1.0)
    return [
        (right**2 * n - 2 * right * sx + sxx) / length**2,
        ((left + right) * sx - sxx - left * right * n) / length**2,
        (sxx - 2 * left * sx + left**2 * n) / length**2,
        (right * sy - sxy) / length,
        (sxy - left * sy) / length,
        syy,
    ]


def _extended(
    a: Array, b: Array, c: Array, vv: Array, vw: Array, ww: Array, vy: Array, wy: Array, yy: Array
) -> tuple[Array, Array, Array]:
    """The parabolas in φ of min_u  a u² + b u + c + C(u, φ), all arguments and results of shape (K,)."""
    curved = a + vv
    curved = np.where(curved > 1e-12, curved, np.inf)  # no sample asks anything of u
    constant, slope = b - 2 * vy, 2 * vw  # the term of u is (constant + slope φ) u
    return (
        ww - slope * slope / (4 * curved),
        -2 * wy - constant * slope / (2 * curved),
        c + yy - constant * constant / (4 * curved),
    )
