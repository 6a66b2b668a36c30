"""How many numbers does a picture need? Truncated SVD, cosines and principal components at equal storage.

    numbers stored per picture          what is stored                              what all pictures share
    k (H + W)                           truncated SVD, U√S and V√S of one picture    nothing
    k                                   k fixed cosines (DCT)                       which k
    k                                   its k cosines of lowest frequency           nothing
    2k                                  its k largest cosines and their places      nothing
    k                                   k principal coordinates                     mean and k directions
    k                                   the code of an autoencoder                  two networks

Quality is PSNR = 10 log₁₀(1 / MSE) in decibels for pixels in 0..1; MSE is the mean over pixels and pictures.

Symbols: N pictures, C channels, H height, W width, D = C·H·W, k numbers.

Source:
    Eckart, Young (1936); Mirsky (1960), Symmetric gauge functions and unitarily invariant norms.
    Ahmed, Natarajan, Rao (1974), Discrete cosine transform.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def psnr(squared_error: float, pixels: int) -> float:
    """Peak signal-to-noise ratio in decibels; infinite without an error.

    Args:
        squared_error: Sum of squared errors over the pixels of a picture, pixels in 0..1, 0 or more.
        pixels: Number of values summed over.

    Raises:
        ValueError: If the error is negative or there is no pixel.
    """
    if squared_error < 0 or pixels < 1:
        raise ValueError(f"squared_error must be 0 or more and pixels 1 or more, got {squared_error} and {pixels}")
    return math.inf if squared_error == 0 else 10 * math.log10(pixels / squared_error)


def cosine_basis(size: int) -> Tensor:
    """The orthonormal DCT-II: row k holds √(2/n) cos(π(2i + 1)k / 2n), the row 0 divided by √2.

    Args:
        size: n, at least 1.

    Returns:
        Orthogonal matrix in float64, shape (n, n).
    """
    places = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * places[None, :] + 1) * places[:, None] / (2 * size)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def cosine_transform(pictures: Tensor) -> Tensor:
    """Two-dimensional DCT of each channel; it keeps all lengths. Args: float, (N, C, H, W). Returns: same shape."""
    down, across = (cosine_basis(size).to(pictures) for size in pictures.shape[-2:])
    return down @ pictures @ across.T


def cosine_errors_fixed(train: Tensor, test: Tensor) -> Tensor:
    """Mean squared error of test pictures that keep the k cosines with the largest variance in training, k = 0..D.

    Args:
        train: Floating point, shape (N, C, H, W).
        test: Shape (M, C, H, W).

    Returns:
        Errors summed over pixels with the training mean known, shape (D + 1,); the last is 0.
    """
    mean = train.mean(0)
    order = cosine_transform(train - mean).square().mean(0).flatten().argsort(descending=True)  # (D,)
    energy = cosine_transform(test - mean).square().mean(0).flatten()[order]
    return _tail(energy)


def cosine_errors_largest(pictures: Tensor) -> Tensor:
    """Mean squared error when each picture keeps its own k largest cosines, k = 0..D: by Parseval, the rest's energy.

    Args:
        pictures: Floating point, shape (N, C, H, W).

    Returns:
        Errors summed over pixels, shape (D + 1,).
    """
    squares = cosine_transform(pictures).flatten(1).square()  # (N, D)
    return _tail(squares.sort(1, descending=True).values.mean(0))


def cosine_errors_lowest(pictures: Tensor) -> Tensor:
    """Mean squared error when each picture keeps its k cosines of lowest frequency, k = 0..D: no place is stored.

    Args:
        pictures: Floating point, shape (N, C, H, W).

    Returns:
        Errors summed over pixels, shape (D + 1,). Cosines come in the order of (i/H)² + (j/W)², those of equal
        frequency by i; all channels of a frequency together.
    """
    height, width = pictures.shape[-2:]
    down, across = torch.arange(height, device=pictures.device), torch.arange(width, device=pictures.device)
    frequency = (down[:, None] * width) ** 2 + (across * height) ** 2  # (H, W), times (HW)²
    order = frequency.flatten().argsort(stable=True)
    energy = cosine_transform(pictures).square().mean(0).flatten(1)[:, order]  # (C, HW)
    return _tail(energy.T.flatten())


def rank_errors(pictures: Tensor) -> Tensor:
    """Mean squared error when each channel keeps rank k, k = 0..min(H, W): Σ_{i>k} σ_i² by Eckart and Young.

    Args:
        pictures: Floating point, shape (N, C, H, W).

    Returns:
        Errors summed over pixels, shape (min(H, W) + 1,).
    """
    return _tail(torch.linalg.svdvals(pictures).square().sum(1).mean(0))


def truncate(matrix: Tensor, k: int) -> Tensor:
    """The best approximation of rank k, Σ_{i≤k} σ_i u_i v_iᵀ. Args: (H, W), k from 0. Returns: (H, W)."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return (left[:, :k] * values[:k]) @ right[:k]


def _tail(energy: Tensor) -> Tensor:
    """What is lost when the first k are kept, k = 0..n; summed from the small end, where digits are."""
    return torch.cat([energy.flip(0).cumsum(0).flip(0), energy.new_zeros(1)])
