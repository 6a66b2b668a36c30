"""Occam's razor: the degree that the Bayesian evidence chooses, beside the true one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theory.evidence import legendre, log_evidence
from theory.targets import DEGREES, Target


@dataclass(frozen=True)
class Evidence:
    """Which degree the Bayesian evidence chooses, replica by replica.

    Attributes:
        chosen: Degree with the highest evidence, shape (R,).
        degree: The true one, or None where there is none, or where it was not among those compared.
    """

    chosen: Tensor
    degree: int | None

    @classmethod
    def of(cls, sample: tuple[Tensor, Tensor], function: Target, noise: float, max_degree: int) -> Evidence:
        """Compares the degrees 0..max_degree; the prior's variance of each is the one with the highest evidence."""
        grid = torch.logspace(-3, 2, 26, dtype=torch.float64).tolist()
        tables = []
        for degree in range(min(max_degree, 20) + 1):
            features = legendre(sample[0], degree)
            tables.append(torch.stack([log_evidence(features, sample[1], value, noise**2) for value in grid]).amax(0))
        true = DEGREES[function]
        return cls(torch.stack(tables).argmax(0), true if true is not None and true < len(tables) else None)

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values = {"test/evidence_degree": float(self.chosen.double().median())}
        if self.degree is not None:
            values["theory/evidence_degree"] = float(self.degree)
            values["test/evidence_right"] = float((self.chosen == self.degree).double().mean())
        return values

    def findings(self) -> list[tuple[str, str]]:
        """The choice, and the truth."""
        text = f"the evidence chooses degree {self.metrics()['test/evidence_degree']:.0f} (median of the replicas)"
        if self.degree is not None:
            right = 100 * self.metrics()["test/evidence_right"]
            text += f"; the true degree {self.degree} is chosen in {right:.0f} % of them"
        return [("Occam's razor", text)]
