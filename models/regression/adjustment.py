"""What an effect is once the third variable is taken into account, by a fitted model and by the exact formula.

A saturated Bernoulli model reproduces every cell of a table, so averaging its predictions over everybody, with the
treatment set, is the sum of the strata's rates by their shares: the back-door sum where the stratum is a common cause,
a standardised rate where it is a mediator. For a collider the same "adjustment" is the mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dashboard.adjustment import collider_figure, simpson_figure
from models.regression.likelihood import Likelihood
from theory.causality import TABLES, adjusted_rates, crude_rates, partial_correlation, stratum_rates
from theory.exponential_family import mean
from theory.newton import fit


def set_treatment(x: Tensor, value: float) -> Tensor:
    """The saturated design with everybody's treatment set. Args: x, shape (N, 2 S): 1, treatment, strata, products."""
    changed = x.clone()
    products = x.shape[1] // 2 + 1
    changed[:, 1] = value
    changed[:, products:] = value * x[:, 2:products]
    return changed


def shrunk(likelihood: Likelihood) -> str:
    """What stands in the place of the number due where a prior moves the coefficients away from it."""
    return f"shrunk by the prior N(0, {likelihood.precision**-0.5:g}²), so that no number is due"


class Adjustment:
    """Simpson's paradox in a table of counts.

    Args:
        likelihood: The fit of the saturated model, of one row a person.
        table: Name in ``theory.causality.TABLES``.
    """

    def __init__(self, likelihood: Likelihood, table: str) -> None:
        self.likelihood, self.study = likelihood, TABLES[table]
        x, y = likelihood.sample
        with torch.no_grad():
            predicted = [mean("bernoulli", set_treatment(x, value) @ likelihood.theta).mean() for value in (0.0, 1.0)]
            crude = fit("bernoulli", x[:, :2], y).theta
            ends = torch.tensor([[1.0, 0], [1, 1]], dtype=x.dtype, device=x.device)
            self.crude = mean("bernoulli", ends @ crude)[:, 0].tolist()  # P(y | x) of the model without strata
        self.adjusted = [float(value) for value in predicted]
        counts = self.study.tensors()
        self.crude_due, self.adjusted_due = crude_rates(*counts).tolist(), adjusted_rates(*counts).tolist()
        self.strata = stratum_rates(*counts)  # (S, 2)

    def gap(self) -> float:
        """The larger distance of the adjusted shares from the exact sums."""
        return max(abs(a - b) for a, b in zip(self.adjusted, self.adjusted_due, strict=True))

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values: dict[str, float] = {}
        for place, name in enumerate(("first", "second")):
            values |= {f"test/adjusted_{name}": self.adjusted[place], f"test/crude_{name}": self.crude[place]}
            values[f"theory/crude_{name}"] = self.crude_due[place]
            if not self.likelihood.precision:  # the sum is the maximum of the likelihood, which a prior moves
                values[f"theory/adjusted_{name}"] = self.adjusted_due[place]
        if not self.likelihood.precision:
            values["gap/adjusted"] = self.gap()
        values["test/effect_adjusted"] = self.adjusted[0] - self.adjusted[1]
        values["test/effect_crude"] = self.crude[0] - self.crude[1]
        return {**values, **self.likelihood.solver_metrics()}

    def findings(self) -> list[tuple[str, str]]:
        """The effect with and without adjustment."""
        first, second = self.study.treatments
        ahead = int((self.strata[:, 0] > self.strata[:, 1]).sum())
        word = "reversed" if (self.adjusted[0] > self.adjusted[1]) != (self.crude[0] > self.crude[1]) else "confirmed"
        pair = lambda rates: f"{first} {rates[0]:.4f}, {second} {rates[1]:.4f} (difference {rates[0] - rates[1]:+.4f})"
        if self.study.mediator:
            what, due = f"share with {self.study.success}, standardised for the strata", "sum over the strata"
        else:
            what, due = f"P({self.study.success} | do)", "back-door sum"
        beside = f"{due} {self.adjusted_due[0]:.4f}, {self.adjusted_due[1]:.4f}, largest gap {self.gap():.1e}"
        if self.likelihood.precision:
            beside = shrunk(self.likelihood)
        return [
            ("adjusted", f"{what}: {pair(self.adjusted)}; {beside}"),
            ("as counted", f"P({self.study.success} | group): {pair(self.crude)}: {word} by adjusting"),
            ("within strata", f"{first} ahead in {ahead} of {len(self.strata)}"),
            *self.likelihood.solver_findings(),
        ]

    def figures(self) -> Iterator[tuple[str, Any]]:
        """The paradox, and the path of the solvers."""
        yield "simpson", simpson_figure(
            self.study.treatments, self.study.strata, self.study.successes, self.study.trials, self.adjusted,
            success=self.study.success,
        )  # fmt: skip
        yield "solvers", self.likelihood.solvers_figure()


class Collider:
    """Two independent variables that conditioning on their common effect makes dependent.

    Args:
        likelihood: The Gaussian fit of y on constant, x and z.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood
        x, y = likelihood.sample
        spread = torch.linalg.inv(likelihood.maximum.information).diagonal().sqrt()
        crude = fit("gaussian", x[:, :2], y)
        data = torch.cat([x[:, 1:2], y, x[:, 2:]], 1)  # x, y, z
        self.covariance = data.T.cov()
        self.given = (float(likelihood.theta[1]), float(spread[1]))
        self.crude = (float(crude.theta[1]), float(torch.linalg.inv(crude.information)[1, 1].sqrt()))
        self.partial = float(partial_correlation(self.covariance, 0, 1, [2]))
        self.correlation = float(partial_correlation(self.covariance, 0, 1, []))
        self.due = float(likelihood.true_theta()[1])  # -1 / (1 + s^2): the slope, and the partial correlation too

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values = {"test/slope_given": self.given[0], "test/slope": self.crude[0]}
        values |= {
            "theory/slope": 0.0,
            "test/partial_correlation": self.partial,
            "theory/partial_correlation": self.due,
        }
        if not self.likelihood.precision:  # the law of the maximum of the likelihood, which a prior moves
            values["theory/slope_given"] = self.due
            values["gap/slope_given_errors"] = (self.given[0] - self.due) / self.given[1]
        return {**values, "gap/slope_errors": self.crude[0] / self.crude[1], **self.likelihood.solver_metrics()}

    def findings(self) -> list[tuple[str, str]]:
        """The slope with and without the collider."""
        beside = shrunk(self.likelihood) if self.likelihood.precision else f"−1/(1+s²) = {self.due:+.4f} due"
        return [
            ("y on x, z held", f"slope {self.given[0]:+.4f} ± {self.given[1]:.4f}; {beside}"),
            ("y on x alone", f"slope {self.crude[0]:+.4f} ± {self.crude[1]:.4f}; 0 due: x and y are independent"),
            (
                "correlation",
                f"{self.correlation:+.4f} (0 due), given z {self.partial:+.4f} ({self.due:+.4f} due): adjusting for a "
                "common effect creates the dependence",
            ),
            *self.likelihood.solver_findings(),
        ]

    def figures(self) -> Iterator[tuple[str, Any]]:
        """The collider, and the path of the solvers."""
        x, y = self.likelihood.sample
        yield "collider", collider_figure(x[:, 1].cpu(), y[:, 0].cpu(), x[:, 2].cpu(), self.due)
        yield "solvers", self.likelihood.solvers_figure()
