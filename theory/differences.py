"""Difference quotients and Taylor polynomials: how near they come, and where rounding takes over.

A central quotient errs by h² f'''/6 from truncation and about ε|f|/h from rounding, so the best h is near ε^(1/3) and
the smallest error near ε^(2/3).

Source:
    Nocedal, Wright (2006), Numerical optimization, section 8.1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def central_difference(function: Function, x: Tensor, h: Tensor) -> Tensor:
    """(f(x + h) - f(x - h)) / 2h. Args: an elementwise function, points, steps above 0 (they broadcast)."""
    return (function(x + h) - function(x - h)) / (2 * h)


def taylor_remainder(function: Function, x: Tensor, h: Tensor) -> Tensor:
    """f(x + h) - f(x) - h f'(x), with f' by automatic differentiation. Args: as of `central_difference`; x a scalar."""
    point = x.detach().clone().requires_grad_()
    value = function(point)
    (slope,) = torch.autograd.grad(value, point)
    return (function(x + h) - value - h * slope).detach()


def log_slope(x: Tensor, y: Tensor) -> Tensor:
    """Slope of log |y| over log x by least squares: the order of an error. Args: shapes (P,), x above 0, y not 0."""
    a, b = x.log(), y.abs().log()
    a = a - a.mean()
    return (a * (b - b.mean())).sum() / a.square().sum()


def hyperdeterminant(tensor: Tensor) -> Tensor:
    """Cayley's hyperdeterminant of 2×2×2 tensors; above 0 the real rank is 2, below 0 it is 3. Shape (...).

    It is the discriminant of det(A + t B), A and B the two slices: rank 2 needs two real roots.

    Args:
        tensor: Shape (..., 2, 2, 2).

    Source:
        Cayley (1845); de Silva, Lim (2008), Tensor rank and the ill-posedness of the best low-rank approximation, 5.4.
    """
    first, second = tensor[..., 0, :, :], tensor[..., 1, :, :]
    determinant = lambda m: m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    middle = determinant(first + second) - determinant(first) - determinant(second)
    return middle.square() - 4 * determinant(first) * determinant(second)
