"""Exponential families with canonical links: generalised linear models and Newton's step for them.

A family has one function, its log-partition A. With natural parameter eta = x theta and dispersion phi

    log p(y | x) = (y . eta - A(eta)) / phi + log h(y, phi)        E[y] = grad A(eta),   Cov y = phi hess A(eta)

so the score of theta is X^T (y - E y) / phi and the information X^T (hess A) X / phi: the negative log-likelihood is
convex, and Newton's step is a weighted least-squares problem (IRLS).

    gaussian   A = eta^2 / 2              mean eta          linear regression
    bernoulli  A = log(1 + e^eta)         mean sigma(eta)   logistic regression
    poisson    A = e^eta                  mean e^eta        counts
    softmax    A = log(1 + sum_k e^eta_k) mean softmax      classes; class 0 is the reference with eta_0 = 0

Source:
    Nelder, Wedderburn (1972), Generalized linear models; McCullagh, Nelder (1989), chapter 2.
    Green (1984), Iteratively reweighted least squares for maximum likelihood estimation.
"""

# N samples, D features, K natural parameters (1, or classes - 1 for softmax)

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

Family = Literal["gaussian", "bernoulli", "poisson", "softmax"]
FAMILIES: tuple[Family, ...] = get_args(Family)


def _check(family: str, eta: Tensor) -> None:
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    if eta.ndim != 2 or (family != "softmax" and eta.shape[1] != 1):
        wanted = "(N, K)" if family == "softmax" else "(N, 1)"
        raise ValueError(f"natural parameters of {family} have shape {wanted}, got {tuple(eta.shape)}")


def log_partition(family: Family, eta: Tensor) -> Tensor:
    """A(eta), shape (N,). Args: family; natural parameters eta, shape (N, K)."""
    _check(family, eta)
    if family == "gaussian":
        return eta[:, 0].square() / 2
    if family == "poisson":
        return eta[:, 0].exp()
    return F.pad(eta, (1, 0)).logsumexp(1)  # bernoulli is softmax of two classes


def mean(family: Family, eta: Tensor) -> Tensor:
    """E[y] = grad A(eta), shape (N, K)."""
    _check(family, eta)
    if family == "gaussian":
        return eta
    if family == "poisson":
        return eta.exp()
    return F.pad(eta, (1, 0)).softmax(1)[:, 1:]


def covariance(family: Family, eta: Tensor) -> Tensor:
    """Cov y for phi = 1: hess A(eta), shape (N, K, K)."""
    mu = mean(family, eta)
    if family == "gaussian":
        return torch.ones_like(mu)[:, :, None]
    if family == "poisson":
        return mu[:, :, None]
    # mu (1 - mu) on the diagonal, with 1 - mu as the sum of the other probabilities: near 1 it would cancel.
    every = F.pad(eta, (1, 0)).softmax(1)  # (N, K + 1)
    others = (every @ (1 - torch.eye(every.shape[1], dtype=eta.dtype, device=eta.device)))[:, 1:]
    crossed = 1 - torch.eye(mu.shape[1], dtype=eta.dtype, device=eta.device)
    return torch.diag_embed(mu * others) - crossed * mu[:, :, None] * mu[:, None, :]


def negative_log_likelihood(family: Family, eta: Tensor, y: Tensor, dispersion: float = 1.0) -> Tensor:
    """-log p(y) of each sample in nats, shape (N,).

    Args:
        family: One of `FAMILIES`.
        eta: Natural parameters, shape (N, K).
        y: Responses, shape (N, K): numbers, 0 or 1, counts, or one-hot rows without the reference class; shares of
            the classes, too.
        dispersion: phi, above 0: the variance of a Gaussian; 1 for the other families.
    """
    _check(family, eta)
    if family == "gaussian":
        return ((y - eta)[:, 0].square() / dispersion + math.log(2 * math.pi * dispersion)) / 2
    if family == "poisson":
        return torch.lgamma(y[:, 0] + 1) - ((y * eta).sum(1) - log_partition(family, eta)) / dispersion
    return class_surprise(eta, y) / dispersion


def class_surprise(eta: Tensor, y: Tensor) -> Tensor:
    """A(eta) - y . eta of a softmax to all its digits, in nats, shape (N,); of a sure answer the difference has none.

    Class c with logit eta_c (0 for the reference) loses to the others by the odds of them all:

        A(eta) - eta_c = log(1 + sum_{k != c} e^(eta_k - eta_c))

    Args:
        eta: Natural parameters, shape (N, K).
        y: One-hot rows, or shares of the classes, without the reference class, shape (N, K).
    """
    logits, shares = F.pad(eta, (1, 0)), torch.cat([1 - y.sum(1, keepdim=True), y], dim=1)  # (N, K + 1)
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=eta.device)
    others = logits[:, None, :].masked_fill(itself, -math.inf).logsumexp(2)  # (N, K + 1)
    return -(shares * F.logsigmoid(logits - others)).sum(1)


def sample(family: Family, eta: Tensor, generator: torch.Generator, dispersion: float = 1.0) -> Tensor:
    """Draws of y, shape (N, K). Args as of `negative_log_likelihood`; the generator lies on the device of ``eta``."""
    mu = mean(family, eta)
    if family == "gaussian":
        return mu + math.sqrt(dispersion) * torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
    if family == "poisson":
        return torch.poisson(mu, generator=generator)
    uniform = torch.rand(len(mu), 1, generator=generator, dtype=mu.dtype, device=mu.device)
    edges = mu.flip(1).cumsum(1).flip(1)  # P(class >= k), k = 1..K
    reached = (uniform < edges).to(mu.dtype)  # ones up to the class that was drawn
    return reached - F.pad(reached[:, 1:], (0, 1))


def score_and_information(
    family: Family, x: Tensor, y: Tensor, theta: Tensor, dispersion: float = 1.0, precision: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Gradient of the log-posterior, and the negative Hessian.

    Args:
        family: One of `FAMILIES`.
        x: Features, shape (N, D).
        y: Responses, shape (N, K).
        theta: Coefficients, shape (D, K).
        dispersion: phi.
        precision: 1 / tau^2 of a Gaussian prior N(0, tau^2) on each coefficient; 0 for none.

    Returns:
        X^T (y - E y) / phi - precision theta, shape (D, K), and the information with theta read row by row, shape
        (D K, D K).
    """
    eta = x @ theta
    score = x.T @ (y - mean(family, eta)) / dispersion - precision * theta
    weighted = torch.einsum("nd,nkl,ne->dkel", x, covariance(family, eta), x) / dispersion
    information = weighted.reshape(theta.numel(), theta.numel())
    return score, information + precision * torch.eye(theta.numel(), dtype=x.dtype, device=x.device)


def newton_step(
    family: Family, x: Tensor, y: Tensor, theta: Tensor, dispersion: float = 1.0, precision: float = 0.0
) -> Tensor:
    """One step of Newton: theta + information^-1 score, shape (D, K). Args as of `score_and_information`."""
    score, information = score_and_information(family, x, y, theta, dispersion, precision)
    return theta + torch.linalg.solve(information, score.flatten()).view_as(theta)


def irls_step(family: Family, x: Tensor, y: Tensor, theta: Tensor) -> Tensor:
    """The same step as weighted least squares of the working response eta + V^-1 (y - E y), V = hess A = L L^T.

    Args:
        family: One of `FAMILIES`.
        x: Features, shape (N, D).
        y: Responses, shape (N, K).
        theta: Coefficients, shape (D, K).

    Returns:
        New coefficients, shape (D, K); the dispersion cancels.
    """
    eta = x @ theta
    root = torch.linalg.cholesky(covariance(family, eta))  # (N, K, K)
    residual = torch.linalg.solve_triangular(root, (y - mean(family, eta))[:, :, None], upper=False)
    target = (root.mT @ eta[:, :, None] + residual).flatten()  # L^T z, (N K,)
    design = torch.einsum("nd,nkl->nldk", x, root).reshape(len(target), -1)  # rows L^T (x kron I), (N K, D K)
    return torch.linalg.lstsq(design, target[:, None]).solution.view_as(theta)
