"""Columns: networks side by side in one, which see the same picture and answer together.

Averaging the logits of G networks leaves what they agree on and damps by G what each got wrong by chance. They must err
differently for that: trained on the loss of their mean, they rely on one another and the gain is lost; so each column
has a loss of its own. Where they share nothing, the sum of these losses gives each column exactly the gradient that it
would have alone.

Source:
    Ciresan, Meier, Schmidhuber (2012), Multi-column deep neural networks for image classification, section 2.
    Jeffares, Liu, Crabbe, van der Schaar (2023), Joint training of deep ensembles fails due to learner collusion.
"""
# N batch, D features of a column, G columns, K classes

import torch
from torch import Tensor, nn

from models.classification.targets import smoothed_cross_entropy


class Opinions(nn.Module):
    """A linear layer for each column; the answer is the mean of their logits.

    Args:
        columns: G.
        in_features: D.
        num_classes: K.
    """

    def __init__(self, columns: int, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(in_features, num_classes) for _ in range(columns))

    def each(self, features: Tensor) -> Tensor:
        """The logits of every column. Args: features of shape (N, G D), by columns. Returns: shape (G, N, K)."""
        parts = features.chunk(len(self.layers), 1)
        return torch.stack([layer(part) for layer, part in zip(self.layers, parts, strict=True)])

    def forward(self, features: Tensor) -> Tensor:
        """Their mean. Args: features of shape (N, G D), by columns. Returns: shape (N, K)."""
        return self.each(features).mean(0)


def column_losses(opinions: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """`smoothed_cross_entropy` of each column. Args: opinions of shape (G, N, K). Returns: shape (G,), in nats."""
    return torch.stack([smoothed_cross_entropy(logits, labels, smoothing, weights) for logits in opinions])
