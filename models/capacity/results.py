"""What models of growing capacity reached, beside exact expectations; and two experiments beside them.

Letters: K sizes, R replicas, n training and m test points, d features of one polynomial, P points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from dashboard.generalisation import capacity_figure, double_descent_figure, filter_figure
from dashboard.style import counted
from models.capacity.learners import Networks, Polynomials
from theory.double_descent import draw_excess_risk, excess_risk_quantile, fits_law, mean_excess_risk
from theory.evidence import legendre
from theory.no_free_lunch import TARGETS, error_counts, nearest_neighbours
from theory.regularisation import (
    descent_iterate,
    least_squares,
    linear_risk,
    linear_training_error,
    spectral_filter,
)
from theory.targets import Target, target

# Points around p = n, as shares of n; the peak is taken whole.
SHARES = (0.04, 0.1, 0.2, 0.33, 0.47, 0.6, 0.7, 0.77, 1.23, 1.33, 1.5, 1.67, 2.0, 2.5, 3.0, 4.0)

FAR = 6.0  # deviations of a normal number: beyond, chance is no explanation, over however many sizes
FEW = 10  # replicas, whose deviation is known to about a quarter


def distance(scores: float, replicas: int) -> str:
    """Words for the largest distance from what is due, in standard errors that so many replicas estimate.

    Such a score follows Student's t with replicas - 1 degrees, so ``FAR`` is its quantile of equal probability; with
    few replicas there is no verdict.
    """
    if replicas < FEW:
        return f"at most {scores:.1f} standard errors (of {replicas} replicas: too few for a verdict) from"
    far = stats.t.isf(stats.norm.sf(FAR), replicas - 1)
    return (
        f"within {scores:.1f} standard errors of" if scores <= far else f"NOT as due, {scores:.1f} standard errors from"
    )


def above_rounding(eigenvalues: Tensor) -> Tensor:
    """Eigenvalues of a positive definite matrix, ascending; what rounding has made less, or negative, is raised."""
    return eigenvalues.clamp_min(torch.finfo(eigenvalues.dtype).eps * float(eigenvalues[-1]))


@dataclass(frozen=True)
class Due:
    """Exact expectations over the noise, one number a degree: shape (K,) each."""

    test: NDArray[np.float64]
    train: NDArray[np.float64]


class Sweep:
    """Errors of all sizes on old and new points.

    Args:
        learner: The trained models.
        sample: Points (n,) and responses (n, R) that were learned from.
        test: New ones, (m,) and (m, R).
        errors: Mean squared training and test errors, each of shape (K, R).
        function: Curve that was sampled.
        noise: Deviation of its noise.
        steps: Steps of gradient descent taken.
    """

    def __init__(
        self,
        learner: Polynomials | Networks,
        sample: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        errors: tuple[Tensor, Tensor],
        function: Target,
        noise: float,
        steps: int,
    ) -> None:
        self.learner, self.steps, self.floor = learner, steps, noise**2
        self.train, self.test = errors
        self.x = sample[0]
        self.random = False
        if not isinstance(learner, Polynomials):
            return
        self.random = learner.keep < 1 or learner.noise > 0
        weight, rates = learner.weight.detach(), learner.steps(self.x).detach().tolist()
        truth, truth_test = target(function, self.x), target(function, test[0])
        due: list[list[float]] = []
        plain: list[list[Tensor]] = []
        self.gaps, self.scores = [], []
        for degree in learner.sizes:
            old, new = legendre(self.x, degree), legendre(test[0], degree)
            # y -> w_t is linear: its matrix is the iterate of all unit vectors, (d, n).
            operator = descent_iterate(learner.matrix(self.x, degree), old.T / len(old), rates[degree], steps)
            inverse = least_squares(old, torch.eye(len(old), dtype=old.dtype, device=old.device))
            row = []
            for mapping in (operator, inverse):
                row.append(float(linear_risk(new @ mapping, truth, truth_test, self.floor)))
                row.append(float(linear_training_error(old @ mapping, truth, self.floor)))
            due.append(row)
            fitted = inverse @ sample[1]
            plain.append([(old @ fitted - sample[1]).square().mean(0), (new @ fitted - test[1]).square().mean(0)])
            away = weight[degree, :, : degree + 1] - (operator @ sample[1]).T  # (R, d)
            self.gaps.append(float(away.abs().max() / (operator @ sample[1]).abs().max().clamp_min(1e-300)))
            self.scores.append(away.mean(0) / (away.std(0) / math.sqrt(len(away))).clamp_min(1e-300))
        table = np.array(due)
        self.due, self.due_plain = Due(table[:, 0], table[:, 1]), Due(table[:, 2], table[:, 3])
        self.plain_train, self.plain_test = (torch.stack([row[i] for row in plain]) for i in (0, 1))

    @staticmethod
    @torch.no_grad()
    def filter_of(learner: Polynomials, x: Tensor, y: Tensor) -> Tensor:
        """The share of each component of the penalised solution that the largest polynomial has reached, shape (d,)."""
        features = legendre(x, learner.sizes[-1])
        eigenvalues, vectors = torch.linalg.eigh(learner.matrix(x, learner.sizes[-1]))
        eigenvalues = above_rounding(eigenvalues)
        solution = vectors.T @ (features.T @ y / len(x)) / eigenvalues[:, None]  # (d, R)
        reached = vectors.T @ learner.weight[-1].T
        return (reached * solution).sum(1) / solution.square().sum(1)

    def standard_scores(self) -> NDArray[np.float64]:
        """(mean over replicas - exact) / standard error of each degree's test error, shape (K,)."""
        values = self.test.cpu().numpy()
        return (values.mean(1) - self.due.test) / (values.std(1, ddof=1) / math.sqrt(values.shape[1]))

    @property
    def best(self) -> int:
        """Place of the size with the smallest mean test error."""
        return int(self.test.mean(1).argmin())

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        means = self.test.mean(1)
        values = {
            "test/error": float(means[self.best]),
            "test/best_size": float(self.learner.sizes[self.best]),
            "test/error_largest": float(means[-1]),
            "test/train_error_largest": float(self.train[-1].mean()),
            "theory/noise_floor": self.floor,
        }
        if isinstance(self.learner, Polynomials):
            values |= {
                "theory/error": float(self.due.test[self.best]),
                "theory/error_largest": float(self.due.test[-1]),
                "test/least_squares_largest": float(self.plain_test[-1].mean()),
                "theory/least_squares_largest": float(self.due_plain.test[-1]),
            }
            if self.random:
                values["gap/iterate_scores"] = max(float(score.abs().max()) for score in self.scores)
            else:
                values["gap/iterate"] = max(self.gaps)
                values["gap/risk_scores"] = float(np.abs(self.standard_scores()).max())
        return values

    def findings(self) -> list[tuple[str, str]]:
        """The result and what is due."""
        values, unit, sizes = self.metrics(), self.learner.unit, self.learner.sizes
        size, largest = sizes[self.best], sizes[-1]
        if not isinstance(self.learner, Polynomials):
            return [
                ("test error", f"{unit} {size} best: {values['test/error']:.4f}; noise floor {self.floor:.4f}"),
                (
                    "overfitting",
                    f"{unit} {largest}: test {values['test/error_largest']:.4f}, training "
                    f"{values['test/train_error_largest']:.4f}, after {counted(self.steps, 'step')}",
                ),
            ]
        replicas = self.test.shape[1]
        lines = [
            (
                "test error",
                f"{unit} {size} best on these draws: {self.beside_due(self.best)}, noise floor {self.floor:.4f}; "
                f"{unit} {largest} after {counted(self.steps, 'step')}: {self.beside_due(-1)}; ± one standard error",
            ),
            ("least squares", self.least_squares_text()),
        ]
        if self.random:
            count, far = sum(len(score) for score in self.scores), distance(values["gap/iterate_scores"], replicas)
            text = f"mean weights {far} (I − (I − ηA)^t) A⁻¹c ({counted(count, 'weight')})"
        else:
            text = (
                f"weights = (I − (I − ηA)^t) A⁻¹c within {values['gap/iterate']:.1e}; test errors "
                f"{distance(values['gap/risk_scores'], replicas)} noise + bias² + variance "
                f"({counted(len(sizes), 'size')})"
            )
        return [*lines, ("closed form", text)]

    def beside_due(self, place: int) -> str:
        """Mean test error of a polynomial, its standard error, and the expectation or the least that it can be.

        Masks and noise move the weights about their mean, which adds to the expected error. The mean over some draws
        may lie below it all the same, that of the best degree of all the more: it was chosen by these draws.
        """
        values = self.test[place]
        error = float(values.std()) / math.sqrt(len(values))
        due = self.due.test[place]
        text = f"at least {due:.4f} over all draws" if self.random else f"exact {due:.4f}"
        return f"{float(values.mean()):.4f} ± {error:.4f} ({text})"

    def least_squares_text(self) -> str:
        """Least squares of the largest degree: whether it overfits, and whether gradient descent does better."""
        unit, sizes, due = self.learner.unit, self.learner.sizes, self.due_plain.test
        error = lambda place: f"{float(self.plain_test[place].mean()):.4g} (exact {due[place]:.4g})"
        best = int(due.argmin())
        fits = f"overfitting: {unit} {sizes[best]} has {error(best)}" if due[-1] > due[best] else "no overfitting"
        better, count = int((self.test[-1] < self.plain_test[-1]).sum()), self.test.shape[1]
        word, share = ("better", better) if 2 * better >= count else ("worse", count - better)
        descent = f"{counted(self.steps, 'step')} of descent do {word} in {share} of {counted(count, 'replica')}"
        return f"{unit} {sizes[-1]}: {error(-1)}, {fits}; {descent}"

    def figures(self, filters: list[tuple[int, list[float]]]) -> Iterator[tuple[str, Any]]:
        """Error against capacity; for polynomials also the spectral filter."""
        trained = (self.train.mean(1).cpu().numpy(), self.test.mean(1).cpu().numpy())
        title = f"{counted(self.steps, 'step')} of training"
        if not isinstance(self.learner, Polynomials):
            yield (
                "capacity",
                capacity_figure(self.learner.sizes, {title: trained}, {}, self.floor, unit=self.learner.unit),
            )
            return
        plain = (self.plain_train.mean(1).cpu().numpy(), self.plain_test.mean(1).cpu().numpy())
        panels = {"least squares": plain, title: trained}
        due = {"least squares": (self.due_plain.train, self.due_plain.test), title: (self.due.train, self.due.test)}
        bounds = [title] if self.random else []  # masks and noise add to what is due of the mean weights
        yield (
            "capacity",
            capacity_figure(self.learner.sizes, panels, due, self.floor, unit=self.learner.unit, bounds=bounds),
        )
        eigenvalues = above_rounding(torch.linalg.eigvalsh(self.learner.matrix(self.x, self.learner.sizes[-1])).cpu())
        rate = float(self.learner.steps(self.x)[-1])
        chosen = sorted({round(place) for place in np.geomspace(1, len(filters), 4)})
        grid = torch.logspace(math.log10(float(eigenvalues[0])), math.log10(float(eigenvalues[-1])), 200)
        curves = []
        for steps, shares in (filters[place - 1] for place in chosen):
            curves.append((steps, shares, spectral_filter(grid.double(), rate, steps).numpy()))
        yield "spectral_filter", filter_figure(eigenvalues.numpy(), grid.numpy(), curves)


@dataclass(frozen=True)
class Risks:
    """Excess risks of minimum-norm least squares over p/n, drawn and due.

    Attributes:
        samples: n.
        features: p of each point, shape (P,).
        draws: Excess risks, shape (P, draws).
        p_values: Of Pearson's test that the draws follow the exact law, shape (P,).
        medians_due: Exact medians, shape (P,).
        means_due: Exact means, infinite at the peak, shape (P,).
    """

    samples: int
    features: list[int]
    draws: NDArray[np.float64]
    p_values: NDArray[np.float64]
    medians_due: NDArray[np.float64]
    means_due: NDArray[np.float64]

    @classmethod
    def draw(cls, n: int, draws: int, generator: torch.Generator) -> Risks:
        """Draws all points; signal and noise have strength 1."""
        near = range(max(1, n - 5), n + 6)
        features = sorted({*near, *(max(1, round(n * share)) for share in SHARES)})
        risks = np.stack([draw_excess_risk(n, p, draws, generator).cpu().numpy() for p in features])
        p_values = np.array([fits_law(risk, n, p) for risk, p in zip(risks, features, strict=True)])
        medians = np.array([float(excess_risk_quantile(0.5, n, p)) for p in features])
        return cls(n, features, risks, p_values, medians, np.array([mean_excess_risk(n, p) for p in features]))

    def metrics(self) -> dict[str, float]:
        """Tags and values: the median at the peak p = n, and how well the law is kept."""
        peak = self.features.index(self.samples)
        medians = np.median(self.draws, 1)
        return {
            "test/peak_median_risk": float(medians[peak]),
            "theory/peak_median_risk": float(self.medians_due[peak]),
            "gap/median_risk": float(np.abs(medians / self.medians_due - 1).max()),
            "test/law_smallest_p": float(self.p_values.min()),
        }

    def findings(self) -> list[tuple[str, str]]:
        """Median at the peak, and the test of the law."""
        values, count = self.metrics(), len(self.features)
        return [
            (
                "double descent",
                f"median excess risk at p = n = {self.samples}: {values['test/peak_median_risk']:.1f} (exact "
                f"{values['theory/peak_median_risk']:.1f}); χ² of the exact law at {count} values of p/n: smallest p = "
                f"{values['test/law_smallest_p']:.2g} (1/{count + 1} = {1 / (count + 1):.3f} expected)",
            )
        ]

    def figure(self) -> Any:
        """The curve, with its exact mean and median."""
        quartiles = np.quantile(self.draws, [0.25, 0.5, 0.75], axis=1)
        ratios = np.array(self.features) / self.samples
        return double_descent_figure(
            ratios, quartiles, self.medians_due, self.draws.mean(1), self.means_due, samples=self.samples
        )


def no_free_lunch() -> str:
    """One line about all 65,536 targets on 4 bits."""
    training = [0, 1, 2, 4, 7, 8, 11, 14]
    rates = [float(error_counts(nearest_neighbours(k), training).double().mean()) / 8 for k in (1, 3)]
    return (
        f"over all {TARGETS:,} targets on 4 bits, nearest neighbour errs on {100 * rates[0]:g} % of unseen points and "
        f"3 nearest on {100 * rates[1]:g} %: exactly 50 % for every learner"
    )
