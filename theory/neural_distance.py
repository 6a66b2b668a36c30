"""Neural distance: does training bring pictures of one class closer together, and other classes further apart?

The mean squared distance of pairs, within classes (W) and between classes (B), measured on any vectors. Compared are
the ratios W / B of features and of pixels: their quotient is 1 at the start if the network is an isometry (distances
kept up to a factor), falls below 1 when training separates the classes, and goes to 0 at neural collapse, where every
picture lies on its class mean and the centred means form a regular simplex: all pairs at the cosine -1/(C - 1), the
smallest that C vectors can all have.

All pairs cost nothing: with m_c, v_c the mean and the mean squared deviation of class c, n_c its size,

    Σ_{i,j in c} ‖x_i - x_j‖² = 2 n_c² v_c                         (i = j adds 0, so n_c (n_c - 1) pairs)
    Σ_{i in c, j in d} ‖x_i - x_j‖² = n_c n_d (v_c + v_d + ‖m_c - m_d‖²)

since Σ_{i,j} ‖x_i - x_j‖² = n_d Σ_i ‖x_i‖² + n_c Σ_j ‖x_j‖² - 2 (Σ_i x_i)·(Σ_j x_j). That is O(N D + C² D) instead of
O(N² D).

Symbols: N samples, D features, C classes.

Sources:
    Papyan, Han, Donoho (2020), Prevalence of neural collapse during the terminal phase of deep learning training,
    PNAS 117.
    Fisher (1936), The use of multiple measurements in taxonomic problems, Annals of Eugenics 7.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

NUMBERS_AT_ONCE = 1 << 18  # in float64 they stay in the caches


class ClassStatistics(NamedTuple):
    """Means (C, D), mean squared deviations ``variances`` (C,) and sizes ``counts`` (C,) of the classes that occur."""

    means: Tensor
    variances: Tensor
    counts: Tensor


class PairDistances(NamedTuple):
    """Mean squared Euclidean distance of pairs of one class (nan without such a pair), and of pairs of two classes."""

    within: float
    between: float


def class_statistics(samples: Tensor, labels: Tensor) -> ClassStatistics:
    """Mean, mean squared deviation Σ_i ‖x_i - m_c‖² / n_c and size of each class, in float64.

    Args:
        samples: Vectors (further axes are flattened), shape (N, ...).
        labels: Classes, shape (N,); classes that do not occur are left out.

    Returns:
        The statistics of the classes in ascending order.

    Raises:
        ValueError: If there is not one label a sample, or fewer than two classes.
    """
    if len(samples) == 0 or labels.shape != samples.shape[:1]:
        raise ValueError(f"one label a sample is needed, not {tuple(samples.shape)} and {tuple(labels.shape)}")
    classes, index, counts = labels.unique(return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"distances between classes need at least 2 classes, not {len(classes)}")
    vectors = samples.flatten(1) if samples.ndim > 1 else samples.unsqueeze(1)  # (N, D)
    sizes = counts.double()
    means, deviations = [], sizes.new_zeros(len(samples))
    for columns in vectors.split(max(NUMBERS_AT_ONCE // len(samples), 1), dim=1):
        numbers = columns.double()
        sums = numbers.new_zeros(len(classes), numbers.shape[1]).index_add_(0, index, numbers)
        means.append(sums / sizes.unsqueeze(1))
        # About the mean, not Σ‖x‖² - n‖m‖²: collapsed classes would drown in rounding.
        deviations += (numbers - means[-1][index]).square_().sum(dim=1)
    variances = sizes.new_zeros(len(classes)).index_add_(0, index, deviations) / sizes  # (C,)
    return ClassStatistics(torch.cat(means, dim=1), variances, counts)


def pair_distances(samples: Tensor, labels: Tensor) -> PairDistances:
    """Mean squared distance over all pairs within classes, and over all pairs between classes; exact.

    Args:
        samples: Shape (N, ...).
        labels: Shape (N,).

    Returns:
        The two means, over unordered pairs of two different samples.

    Raises:
        ValueError: See ``class_statistics``.
    """
    means, variances, counts = class_statistics(samples, labels)
    sizes = counts.double()
    within = (2 * sizes.square() * variances).sum() / (sizes * (sizes - 1)).sum()
    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist").square()  # (C, C)
    distance = distance + variances.unsqueeze(0) + variances.unsqueeze(1)
    weight = sizes.unsqueeze(0) * sizes.unsqueeze(1)
    weight.fill_diagonal_(0)
    return PairDistances(float(within), float((weight * distance).sum() / weight.sum()))


def distance_ratio(samples: Tensor, labels: Tensor) -> float:
    """Mean squared distance of pairs within classes over that of pairs between classes, W / B.

    Args:
        samples: Shape (N, ...).
        labels: Shape (N,).

    Returns:
        0 when classes are points, near 1 when they are mixed; nan when all samples are one point or no class has two.

    Raises:
        ValueError: See ``class_statistics``.
    """
    within, between = pair_distances(samples, labels)
    return within / between if between else math.nan


def neural_distance(features: Tensor, pixels: Tensor, labels: Tensor) -> float:
    """(within / between of features) / (within / between of pixels).

    Args:
        features: What the network makes of the pictures, shape (N, ...).
        pixels: The pictures, shape (N, ...).
        labels: Shape (N,).

    Returns:
        1 for an isometry times any factor, below 1 when the features separate the classes better than the pixels,
        0 at neural collapse; nan if there is nothing to compare (all features one point, pixels collapsed already).

    Raises:
        ValueError: See ``class_statistics``.
    """
    pixel_ratio = distance_ratio(pixels, labels)
    return distance_ratio(features, labels) / pixel_ratio if pixel_ratio else math.nan


def class_mean_cosines(samples: Tensor, labels: Tensor) -> Tensor:
    """Cosines of all pairs of class means, centred on the mean of the means.

    Args:
        samples: Shape (N, ...).
        labels: Shape (N,).

    Returns:
        C (C - 1) / 2 cosines; at neural collapse each is -1/(C - 1).

    Raises:
        ValueError: See ``class_statistics``.

    Source:
        Papyan et al. (2020), (NC2).
    """
    means = class_statistics(samples, labels).means
    apart = means - means.mean(dim=0)  # (C, D)
    largest = apart.abs().max()  # the cosines do not depend on the scale, which must not meet ``normalize``'s smallest
    directions = normalize(apart / largest if largest > 0 else apart, dim=1)
    rows, columns = torch.triu_indices(len(means), len(means), offset=1, device=means.device)
    return (directions @ directions.T)[rows, columns]


def collapse_ratio(samples: Tensor, labels: Tensor) -> float:
    """Within-class over between-class scatter, tr S_W / tr S_B with S_B the scatter of the class means.

    tr S_W = Σ_c n_c v_c / N and tr S_B = Σ_c n_c ‖m_c - m‖² / N: the inverse of Fisher's criterion, without a matrix to
    invert. (Papyan et al. use tr(S_W S_B⁺) / C, which goes to 0 with it.)

    Args:
        samples: Shape (N, ...).
        labels: Shape (N,).

    Returns:
        0 at neural collapse.

    Raises:
        ValueError: See ``class_statistics``.

    Source:
        Papyan et al. (2020), (NC1).
    """
    means, variances, counts = class_statistics(samples, labels)
    share = counts.double() / counts.sum()
    centre = (share.unsqueeze(1) * means).sum(dim=0)  # (D,)
    between = (share * (means - centre).square().sum(dim=1)).sum()
    return float((share * variances).sum() / between)  # nan when all samples are one


def simplex_frame(num_classes: int) -> Tensor:
    """Simplex equiangular tight frame, √(C / (C - 1)) (I - 11ᵀ / C): C unit vectors, all pairs at -1/(C - 1).

    No C vectors do better: Σ_cd m_c·m_d = ‖Σ_c m_c‖² ≥ 0, so the C (C - 1) cosines of unit vectors sum to at least -C.

    Args:
        num_classes: C, at least 2.

    Returns:
        One vector a row, shape (C, C), float64.

    Raises:
        ValueError: If C is below 2.

    Source:
        Papyan et al. (2020), definition 1.
    """
    if num_classes < 2:
        raise ValueError(f"a simplex frame needs at least 2 classes, not {num_classes}")
    identity = torch.eye(num_classes, dtype=torch.float64)
    return (identity - 1 / num_classes) * (num_classes / (num_classes - 1)) ** 0.5
