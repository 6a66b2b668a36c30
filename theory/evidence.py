"""Occam's razor as arithmetic: the evidence of a Bayesian linear model falls when the model is too large.

With w ~ N(0, tau^2 I) and noise of variance sigma^2, y = x w + noise is Gaussian, and the evidence is its density

    log p(y) = log N(y; 0, sigma^2 I + tau^2 X X^T)
             = log-likelihood at the maximum a posteriori  -  Occam factor (what the data rule out of the prior).

Source:
    MacKay (1992), Bayesian interpolation, section 4; Bishop (2006), Pattern recognition, section 3.5.
"""

# n samples, d features

from __future__ import annotations

import math

import torch
from torch import Tensor


def legendre(x: Tensor, degree: int) -> Tensor:
    """Legendre polynomials sqrt(2k + 1) P_k(x), k = 0..degree: orthonormal for x uniform in [-1, 1], shape (n, d).

    Args:
        x: Points in [-1, 1], shape (n,).
        degree: At least 0; d = degree + 1.

    Raises:
        ValueError: If a point lies outside.
    """
    if x.numel() and float(x.abs().max()) > 1:
        raise ValueError(f"points must lie in [-1, 1], got one at {float(x.flatten()[x.abs().argmax()]):g}")
    columns = [torch.ones_like(x), x]
    for k in range(1, degree):
        columns.append(((2 * k + 1) * x * columns[k] - k * columns[k - 1]) / (k + 1))  # Bonnet's recursion
    scale = (2 * torch.arange(degree + 1, dtype=x.dtype, device=x.device) + 1).sqrt()
    return torch.stack(columns[: degree + 1], 1) * scale


def log_evidence(x: Tensor, y: Tensor, prior_variance: float, noise_variance: float) -> Tensor:
    """Log p(y | model) in nats.

    Args:
        x: Features, shape (n, d).
        y: Responses, shape (n,) or (n, R) for R data sets at once.
        prior_variance: tau^2, above 0.
        noise_variance: sigma^2, above 0.

    Returns:
        A scalar, or shape (R,).
    """
    if prior_variance <= 0 or noise_variance <= 0:
        raise ValueError(f"variances must be above 0, got prior {prior_variance:g}, noise {noise_variance:g}")
    n, d = x.shape
    columns = y[:, None] if y.ndim == 1 else y
    # y^T (σ² I + τ² X X^T)^-1 y as what least squares leave: where the noise is small, squares of y would cancel.
    ratio = math.sqrt(noise_variance / prior_variance)
    stacked = torch.cat([x, ratio * torch.eye(d, dtype=x.dtype, device=x.device)])  # (n + d, d)
    target = torch.cat([columns, columns.new_zeros(d, columns.shape[1])])
    q, triangle = torch.linalg.qr(stacked)  # X^T X + σ²/τ² I = T^T T, of the size of the model
    rest = target - q @ (q.T @ target)
    rest = rest - q @ (q.T @ rest)  # once more: what is left may be small beside y
    quadratic = rest.square().sum(0) / noise_variance
    log_det = n * math.log(noise_variance) + d * math.log(prior_variance / noise_variance)
    log_det = log_det + 2 * triangle.diagonal().abs().log().sum()
    evidence = -(quadratic + log_det + n * math.log(2 * math.pi)) / 2
    return evidence[0] if y.ndim == 1 else evidence
