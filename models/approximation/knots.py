"""Broken lines with free knots, many at once: the values by linear algebra, the knots by Levenberg and Marquardt.

A broken line of N pieces on [0, 1] has knots 0 = k_0 < k_1 < … < k_N = 1 and the value c_m at k_m. With the hat
functions B_m (1 at k_m, 0 at the other knots, straight between) it is f = Σ c_m B_m. For given knots the best c solves
a tridiagonal system (variable projection): only the knots are left to train.

The derivative by a knot. Written with ReLUs, f has slopes s_i and at k_i the jump a_i = s_{i+1} - s_i, and moving k_i
adds -a_i·1[x > k_i]. Whatever lies in the span of the B_m is undone by the next solve for c. Subtracting the hats right
of k_i leaves -a_i v_i, where v_i is the right half of B_i: it lives on one cell. With A = BᵀB and V = Bᵀv, which has
two entries a column, the Gauss-Newton matrix is therefore

    H = diag(a) (diag(v_iᵀv_i) - Vᵀ A⁻¹ V) diag(a),        gradient  -a_i v_iᵀ r,        r = f - y,

and costs one pass over the samples, whatever N. The knots are k_i = Σ_{j≤i} softmax(g)_j of log-gaps g: they never
cross.

Source:
    Golub and Pereyra (1973), The differentiation of pseudo-inverses and nonlinear least squares problems whose
    variables separate. Kaufman (1975), A variable projection method (the projected Jacobian). Marquardt (1963).
"""

# P broken lines, N most pieces, M samples

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST_GAP = 1e-6
ABSENT = -1e30  # log-gap of a piece that a narrower line lacks: its softmax is 0 exactly
LONGEST_STEP = 1.5  # of a log-gap
FIRST_DAMPING = 1e-2
ENOUGH = 1e-10  # relative fall of the error below which a line is finished
MOST_REJECTIONS = 12


class Fit(NamedTuple):
    """The best values on given knots, and the sums over samples that the next step needs.

    Attributes:
        knots: k_0 … k_N; those after a line's last piece are 1. Shape (P, N + 1).
        values: c, shape (P, N + 1).
        error: ‖r‖², shape (P,); infinite where the system could not be solved.
        jumps: a at k_0 … k_{N-1}, 0 at k_0 and after the last piece, shape (P, N).
        pull: v_iᵀ r, shape (P, N).
        right: v_iᵀ v_i, the sum of (1 - w)² over the cell right of k_i, shape (P, N).
        across: Sum of w (1 - w) over the same cell, shape (P, N).
        factor: Cholesky factor of A, shape (P, N + 1, N + 1).
    """

    knots: Tensor
    values: Tensor
    error: Tensor
    jumps: Tensor
    pull: Tensor
    right: Tensor
    across: Tensor
    factor: Tensor


class Search(NamedTuple):
    """Where the search of every line stands.

    Attributes:
        log_gaps: g, `ABSENT` after a line's last piece, shape (P, N).
        damping: λ, shape (P,).
        rejected: Trials refused in a row, int64, shape (P,).
        done: Whether the line is finished, shape (P,).
    """

    log_gaps: Tensor
    damping: Tensor
    rejected: Tensor
    done: Tensor


def knots_of(log_gaps: Tensor) -> Tensor:
    """k_0 … k_N of log-gaps (P, N): from 0 to 1, ascending, shape (P, N + 1)."""
    inner = log_gaps.softmax(1).cumsum(1)  # (P, N)
    last = torch.nn.functional.pad(log_gaps[:, 1:], (0, 1), value=ABSENT) < ABSENT / 2
    return torch.cat([torch.zeros_like(inner[:, :1]), torch.where(last, 1.0, inner)], 1)


def log_gaps_of(knots: Tensor, most: int) -> Tensor:
    """Log-gaps of one line's knots k_0 … k_n, padded to ``most`` pieces, shape (most,); gaps are kept open."""
    gaps = knots.diff().clamp_min(2 * LEAST_GAP)
    padding = gaps.new_full((most - len(gaps),), ABSENT)
    return torch.cat([gaps.log(), padding])


def hats(knots: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Cell of each sample and place in it: there the hat on its left is 1 - w, the one on its right w.

    Args:
        knots: Shape (P, N + 1).
        x: Samples in [0, 1], shape (M,).

    Returns:
        Cells, int64, and w in [0, 1], each of shape (P, M).
    """
    cell = torch.searchsorted(knots[:, 1:-1].contiguous(), x.expand(len(knots), -1).contiguous())  # (P, M)
    left = knots.gather(1, cell)
    return cell, (x - left) / (knots.gather(1, cell + 1) - left)


def evaluate(knots: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """The broken lines at x in [0, 1], shape (P, M). Args: knots and values (P, N + 1), x (M,)."""
    cell, w = hats(knots, x)
    return values.gather(1, cell) * (1 - w) + values.gather(1, cell + 1) * w


def fit_values(knots: Tensor, x: Tensor, y: Tensor) -> Fit:
    """The best values on given knots.

    Args:
        knots: Shape (P, N + 1), equal to 1 after a line's last piece.
        x: Samples in [0, 1] in ascending order, shape (M,).
        y: Their values, shape (M,).
    """
    cell, w = hats(knots, x)
    v = 1 - w

    def sums(quantity: Tensor) -> Tensor:
        return torch.zeros_like(knots[:, 1:]).scatter_add_(1, cell, quantity)  # (P, N)

    def onto_hats(left: Tensor, right: Tensor) -> Tensor:
        return torch.nn.functional.pad(left, (0, 1)) + torch.nn.functional.pad(right, (1, 0))  # (P, N + 1)

    right, across, left = sums(v * v), sums(v * w), sums(w * w)
    diagonal = onto_hats(right, left)
    # A hat without samples gets the value 0; the trace of rounding in between is healed by the refinement below.
    diagonal = torch.where(diagonal > 0, diagonal, 1.0) + 1e-13 * diagonal.amax(1, keepdim=True)
    matrix = diagonal.diag_embed() + across.diag_embed(1) + across.diag_embed(-1)  # A
    factor, failed = torch.linalg.cholesky_ex(matrix)
    factor = torch.where(
        (failed == 0)[:, None, None], factor, torch.eye(factor.shape[1], dtype=x.dtype, device=x.device)
    )
    values = torch.zeros_like(knots)
    residual = -y.expand_as(w)
    for _ in range(2):  # the second solve refines the first
        slope = -onto_hats(sums(v * residual), sums(w * residual))
        values = values + torch.cholesky_solve(slope.unsqueeze(2), factor).squeeze(2)
        residual = values.gather(1, cell) * v + values.gather(1, cell + 1) * w - y
    gaps = knots.diff()
    slopes = torch.where(gaps > 0, values.diff() / gaps, 0.0)
    inner = torch.nn.functional.pad(gaps[:, 1:], (1, 0)) > 0
    jumps = torch.where(inner, torch.nn.functional.pad(slopes.diff(), (1, 0)), 0.0)
    error = torch.where(failed == 0, residual.square().sum(1), torch.inf)
    return Fit(
        knots=knots,
        values=values,
        error=error,
        jumps=jumps,
        pull=sums(v * residual),
        right=right,
        across=across,
        factor=factor,
    )


def propose(log_gaps: Tensor, damping: Tensor, fit: Fit) -> Tensor:
    """One step of Levenberg and Marquardt in the log-gaps, from ``fit`` on their knots. Returns: g, shape (P, N)."""
    moving = torch.diag_embed(fit.right, offset=0)  # V, without its last row
    onto = torch.nn.functional.pad(moving, (0, 0, 0, 1)) + torch.nn.functional.pad(
        torch.diag_embed(fit.across), (0, 0, 1, 0)
    )  # (P, N + 1, N)
    normal = moving - onto.mT @ torch.cholesky_solve(onto, fit.factor)
    normal = fit.jumps[:, :, None] * normal * fit.jumps[:, None, :]
    # ∂k_i/∂g_j = w_j (1[j ≤ i] - k_i) for j = 1 … N and i = 0 … N - 1
    gaps, size = log_gaps.softmax(1), log_gaps.shape[1]
    below = torch.ones(size, size, dtype=gaps.dtype, device=gaps.device).tril(-1)
    chain = gaps[:, None, :] * (below - fit.knots[:, :-1, None])  # (P, N, N)
    gradient = -(chain.mT @ (fit.jumps * fit.pull).unsqueeze(2))  # (P, N, 1)
    hessian = chain.mT @ normal @ chain
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    trace = diagonal.sum(1, keepdim=True)
    extra = damping[:, None] * (diagonal + 1e-12 * trace / size) + torch.where(trace > 0, 0.0, 1.0)
    extra = torch.where(log_gaps < ABSENT / 2, extra + 1.0, extra)
    step, failed = torch.linalg.solve_ex(hessian + extra.diag_embed(), -gradient)
    step = torch.where((failed == 0)[:, None] & step[:, :, 0].isfinite(), step[:, :, 0], 0.0)
    return log_gaps + step.clamp(-LONGEST_STEP, LONGEST_STEP)


def begin(log_gaps: Tensor) -> Search:
    """A search that starts from given log-gaps (P, N)."""
    ones = torch.ones_like(log_gaps[:, 0])
    return Search(log_gaps, FIRST_DAMPING * ones, torch.zeros_like(ones, dtype=torch.int64), torch.zeros_like(ones) > 0)


def improve(search: Search, fit: Fit, x: Tensor, y: Tensor) -> tuple[Search, Fit]:
    """One trial of every line that is not finished: taken where the error falls and no gap closes, else damped more.

    Args:
        search: Where the search stands.
        fit: The fit on its knots.
        x: Samples, shape (M,).
        y: Values, shape (M,).
    """
    log_gaps = propose(search.log_gaps, search.damping, fit)
    real = log_gaps > ABSENT / 2
    log_gaps = torch.where(real, log_gaps - log_gaps.logsumexp(1, keepdim=True), ABSENT)
    trial = fit_values(knots_of(log_gaps), x, y)
    open_gaps = (torch.where(real, trial.knots.diff(), 1.0) >= LEAST_GAP).all(1)
    better = (trial.error < fit.error) & open_gaps & ~search.done
    rejected = torch.where(better, 0, search.rejected + 1)
    small = better & (fit.error - trial.error < ENOUGH * fit.error)
    done = search.done | small | (rejected >= MOST_REJECTIONS)
    damping = torch.where(better, search.damping / 5, search.damping * 4)
    damping = torch.where(search.done, search.damping, damping)
    kept = Fit(*(choose(better, new, old) for new, old in zip(trial, fit, strict=True)))
    return Search(choose(better, log_gaps, search.log_gaps), damping, rejected, done), kept


def choose(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` for the lines in ``which`` (P,), else ``old``; both begin with the axis P."""
    return torch.where(which.view(-1, *[1] * (new.ndim - 1)), new, old)
