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

AT_ONCE = 2**24  # numbers of the samples that are converted at a time


def nearest_neighbour(queries: Tensor, samples: Tensor, labels: Tensor) -> Tensor:
    """Label of the sample with the smallest Euclidean distance; among equals the first sample's.

    Args:
        queries: Shape (M, k).
        samples: Shape (N, k), N at least 1; of any type, such as the bytes of pictures: a part at a time is converted.
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
    least, found = queries.new_full((len(queries),), torch.inf), labels[:1].expand(len(queries))
    size = max(1, AT_ONCE // max(1, samples[0].numel()))
    for part, names in zip(samples.split(size), labels.split(size), strict=True):
        distance = torch.cdist(queries, part.to(queries), compute_mode="donot_use_mm_for_euclid_dist")  # (M, size)
        nearest, place = distance.min(dim=1)
        found = torch.where(nearest < least, names[place], found)
        least = torch.minimum(nearest, least)
    return found
