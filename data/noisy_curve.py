"""Few points of a known curve, many times with fresh noise: what is due on average can be told exactly.

Every replica has the same points x and its own noise, so the mean over replicas is an estimate of bias, variance and
risk with an error bar, beside their closed forms.
"""

# n points, R replicas

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import TensorLoader
from data.ranges import MOST_NOISE, check_within
from theory.seeds import mix_seed
from theory.targets import DEGREES, Target, target

PARTS = ("train", "val", "test")


class NoisyCurve(LightningDataModule):
    """Noisy samples of a curve on [-1, 1], in many replicas.

    Args:
        function: cubic (a polynomial), sine (smooth) or step (a jump).
        num_samples: Points to learn from, at least 4.
        noise: Standard deviation of the noise, 1e-6 to 1e6; the curve's own is 0.71.
        replicas: Data sets that differ in their noise, at least 2.
        val_samples: Points to validate on.
        test_samples: Points to test on.
        sample_seed: Seed of points and noise.
    """

    FACTS = ("function", "noise", "num_samples", "replicas")
    name = "noisy-curve"

    def __init__(
        self,
        function: Literal["cubic", "sine", "step"] = "cubic",
        num_samples: int = 30,
        noise: float = 0.5,
        replicas: int = 200,
        val_samples: int = 30,
        test_samples: int = 200,
        sample_seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {"num_samples": num_samples, "replicas": replicas, "val_samples": val_samples}
        for name, value in {**sizes, "test_samples": test_samples}.items():
            least = {"num_samples": 4, "replicas": 2}.get(name, 1)
            if not least <= value <= 100_000:
                raise ValueError(f"--data.{name} must be between {least} and 100,000, got {value}")
        check_within(locals(), {"noise": (1e-6, MOST_NOISE), "sample_seed": (0, math.inf)})
        self.function: Target = function
        self.noise, self.replicas, self.seed = noise, replicas, sample_seed
        self.sizes = dict(zip(PARTS, (num_samples, val_samples, test_samples), strict=True))
        self.parts: dict[str, tuple[Tensor, Tensor]] = {}

    def setup(self, stage: str | None = None) -> None:
        """Draws points and noise of all parts; a second call does nothing."""
        for number, (part, size) in enumerate(self.sizes.items()):
            if part not in self.parts:
                generator = torch.Generator().manual_seed(mix_seed(self.seed, number))
                x = 2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1
                noise = torch.randn(size, self.replicas, generator=generator, dtype=torch.float64)
                self.parts[part] = (x, target(self.function, x)[:, None] + self.noise * noise)  # (n,), (n, R)

    def facts(self) -> dict[str, Any]:
        """What the task must know to say what is due."""
        values = {"function": self.function, "noise": self.noise, "replicas": self.replicas}
        return {**values, "num_samples": self.sizes["train"]}

    def summary(self) -> dict[str, Any]:
        """What the samples are, in words and counts."""
        degree = DEGREES[self.function]
        kind = "no polynomial" if degree is None else f"a polynomial of degree {degree}"
        return {
            "name": "noisy curve",
            "source": f"{self.function}, {kind}, noise {self.noise:g}, drawn with seed {self.seed}",
            "shape": f"x in [-1, 1], {self.replicas} replicas of y",
            "splits": dict(self.sizes),
        }

    def _loader(self, part: str) -> TensorLoader:
        return TensorLoader(*self.parts[part], batch_size=self.sizes[part])

    def train_dataloader(self) -> TensorLoader:
        """All points as one batch."""
        return self._loader("train")

    def val_dataloader(self) -> TensorLoader:
        """All points as one batch."""
        return self._loader("val")

    def test_dataloader(self) -> TensorLoader:
        """All points as one batch."""
        return self._loader("test")
