"""A floor under all broken lines of N pieces that meet, wherever their knots: proved, and above that of free pieces.

The floor of ``theory.segmentation`` drops the requirement that pieces meet. Here it is kept, but for a small price. A
knot κ lies between two samples, or within a cell of a few; its middle is m and its half width w. The two lines l and l'
that meet at κ with slopes s and s' are apart by |s - s'| |κ - m| at m, hence

    (l(m) - l'(m))²  ≤  w² (s - s')²  ≤  2 w² (s² + s'²),

and with any λ ≥ 0 the sum of squares of a broken line is at least

    Σ ‖residual of the piece‖²  +  λ Σ [ (l(m) - l'(m))² - 2 w² (s² + s'²) ].

The minimum of this over all lines and all choices of cells is a lower bound. It is found exactly by dynamic programming
on heights: the least sum left of a cell, given the height at its middle, is the least of parabolas, and stays so when a
piece is added. Pieces of so few samples that their term is not convex are taken as free pieces. Samples within the
cell of a knot are left out: they belong to either side.

What cannot be part of a line as good as the one already found is left out, by the floors of free pieces on both sides;
and of neighbouring parabolas one is kept where the others are not lower by more than a tolerance, which is taken off.

Source:
    The recursion on parabolas: Fearnhead, Maidstone, Letchford (2019), Detecting changes in slope with an L0 penalty,
    Journal of Computational and Graphical Statistics 28. The multiplier: weak Lagrangian duality.
"""

# M samples, N pieces, T cells of knots, K parabolas

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.segmentation import best_segmentation, without_line

Array = NDArray[np.float64]
Whole = NDArray[np.intp]
TOLERANCE = 0.002  # of the sum of squares, taken off in all for parabolas that are dropped
TRIPLES = 1 << 20  # parabolas extended at once
PAIRS = 7_000_000  # pieces that may be part of the best line, about: where there are more, the cells are larger
LEFT_OUT = 0.01  # of the samples at most, in the cells of knots
WEIGHTS = (1 / 16, 1)  # λ in samples a piece: little lets steep pieces be, much holds many short waves together
LARGE_CELLS = (1 / 2,)
MOST_LOOKED = 400_000_000  # comparisons of parabolas, a minute of them: then the best bound so far is the result
ROUNDING = 1e-10  # of the sum of squares: an error below it cannot be told from 0
STEEP = 100  # times as far as the rest: a trend that is taken off
ENOUGH = 0.995  # of the squared error found: a bound is not raised further


class Cells(NamedTuple):
    """Where a knot may lie; the first and the last are the ends of the line.

    Attributes:
        left: Number of samples certainly left of a knot in the cell, shape (T,).
        right: Number of the first sample certainly right of it, shape (T,).
        middle: Shape (T,).
        half: Half width, 0 at the ends, shape (T,).
    """

    left: Whole
    right: Whole
    middle: Array
    half: Array


class _Parabolas(NamedTuple):
    """a φ² + b φ + c of each cell, in the order of the cells."""

    cell: Whole
    a: Array
    b: Array
    c: Array

    def of(self, which: NDArray[np.bool_] | Whole) -> _Parabolas:
        return _Parabolas(self.cell[which], self.a[which], self.b[which], self.c[which])

    def lowest(self) -> Array:
        """The least value of each."""
        return self.c - self.b**2 / np.where(self.a > 0, 4 * self.a, 1.0)


def cells_of(x: Array, size: int) -> Cells:
    """The gaps between samples in groups. Args: x, ascending, shape (M,); size, gaps in a group."""
    first = np.arange(1, len(x), size)
    last = np.minimum(first + size, len(x)) - 1
    middle, half = (x[last] + x[first - 1]) / 2, (x[last] - x[first - 1]) / 2
    ends = np.array([0]), np.array([len(x)])
    return Cells(
        np.concatenate([ends[0], first, ends[1]]),
        np.concatenate([ends[0], last, ends[1]]),
        np.concatenate([x[:1], middle, x[-1:]]),
        np.concatenate([[0.0], half, [0.0]]),
    )


def least_joined(x: Array, y: Array, pieces: int, error: float) -> float | None:
    """Root mean square error below which no continuous broken line of N pieces comes.

    Args:
        x: Samples in ascending order, shape (M,), at most 16,384.
        y: Their values, shape (M,).
        pieces: N, at least 1.
        error: Of a line that was found; the nearer to the least, the sooner the bound is there.

    Returns:
        The bound, at most ``error``; None where too many lines are about as good, or rounding decides.
    """
    most, rest = error**2 * len(x) * (1 + 1e-9), without_line(x, y)
    rounding = len(x) * float(4 * np.finfo(float).eps * np.abs(y).max()) ** 2  # of the values themselves
    if most <= ROUNDING * float(rest @ rest):
        return None
    # A broken line less a line is one: a steep trend, beside which squares keep no digits, is taken off; others are
    # left, as floors of free pieces under them may be known.
    if np.square(y - y.mean()).sum() > STEEP**2 * float(rest @ rest):
        y = rest
    # Squared errors of 1 … N free pieces left of each gap, and of 0 … N right of it
    before = best_segmentation(x, y, pieces).least
    free = best_segmentation(-x[::-1], y[::-1], pieces).least
    after = _right_of(free[:, ::-1])
    x, y = x - (x[0] + x[-1]) / 2, y - y.mean()
    size = math.ceil(math.sqrt(_count_pairs(before, after, most) / PAIRS))
    if (size - 1) * (pieces - 1) > LEFT_OUT * len(x):
        return None
    cells, bound, left = cells_of(x, max(size, 1)), 0.0, MOST_LOOKED
    before, after = before[:, cells.left], after[:, cells.right]
    for weight in WEIGHTS if size <= 1 else LARGE_CELLS:
        recursion = _Recursion(x, y, cells, most, weight * len(x) / pieces, left)
        try:
            sums = recursion.run(before, after)
        except _TooManyError:
            break
        left = recursion.left
        bound = max(bound, float(sums[-1, -1]))
        if bound > ENOUGH * most:
            break
    return math.sqrt(min(bound / len(x), error**2)) if bound > rounding else None


def _right_of(sums: Array) -> Array:
    """Sums of 0 … N pieces from those of 1 … N, (N, T): none leads nowhere but to the end. Returns: (N + 1, T)."""
    none = np.full_like(sums[:1], np.inf)
    none[0, -1] = 0
    return np.concatenate([none, sums])


def _count_pairs(before: Array, after: Array, most: float) -> float:
    """Pieces between two gaps that may be part of a good line, about. Args: (N, M + 1), (N + 1, M + 1), a sum."""
    knots = [1.0, *((before[k] + after[-k - 2] <= most).sum() for k in range(len(before)))]
    return float(np.dot(knots[1:], knots[:-1]))


class _TooManyError(Exception):
    """More lines are about as good as can be compared in a minute."""


class _Recursion:
    """Bellman's recursion over pieces.

    Args:
        x: Shape (M,), centred.
        y: Shape (M,), centred.
        cells: Of the knots.
        most: Squared error of a line that was found.
        weight: λ.
        left: Comparisons of parabolas that may be made.
    """

    def __init__(self, x: Array, y: Array, cells: Cells, most: float, weight: float, left: int) -> None:
        self.cells, self.most, self.weight, self.left = cells, most, weight, left
        powers = [np.ones_like(x), x, x * x, y, x * y, y * y]
        self.totals = [np.concatenate([[0.0], np.cumsum(power)]) for power in powers]

    def run(self, before: Array, after: Array) -> Array:
        """Least sums left of each cell by 1 … N pieces, of which the last is joined to the next.

        Args:
            before: Squared errors of 1 … N free pieces left of each cell, shape (N, T).
            after: Least of 0 … N pieces right of it, shape (N + 1, T).

        Returns:
            Shape (N, T); infinite where no good line has its knot.
        """
        pieces = len(before)
        alive, least = np.array([0]), np.zeros(1)  # cells that a good line can have a knot in, and their least sums
        lines = _Parabolas(np.array([0]), np.zeros(1), np.zeros(1), np.zeros(1))
        table = np.full_like(before, np.inf)
        for k in range(pieces):
            rest = after[pieces - k - 1]
            goals = np.flatnonzero(before[k] + rest <= self.most)
            found = []
            free = np.full(len(rest), np.inf)  # least sums at each cell that end with a free piece
            for part in np.array_split(goals, 1 + len(lines.a) * len(goals) // TRIPLES):
                free[part], joined = self.add_piece(alive, least, lines, part, rest[part])
                kept, looked = thinned(joined, self.most - rest, TOLERANCE * self.most / pieces)
                found.append(kept)
                self.left -= looked
                if self.left < 0:
                    raise _TooManyError
            ends = np.flatnonzero(np.isfinite(free))
            flat = np.zeros(len(ends))
            found.append(_Parabolas(ends, flat, flat, free[ends]))  # the next piece starts anywhere
            lines = _Parabolas(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
            sums = free
            np.minimum.at(sums, lines.cell, lines.lowest())
            sums = np.maximum(sums, before[k])
            alive = np.flatnonzero(sums + rest <= self.most)
            least = table[k, alive] = sums[alive]
            lines = lines.of(np.isin(lines.cell, alive))
            lines = lines.of(lines.cell.argsort(kind="stable"))
            if not len(alive):
                break
        table[-1, -1] = min(table[-1, -1], self.most)
        return table

    def add_piece(
        self, starts: Whole, least: Array, lines: _Parabolas, goals: Whole, rest: Array
    ) -> tuple[Array, _Parabolas]:
        """Sums with one piece more.

        Args:
            starts: Cells that the piece can begin in, ascending, shape (S,).
            least: Least sum at each, shape (S,).
            lines: Sums by the height there, in the order of the cells.
            goals: Cells that it can end in, shape (G,).
            rest: Least that comes right of each, shape (G,).

        Returns:
            For each goal the least sum if the piece is free, infinite where it cannot be; and the sums by the height of
            the line that joins it next, for the others.
        """
        begin, end = starts[:, None], goals[None, :]  # (S, G)
        left, right = self.cells.middle[begin], self.cells.middle[end]
        wide = right > left  # not so between two gaps at the one place of several samples: a piece of length 0 is free
        length = np.where(wide, right - left, 1.0)
        first, last = self.cells.right[begin], np.maximum(self.cells.left[end], self.cells.right[begin])
        n, sx, sxx, sy, sxy, yy = (total[last] - total[first] for total in self.totals)
        # Squared error of the piece from height u to φ: vv u² + 2 vw uφ + ww φ² - 2 vy u - 2 wy φ + yy
        vv = (right * right * n - 2 * right * sx + sxx) / length**2
        vw = ((left + right) * sx - sxx - left * right * n) / length**2
        ww = (sxx - 2 * left * sx + left * left * n) / length**2
        vy, wy = (right * sy - sxy) / length, (sxy - left * sy) / length
        curved = vv * ww - vw * vw
        enough = wide & (n > 2) & (curved > 0)
        curved = np.where(enough, curved, 1.0)
        alone = np.where(enough, yy - (ww * vy * vy - 2 * vw * vy * wy + vv * wy * wy) / curved, 0.0)
        alone = np.maximum(alone, 0.0) + least[:, None]
        hopeful = (begin <= end) & (alone + rest <= self.most)
        # 2 λ w² s² at both ends, with s = (φ - u) / length
        off = 2 * self.weight * (self.cells.half[begin] ** 2 + self.cells.half[end] ** 2) / length**2
        convex = enough & (vv > off) & ((vv - off) * (ww - off) - (vw + off) ** 2 > curved / 4)
        free = np.where(hopeful & ~convex, alone, np.inf).min(0)
        goal, start = np.nonzero((hopeful & convex).T)
        # Every parabola of every start
        counts = np.bincount(np.searchsorted(starts, lines.cell), minlength=len(starts))
        offsets = np.cumsum(counts) - counts
        several = counts[start]
        pair = np.repeat(np.arange(len(start)), several)
        number = np.arange(len(pair)) - np.repeat(np.cumsum(several) - several, several) + offsets[start][pair]
        goal, start = goal[pair], start[pair]
        vv, vw, ww, vy, wy, yy, off = (part[start, goal] for part in (vv, vw, ww, vy, wy, yy, off))
        # min_u of (a + vv - off) u² + (b - 2 vy + 2 (vw + off) φ) u
        a, b, c = lines.a[number] + vv - off, lines.b[number] - 2 * vy, lines.c[number] + yy
        both = 2 * (vw + off)
        a, b, c = ww - off - both * both / (4 * a), -2 * wy - b * both / (2 * a), c - b * b / (4 * a)
        good = c - b * b / (4 * a) + rest[goal] <= self.most
        goal, a, b, c = goal[good], a[good], b[good], c[good]
        # The next line has the height u there: min_φ of a φ² + b φ + c + λ (u - φ)²
        share = self.weight / (a + self.weight)
        return free, _Parabolas(goals[goal], a * share, b * share, c - b * b / (4 * (a + self.weight)))


def thinned(lines: _Parabolas, most: Array, tolerance: float) -> tuple[_Parabolas, int]:
    """Parabolas of which the least is, wherever it is at most ``most``, not above the least of all given; lowered.

    Along the heights of a cell, the present one is kept until another is lower by ``tolerance``.

    Args:
        lines: In the order of their cells, with a > 0.
        most: For every cell, what matters, shape (T,).
        tolerance: Above 0; taken off all that are kept.

    Returns:
        Those kept, and how many comparisons it took.
    """
    bound = most[lines.cell]
    inside = lines.lowest() <= bound
    lines, bound = lines.of(inside), bound[inside]
    if not len(lines.a):
        return lines, 0
    root = np.sqrt(np.maximum(lines.b**2 - 4 * lines.a * (lines.c - bound), 0.0))
    enter, leave = (-lines.b - root) / (2 * lines.a), (-lines.b + root) / (2 * lines.a)
    first = np.flatnonzero(np.diff(lines.cell, prepend=-1))
    group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(lines.a))))
    end = np.maximum.reduceat(leave, first)
    order = np.lexsort((enter, group))
    now = order[first]
    at = enter[now]
    live, kept, looked = np.arange(len(lines.a)), [], 0
    while len(live):
        looked += len(live)
        kept.append(np.unique(now[group[live]]))
        present = now[group[live]]
        da, db = lines.a[live] - lines.a[present], lines.b[live] - lines.b[present]
        dc = lines.c[live] - lines.c[present] + tolerance
        # The difference falls through 0 at 2 dc / (√D - db) = (-db - √D) / 2 da.
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(db * db - 4 * da * dc)
            falls = np.where(db < 0, 2 * dc / (root - db), (-db - root) / (2 * da))
        falls[~(falls > at[group[live]]) | (falls > end[group[live]])] = np.inf
        starts = np.flatnonzero(np.diff(group[live], prepend=-1))
        least = np.minimum.reduceat(falls, starts)
        where = np.lexsort((falls, group[live]))[starts]  # the first to fall, of each group
        moving = np.isfinite(least)
        chosen = live[where[moving]]
        now[group[chosen]], at[group[chosen]] = chosen, least[moving]
        live = live[np.repeat(moving, np.diff(np.append(starts, len(live))))]
    found = lines.of(np.unique(np.concatenate(kept)))
    return found._replace(c=found.c - tolerance), looked
