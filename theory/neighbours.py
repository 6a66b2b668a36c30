"""The nearest neighbour among known samples: the classifier that needs no training.

With very many samples its error is at most twice the least error that any classifier has on these features.

Symbols: N samples, D features, M queries.

Source:
    Cover, Hart (1967), Nearest neighbor pattern classification. Turk, Pentland (1991), Eigenfaces for recognition: the
    same among principal coordinates (`theory.principal`).
"""

from __future__ import annotations

import torch
from torch import Tensor


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
