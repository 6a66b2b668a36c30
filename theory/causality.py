"""What adjusting for a third variable does: Simpson's paradox, the back-door formula, and the collider.

A table of successes out of trials by treatment x and stratum z tells P(y | x) and P(y | x, z). If z is a common cause
of x and y (and there is no other), the effect of *setting* x is neither, but

    P(y | do(x)) = sum_z P(y | x, z) P(z)                 (back-door adjustment)

which may point the other way than P(y | x). If z is a *mediator*, an effect of x that acts on y, as the department that
an applicant chooses, the same sum is no P(y | do(x)): it compares the groups as if they were spread alike over z, which
is the direct effect if nothing else confounds. If z is instead a common *effect* of x and y, a collider, then
conditioning on it makes independent variables dependent: for z = x + y + noise of variance s^2 and x, y independent
N(0, 1),

    corr(x, y | z) = -1 / (1 + s^2).

Nothing in the numbers says which case holds: the graph does.

Source:
    Yule (1903); Simpson (1951), The interpretation of interaction in contingency tables; Pearl (2009), Causality, 3.3.
"""

# S strata, 2 treatments

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Table:
    """Successes out of trials by stratum and treatment.

    Attributes:
        treatments: Names of the two treatments.
        strata: Names of the S strata.
        success: What counts as a success, as a noun.
        successes: Counts, (S, 2) nested.
        trials: Counts, (S, 2) nested.
        source: Where it was published.
        mediator: Whether the stratum is an effect of the treatment; else it is a common cause.
    """

    treatments: tuple[str, str]
    strata: tuple[str, ...]
    success: str
    successes: tuple[tuple[int, int], ...]
    trials: tuple[tuple[int, int], ...]
    source: str
    mediator: bool = False

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Successes and trials, float64, each of shape (S, 2)."""
        return torch.tensor(self.successes, dtype=torch.float64), torch.tensor(self.trials, dtype=torch.float64)


TABLES: dict[str, Table] = {
    "kidney-stones": Table(
        treatments=("open surgery", "puncture"),
        strata=("small stones", "large stones"),
        success="recovery",
        successes=((81, 234), (192, 55)),
        trials=((87, 270), (263, 80)),
        source="Charig, Webb, Payne, Wickham (1986), British Medical Journal 292",
    ),
    "berkeley": Table(
        treatments=("men", "women"),
        strata=("A", "B", "C", "D", "E", "F"),
        success="admission",
        successes=((512, 89), (353, 17), (120, 202), (138, 131), (53, 94), (22, 24)),
        trials=((825, 108), (560, 25), (325, 593), (417, 375), (191, 393), (373, 341)),
        source="Bickel, Hammel, O'Connell (1975), Science 187, the six largest departments",
        mediator=True,
    ),
}


def crude_rates(successes: Tensor, trials: Tensor) -> Tensor:
    """P(y | x), shape (2,). Args: counts of shape (S, 2)."""
    return successes.sum(0) / trials.sum(0)


def stratum_rates(successes: Tensor, trials: Tensor) -> Tensor:
    """P(y | x, z), shape (S, 2).

    Raises:
        ValueError: If a treatment was never tried in some stratum: its rate there is unknown.
    """
    if not bool((trials > 0).all()):
        raise ValueError("each treatment must have been tried in each stratum, got a cell with 0 trials")
    return successes / trials


def adjusted_rates(successes: Tensor, trials: Tensor) -> Tensor:
    """sum_z P(y | x, z) P(z), shape (2,): P(y | do(x)) if the stratum is all that x and y have in common.

    Of a stratum that is an effect of x it is the rate standardised for it, no more.
    """
    share = trials.sum(1) / trials.sum()  # P(z)
    return share @ stratum_rates(successes, trials)


def partial_correlation(covariance: Tensor, first: int, second: int, given: list[int]) -> Tensor:
    """Correlation of two variables when others are held fixed, from the Schur complement of the covariance.

    Args:
        covariance: Positive definite, shape (V, V).
        first: Index of one variable.
        second: Index of the other.
        given: Indices of those held fixed; empty for the plain correlation.
    """
    pair = [first, second]
    inner = covariance[pair][:, pair]
    if given:
        across = covariance[pair][:, given]
        inner = inner - across @ torch.linalg.solve(covariance[given][:, given], across.T)
    return inner[0, 1] / (inner[0, 0] * inner[1, 1]).sqrt()


def collider_covariance(noise_variance: float) -> Tensor:
    """Covariance of (x, y, z), z = x + y + noise, x and y independent of variance 1; float64, shape (3, 3)."""
    mixing = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=torch.float64)
    return mixing @ torch.diag(torch.tensor([1.0, 1.0, noise_variance], dtype=torch.float64)) @ mixing.T
