"""The linear autoencoder x → W₂W₁x: its exact loss, all its critical points, and why all but the best trap nobody.

With covariance C (mean removed) and noise of variance σ² per feature added to the input alone, the expected error is

    L(W₁, W₂) = tr C - 2 tr(W₂W₁C) + tr(W₂W₁(C + σ²I)W₁ᵀW₂ᵀ),     W₁ of shape (k, D), W₂ of shape (D, k).

Without noise, and with distinct positive eigenvalues, every critical point keeps a subset S of at most k eigenvectors;
its loss is the sum of the eigenvalues not kept. Moving u_i (i in S) towards u_j (j outside), by W₂: u_i + a θ u_j and
W₁: u_i + b θ u_j, changes the loss by

    θ² (λ_i a² + λ_j b² - 2 λ_j a b),    smallest eigenvalue of the Hessian  λ_i + λ_j - √((λ_i - λ_j)² + 4 λ_j²),

which is negative exactly when λ_j > λ_i: every S but the top k is a strict saddle. An unused coordinate (|S| < k) gives
-2 λ_j, again negative. So there is no local minimum but the global one. A start at a saddle, such as W₁ = W₂ = 0, has
no gradient and stays; almost every start descends to the minimum.

Symbols: D features, k coordinates.

Source:
    Baldi, Hornik (1989), Neural networks and principal component analysis: learning from examples without local minima.
    Bourlard, Kamp (1988), Auto-association by multilayer perceptrons and singular value decomposition.
    Bah, Rauhut, Terstiege, Westdickenberg (2022), Learning deep linear neural networks: Riemannian gradient flows and
    convergence to global minimizers, for almost every start.
    The eigenvalue of the Hessian is derived above; tests compare it with automatic differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor


class CriticalPoint(NamedTuple):
    """Eigenvectors kept (numbers from 0, largest eigenvalue first), loss, and smallest eigenvalue of the Hessian."""

    kept: tuple[int, ...]
    loss: float
    curvature: float


def covariance_loss(encoder: Tensor, decoder: Tensor, covariance: Tensor, noise: float = 0.0) -> Tensor:
    """Expected squared error of x → W₂W₁(x + σε) on centred data, exactly, from their covariance.

    Args:
        encoder: W₁, shape (k, D).
        decoder: W₂, shape (D, k).
        covariance: C, shape (D, D).
        noise: σ, standard deviation of the noise added to each input feature, 0 or more.

    Returns:
        The loss, a scalar: the sum over features, the mean over samples.
    """
    # D×D products only with C; everything else is D×k or k×k.
    seen = encoder @ covariance  # (k, D)
    inner = seen @ encoder.T + noise**2 * encoder @ encoder.T  # (k, k)
    return covariance.trace() - 2 * (decoder * seen.T).sum() + ((decoder.T @ decoder) * inner).sum()


def least_loss(eigenvalues: Tensor, k: int, noise: float = 0.0) -> float:
    """The smallest value of `covariance_loss`: Σ_{i>k} λ_i + Σ_{i≤k} λ_i σ² / (λ_i + σ²).

    Args:
        eigenvalues: Of the covariance, largest first, shape (r,).
        k: Number of coordinates, 0 or more.
        noise: σ.

    Raises:
        ValueError: If k is negative.
    """
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    kept, lost = eigenvalues[:k], eigenvalues[k:]
    blurred = kept * noise**2 / (kept + noise**2) if noise else kept.new_zeros(1)
    return float(lost.sum() + blurred.sum())


def critical_points(eigenvalues: Tensor, k: int) -> Iterator[CriticalPoint]:
    """All critical points of the noiseless loss, up to a change of basis of the code: Σ_{j≤k} C(D, j) of them.

    Args:
        eigenvalues: Distinct and positive, largest first, shape (D,); D small, since all subsets are listed.
        k: Number of coordinates, 1 to D.

    Yields:
        The C(D, k) points of full rank first, the top subset leading; its curvature is 0, the freedom to change the
        basis of the code.

    Raises:
        ValueError: If k is out of range or the eigenvalues are not distinct, positive and falling.
    """
    values = eigenvalues.tolist()
    if not 1 <= k <= len(values):
        raise ValueError(f"k must be in 1..{len(values)}, got {k}")
    if any(high <= low for high, low in zip(values, [*values[1:], 0.0], strict=True)):
        raise ValueError("eigenvalues must be distinct, positive and in falling order")
    for size in range(k, -1, -1):
        for kept in combinations(range(len(values)), size):
            lost = [value for place, value in enumerate(values) if place not in kept]
            curvature = min((_bend(values[i], low) for i in kept for low in lost), default=0.0)
            if size < k and lost:
                curvature = min(curvature, -2 * max(lost))
            yield CriticalPoint(kept, math.fsum(lost), min(curvature, 0.0))


def _bend(kept: float, lost: float) -> float:
    """Smallest eigenvalue of the Hessian in the plane that exchanges a kept direction for a lost one."""
    return kept + lost - math.sqrt((kept - lost) ** 2 + 4 * lost**2)


def weights_at(directions: Tensor, kept: tuple[int, ...], k: int) -> tuple[Tensor, Tensor]:
    """The balanced weights of a critical point: W₁ = W₂ᵀ, its rows the kept directions and zeros.

    Args:
        directions: Eigenvectors as columns, shape (D, D).
        kept: Numbers of the columns kept.
        k: Number of coordinates.

    Returns:
        Encoder (k, D) and decoder (D, k).
    """
    encoder = directions.new_zeros(k, len(directions))
    encoder[: len(kept)] = directions[:, list(kept)].T
    return encoder, encoder.T.clone()


def smallest_curvature(encoder: Tensor, decoder: Tensor, covariance: Tensor) -> float:
    """Smallest eigenvalue of the loss's Hessian over all 2kD weights, by automatic differentiation; for small D."""
    k, size = encoder.shape

    def loss(weights: Tensor) -> Tensor:
        return covariance_loss(weights[: k * size].view(k, size), weights[k * size :].view(size, k), covariance)

    hessian = torch.func.hessian(loss)(torch.cat([encoder.flatten(), decoder.flatten()]))
    return float(torch.linalg.eigvalsh(hessian)[0])


def alternate(encoder: Tensor, covariance: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Minimises the loss exactly over the decoder, then over the encoder: one step of subspace iteration.

    For a given encoder the best decoder is W₂ = C W₁ᵀ (W₁ (C + σ²I) W₁ᵀ)⁻¹, whose columns span C applied to the rows
    of W₁. For an orthonormal Q spanning those columns the best encoder of decoder Q is Qᵀ C (C + σ²I)⁻¹. Without noise
    that is QᵀC C⁻¹ = Qᵀ: the power method on a subspace. With noise it is the power method of C (C + σ²I)⁻¹ C.

    Args:
        encoder: W₁, shape (k, D), of full rank.
        covariance: C, shape (D, D).
        noise: σ.

    Returns:
        Encoder (k, D) and decoder (D, k), the latter with orthonormal columns.
    """
    if not noise:
        decoder, _ = torch.linalg.qr(covariance @ encoder.T)  # (D, k)
        return decoder.T.clone(), decoder
    blurred = covariance + noise**2 * torch.eye(len(covariance)).to(covariance)
    decoder, _ = torch.linalg.qr(covariance @ encoder.T)
    return torch.linalg.solve(blurred, covariance @ decoder).T.contiguous(), decoder


def alternation_rate(eigenvalues: Tensor, k: int, noise: float = 0.0) -> float | None:
    """The factor by which a step of `alternate` shrinks the loss above its floor, in the end: (f_{k+1} / f_k)².

    Here f(λ) = λ² / (λ + σ²), of the matrix whose power method it is; without noise f(λ) = λ.

    Args:
        eigenvalues: λ of the covariance, falling.
        k: Size of the code, at least 1.
        noise: σ.

    Returns:
        In [0, 1]; None where the code leaves nothing out.
    """
    if len(eigenvalues) <= k or not eigenvalues[k - 1] > 0:
        return None
    kept, left = eigenvalues[k - 1], eigenvalues[k].clamp_min(0)
    return (
        float((left / kept) ** 4 * ((kept + noise**2) / (left + noise**2)) ** 2) if noise else float(left / kept) ** 2
    )


def tie(decoder: Tensor, covariance: Tensor, noise: float = 0.0) -> Tensor:
    """The best tied weights, W₂ = W₁ᵀ, within the subspace of a decoder: W₁ = √(q / (q + σ²)) Vᵀ Qᵀ.

    Here QᵀCQ = V diag(q) Vᵀ. Its loss is that of the best untied weights in the same subspace, when Q spans
    eigenvectors: tying costs a linear autoencoder nothing.

    Args:
        decoder: Q, orthonormal columns, shape (D, k).
        covariance: C, shape (D, D).
        noise: σ.

    Returns:
        W₁, shape (k, D).
    """
    values, vectors = torch.linalg.eigh(decoder.T @ covariance @ decoder)
    values = values.clamp_min(0)
    shrunk = (values / (values + noise**2)).sqrt() if noise else torch.ones_like(values)
    return shrunk[:, None] * (decoder @ vectors).T


def alternating_least_squares(matrix: Tensor, weights: Tensor, right: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Factors of A ≈ U Vᵀ by minimising Σ w_ij (a_ij - u_i·v_j)² over U, then over V, and so on.

    With equal weights the only local minima are the truncated singular vectors; with others there may be worse ones.

    Args:
        matrix: A, shape (M, N).
        weights: w, not negative, shape (M, N).
        right: V to begin with, shape (N, k).
        steps: Pairs of minimisations, at least 1.

    Returns:
        U and V, shapes (M, k) and (N, k).

    Source:
        Srebro, Jaakkola (2003), Weighted low-rank approximations, section 3.
    """
    left = right
    for _ in range(steps):
        left = _best_rows(matrix, weights, right)
        right = _best_rows(matrix.T, weights.T, left)
    return left, right


def _best_rows(matrix: Tensor, weights: Tensor, other: Tensor) -> Tensor:
    """u_i = (Σ_j w_ij v_j v_jᵀ)⁻¹ Σ_j w_ij a_ij v_j, shape (M, k)."""
    gram = torch.einsum("ij,jk,jl->ikl", weights, other, other)
    return torch.linalg.solve(gram, (weights * matrix) @ other)
