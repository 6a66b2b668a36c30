"""What a classifier is trained towards: smoothed labels, cross-entropy with them, and what each class weighs.

Source:
    Szegedy et al. (2016), Rethinking the inception architecture, section 7 (smoothing).
"""
# N batch, K classes

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def smooth_targets(labels: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Labels as probabilities: 1 - s + s/K for the right class, s/K for the others.

    Args:
        labels: Shape (N,).
        num_classes: K.
        smoothing: s in [0, 1).

    Returns:
        float32, shape (N, K); each row sums to 1.
    """
    size = (len(labels), num_classes)
    targets = torch.full(size, smoothing / num_classes, device=labels.device, dtype=torch.float32)
    return targets.scatter_add_(1, labels[:, None], targets.new_full((len(labels), 1), 1 - smoothing))


def at_least_single(logits: Tensor) -> Tensor:
    """Logits of half precision as float32, others as they are: logarithms of probabilities need the digits."""
    return logits if logits.dtype == torch.float64 else logits.float()


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy with probabilities as targets, -sum_k w_k t_k log p_k.

    Args:
        logits: Shape (N, K).
        targets: Shape (N, K).
        weights: Weight of each class with mean 1 over the training pictures, shape (K,).

    Returns:
        Scalar in nats.
    """
    logs = at_least_single(logits).log_softmax(1)
    weighted = targets if weights is None else targets * weights
    return -(weighted * logs).sum(1).mean()


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """As `soft_cross_entropy` with `smooth_targets`; without weights by torch's own function, in fewer kernels.

    Args:
        logits: Shape (N, K).
        labels: Shape (N,).
        smoothing: s in [0, 1).
        weights: See `soft_cross_entropy`.

    Returns:
        Scalar in nats.
    """
    if weights is None:
        return F.cross_entropy(at_least_single(logits), labels, label_smoothing=smoothing)
    return soft_cross_entropy(logits, smooth_targets(labels, logits.shape[1], smoothing), weights)


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weight of each class that makes all classes count alike, with mean 1 over the pictures: N / (K' N_k).

    Args:
        labels: Classes of the training pictures, shape (N,).
        num_classes: K; K' of them have pictures, and one that has none has weight 0.

    Returns:
        Shape (K,).
    """
    counts = torch.bincount(labels, minlength=num_classes).float()
    present = int((counts > 0).sum())
    return torch.where(counts > 0, len(labels) / (present * counts.clamp_min(1)), 0.0)
