"""What a fit of known truth reached, beside what its likelihood promises.

The estimate is off by about the inverse information: (theta - truth)^T I (theta - truth) is chi-squared with D K
degrees, and the loss on new samples exceeds the entropy of the truth by D K / (2 n) on average.

Source:
    Wald (1943), Tests of statistical hypotheses concerning several parameters; Akaike (1974), section 4.
"""

# T steps, D features with the constant, K natural parameters, G places of a curve

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from dashboard.regression import fit_figure, solvers_figure
from models.regression.convergence import SOLVERS, Convergence
from theory.exponential_family import Family, negative_log_likelihood
from theory.newton import Fit
from theory.regularisation import ridge


def predictors(family: Family, eta: Tensor) -> tuple[Tensor, Tensor]:
    """Each mean on a scale without ends, and the slopes of that scale over the natural parameters.

    The scale is the mean itself of a Gaussian, its logarithm of a Poisson, and the logit of each probability.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        eta: Natural parameters, shape (G, K).

    Returns:
        Values (G, K) and slopes (G, K, K); of softmax with class 0, (G, K + 1) and (G, K + 1, K).
    """
    if family in ("gaussian", "poisson"):
        return eta, torch.eye(eta.shape[1], dtype=eta.dtype, device=eta.device).expand(len(eta), -1, -1)
    scores = torch.cat([torch.zeros_like(eta[:, :1]), eta], 1)  # (G, K + 1)
    own = torch.eye(scores.shape[1], dtype=eta.dtype, device=eta.device)
    # logit p_c = score_c - log of the sum of exp(score) over all other classes
    others = scores[:, None, :].masked_fill(own.bool(), -math.inf)  # (G, K + 1, K + 1)
    values, slopes = scores - others.logsumexp(2), (own - others.softmax(2))[..., 1:]
    return (values, slopes) if family == "softmax" else (values[:, 1:], slopes[:, 1:])


@dataclass(frozen=True)
class Likelihood:
    """A fit and everything to judge it by.

    Attributes:
        family: Family of the responses.
        theta: Newton's coefficients, shape (D, K).
        maximum: The maximum of the training sample by the damped Newton method of ``theory``.
        sample: Features and responses that were learned from.
        test: New ones.
        dispersion: phi.
        truth: Coefficients that made the data, D lists of K, or None.
        precision: Of the prior; 0 for maximum likelihood.
        feature_names: D names, the constant first.
        convergence: The path of the solvers.
    """

    family: Family
    theta: Tensor
    maximum: Fit
    sample: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    dispersion: float
    truth: list[list[float]] | None
    precision: float
    feature_names: list[str]
    convergence: Convergence

    def true_theta(self) -> Tensor:
        """The truth as a tensor like theta."""
        assert self.truth is not None
        return torch.tensor(self.truth, dtype=self.theta.dtype, device=self.theta.device)

    def wald(self) -> float:
        """(theta - truth)^T information (theta - truth)."""
        away = (self.theta - self.true_theta()).flatten()
        return float(away @ self.maximum.information @ away)

    def solver_metrics(self) -> dict[str, float]:
        """Where the solvers ended, and gradient descent's rate beside the one due."""
        last = self.convergence.history[-1]
        values = {f"gap/distance_{name}": last[3 + i] for i, name in enumerate(("irls", "lbfgs", "descent"))}
        values["theory/descent_rate"] = self.convergence.rate_due
        if math.isfinite(self.convergence.rate):
            values |= {"test/descent_rate": self.convergence.rate}
        return values

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        x, y = self.test
        loss, floor = (
            float(negative_log_likelihood(self.family, x @ theta, y, self.dispersion).mean())
            for theta in (self.theta, self.true_theta())
        )
        degrees = self.theta.numel()
        values = {
            "test/loss": loss,
            "theory/loss": floor,
            "gap/loss": loss - floor,
        }
        if not self.precision:  # these laws are those of the maximum of the likelihood, which a prior moves
            values |= {
                "theory/excess_loss": degrees / (2 * len(self.sample[0])),
                "test/wald": self.wald(),
                "theory/wald": float(degrees),
                "test/wald_p": float(stats.chi2.sf(self.wald(), degrees)),
            }
        if self.precision and self.family == "gaussian":
            values["gap/ridge"] = self.ridge_gap()
        return {**values, **self.solver_metrics()}

    def ridge_gap(self) -> float:
        """Largest difference between the maximum a posteriori and ridge with penalty sigma^2 / tau^2."""
        return float((self.theta - ridge(*self.sample, self.dispersion * self.precision)).abs().max())

    def solver_findings(self) -> list[tuple[str, str]]:
        """Lines about the way to the maximum."""
        rate = self.convergence.rate_line()
        return [("solvers", self.convergence.line()), *([("descent's rate", rate)] if rate else [])]

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        values, degrees = self.metrics(), self.theta.numel()
        text = f"{values['test/loss']:.4f} nats; the truth's on the same samples {values['theory/loss']:.4f}, "
        text += f"excess {values['gap/loss']:.1e}"
        if not self.precision:
            d, k = self.theta.shape
            text += (
                f" (for large n DK/2n = {values['theory/excess_loss']:.1e} on average: D = {d} features with the "
                f"constant, K = {k} natural parameter{'s' * (k > 1)}, n = {len(self.sample[0])} samples)"
            )
        lines = [("test loss", text)]
        if self.precision:
            text = f"N(0, {self.precision**-0.5:g}²) on each coefficient"
            if "gap/ridge" in values:
                text += (
                    f"; ridge with λ = σ²/τ² = {self.dispersion * self.precision:g} is {values['gap/ridge']:.1e} away"
                )
            lines.append(("prior", text))
        else:
            lines.append(
                (
                    "estimate",
                    f"Wald distance from the truth {values['test/wald']:.2f}; χ² with {degrees} degrees"
                    f"{', its law for large n,' * (self.family != 'gaussian')} has mean {degrees} "
                    f"(p = {values['test/wald_p']:.2f})",
                )
            )
        return lines + self.solver_findings()

    def curve(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean over the first feature, others at 0, with its 95 % band.

        The band is that of the delta method on the scale of `predictors`, mapped to means: it stays in their range.

        Args:
            feature: Places, shape (G,).

        Returns:
            Mean, lower and upper end of the band, and true mean, each of shape (G, K); of softmax with class 0,
            (G, K + 1).
        """
        count, outputs = self.theta.shape
        x = feature.new_zeros(len(feature), count)
        x[:, 0], x[:, 1] = 1, feature
        fitted, slope = predictors(self.family, x @ self.theta)
        true, _ = predictors(self.family, x @ self.true_theta())
        spread = torch.linalg.inv(self.maximum.information).view(count, outputs, count, outputs)
        of_eta = torch.einsum("gd,dkel,ge->gkl", x, spread, x)
        half = 1.959964 * (slope @ of_eta @ slope.mT).diagonal(dim1=1, dim2=2).sqrt()
        low, high = fitted - half, fitted + half
        if self.family == "gaussian":
            return fitted, low, high, true
        means = torch.exp if self.family == "poisson" else torch.sigmoid
        return means(fitted), means(low), means(high), means(true)

    def figures(self) -> Iterator[tuple[str, Any]]:
        """The fit over the first feature, and the path of the solvers."""
        x, y = (part.cpu() for part in self.sample)
        places = torch.linspace(float(x[:, 1].min()), float(x[:, 1].max()), 200, dtype=x.dtype)
        curves = [part.cpu().numpy() for part in self.curve(places.to(self.theta.device))]
        points = (x[:, 1].numpy(), y.numpy()) if len(self.feature_names) == 2 else None
        yield "fit", fit_figure(self.family, places.numpy(), *curves, points=points)
        yield "solvers", self.solvers_figure()

    def solvers_figure(self) -> Any:
        """Distance to the maximum, step by step."""
        distances = [row[3:] for row in self.convergence.history]
        return solvers_figure(distances, SOLVERS, self.convergence.rate_due)
