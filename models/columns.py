"""Columns: networks side by side in one, which see the same picture and answer together.

The mean of their logits has a lower loss than they have on average, by as much as they disagree: `theory.ensembles`.
Trained on the loss of that mean they rely on one another and the gain is lost; so each column has a loss of its own.
Where they share nothing, the sum of these losses gives each column exactly the gradient that it would have alone; what
looks at all gradients together, such as clipping by their norm, still ties them.

Source:
    Ciresan, Meier, Schmidhuber (2012), Multi-column deep neural networks for image classification, section 2.
    Jeffares, Liu, Crabbe, van der Schaar (2023), Joint training of deep ensembles fails due to learner collusion.
"""
# N batch, D features of a column, G columns, K classes

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.classification.targets import smoothed_cross_entropy
from theory.ensembles import disagreement


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

    def joined(self) -> nn.Linear:
        """All of it as one linear layer of the features of all columns."""
        layers = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        joined = nn.Linear(sum(layer.in_features for layer in layers), layers[0].out_features).to(layers[0].weight)
        with torch.no_grad():
            joined.weight.copy_(torch.cat([layer.weight for layer in layers], 1) / len(layers))
            joined.bias.copy_(torch.stack([layer.bias for layer in layers]).mean(0))
        return joined

    def forward(self, features: Tensor) -> Tensor:
        """Their mean. Args: features of shape (N, G D), by columns. Returns: shape (N, K)."""
        return self.each(features).mean(0)


def column_losses(opinions: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """`smoothed_cross_entropy` of each column. Args: opinions of shape (G, N, K). Returns: shape (G,), in nats."""
    return torch.stack([smoothed_cross_entropy(logits, labels, smoothing, weights) for logits in opinions])


@dataclass(frozen=True)
class Compared:
    """What columns do alone and together on the same pictures.

    Attributes:
        right: Share of the pictures that each classifies rightly.
        alone: Their mean loss, in nats a picture.
        together: The loss of their mean logits.
        disagreement: What the second is below the first, by the identity of `theory.ensembles`.
    """

    right: list[float]
    alone: float
    together: float
    disagreement: float

    def finding(self) -> tuple[str, str]:
        """A line of the result."""
        shares = ", ".join(f"{100 * share:.2f} %" for share in self.right)
        return (
            "columns",
            f"alone {shares} right, mean loss {self.alone:.4f} nats; together {self.together:.4f}, less by their "
            f"disagreement, {self.disagreement:.4f} (exact)",
        )

    def metrics(self) -> dict[str, float]:
        """Tags and values for ``metrics.json``; the gap is 0 but for rounding."""
        return {
            "columns/loss_alone": self.alone,
            "columns/disagreement": self.disagreement,
            "gap/columns_loss": self.alone - self.disagreement - self.together,
        }


def compare_columns(opinions: Tensor, labels: Tensor) -> Compared:
    """Each column beside all of them. Args: logits of shape (G, N, K), right classes of shape (N,)."""
    opinions = opinions.double()
    right = (opinions.argmax(-1) == labels).double().mean(1).tolist()
    alone = torch.stack([F.cross_entropy(each, labels) for each in opinions]).mean()
    together = F.cross_entropy(opinions.mean(0), labels)
    return Compared(right, float(alone), float(together), float(disagreement(opinions).mean()))
