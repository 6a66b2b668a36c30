"""The way of three solvers to the maximum of a likelihood: steps, the rate of gradient descent, and where it ran away.

Near the maximum a step of gradient descent multiplies the distance along curvature λ by 1 − αλ. Beyond α = 2 / λ_max it
grows, and far out, where a likelihood may curve more than at its maximum, it can grow sooner.

Source: Nocedal, Wright (2006), Numerical optimization, section 3.3.
"""
# T steps

import math
from dataclasses import dataclass

from dashboard.style import counted

SOLVERS = ("IRLS", "L-BFGS", "gradient descent")
ARRIVED = 1e-8  # distance to the maximum, relative to that of the start
TOO_FAR = 1e9  # times the distance of the start, or 1: from there gradient descent takes no further step
ROUNDING = 1e-9  # of a distance, where the maximum is at the start
EDGE = 2.0  # α λ_max from which it does not settle


def too_far(distance: float, first: float) -> bool:
    """Whether gradient descent has run away. Args: distance from the maximum now; first, that of the start."""
    return distance > TOO_FAR * max(first, 1.0)


@dataclass(frozen=True)
class Convergence:
    """The path of the three solvers.

    Attributes:
        history: One row a step from 0: excess objective of IRLS, L-BFGS, gradient descent, then their distances.
        curvatures: Eigenvalues of the information at the maximum, increasing.
        lr: Gradient descent's step as a share of 1 / the largest of them.
        stopped: Step after which gradient descent was not followed any further, as it had run away; or None.
    """

    history: list[list[float]]
    curvatures: list[float]
    lr: float
    stopped: int | None = None

    @property
    def rate_due(self) -> float:
        """max_i |1 - alpha lambda_i|: what each step of gradient descent leaves of the distance in the end."""
        return max(abs(1 - self.lr * value / self.curvatures[-1]) for value in self.curvatures)

    @property
    def distances(self) -> list[float]:
        """Of gradient descent from the maximum, T + 1 numbers."""
        return [row[5] for row in self.history]

    @property
    def rate(self) -> float:
        """Mean contraction over the last steps that rounding does not blur; nan when there are none."""
        distances = self.distances[: None if self.stopped is None else self.stopped]
        last = [value for value in distances if value > 1e-10 * distances[0]][-4:]
        return (last[-1] / last[0]) ** (1 / (len(last) - 1)) if len(last) > 1 else math.nan

    def steps(self, solver: int) -> int | None:
        """Steps until a solver stood at the maximum, or None."""
        start = self.history[0][3 + solver]
        return next((t for t, row in enumerate(self.history) if row[3 + solver] <= ARRIVED * start), None)

    @property
    def diverged(self) -> int | None:
        """The step from which gradient descent stayed farther from the maximum than it began, or None."""
        near = [step for step, distance in enumerate(self.distances) if distance <= self.distances[0] + ROUNDING]
        beyond = near[-1] + 1
        return min(beyond, self.stopped or beyond) if self.stopped or beyond < len(self.history) else None

    def line(self) -> str:
        """How many steps each solver took to 1e-8 of the distance it began at, and how far it was after the last."""
        parts, last = [], len(self.history) - 1
        for solver, name in enumerate(SOLVERS):
            steps, distance = self.steps(solver), self.history[-1][3 + solver]
            if solver == 2 and self.diverged is not None:
                reached = f"diverged ({distance:.1e} away)"
            elif steps is None:
                reached = f"not yet after {counted(last, 'step')} ({distance:.1e} away)"
            else:
                reached = f"within {ARRIVED:.0e} in {counted(steps, 'step')} ({distance:.1e} after {last})"
            parts.append(f"{name} {reached}")
        return "; ".join(parts)

    def failure(self) -> str:
        """When and why gradient descent ran away, or an empty text."""
        if self.diverged is None:
            return ""
        text = f"gradient descent diverged at step {self.diverged}: "
        if self.stopped and not too_far(self.distances[-1], self.distances[0]):
            text += f"step {self.stopped} led to where the likelihood is not finite; "
        else:
            text += (f"from there on it is farther from the maximum than it began, {self.distances[-1]:.1e} after step "
                     f"{self.stopped or len(self.history) - 1}; ")  # fmt: skip
        if self.lr > EDGE:
            return text + (f"its step --model.lr {self.lr:g} is past the edge {EDGE:g}, at the maximum each step "
                           f"multiplies the distance by {self.rate_due:.6g}")  # fmt: skip
        return text + (f"its step --model.lr {self.lr:g} is within the edge {EDGE:g} of the maximum, but too long for "
                       "the curvature on the way there")  # fmt: skip

    def rate_line(self) -> str:
        """The rate measured beside the one due, or what is wrong with the step; empty where there is none to tell."""
        slowest = self.lr * self.curvatures[0] / self.curvatures[-1]
        if self.diverged is not None:
            return self.failure()
        if self.lr >= EDGE:
            place = "past" if self.lr > EDGE else "at"
            due = f"max |1 − αλ| = {self.rate_due:.6g}"
            return f"the step is {place} the edge 2 / λ: gradient descent cannot settle ({due})"
        if slowest < 5e-6:
            return f"the step is too small: each one leaves 1 − {slowest:.1e} of the distance (max |1 − αλ|)"
        if math.isnan(self.rate):
            return ""
        return f"{self.rate:.5f} of the distance is left by a step; max |1 − αλ| = {self.rate_due:.5f}"
