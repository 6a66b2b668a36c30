"""Principal components from the exact covariance, and the error that no other k coordinates can beat.

With the mean m removed and the covariance C = (1/N) Σ (x - m)(x - m)ᵀ = U diag(λ) Uᵀ, λ₁ ≥ λ₂ ≥ …, the mean squared
error of the best reconstruction from k linear coordinates is Σ_{i>k} λ_i, reached by z = U_kᵀ(x - m), and if λ_k >
λ_{k+1} by no other (up to a change of basis of the k coordinates). All sums run in float64; errors are sums over the
pixels of a picture, not means.

Symbols: N samples, D features, k coordinates, r rank.

Source:
    Eckart, Young (1936), The approximation of one matrix by another of lower rank, Psychometrika 1.
    Hotelling (1933), Analysis of a complex of statistical variables into principal components.
    Ky Fan (1949), On a theorem of Weyl concerning eigenvalues of linear transformations I.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float64).eps
CHUNK = 4096  # samples turned into float64 at a time: 60,000 pictures at once would take 376 MB


class Principal(NamedTuple):
    """Mean (D,), all eigenvalues of the covariance (r,), largest first, and their directions as columns (D, r)."""

    mean: Tensor
    eigenvalues: Tensor
    directions: Tensor


def scaled(samples: Tensor) -> Tensor:
    """Pictures as float64 vectors, bytes in 0..1. Args: any shape (N, ...). Returns: shape (N, D)."""
    flat = samples.flatten(1).double()
    return flat / 255 if samples.dtype == torch.uint8 else flat


def mean_and_covariance(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance (denominator N) over all samples, in float64.

    Args:
        samples: uint8 in 0..255 or floating point, shape (N, ...), N at least 1; axes after the first make up D.

    Returns:
        Mean, shape (D,), and covariance, shape (D, D).

    Raises:
        ValueError: If there is no sample.
    """
    if len(samples) == 0:
        raise ValueError("a covariance needs at least 1 sample, got 0")
    mean = sum(scaled(part).sum(0) for part in samples.split(CHUNK)) / len(samples)
    assert isinstance(mean, Tensor)
    covariance = mean.new_zeros(len(mean), len(mean))
    for part in samples.split(CHUNK):
        centred = scaled(part) - mean
        covariance.addmm_(centred.T, centred)
    return mean, covariance / len(samples)


def principal(samples: Tensor) -> Principal:
    """Principal components: eigenvectors of the D×D covariance or, of at most D samples, their singular vectors.

    Eigenvalues below rounding are left out, so the number of directions is the rank of the data: at most N - 1, and
    less where pixels are constant or dependent; 0 for a single sample.

    Args:
        samples: uint8 in 0..255 or floating point, shape (N, ...), N at least 1.

    Returns:
        Mean, eigenvalues and directions, in float64.
    """
    size = samples[:1].numel()
    if len(samples) > size:
        return diagonalise(*mean_and_covariance(samples))
    flat = scaled(samples)
    mean = flat.mean(0)
    _, singular, right = torch.linalg.svd(flat - mean, full_matrices=False)
    # The rounding of a singular value is that of the largest one, or of the mean that was taken away.
    kept = int((singular > (singular[0] + mean.abs().max()) * size * EPSILON).sum())
    return Principal(mean, singular[:kept].square() / len(flat), right.T[:, :kept])


def diagonalise(mean: Tensor, covariance: Tensor) -> Principal:
    """Principal components of a known mean (D,) and covariance (D, D), both float64."""
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)
    # Rounding of the largest eigenvalue; and of the mean that was taken away, which is squared with its differences.
    share = len(mean) * EPSILON
    kept = int((values > values[0] * share + (mean.abs().max() * share) ** 2).sum())
    return Principal(mean, values[:kept], vectors[:, :kept])


def merge_moments(
    size: int, moments: tuple[Tensor, Tensor], other_size: int, other: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean and covariance of two sets together, from those of each.

    Args:
        size: Samples of the first set.
        moments: Its mean (D,) and covariance (D, D).
        other_size: Samples of the second set.
        other: Its mean and covariance.

    Returns:
        Mean and covariance of the union.

    Source:
        Chan, Golub, LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.
    """
    (mean, covariance), (other_mean, other_covariance) = moments, other
    share = other_size / (size + other_size)
    apart = other_mean - mean
    both = (1 - share) * covariance + share * other_covariance + share * (1 - share) * torch.outer(apart, apart)
    return mean + share * apart, both


def least_error(eigenvalues: Tensor, k: int) -> float:
    """Σ_{i>k} λ_i: the least mean squared error of any k linear coordinates on the data the eigenvalues are of.

    Args:
        eigenvalues: Largest first, shape (r,).
        k: Number of coordinates, 0 or more.

    Raises:
        ValueError: If k is negative.
    """
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    return float(eigenvalues[k:].sum())


def encode(samples: Tensor, basis: Principal, k: int) -> Tensor:
    """The first k coordinates U_kᵀ(x - m). Args: shape (N, ...). Returns: float64, shape (N, min(k, r))."""
    return (scaled(samples) - basis.mean) @ basis.directions[:, :k]


def decode(codes: Tensor, basis: Principal) -> Tensor:
    """The nearest sample with these first coordinates, m + U_k z. Args: shape (N, k). Returns: shape (N, D)."""
    return basis.mean + codes @ basis.directions[:, : codes.shape[1]].T


def projection_errors(samples: Tensor, basis: Principal, k: int) -> Tensor:
    """Squared error of each sample when only its first k coordinates are kept, ‖x - m - U_k U_kᵀ(x - m)‖².

    Args:
        samples: Shape (N, ...).
        basis: Of these or of other samples: on unseen ones this is the error of generalisation.
        k: Number of coordinates.

    Returns:
        Sums over the features, float64, shape (N,).
    """
    return torch.cat(
        [(scaled(part) - decode(encode(part, basis, k), basis)).square().sum(1) for part in samples.split(CHUNK)]
    )


def kept_energy(covariance: Tensor, basis: Tensor) -> Tensor:
    """Variance kept by the first 1, 2, … D vectors of an orthonormal basis, the largest ones first.

    Ky Fan: for every number of vectors PCA keeps at least as much as any other orthonormal basis.

    Args:
        covariance: Shape (D, D).
        basis: Orthonormal columns, shape (D, D).

    Returns:
        Cumulative sums of uᵢᵀ C uᵢ in falling order, shape (D,).
    """
    return (basis * (covariance @ basis)).sum(0).sort(descending=True).values.cumsum(0)
