"""Occam's razor: the degree that the Bayesian evidence chooses, beside the true one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theory.evidence import legendre, log_evidence
from theory.targets import DEGREES, Target

MOST_DEGREE = 20  # compared


@dataclass(frozen=True)
class Evidence:
    """Which degree the Bayesian evidence chooses, replica by replica.

    Attributes:
        chosen: Degree with the highest evidence, shape (R,).
        degree: The true one, or None where there is none, or where it was not among those compared.
        most: Highest degree compared.
    """

    chosen: Tensor
    degree: int | None
    most: int

    @classmethod
    def of(cls, sample: tuple[Tensor, Tensor], function: Target, noise: float, size: int) -> Evidence:
        """Compares polynomials; the prior's variance of each degree is the one with the highest evidence.

        Args:
            sample: Points (n,) and responses (n, R).
            function: Curve that was sampled.
            noise: Deviation of its noise.
            size: Largest model that is trained: degrees up to it are compared, at most `MOST_DEGREE`.
        """
        grid = torch.logspace(-3, 2, 26, dtype=torch.float64).tolist()
        tables = []
        for degree in range(min(size, MOST_DEGREE) + 1):
            features = legendre(sample[0], degree)
            tables.append(torch.stack([log_evidence(features, sample[1], value, noise**2) for value in grid]).amax(0))
        true = DEGREES[function]
        among = true if true is not None and true < len(tables) else None
        return cls(torch.stack(tables).argmax(0), among, len(tables) - 1)

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values = {"test/evidence_degree": float(self.chosen.double().median())}
        if self.degree is not None:
            values["theory/evidence_degree"] = float(self.degree)
            values["test/evidence_right"] = float((self.chosen == self.degree).double().mean())
        return values

    def findings(self) -> list[tuple[str, str]]:
        """The choice, and the truth."""
        chosen = self.metrics()["test/evidence_degree"]
        text = f"of the degrees 0 to {self.most} the evidence chooses {chosen:.0f} (median of the replicas)"
        if self.degree is not None:
            right = 100 * self.metrics()["test/evidence_right"]
            text += f"; the true degree {self.degree} is chosen in {right:.0f} % of them"
        return [("Occam's razor", text)]
