"""Whether a network that fine-tuning built holds the weights of another."""

from __future__ import annotations

import copy

import torch
from torch import nn


def same_features(backbone: nn.Module, whole: nn.Module) -> bool:
    x = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    headless = copy.deepcopy(whole).eval()
    headless.fc = nn.Identity()
    with torch.no_grad():
        return torch.allclose(backbone.eval().features(x), headless(x), atol=1e-5)
