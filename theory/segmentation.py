"""The best fit by N straight pieces, exactly: a floor under every broken line, and so under every ReLU network.

Samples (x_i, y_i), i < M, sorted. C(i, j) is the squared error of the best line through the samples i..j-1. Without the
requirement that neighbouring lines meet, the best N pieces follow from Bellman's recursion

    D_1(j) = C(0, j),        D_k(j) = min_i  D_{k-1}(i) + C(i, j),        F_N = sqrt(D_N(M) / M).

A continuous fit by N pieces is one of those over which F_N is the minimum, so F_N bounds it from below: a network that
reaches F_N is proved optimal. The recursion costs N M² evaluations of C. Almost all are spared, exactly: D_{k-1}(i)
never falls and C(i, j) never rises with i, hence for all i of a block a ≤ i < b

    D_{k-1}(i) + C(i, j)  ≥  D_{k-1}(a) + C(b, j),

and only blocks whose bound lies below the best value at a block's edge are looked into.

Sums of a block are taken of the residuals from the best line of its own samples, so that little cancels: float64 gives
the floor of a smooth function to about 1e-12. What is below 5e-7 of the error of one piece is lost in their rounding,
and the floor is then 0. Two kinds of samples are beyond them: places that lie 1e-9 of their span
apart, and a value 10⁷ times as far out as the others scatter. There what is found is a fit, but may not be the best.

Source:
    Bellman (1961), On the approximation of curves by line segments using dynamic programming. Bai and Perron (2003),
    Computation and analysis of multiple structural change models, section 3 (the recursion); the bound on blocks is
    the monotonicity of both terms.
"""

# M samples, N pieces, B samples a block, A blocks, S survivors

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BLOCK = 16
CHUNK = 1 << 15  # blocks looked into at once
MOST_SAMPLES = 1 << 14  # the tables hold 40 M² / B bytes: 670 MB here, 42 MB for 4,096 samples
MOST_KEPT = 8
LOST = 3e-13  # of the squared error of one piece: below it the tables' rounding decides where pieces begin

_KEPT: OrderedDict[tuple[bytes, bytes], Segmentation] = OrderedDict()


@dataclass(frozen=True)
class Segmentation:
    """The best fits by 1, 2, … N pieces that need not meet.

    Attributes:
        floors: F_1 … F_N, root mean square error over the samples, shape (N,); never increasing.
        starts: First sample of the last piece of the best k pieces of the samples before j, shape (N, M + 1).
        least: D, squared errors of the best k pieces of the samples before j, shape (N, M + 1).
    """

    floors: Array
    starts: NDArray[np.int32]
    least: Array

    def boundaries(self, pieces: int) -> NDArray[np.int64]:
        """First sample of each piece of the best fit by ``pieces`` pieces, shape (pieces,), starting with 0."""
        ends = [self.starts.shape[1] - 1]
        for k in range(pieces - 1, -1, -1):
            ends.append(int(self.starts[k, ends[-1]]))
        return np.array(ends[:0:-1])


def line_error(x: Array, y: Array) -> float:
    """Squared error of the best line through samples: C, by its definition. Args: x, y (M,)."""
    if len(x) < 3:
        return 0.0
    residual = without_line(x, y)
    return float(residual @ residual)


def without_line(x: Array, y: Array) -> Array:
    """What the best line leaves of the values. Args: x, y (M,)."""
    for _ in range(2):  # once more for what rounding left of a steep one
        dx, y = x - x.mean(), y - y.mean()
        y = y - (dx @ y / max(float(dx @ dx), np.finfo(float).tiny)) * dx
    return y


class _Costs:
    """C(i, j) of all samples i of a block and all j, from sums that begin at the block."""

    def __init__(self, x: Array, y: Array) -> None:
        size = len(x)
        self.size, self.blocks = size, -(-size // BLOCK)
        self.sums = np.zeros((5, self.blocks, size + 1))  # of u, v, u², uv, v²
        for block, first in enumerate(range(0, size, BLOCK)):
            u = x[first:] - x[first]
            du = u[:BLOCK] - u[:BLOCK].mean()
            slope = du @ y[first : first + BLOCK] / (du @ du) if du @ du > 0 else 0.0
            v = y[first:] - y[first] - slope * u
            np.cumsum(np.stack([u, v, u * u, u * v, v * v]), axis=1, out=self.sums[:, block, first + 1 :])

    def __call__(self, block: NDArray[np.intp], i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
        """C(i, j) for samples ``i`` in ``block``; the arguments broadcast. 0 where j - i < 3."""
        n = np.maximum(j - i, 1)
        u, v, uu, uv, vv = (sums[block, j] - sums[block, i] for sums in self.sums)
        spread = uu - u * u / n
        tilt = uv - u * v / n
        with np.errstate(divide="ignore", invalid="ignore"):
            explained = np.where(spread > 0, tilt * tilt / spread, 0.0)
        error = np.maximum(vv - v * v / n - explained, 0.0)
        return np.where(j - i > 2, error, 0.0)


def best_segmentation(x: Array, y: Array, pieces: int) -> Segmentation:
    """Globally best fits by 1 … N straight pieces that need not meet, by dynamic programming.

    Two samples cost nothing, at one place neither: with such places the floors are floors, but none need be reached.

    Args:
        x: Places in ascending order, shape (M,), at most 16,384.
        y: Values, shape (M,).
        pieces: N, at least 1.

    Returns:
        Floors and where the pieces begin. The last results are kept: a second call with the same samples and no more
        pieces is free.

    Raises:
        ValueError: If there are no or too many samples, they are not sorted or not finite, or ``pieces`` is below 1.
    """
    x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not 1 <= len(x) <= MOST_SAMPLES:
        raise ValueError(f"x {x.shape} and y {y.shape}; allowed: as many of both, 1 to {MOST_SAMPLES:,}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (np.diff(x) < 0).any():
        raise ValueError("the samples must be finite, and their places in ascending order")
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, got {pieces}")
    key = (x.tobytes(), y.tobytes())
    if key not in _KEPT or len(_KEPT[key].floors) < pieces:
        _KEPT[key] = _recursion(x, y, pieces)
        while len(_KEPT) > MOST_KEPT:
            _KEPT.popitem(last=False)
    kept = _KEPT[key]
    return Segmentation(kept.floors[:pieces], kept.starts[:pieces], kept.least[:pieces])


def _recursion(x: Array, y: Array, pieces: int) -> Segmentation:
    size = len(x)
    costs = _Costs(x, y)
    edges = np.arange(costs.blocks) * BLOCK  # (A,)
    blocks, ends = np.arange(costs.blocks)[:, None], np.arange(size + 1)[None, :]
    # C at the blocks' edges, (A + 1, M + 1); a piece cannot begin after it ends.
    edge_cost = np.full((costs.blocks + 1, size + 1), np.inf)
    for part in np.array_split(blocks[:, 0], max(1, costs.blocks // 32)):
        edge_cost[part] = costs(part[:, None], edges[part][:, None], ends)
    bound_cost = np.where(np.vstack([edges[1:, None], [[size]]]) < ends, edge_cost[1:], 0.0)  # of the next block's edge
    np.copyto(edge_cost[:-1], np.inf, where=edges[:, None] > ends)
    least = np.empty((pieces, size + 1))
    starts = np.zeros((pieces, size + 1), dtype=np.int32)
    least[0] = edge_cost[0]
    for k in range(1, pieces):
        before = least[k - 1]
        at_edges = before[edges][:, None] + edge_cost[:-1]  # (A, M + 1)
        chosen = at_edges.argmin(0)
        least[k] = at_edges[chosen, ends[0]]
        starts[k] = edges[chosen]
        hopeful = before[edges][:, None] + bound_cost < least[k] * (1 - 1e-12)  # what rounding may do to a bound
        hopeful &= edges[:, None] <= ends
        # Few at a time, so that noisy samples, where many blocks are hopeful, do not fill the memory.
        total = hopeful.sum(0).cumsum()
        cuts = np.unique(np.searchsorted(total, np.arange(CHUNK, total[-1], CHUNK)))
        for part in np.split(ends[0], cuts):
            _look_inside(costs, before, hopeful[:, part], int(part[0]), least[k], starts[k])
    # The tables decide where the pieces begin; what they cost is summed afresh, free of the tables' rounding.
    best = Segmentation(np.zeros(pieces), starts, least)
    totals = [
        sum(line_error(x[a:b], y[a:b]) for a, b in pairwise([*best.boundaries(k + 1), size])) for k in range(pieces)
    ]
    squared = np.minimum.accumulate(totals)
    return Segmentation(np.sqrt(np.where(squared < LOST * squared[0], 0.0, squared) / size), starts, least)


def _look_inside(
    costs: _Costs, before: Array, hopeful: NDArray[np.bool_], offset: int, least: Array, starts: NDArray[np.int32]
) -> None:
    """Tries every sample of the hopeful blocks as the beginning of the last piece; improves ``least`` and ``starts``.

    Args:
        costs: C.
        before: D of one piece less, shape (M + 1,).
        hopeful: Blocks to look into for the ends ``offset``, ``offset`` + 1, …; shape (A, ends).
        offset: The first end.
        least: D so far, shape (M + 1,); changed.
        starts: Beginnings so far, shape (M + 1,); changed.
    """
    end, block = np.nonzero(hopeful.T)  # (S,), by end
    if not len(end):
        return
    end += offset
    i = np.minimum(block[:, None] * BLOCK + np.arange(BLOCK), end[:, None])  # (S, B)
    value = before[i] + costs(block[:, None], i, end[:, None])
    place = value.argmin(1)
    each = np.arange(len(end))
    lowest = value[each, place]
    order = np.lexsort((lowest, end))  # the best block of each end comes first
    winner = order[np.flatnonzero(np.diff(end[order], prepend=-1))]
    winner = winner[lowest[winner] < least[end[winner]]]
    least[end[winner]] = lowest[winner]
    starts[end[winner]] = i[winner, place[winner]]
