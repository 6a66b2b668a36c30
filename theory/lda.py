"""Linear discriminant analysis with automatic shrinkage, and the nearest class mean by cosine.

Fisher (1936) looks for the directions w in which classes lie far apart against their own width: maximise (wᵀ S_b w) /
(wᵀ S_w w), so S_b w = λ S_w w. With five pictures a person and 199 features S_w has no inverse. Ledoit and Wolf mix
it with a multiple of the identity, Σ = (1 - s) S + s (tr S / D) I, and give a consistent estimate of the s of smallest
expected squared error in closed form: nothing is left to tune.

Symbols: N samples, D features, C classes, k ≤ C - 1 directions, M queries.

Sources:
    Fisher (1936), The use of multiple measurements in taxonomic problems, Annals of Eugenics 7.
    Ledoit, Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, Journal of
    Multivariate Analysis 88.
    The order of the steps follows scikit-learn's LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


class Discriminant(NamedTuple):
    """A fitted projection: mean (D,), directions (D, k), classes (C,) sorted, class_means (C, k) in the projection."""

    mean: Tensor
    directions: Tensor
    classes: Tensor
    class_means: Tensor


def ledoit_wolf(samples: Tensor) -> tuple[Tensor, float]:
    """Shrunk covariance Σ = (1 - s) S + s μ I with μ = tr S / D and s = min(b², d²) / d².

    d² = ‖S - μI‖² is the distance to the target, b² = (Σ_n ‖x_n‖⁴ / N - ‖S‖²) / N estimates the error of S; both
    norms are Frobenius's and x_n is centred.

    Args:
        samples: Shape (N, D), N at least 1.

    Returns:
        Covariance, shape (D, D), and the shrinkage s in 0..1.

    Source:
        Ledoit, Wolf (2004), section 3.3.
    """
    num_samples, num_features = samples.shape
    centred = samples - samples.mean(dim=0)
    covariance = centred.T @ centred / num_samples  # (D, D)
    level = covariance.trace() / num_features
    squared_norm = covariance.square().sum()
    distance = squared_norm - num_features * level.square()  # d² = ‖S‖² - Dμ²
    error = (centred.square().sum(dim=1).square().sum() / num_samples - squared_norm) / num_samples
    shrinkage = 0.0 if error <= 0 or distance <= 0 else float(torch.minimum(error, distance) / distance)
    identity = torch.eye(num_features, dtype=samples.dtype, device=samples.device)
    return (1 - shrinkage) * covariance + shrinkage * level * identity, shrinkage


def shrunk_covariance(samples: Tensor) -> Tensor:
    """Ledoit-Wolf covariance of standardised features, scaled back, so that units do not matter.

    Args:
        samples: Shape (N, D).

    Returns:
        Covariance, shape (D, D).
    """
    deviation = samples.std(dim=0, correction=0)  # (D,)
    # A feature that is constant within these samples keeps its scale: there is nothing to divide by.
    resolution = 10 * torch.finfo(samples.dtype).eps * samples.abs().amax(dim=0)
    deviation = torch.where(deviation <= resolution, torch.ones_like(deviation), deviation)
    covariance, _ = ledoit_wolf((samples - samples.mean(dim=0)) / deviation)
    return deviation.unsqueeze(1) * covariance * deviation


def generalised_eigenvectors(between: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Solve S_b w = λ S_w w through the Cholesky factor: with S_w = LLᵀ, L⁻¹ S_b L⁻ᵀ u = λ u and w = L⁻ᵀ u.

    Args:
        between: S_b, symmetric, shape (D, D).
        within: S_w, symmetric and positive definite, shape (D, D).

    Returns:
        Eigenvalues (D,), largest first, and eigenvectors as columns (D, D) with WᵀS_wW = I.
    """
    factor = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(factor, between, upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.T, upper=False)
    values, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    vectors = torch.linalg.solve_triangular(factor.T, vectors.flip(1), upper=True)
    return values.flip(0), vectors


def fit_discriminant(samples: Tensor, labels: Tensor, num_components: int | None = None) -> Discriminant:
    """Discriminant directions from shrunk covariances: S_w averages the classes', S_b = S_total - S_w.

    Args:
        samples: Floating point (float64 is best), shape (N, D).
        labels: Class of each sample, shape (N,).
        num_components: k in 1..min(C - 1, D); None keeps all of these.

    Returns:
        The projection and the class means in it. Directions have unit within-class variance; the entry of largest
        absolute value in each is positive.

    Raises:
        ValueError: If there are fewer than two classes, labels do not fit, k is out of its range, or no class holds two
            different samples, so that nothing is known of what varies within one.
    """
    if samples.ndim != 2 or labels.shape != samples.shape[:1]:
        raise ValueError(
            f"fit_discriminant takes samples (N, D) and labels (N,), not {tuple(samples.shape)}, {tuple(labels.shape)}"
        )
    classes, index, counts = labels.unique(return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"a discriminant needs at least 2 classes, not {len(classes)}")
    most = min(len(classes) - 1, samples.shape[1])
    count = most if num_components is None else num_components
    if not 1 <= count <= most:
        raise ValueError(f"num_components must be in 1..{most}, not {num_components}")
    priors = counts / len(labels)
    within = torch.zeros(samples.shape[1], samples.shape[1], dtype=samples.dtype, device=samples.device)
    for label in range(len(classes)):
        within += priors[label].to(samples.dtype) * shrunk_covariance(samples[index == label])
    if not float(within.diagonal().sum()) > 0:
        raise ValueError(
            f"a discriminant needs a class of two different samples, not {counts.tolist()} equal ones each"
        )
    _, vectors = generalised_eigenvectors(shrunk_covariance(samples) - within, within)
    directions = vectors[:, :count]  # (D, k)
    largest = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))  # (1, k)
    directions = directions * torch.where(largest < 0, -1.0, 1.0).to(directions)
    mean = samples.mean(dim=0)
    projected = (samples - mean) @ directions  # (N, k)
    sums = projected.new_zeros(len(classes), count).index_add_(0, index, projected)
    return Discriminant(mean, directions, classes, sums / counts.unsqueeze(1))


def discriminate(samples: Tensor, discriminant: Discriminant) -> Tensor:
    """Coordinates of samples on the discriminant directions, (x - m) W.

    Args:
        samples: Shape (M, D).
        discriminant: What ``fit_discriminant`` returned.

    Returns:
        Coordinates, shape (M, k).
    """
    return (samples - discriminant.mean) @ discriminant.directions


def cosine_scores(embeddings: Tensor, references: Tensor) -> Tensor:
    """Cosine of the angle between each embedding and each reference (class means, or other samples).

    Args:
        embeddings: Shape (M, k).
        references: Shape (C, k).

    Returns:
        Cosines in -1..1, shape (M, C), whatever the scale of the vectors is; with a vector of zeros they are 0.
    """
    return unit_rows(embeddings) @ unit_rows(references).T


def unit_rows(vectors: Tensor) -> Tensor:
    """Rows of length 1, shape (M, k); a row of zeros stays one. The largest entry is 1 first: no square underflows."""
    largest = vectors.abs().amax(1, keepdim=True)
    return normalize(vectors / torch.where(largest > 0, largest, 1), dim=1)


def nearest_class_mean(samples: Tensor, discriminant: Discriminant) -> Tensor:
    """Class whose mean has the largest cosine with the sample's projection.

    Args:
        samples: Shape (M, D).
        discriminant: What ``fit_discriminant`` returned.

    Returns:
        Predicted labels, shape (M,).
    """
    scores = cosine_scores(discriminate(samples, discriminant), discriminant.class_means)  # (M, C)
    return discriminant.classes[scores.argmax(dim=1)]
