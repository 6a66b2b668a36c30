"""Samples of a generalised linear model whose coefficients are known: y ~ p(y | x theta) of an exponential family.

A fit can then be set beside the truth, its test loss beside the entropy of the truth, and its error beside the one that
the information matrix promises. The first feature is the constant 1; the others are standard normal.
"""

# N samples, D features with the constant, K natural parameters

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import TensorLoader
from data.ranges import MOST_NOISE, check_used, check_within
from theory.exponential_family import Family, sample
from theory.seeds import mix_seed

LEAST_NOISE = 1e-6  # standard deviation: below, rounding of double precision shows beside it
_TRUTH, _TRAIN, _TEST = 0, 1, 2


class Samples(LightningDataModule):
    """Samples of a generalised linear model with a canonical link.

    Args:
        family: gaussian (a number), bernoulli (yes or no), poisson (a count) or softmax (one of several classes).
        num_samples: Samples to learn from, 2 to 1,000,000.
        num_features: Features besides the constant, 1 to 50; with 1 the fit is drawn over it.
        num_classes: Classes of softmax, 2 to 20.
        noise: Standard deviation of the Gaussian family, 1e-6 to 1e6; the others have none to choose.
        signal: Standard deviation of a sample's natural parameters, above 0 to 3.
        test_samples: Samples to test on, 1 to 1,000,000.
        sample_seed: Seed of truth and samples.
    """

    FACTS = ("family", "feature_names", "num_outputs", "dispersion", "truth", "question")
    name = "samples"

    def __init__(
        self,
        family: Literal["gaussian", "bernoulli", "poisson", "softmax"] = "bernoulli",
        num_samples: int = 500,
        num_features: int = 1,
        num_classes: int = 3,
        noise: float = 0.5,
        signal: float = 1.5,
        test_samples: int = 10_000,
        sample_seed: int = 0,
    ) -> None:
        super().__init__()
        given = dict(locals())
        check_within(given, {
            "num_features": (1, 50), "num_classes": (2, 20), "num_samples": (2, 10**6), "test_samples": (1, 10**6),
            "sample_seed": (0, math.inf), "noise": (LEAST_NOISE, MOST_NOISE),
        })  # fmt: skip
        if not 0 < signal <= 3:
            raise ValueError(f"--data.signal must be above 0 and at most 3, got {signal}")
        if family != "gaussian":
            check_used(given, {"noise": 0.5}, "--data.family gaussian")
        if family != "softmax":
            check_used(given, {"num_classes": 3}, "--data.family softmax")
        self.family: Family = family
        self.sizes = {_TRAIN: num_samples, _TEST: test_samples}
        self.num_features, self.signal, self.seed = num_features, signal, sample_seed
        self.num_outputs = num_classes - 1 if family == "softmax" else 1
        self.dispersion = noise**2 if family == "gaussian" else 1.0
        self.parts: dict[int, tuple[Tensor, Tensor]] = {}

    def truth(self) -> Tensor:
        """The coefficients, float64, shape (D, K); each natural parameter has deviation ``signal`` and mean 0."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, _TRUTH))
        slopes = torch.randn(self.num_features, self.num_outputs, generator=generator, dtype=torch.float64)
        slopes = self.signal * slopes / slopes.norm(dim=0)
        return torch.cat([torch.zeros(1, self.num_outputs, dtype=torch.float64), slopes])

    def setup(self, stage: str | None = None) -> None:
        """Draws both parts; a second call does nothing."""
        if self.parts:
            return
        for part, size in self.sizes.items():
            generator = torch.Generator().manual_seed(mix_seed(self.seed, part))
            features = torch.randn(size, self.num_features, generator=generator, dtype=torch.float64)
            x = torch.cat([torch.ones(size, 1, dtype=torch.float64), features], 1)
            self.parts[part] = (x, sample(self.family, x @ self.truth(), generator, self.dispersion))

    def facts(self) -> dict[str, Any]:
        """What the task must know: the family, names of the features, and the truth."""
        return {
            "family": self.family,
            "feature_names": ["1", *(f"x{number}" for number in range(1, self.num_features + 1))],
            "num_outputs": self.num_outputs,
            "dispersion": self.dispersion,
            "truth": self.truth().tolist(),
            "question": "fit",
        }

    def summary(self) -> dict[str, Any]:
        """What the samples are, in words and counts."""
        return {
            "name": f"{self.family} samples",
            "source": f"drawn with seed {self.seed}, truth known",
            "shape": f"{self.num_features} feature{'s' * (self.num_features != 1)} and a constant",
            "splits": {"train": self.sizes[_TRAIN], "val": 0, "test": self.sizes[_TEST]},
        }

    def train_dataloader(self) -> TensorLoader:
        """All samples as one batch."""
        return TensorLoader(*self.parts[_TRAIN], batch_size=self.sizes[_TRAIN])

    def test_dataloader(self) -> TensorLoader:
        """All test samples as one batch."""
        return TensorLoader(*self.parts[_TEST], batch_size=self.sizes[_TEST])
