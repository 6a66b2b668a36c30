"""Eigenfaces: principal components of pictures, and the nearest neighbour among them.

The directions of largest variance are the right singular vectors of the centred data, X - m = U S Vᵀ. With N pictures
of D pixels there are at most N - 1 of them, however large D is. A new face is projected on the first k and takes the
name of the nearest known face. This is the closed-form baseline of 1991 that a network must beat.

Symbols: N samples, D features, k components, M queries.

Source:
    Turk, Pentland (1991), Eigenfaces for recognition, Journal of Cognitive Neuroscience 3(1), pages 71-86.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PrincipalComponents(NamedTuple):
    """A fitted projection: mean (D,), components (k, D) with orthonormal rows, variances (k,), largest first."""

    mean: Tensor
    components: Tensor
    variances: Tensor


def fit_principal_components(samples: Tensor, num_components: int | None = None) -> PrincipalComponents:
    """Principal components by singular value decomposition.

    A singular vector is determined up to its sign; here the entry of largest absolute value is positive, so that two
    machines agree.

    Args:
        samples: Floating point, shape (N, D), N at least 2.
        num_components: k in 1..min(N - 1, D); None keeps all of these.

    Returns:
        Mean, components and their variances S² / (N - 1).

    Raises:
        ValueError: If k is out of its range or there are fewer than two samples.
    """
    if samples.ndim != 2 or samples.shape[0] < 2:
        raise ValueError(f"principal components need samples of shape (N, D) with N >= 2, not {tuple(samples.shape)}")
    # Centring takes one dimension away: the N-th singular value is zero and its vector arbitrary.
    most = min(samples.shape[0] - 1, samples.shape[1])
    count = most if num_components is None else num_components
    if not 1 <= count <= most:
        raise ValueError(
            f"num_components must be in 1..{most} for samples {tuple(samples.shape)}, not {num_components}"
        )
    mean = samples.mean(dim=0)  # (D,)
    _, singular, vectors = torch.linalg.svd(samples - mean, full_matrices=False)  # (min(N, D),), (min(N, D), D)
    components = vectors[:count]  # (k, D)
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))  # (k, 1)
    components = components * torch.where(largest < 0, -1.0, 1.0).to(components)
    return PrincipalComponents(mean, components, singular[:count].square() / (samples.shape[0] - 1))


def project(samples: Tensor, principal: PrincipalComponents) -> Tensor:
    """Coordinates of samples on the components, (x - m) Vᵀ.

    Args:
        samples: Shape (M, D).
        principal: What ``fit_principal_components`` returned.

    Returns:
        Coordinates, shape (M, k).
    """
    return (samples - principal.mean) @ principal.components.T


def reconstruct(coordinates: Tensor, principal: PrincipalComponents) -> Tensor:
    """The picture nearest to x in the space of the components, m + zV; the rest of x is lost.

    Args:
        coordinates: Shape (M, k).
        principal: What ``fit_principal_components`` returned.

    Returns:
        Pictures, shape (M, D).
    """
    return principal.mean + coordinates @ principal.components


def nearest_neighbour(queries: Tensor, samples: Tensor, labels: Tensor) -> Tensor:
    """Label of the sample with the smallest Euclidean distance; among equals the first sample's.

    Args:
        queries: Shape (M, k).
        samples: Shape (N, k), N at least 1.
        labels: Shape (N,).

    Returns:
        Predicted labels, shape (M,).

    Raises:
        ValueError: If there is no sample or not one label a sample.
    """
    if len(samples) == 0 or len(samples) != len(labels):
        raise ValueError(
            f"nearest_neighbour needs one label a sample, not {len(samples)} samples, {len(labels)} labels"
        )
    # The product form of the distance loses half of the digits for samples far from zero.
    distance = torch.cdist(queries, samples, compute_mode="donot_use_mm_for_euclid_dist")  # (M, N)
    return labels[distance.argmin(dim=1)]
