"""Newton's method for the maximum of a likelihood of ``theory.exponential_family``, and whether there is one.

The whole step is taken while it moves no natural parameter η = x θ of a sample by more than 0.1 against another: the
information then changes by at most the factor e^0.1, so that the step descends and leaves less than a hundredth of what
it promised. Further away as much of it is taken as descends.

Such a near step proves that there is a maximum. If the likelihood grows without end along d, with gains a·d ≥ 0 of
``theory.recession`` and residuals r and variances w ≤ r of the samples, then

    Σ w (a·d) (a·step) = d·I step = d·score = Σ r a·d ≥ Σ w a·d          so that a·step ≥ 1 somewhere

however small score, step and descent look in other norms. Only where so little information is left that rounding may
have made the step is the linear programme asked instead.

Source:
    Nesterov, Nemirovskii (1994), Interior-point polynomial algorithms, chapter 2, for steps that surely descend.
"""

# N samples, D features, K natural parameters

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from theory.exponential_family import Family, negative_log_likelihood, newton_step, score_and_information
from theory.recession import gains_everywhere, no_maximum, rank, separated

NEAR = 0.1  # largest move of one natural parameter against another
HIDDEN = 1e-9  # of an objective: its rounding, summed over the samples, stays below
FAINT = 1e-10  # of the information at the start


def posterior(
    family: Family, x: Tensor, y: Tensor, dispersion: float = 1.0, precision: float = 0.0
) -> Callable[[Tensor], float]:
    """The negative log-posterior of coefficients in nats, up to the prior's constant, summed over the samples."""

    def objective(theta: Tensor) -> float:
        total = negative_log_likelihood(family, x @ theta, y, dispersion).sum() + precision / 2 * theta.square().sum()
        return float(total)

    return objective


def backtrack(objective: Callable[[Tensor], float], theta: Tensor, proposal: Tensor) -> Tensor:
    """The point between theta and a proposal, halving the way until the objective is no higher; theta if none is."""
    value, share = objective(theta), 1.0
    while share > 1e-10:
        point = theta + share * (proposal - theta)
        if objective(point) <= value:
            return point
        share /= 2
    return theta


def is_near(family: Family, x: Tensor, step: Tensor) -> bool:
    """Whether Newton's step surely descends: a Gaussian's, whose information is constant, does from anywhere.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        x: Features, shape (N, D).
        step: Newton's, shape (D, K).
    """
    if family == "gaussian":
        return True
    moves = F.pad(x @ step, (1, 0))  # (N, K + 1): the reference does not move
    return float((moves.amax(1) - moves.amin(1)).amax()) <= NEAR


def advance(
    family: Family, x: Tensor, theta: Tensor, step: Tensor, promised: float, objective: Callable[[Tensor], float]
) -> Tensor:
    """Theta after Newton's step, or after as much of it as descends.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        x: Features, shape (N, D).
        theta: Coefficients, shape (D, K).
        step: Newton's, shape (D, K).
        promised: score · step, twice the descent of the quadratic model. Where rounding of the objective hides so
            little, nothing can be compared, and the step is taken as it is.
        objective: As of `posterior`.
    """
    hidden = promised <= HIDDEN * max(1.0, abs(objective(theta)))
    return theta + step if hidden or is_near(family, x, step) else backtrack(objective, theta, theta + step)


def damped_step(
    family: Family, x: Tensor, y: Tensor, theta: Tensor, dispersion: float = 1.0, precision: float = 0.0
) -> Tensor:
    """`newton_step`, shortened where it would climb, shape (D, K). Args as of `score_and_information`."""
    score, _ = score_and_information(family, x, y, theta, dispersion, precision)
    step = newton_step(family, x, y, theta, dispersion, precision) - theta
    objective = posterior(family, x, y, dispersion, precision)
    return advance(family, x, theta, step, float((score * step).sum()), objective)


@dataclass(frozen=True)
class Fit:
    """Coefficients that maximise the likelihood or posterior, and how they were found.

    Attributes:
        theta: Shape (D, K).
        information: Negative Hessian there, shape (D K, D K); its inverse is the asymptotic covariance.
        objective: Negative log-posterior up to the prior's constant, in nats, summed over the samples.
        steps: Newton steps taken.
    """

    theta: Tensor
    information: Tensor
    objective: float
    steps: int


def check_bounded(family: Family, x: Tensor, y: Tensor) -> None:
    """Raises ValueError where the likelihood grows without end. Args as of `fit`."""
    if separated(family, x, y):
        raise ValueError(no_maximum(family, len(x)))


def check_unique(family: Family, x: Tensor, y: Tensor) -> None:
    """Raises ValueError where the features do not fix the coefficients. Args as of `fit`."""
    if rank(x) == x.shape[1]:
        return
    check_bounded(family, x, y)
    few = f"fewer than the {x.shape[1]} coefficients of a natural parameter"
    raise ValueError(
        f"{family} has no unique maximum of the likelihood on these {len(x)} samples, "
        f"{few if len(x) < x.shape[1] else 'whose features depend on each other'}; more samples or a prior help"
    )


def fit(
    family: Family, x: Tensor, y: Tensor, dispersion: float = 1.0, precision: float = 0.0, max_steps: int = 100
) -> Fit:
    """Maximum likelihood (or a posteriori) by Newton's method, halving a step that does not descend.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        x: Features, float64, shape (N, D).
        y: Responses, shape (N, K).
        dispersion: phi.
        precision: 1 / tau^2 of the Gaussian prior; 0 for maximum likelihood.
        max_steps: Newton steps at most.

    Raises:
        ValueError: If there is no maximum, or more than one: classes that a plane separates, or features that depend
            on each other; or if the method has not arrived after so many steps.
    """
    unsure = precision == 0
    if unsure:
        check_unique(family, x, y)
    theta, steps, before = x.new_zeros(x.shape[1], y.shape[1]), 0, math.inf
    objective = posterior(family, x, y, dispersion, precision)
    start = (x.square().sum(0) / dispersion)[:, None].expand_as(theta).flatten()  # information there, but for a factor
    while steps < max_steps:
        score, information = score_and_information(family, x, y, theta, dispersion, precision)
        factor, failed = torch.linalg.cholesky_ex(information)
        if unsure and gains_everywhere(family, x, y, theta):
            raise ValueError(no_maximum(family, len(x)))
        pivots = factor.diagonal().square() / torch.maximum(start, information.diagonal())
        if unsure and (failed or not float(pivots.amin()) > FAINT):
            check_bounded(family, x, y)
            unsure = False
        if failed:
            break
        step = torch.cholesky_solve(score.flatten()[:, None], factor).view_as(theta)
        promised, near = float((score * step).sum()), is_near(family, x, step)
        # What a near step does not shrink is rounding.
        if near and (promised <= 1e-20 * max(1.0, abs(objective(theta))) or promised > 0.01 * before):
            theta = theta + step  # a last step for nothing: it squares the distance that is left
            return Fit(theta, information, objective(theta), steps)
        before = promised if near else math.inf
        theta, steps = advance(family, x, theta, step, promised, objective), steps + 1
    if unsure:
        check_bounded(family, x, y)
    flat = "; it is too flat for double precision" if failed else ""
    raise ValueError(
        f"Newton's method has not arrived at the maximum of the {family} likelihood on these {len(x)} samples in "
        f"{steps} steps{flat}; more samples or a stronger prior help"
    )
