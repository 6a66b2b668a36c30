"""Numbers and labels in groups, whose distributions are known: what a loss makes of them can be told beforehand.

In group k the numbers are exponential with mean m_k, so that median m_k ln 2 and mean m_k differ, and a label is 1 with
probability p_k. A prediction knows the group and nothing else.
"""

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import WholeSetLoader
from data.run import run_device
from theory.seeds import mix_seed

HIGHEST_MEAN = 1e6  # its square is the floor of the squared error
Outcome = tuple[Tensor, Tensor, Tensor]  # group int64 (N,), number float64 (N,), label float64 (N,)


class Outcomes(LightningDataModule):
    """Exponential numbers and coin-like labels in groups.

    Args:
        means: Mean of the numbers of each group, above 0 to 1e6.
        probabilities: Probability of label 1 in each group, in [0, 1]; as many as means.
        num_samples: Training samples of each group; with an odd number the median is one of them.
        test_samples: Test samples of each group.
        steps: Training steps an epoch, each on the whole set.
        sample_seed: Seed of the samples.
    """

    FACTS = ("means", "probabilities")
    name = "outcomes"

    def __init__(
        self,
        means: list[float] = [1.0, 2.0, 3.0],  # noqa: B006 (shown in --data.help; never changed)
        probabilities: list[float] = [0.1, 0.5, 0.8],  # noqa: B006
        num_samples: int = 301,
        test_samples: int = 10_000,
        steps: int = 100,
        sample_seed: int = 0,
    ) -> None:
        super().__init__()
        if not means or not all(0 < value <= HIGHEST_MEAN for value in means):
            raise ValueError(f"--data.means must be numbers above 0 up to {HIGHEST_MEAN:g}, at least one, got {means}")
        if not all(0 <= value <= 1 for value in probabilities):
            raise ValueError(f"--data.probabilities must be numbers in [0, 1], got {probabilities}")
        if len(probabilities) != len(means):
            raise ValueError(
                f"--data.means and --data.probabilities must be equally many, one for each group, got {len(means)} and "
                f"{len(probabilities)}"
            )
        for name, value in (("num_samples", num_samples), ("test_samples", test_samples), ("steps", steps)):
            if not 1 <= value <= 10**6:
                raise ValueError(f"--data.{name} must be between 1 and 1,000,000, got {value}")
        if sample_seed < 0:
            raise ValueError(f"--data.sample_seed must be at least 0, got {sample_seed}")
        self.means, self.probabilities = means, probabilities
        self.sizes, self.steps, self.seed = {"train": num_samples, "test": test_samples}, steps, sample_seed
        self.parts: dict[str, Outcome] = {}

    def setup(self, stage: str | None = None) -> None:
        """Draws both parts; a second call does nothing."""
        for stream, (part, size) in enumerate(self.sizes.items()):
            if part not in self.parts:
                generator = torch.Generator().manual_seed(mix_seed(self.seed, stream))
                group = torch.arange(len(self.means)).repeat_interleave(size)
                uniform = torch.rand(2, len(group), generator=generator, dtype=torch.float64)
                mean, p = (
                    torch.tensor(values, dtype=torch.float64)[group] for values in (self.means, self.probabilities)
                )
                self.parts[part] = (group, -mean * torch.log1p(-uniform[0]), (uniform[1] < p).double())

    def facts(self) -> dict[str, Any]:
        """What the task must know: the truth behind the samples."""
        return {"means": list(self.means), "probabilities": list(self.probabilities)}

    def summary(self) -> dict[str, Any]:
        """What the samples are, in words and counts."""
        groups = len(self.means)
        return {
            "name": "outcomes",
            "source": f"drawn with seed {self.seed}, truth known",
            "shape": f"a number and a label in {groups} group{'s' * (groups > 1)}",
            "splits": {"train": groups * self.sizes["train"], "val": 0, "test": groups * self.sizes["test"]},
        }

    def _loader(self, part: str, steps: int) -> WholeSetLoader:
        device = run_device(self)
        group, number, label = (tensor.to(device) for tensor in self.parts[part])
        self.parts[part] = (group, number, label)
        return WholeSetLoader(self.parts[part], steps)

    def train_dataloader(self) -> WholeSetLoader:
        """The training samples, ``steps`` times an epoch."""
        return self._loader("train", self.steps)

    def test_dataloader(self) -> WholeSetLoader:
        """The test samples, once."""
        return self._loader("test", 1)
