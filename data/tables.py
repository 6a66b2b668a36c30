"""Three studies in which a third variable decides: two famous tables of counts, and a simulated collider.

A table becomes one row a person with the saturated design (constant, treatment, strata and their products), so that a
Bernoulli model can express every cell. The collider is a Gaussian sample of y on x and z = x + y + noise.
"""

# N rows, D features

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import TensorLoader
from data.ranges import MOST_NOISE, check_used, check_within
from data.samples import LEAST_NOISE
from theory.causality import TABLES
from theory.seeds import mix_seed


def saturated_rows(table: str) -> tuple[Tensor, Tensor, list[str]]:
    """One row for each person of a table.

    Args:
        table: A name in ``theory.causality.TABLES``.

    Returns:
        Features (constant, treatment, S - 1 strata, their products with the treatment), float64, shape (N, 2 S);
        outcomes 0 or 1, shape (N, 1); names of the features.
    """
    study = TABLES[table]
    successes, trials = study.tensors()
    rows, outcomes = [], []
    for stratum, name in enumerate(study.strata):
        dummies = torch.tensor([float(name == other) for other in study.strata[1:]], dtype=torch.float64)
        for treatment in (0, 1):
            one = torch.cat([torch.tensor([1.0, treatment], dtype=torch.float64), dummies, treatment * dummies])
            count, good = int(trials[stratum, treatment]), int(successes[stratum, treatment])
            rows.append(one.expand(count, -1))
            outcomes.append((torch.arange(count) < good).double())
    names = ["1", study.treatments[1], *study.strata[1:]]
    names += [f"{study.treatments[1]} × {stratum}" for stratum in study.strata[1:]]
    return torch.cat(rows), torch.cat(outcomes)[:, None], names


class Tables(LightningDataModule):
    """Simpson's paradox in two published tables, and a collider.

    Args:
        table: kidney-stones (two treatments, two sizes of stones), berkeley (men and women, six departments) or
            collider (simulated: x and y are independent, z is an effect of both).
        num_samples: Rows of the collider, 10 to 1,000,000.
        noise: Standard deviation s of the collider's noise, 1e-6 to 1e6.
        sample_seed: Seed of the collider's samples.
    """

    FACTS = ("family", "feature_names", "num_outputs", "dispersion", "truth", "question")
    name = "tables"

    def __init__(
        self,
        table: Literal["kidney-stones", "berkeley", "collider"] = "kidney-stones",
        num_samples: int = 2000,
        noise: float = 1.0,
        sample_seed: int = 0,
    ) -> None:
        super().__init__()
        given = dict(locals())
        noises, sizes, seeds = (LEAST_NOISE, MOST_NOISE), (10, 10**6), (0, math.inf)
        check_within(given, {"num_samples": sizes, "noise": noises, "sample_seed": seeds})
        if table != "collider":
            check_used(given, {"num_samples": 2000, "noise": 1.0, "sample_seed": 0}, "--data.table collider")
        self.table, self.num_samples, self.noise, self.seed = table, num_samples, noise, sample_seed
        self.rows: tuple[Tensor, Tensor] | None = None
        self.feature_names = ["1", "x", "z"]

    def setup(self, stage: str | None = None) -> None:
        """Makes the rows; a second call does nothing."""
        if self.rows is not None:
            return
        if self.table == "collider":
            generator = torch.Generator().manual_seed(mix_seed(self.seed))
            x, y, noise = torch.randn(3, self.num_samples, 1, generator=generator, dtype=torch.float64)
            z = x + y + self.noise * noise
            self.rows = (torch.cat([torch.ones_like(x), x, z], 1), y)
        else:
            x, y, self.feature_names = saturated_rows(self.table)
            self.rows = (x, y)

    def facts(self) -> dict[str, Any]:
        """What the task must know. Given z the collider's y has variance s² / (1 + s²)."""
        square = self.noise**2
        collider = self.table == "collider"
        return {
            "family": "gaussian" if collider else "bernoulli",
            "feature_names": list(self.feature_names),
            "num_outputs": 1,
            "dispersion": square / (1 + square) if collider else 1.0,
            "truth": [[0.0], [-1 / (1 + square)], [1 / (1 + square)]] if collider else None,
            "question": self.table,
        }

    def summary(self) -> dict[str, Any]:
        """What the table is, in words and counts; it is the whole population, so nothing is held out."""
        self.setup()
        assert self.rows is not None
        if self.table == "collider":
            source, shape = f"drawn with seed {self.seed}: z = x + y + {self.noise:g} noise", "x, y and z"
        else:
            study = TABLES[self.table]
            source, shape = study.source, f"{study.treatments[0]} or {study.treatments[1]}, {len(study.strata)} strata"
        return {"name": self.table, "source": source, "shape": shape, "splits": {"train": len(self.rows[1]), "val": 0}}

    def train_dataloader(self) -> TensorLoader:
        """All rows as one batch."""
        assert self.rows is not None
        return TensorLoader(*self.rows, batch_size=len(self.rows[1]))

    def test_dataloader(self) -> TensorLoader:
        """The same rows: the question is what they mean, not how they go on."""
        return self.train_dataloader()
