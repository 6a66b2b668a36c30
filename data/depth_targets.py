"""Functions of one number that separate deep networks from wide ones: the sawtooth of 2^k pieces, and x².

    --data depth-targets --data.target sawtooth --data.stages 4

Training points are random in [0, 1], test points a regular grid between them: the error is that of the function.

Letters: N points, k stages.
"""

from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import TensorLoader
from data.run import order_seed, run_device
from theory.regions.constructions import sawtooth_values
from theory.seeds import mix_seed


class DepthTargets(LightningDataModule):
    """Samples of a function on [0, 1].

    Args:
        target: sawtooth, which 2 units a layer make in k layers; or square, x², smooth.
        stages: k, in 1..12: the sawtooth has 2^k pieces.
        num_points: Training points, at least 2.
        num_test: Test points, at least 2.
        batch_size: Points a step.
        split_seed: Seed of the training points.
        seed: Seed of the order; without it the run's seed.
    """

    FACTS = ("class_names", "in_features", "box", "target")
    name = "depth-targets"

    def __init__(
        self,
        target: Literal["sawtooth", "square"] = "sawtooth",
        stages: int = 3,
        num_points: int = 1024,
        num_test: int = 2048,
        batch_size: int = 64,
        split_seed: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        given = {"num_points": (num_points, 2), "num_test": (num_test, 2), "batch_size": (batch_size, 1)}
        for name, (value, least) in {**given, "split_seed": (split_seed, 0), "seed": (seed or 0, 0)}.items():
            if value < least:
                raise ValueError(f"--data.{name} must be at least {least}, got {value}")
        if not 1 <= stages <= 12:
            raise ValueError(f"--data.stages must be in 1..12, got {stages}")
        self.target, self.stages, self.split_seed = target, stages, split_seed
        self.num_points, self.num_test, self.batch_size, self.seed = num_points, num_test, batch_size, seed

    def values(self, x: Tensor) -> Tensor:
        """The function. Args: x in [0, 1]. Returns: the same shape."""
        return sawtooth_values(x, self.stages) if self.target == "sawtooth" else x.square()

    def part(self, name: str) -> tuple[Tensor, Tensor]:
        """Points, shape (N, 1), and values, shape (N,), of "train" or "test"."""
        if name == "test":
            x = (torch.arange(self.num_test, dtype=torch.float64) + 0.5) / self.num_test
        else:
            generator = torch.Generator().manual_seed(mix_seed(self.split_seed))
            x = torch.rand(self.num_points, generator=generator, dtype=torch.float64)
        return x[:, None].float(), self.values(x).float()

    def facts(self) -> dict[str, Any]:
        """What a model must know: no classes, one input in [0, 1], and what the target is called."""
        target = f"sawtooth of {2**self.stages} pieces" if self.target == "sawtooth" else "x²"
        return {"class_names": [], "in_features": 1, "box": [0.0, 1.0], "target": target}

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts, for the start of a run and its report."""
        return {
            "name": self.facts()["target"],
            "source": f"computed, training points of seed {self.split_seed}, test points on a grid",
            "splits": {"train": self.num_points, "val": 0, "test": self.num_test},
            "shape": "1 number",
            "split_seed": self.split_seed,
        }

    def _loader(self, part: str, training: bool = False) -> TensorLoader:
        device = run_device(self)
        points, values = (tensor.to(device) for tensor in self.part(part))
        seed = order_seed(self.seed)
        return TensorLoader(points, values, self.batch_size if training else 10_000, shuffle=training, seed=seed)

    def train_dataloader(self) -> TensorLoader:
        """Shuffled batches of the training points."""
        return self._loader("train", training=True)

    def val_dataloader(self) -> list[TensorLoader]:
        """None: the run's last networks are tested, and nothing is chosen."""
        return []

    def test_dataloader(self) -> TensorLoader:
        """The test points in order."""
        return self._loader("test")
