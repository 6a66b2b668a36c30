"""Variable projection for a smooth activation: output weights by least squares, inner ones by Levenberg and Marquardt.

With Φ the last hidden layer's values and c the best output weights, the Jacobian of r = Φc - y by an inner weight is,
up to what the next solve undoes, (I - QQᵀ) c_n ∂φ_n with Φ = QR. Through further layers ∂φ_n follows by
back-propagation, for all samples at once. Unlike broken lines this class has no certified floor: nothing proves that a
better network does not exist.

Source:
    Golub and Pereyra (1973); Kaufman (1975), A variable projection method.
"""

# P networks of N units a layer, D inputs, M samples, Q inner parameters

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.approximation.family import Family

RIDGE = 1e-7  # of a unit's norm: where units nearly repeat each other, their weights stay small
FIRST_DAMPING = 1.0
FLAT = 1e-3  # of the mean curvature, added to each: weights that hardly matter do not run away
MOST_TRIALS = 12  # each damped four times as much as the one before
LEAF = 256  # columns of which all products are taken


class GaussNewton(nn.Module):
    """Levenberg and Marquardt on the inner weights of every network of a family. Args: family, of one width."""

    damping: Tensor
    stuck: Tensor

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        count = len(family.rows)
        self.register_buffer("damping", torch.full((count,), FIRST_DAMPING, dtype=torch.float64))
        self.register_buffer("stuck", torch.zeros(count, dtype=torch.bool))  # no step goes down, however short

    def project(self, rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows with the best output weights, the residual (P, M), an orthonormal basis of the units (P, M, N + 1)."""
        units = self.family.units
        hidden = self.family.activation(self.family.before_activation(rows, x)[-1])  # (P, M, N)
        columns = torch.cat([hidden, torch.ones_like(hidden[..., :1])], 2)
        norms = columns.norm(dim=1).clamp_min(1e-30)  # (P, N + 1)
        ridge = RIDGE * torch.eye(units + 1, dtype=x.dtype, device=x.device).expand(len(rows), -1, -1)
        basis, triangle = torch.linalg.qr(torch.cat([columns / norms[:, None], ridge], 1))
        basis = basis[:, : len(x)]
        solution = torch.linalg.solve_triangular(triangle, basis.mT @ y[:, None], upper=True).squeeze(2) / norms
        residual = (columns @ solution.unsqueeze(2)).squeeze(2) - y
        return torch.cat([rows[:, : -units - 1], solution], 1), residual, basis

    def jacobian(self, rows: Tensor, x: Tensor) -> Tensor:
        """∂f by the inner weights and biases, in the order of a row, shape (P, M, Q)."""
        before = self.family.before_activation(rows, x)
        with torch.enable_grad():
            marked = [z.detach().requires_grad_() for z in before]
            values = [self.family.activation(z) for z in marked]
            slopes = torch.autograd.grad(torch.stack([v.sum() for v in values]).sum(), marked)
        inputs = [self.family.inputs(x).expand(len(rows), -1, -1), *(v.detach() for v in values)]
        layers = self.family.layers(rows)
        pull = layers[-1][0].expand_as(before[-1])  # ∂f/∂φ, (P, M, N)
        columns: list[Tensor] = []
        for place in reversed(range(self.family.depth)):
            pull = pull * slopes[place]  # ∂f/∂z
            by_weight = (pull.unsqueeze(3) * inputs[place].unsqueeze(2)).flatten(2)
            columns = [by_weight, pull, *columns]
            pull = pull @ layers[place][0]
        return torch.cat(columns, 2)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of every network, damped until its error falls; gives the mean squared error, shape (P,)."""
        rows, residual, basis = self.project(self.family.rows.data, x, y)
        error = residual.square().sum(1)
        moving = self.jacobian(rows, x)
        moving = moving - basis @ (basis.mT @ moving)
        hessian, gradient = gram(moving), moving.mT @ residual.unsqueeze(2)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        floor = FLAT * diagonal.mean(1, keepdim=True) + 1e-300
        waiting = (~self.stuck).nonzero()[:, 0]
        for _ in range(MOST_TRIALS):
            if not len(waiting):
                break
            extra = self.damping[waiting, None] * (diagonal + floor)[waiting]
            change, failed = torch.linalg.solve_ex(hessian[waiting] + extra.diag_embed(), -gradient[waiting])
            change = torch.where((failed == 0)[:, None] & change[:, :, 0].isfinite(), change[:, :, 0], 0.0)
            trial = rows[waiting]
            trial[:, : change.shape[1]] += change
            trial, trial_residual, _ = self.project(trial, x, y)
            trial_error = trial_residual.square().sum(1)
            better = trial_error < error[waiting]
            self.damping[waiting] = (self.damping[waiting] * torch.where(better, 0.2, 4.0)).clamp(1e-7, 1e8)
            rows[waiting[better]], error[waiting[better]] = trial[better], trial_error[better]
            waiting = waiting[~better]
        self.stuck[waiting] = True
        self.family.rows.data.copy_(rows)
        return error / len(x)


class Projections(nn.Module):
    """Networks of several widths by variable projection, each width on its own, so that none is padded.

    Args:
        families: One of each width.
    """

    def __init__(self, families: list[Family]) -> None:
        super().__init__()
        self.searches = nn.ModuleList(GaussNewton(family) for family in families)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of every network; gives the mean squared errors, shape (W, S)."""
        return torch.stack([search.step(x, y) for search in self._parts()])

    def forward(self, x: Tensor) -> Tensor:
        """Values of the networks at x, shape (W, S, M)."""
        return torch.stack([family(x) for family in self.families()])

    def families(self) -> list[Family]:
        """The networks, by width."""
        return [search.family for search in self._parts()]

    def _parts(self) -> list[GaussNewton]:
        return [search for search in self.searches if isinstance(search, GaussNewton)]


def gram(columns: Tensor) -> Tensor:
    """AᵀA with products above the diagonal taken once. Args: columns, A, shape (P, M, Q). Returns: (P, Q, Q)."""
    if columns.shape[2] <= LEAF:
        return columns.mT @ columns
    left, right = columns.tensor_split(2, 2)
    across = left.mT @ right
    return torch.cat([torch.cat([gram(left), across], 2), torch.cat([across.mT, gram(right)], 2)], 1)
