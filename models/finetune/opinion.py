"""What the pretrained classifier thinks of a picture, as features for a head of other classes.

Weights come with a classifier of their own classes, learnt from many pictures of each. Its logits u = V z + c know
which directions of the features z tell classes apart; the features alone do not. Two unit vectors say it:

    o(z) = [ (u - mean u) / |u - mean u| ,  sqrt(softmax(u)) ]

the direction of the logits, and the square roots of the probabilities, whose Euclidean distance is Hellinger's. On
pictures unlike those of the weights the features may serve better: which of the two a head sees is chosen by the
held-out loss (`models.finetune.head_start.fit_head`).

Source:
    Tommasi, Orabona, Caputo (2014), Learning categories from few examples with multi model knowledge transfer (the
    outputs of other classifiers as a prior). Hellinger (1909); Arandjelović, Zisserman (2012) for the square root.
"""
# N pictures, D features, P classes of the weights

from __future__ import annotations

import torch
from torch import Tensor, nn


class Opinion(nn.Module):
    """The classifier that came with the weights; it is not trained.

    Args:
        weight: V, shape (P, D), or more axes of length 1.
        bias: c, shape (P,); None for zeros.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().float().flatten(1).clone())
        self.register_buffer("bias", weight.new_zeros(len(weight)) if bias is None else bias.detach().float().clone())

    @property
    def width(self) -> int:
        """2 P."""
        return 2 * len(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """o(z) of features (N, D), shape (N, 2 P), in float32."""
        with torch.autocast(features.device.type, enabled=False):
            logits = nn.functional.linear(features.float(), self.weight.float(), self.bias.float())  # (N, P)
            centred = logits - logits.mean(1, keepdim=True)
            # Half the log, since the square root has no finite slope at 0.
            roots = (0.5 * logits.log_softmax(1)).exp()
            return torch.cat([nn.functional.normalize(centred, dim=1), roots], 1)
