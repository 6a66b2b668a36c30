"""Variable projection for a smooth activation: output weights by least squares, inner ones by Levenberg and Marquardt.

With Φ the hidden units' values and c the best output weights, the Jacobian of r = Φc - y by an inner weight is, up to
what the next solve undoes, (I - QQᵀ) c_n ∂φ_n with Φ = QR. Unlike broken lines this class has no certified floor:
nothing proves that a better network does not exist.

Source:
    Golub and Pereyra (1973); Kaufman (1975), A variable projection method.
"""

# P networks, N most units, D inputs, M samples

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.approximation.family import Family

RIDGE = 1e-7  # of a unit's norm: where units nearly repeat each other, their weights stay small
FIRST_DAMPING = 1e-2


class GaussNewton(nn.Module):
    """Levenberg and Marquardt on the inner weights of every network of a family. Args: family, the networks."""

    damping: Tensor

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        count = len(family.rows)
        self.register_buffer("damping", torch.full((count,), FIRST_DAMPING, dtype=torch.float64))

    def project(self, rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows with the best output weights, the residual (P, M), an orthonormal basis of the units (P, M, N + 1)."""
        units = self.family.units
        hidden = self.family.activation(self.family.before_activation(rows, x))
        hidden = hidden * self.family.parts(self.family.mask)[1][:, None]  # (P, M, N)
        columns = torch.cat([hidden, torch.ones_like(hidden[..., :1])], 2)
        norms = columns.norm(dim=1).clamp_min(1e-30)  # (P, N + 1)
        ridge = RIDGE * torch.eye(units + 1, dtype=x.dtype, device=x.device).expand(len(rows), -1, -1)
        basis, triangle = torch.linalg.qr(torch.cat([columns / norms[:, None], ridge], 1))
        basis = basis[:, : len(x)]
        solution = torch.linalg.solve_triangular(triangle, basis.mT @ y[:, None], upper=True).squeeze(2) / norms
        residual = (columns @ solution.unsqueeze(2)).squeeze(2) - y
        kept = rows[:, : -units - 1]
        return torch.cat([kept, solution], 1) * self.family.mask, residual, basis

    def jacobian(self, rows: Tensor, x: Tensor) -> Tensor:
        """∂f by the inner weights and biases, shape (P, M, N (D + 1))."""
        with torch.enable_grad():
            z = self.family.before_activation(rows.detach(), x).detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.family.activation(z).sum(), z)
        pull = slope * self.family.parts(rows)[2][:, None]  # (P, M, N)
        places = x.reshape(len(x), -1)  # (M, D)
        by_weight = (pull.unsqueeze(3) * places[:, None, :]).flatten(2)
        return torch.cat([by_weight, pull], 2)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One trial of every network, taken where the error falls; gives the mean squared error, shape (P,)."""
        rows = self.family.rows.data
        rows, residual, basis = self.project(rows, x, y)
        error = residual.square().sum(1)
        moving = self.jacobian(rows, x)
        moving = moving - basis @ (basis.mT @ moving)
        hessian, gradient = moving.mT @ moving, moving.mT @ residual.unsqueeze(2)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        floor = 1e-9 * diagonal.amax(1, keepdim=True) + 1e-300
        extra = self.damping[:, None] * (diagonal + floor) + floor
        change, failed = torch.linalg.solve_ex(hessian + extra.diag_embed(), -gradient)
        change = torch.where((failed == 0)[:, None] & change[:, :, 0].isfinite(), change[:, :, 0], 0.0)
        trial = torch.cat([rows[:, : change.shape[1]] + change, rows[:, change.shape[1] :]], 1) * self.family.mask
        trial, trial_residual, _ = self.project(trial, x, y)
        trial_error = trial_residual.square().sum(1)
        better = trial_error < error
        self.damping.copy_(torch.where(better, self.damping / 4, self.damping * 4).clamp(1e-12, 1e8))
        self.family.rows.data.copy_(torch.where(better[:, None], trial, rows))
        return torch.where(better, trial_error, error) / len(x)
