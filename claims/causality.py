"""Statements about correlation and cause."""

import torch

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from theory.causality import (
    TABLES,
    adjusted_rates,
    collider_covariance,
    crude_rates,
    partial_correlation,
    stratum_rates,
)
from theory.regularisation import least_squares


@claim(
    "002-22",
    "the Yule-Simpson paradox: correlation is unreliable",
    RIGHT,
    "an effect may have one sign in every stratum and the other in the sum; where the stratum is the only common cause "
    "the back-door formula gives the effect. Berkeley's department is an effect of the sex: there the same sum is a "
    "difference standardised for it, the direct effect if nothing else confounds",
    "Yule 1903; Simpson 1951; Pearl 2009, section 3.3",
)
def simpson() -> Numbers:
    counts = TABLES["kidney-stones"].tensors()
    strata, crude, adjusted = stratum_rates(*counts), crude_rates(*counts), adjusted_rates(*counts)
    yield at_least("kidney stones: surgery − puncture in the worse stratum", (strata[:, 0] - strata[:, 1]).min(), 0.03)
    yield at_most("the same, all together", crude[0] - crude[1], -0.04)
    yield equals("P(recovery | do(surgery))", adjusted[0], (81 / 87 * 357 + 192 / 263 * 343) / 700, 1e-6)
    yield equals("P(recovery | do(puncture))", adjusted[1], (234 / 270 * 357 + 55 / 80 * 343) / 700, 1e-6)
    counts = TABLES["berkeley"].tensors()
    crude, adjusted = crude_rates(*counts), adjusted_rates(*counts)
    yield equals("Berkeley: applicants", counts[1].sum(), 4526)
    yield equals("men admitted", crude[0], 1198 / 2691, 1e-6)
    yield equals("women admitted", crude[1], 557 / 1835, 1e-6)
    yield equals("men − women, standardised for the department", adjusted[0] - adjusted[1], -0.0426, 2e-3)


@claim(
    "002-23",
    "causality is correlation plus factors that were ignored",
    IMPRECISE,
    "it needs a causal graph: adjusting for a collider creates a bias that was not there",
    "Pearl 2009; Berkson 1946",
)
def collider() -> Numbers:
    for square in (0.25, 1.0, 4.0):
        covariance = collider_covariance(square)
        given = partial_correlation(covariance, 0, 1, [2])
        yield equals(f"s² = {square:g}: corr(X, Y)", partial_correlation(covariance, 0, 1, []), 0, 1e-12)
        name = f"s² = {square:g}: corr(X, Y | Z) = −1/(1+s²)"
        yield equals(name, given, -1 / (1 + square), 1e-12, counterexample=True)


@claim(
    "004-11",
    "a weight of 0 means that the feature contributes nothing",
    IMPRECISE,
    "in a linear model, given the others; alone it may be correlated with the answer",
    "Conger 1974 (suppression)",
)
def weight_zero() -> Numbers:
    # y = u, and x = 0.9 u + sqrt(1 - 0.81) v: all that x knows of y is known better by u.
    drawn = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis, _ = torch.linalg.qr(drawn - drawn.mean(0))
    u, v = basis.T
    x = 0.9 * u + (1 - 0.81) ** 0.5 * v
    weight = least_squares(torch.stack([x, u], 1), u)
    yield equals("weight of x beside u", weight[0], 0, 1e-10)
    yield equals("corr(x, y)", torch.corrcoef(torch.stack([x, u]))[0, 1], 0.9, 1e-10, counterexample=True)
