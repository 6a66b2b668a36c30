"""Denoising: the reconstruction that is best on average, and the score of the density that it points along.

A noisy sample y = x + σε is best restored by the posterior mean r(y) = E[x | y]. For any density of x

    r(y) - y = σ² ∇ log p_σ(y)            (Tweedie's formula; p_σ is the density of y)

so a network trained to denoise learns the direction in which y becomes more probable, the score. For a Gaussian
density of covariance Σ both sides are known: r(y) = m + Σ(Σ + σ²I)⁻¹(y - m), the Wiener filter, and its error is
tr Σ - tr Σ(Σ + σ²I)⁻¹Σ = Σ_i λ_i σ² / (λ_i + σ²). For any other density the same filter is the best *linear* one.

Symbols: N samples, D features.

Source:
    Vincent (2011), A connection between score matching and denoising autoencoders.
    Alain, Bengio (2014), What regularized auto-encoders learn from the data-generating distribution.
    Robbins (1956), An empirical Bayes approach to statistics (Tweedie's formula). Wiener (1949).
"""

from __future__ import annotations

import torch
from torch import Tensor


def _check(covariance: Tensor, noise: float) -> None:
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"a covariance has shape (D, D), got {tuple(covariance.shape)}")
    if not noise > 0:
        raise ValueError(f"noise must be positive, got {noise}")


def optimal_denoiser(covariance: Tensor, noise: float) -> Tensor:
    """The matrix R = Σ(Σ + σ²I)⁻¹ of the best denoiser r(y) = m + R(y - m).

    Args:
        covariance: Σ of the clean samples, shape (D, D), symmetric, eigenvalues 0 or more.
        noise: σ, standard deviation of the noise on each feature, positive.

    Returns:
        R, symmetric, shape (D, D), with eigenvalues λ / (λ + σ²) in [0, 1).

    Raises:
        ValueError: If the covariance is not square or σ is not positive.
    """
    _check(covariance, noise)
    blurred = covariance + noise**2 * torch.eye(len(covariance)).to(covariance)
    # Σ and (Σ + σ²I)⁻¹ commute, so solving from the left gives the same matrix.
    return torch.linalg.solve(blurred, covariance)


def least_denoising_error(eigenvalues: Tensor, noise: float) -> float:
    """Mean squared error of the best linear denoiser, Σ_i λ_i σ² / (λ_i + σ²); the least of all for Gaussian samples.

    Args:
        eigenvalues: λ of the covariance; those that are 0 may be left out.
        noise: σ, positive.

    Raises:
        ValueError: If σ is not positive.
    """
    if not noise > 0:
        raise ValueError(f"noise must be positive, got {noise}")
    values = eigenvalues.clamp_min(0)
    return float((values * noise**2 / (values + noise**2)).sum())


def score_of_denoiser(restored: Tensor, noisy: Tensor, noise: float) -> Tensor:
    """The score that a denoiser implies, (r(y) - y) / σ²; both of any equal shape."""
    if not noise > 0:
        raise ValueError(f"noise must be positive, got {noise}")
    return (restored - noisy) / noise**2
