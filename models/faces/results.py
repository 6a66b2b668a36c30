"""What the face network reached over the splits, beside closed forms on the same splits and a published figure.

Letters: S splits, N pictures, F shares at which a curve is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dashboard.curves import percent_over_runs as percent
from theory.intervals import summarise
from theory.verification import (
    area_under_curve,
    equal_error_rate,
    error_rates,
    pair_scores,
    receiver_curve,
    verification_accuracy,
)

NETWORK, UNTRAINED, ONE_VIEW = "network", "network untrained", "untrained, one view"
LAWRENCE_1997 = 0.038  # SOM + convolutional network, 5 pictures a person, 92×112; their splits are unknown


def tag(name: str) -> str:
    """A method's name as part of a tag: ``HOG + LDA`` is ``hog_lda``."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def mean_and_sd(tag: str, values: list[float]) -> dict[str, float]:
    """The mean under a tag, and from two splits on the sample deviation under ``TAG_sd``."""
    mean, deviation, splits = summarise(values)
    return {tag: mean, f"{tag}_sd": deviation} if splits > 1 else {tag: mean}


@dataclass
class Identification:
    """What was found on each split.

    Attributes:
        errors: Of each method: ``errors["network"]`` is a list of S shares in 0..1.
        num_test: Test pictures of a split.
        olivetti_halves: Whether these are the Olivetti faces of 92×112 pixels, 5 of 10 a person for training: the
            published figure is for no other.
    """

    errors: dict[str, list[float]]
    num_test: int
    olivetti_halves: bool = False

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values = mean_and_sd("test/error", self.errors[NETWORK])
        mean = values["test/error"]
        values["test/accuracy"] = 1 - mean
        values |= {f"test/error_split_{split:02d}": error for split, error in enumerate(self.errors[NETWORK])}
        if self.olivetti_halves:
            values["theory/error_lawrence_1997"] = LAWRENCE_1997
        for name, errors in self.errors.items():
            if name != NETWORK:
                due = summarise(errors).mean
                values[f"theory/error_{tag(name)}"] = due
                if due > 0:
                    values[f"gap/error_over_{tag(name)}"] = mean / due
        return values

    def findings(self) -> list[tuple[str, str]]:
        """Lines of the result."""
        ours = self.errors[NETWORK]
        lines = [("error", f"{percent(ours)} over {len(ours)} splits of {self.num_test} test pictures")]
        for name, errors in self.errors.items():
            if name != NETWORK:
                better = sum(a < b for a, b in zip(ours, errors, strict=True))
                worse = sum(a > b for a, b in zip(ours, errors, strict=True))
                lines.append(
                    (name, f"{percent(errors)} on the same splits; network better on {better}, worse on {worse}")
                )
        if self.olivetti_halves:
            lines.append(("CNN of 1997", f"{100 * LAWRENCE_1997:.1f} % (Lawrence et al., 92×112, other splits)"))
        return lines

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Every split a dot."""
        from dashboard.curves import repeats_figure

        yield (
            "errors",
            repeats_figure(
                self.errors,
                y_label="error (% of test pictures)",
                subject="Olivetti 5/5 error in %" if self.olivetti_halves else "Identification error in %",
                theory={"Lawrence et al. 1997": 100 * LAWRENCE_1997} if self.olivetti_halves else None,
                least=0,
                digits=2,
                scale=100,
            ),
        )


@dataclass
class Verification:
    """For each method what each split gave: ``rates["network"]["eer"]`` is a list of S numbers."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    scores: dict[str, list[tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def add(self, name: str, validation: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> None:
        """One method on one split.

        Args:
            name: The method.
            validation: Scores (N, N) and people (N,) of the validation people, who choose the threshold.
            test: The same of the test people.
        """
        threshold = equal_error_rate(*pair_scores(*validation)).threshold
        same, different = pair_scores(*test)
        false_accept, false_reject = error_rates(same, different, threshold)
        numbers = {
            "eer": equal_error_rate(same, different).rate,
            "auc": area_under_curve(same, different),
            "accuracy": verification_accuracy(same, different, threshold),
            "false_accept": false_accept,
            "false_reject": false_reject,
        }
        method = self.rates.setdefault(name, {key: [] for key in numbers})
        for key, number in numbers.items():
            method[key].append(number)
        self.scores.setdefault(name, []).append((same, different))

    def metrics(self) -> dict[str, float]:
        """Tags and values; the accuracy is that at the threshold chosen on validation people."""
        values: dict[str, float] = {}
        for key, numbers in self.rates[NETWORK].items():
            values |= mean_and_sd(f"test/{key}", numbers)
        for name, rates in self.rates.items():
            if name != NETWORK:
                due = summarise(rates["eer"]).mean
                values[f"theory/eer_{tag(name)}"] = due
                if due > 0:
                    values[f"gap/eer_over_{tag(name)}"] = values["test/eer"] / due
        return values

    def findings(self) -> list[tuple[str, str]]:
        """Lines of the result."""
        lines = []
        for name, rates in self.rates.items():
            auc = summarise(rates["auc"]).mean
            right, strangers, owners = (percent(rates[key]) for key in ("accuracy", "false_accept", "false_reject"))
            text = f"EER {percent(rates['eer'])}, AUC {auc:.5f}; at the threshold of validation people {right} right"
            text += f" ({strangers} false accepts, {owners} false rejects)"
            lines.append(("unseen people" if name == NETWORK else name, text))
        return lines

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Mean curve over the splits, and every split's equal error rate a dot."""
        from dashboard.curves import repeats_figure
        from dashboard.roc import roc_figure

        shares = torch.cat([torch.zeros(1), torch.logspace(-4, 0, 200)]).double()  # (F,)
        curves = {
            name: (shares.numpy(), torch.stack([_read(*pair, shares) for pair in pairs]).mean(0).numpy())
            for name, pairs in self.scores.items()
        }
        ours = self.rates[NETWORK]
        chosen = (summarise(ours["false_accept"]).mean, 1 - summarise(ours["false_reject"]).mean)
        (same, different), splits = self.scores[NETWORK][0], len(ours["eer"])
        pairs = f"{len(same) + len(different):,} pairs of unseen people" + f", mean of {splits} splits" * (splits > 1)
        errors = {name: rates["eer"] for name, rates in self.rates.items()}
        yield "roc", roc_figure(curves, errors=errors, threshold=chosen, pairs=pairs)
        yield (
            "equal_errors",
            repeats_figure(
                errors, y_label="equal error rate (%)", subject="Equal error rate in %", least=0, digits=2, scale=100
            ),
        )


def _read(same: Tensor, different: Tensor, shares: Tensor) -> Tensor:
    """True accept rate of one split at given false accept rates. Args: shares (F,). Returns: shape (F,)."""
    _, false_accept, true_accept = receiver_curve(same, different)
    # The last point of the curve that accepts no more strangers than the share: a step function, never flattering.
    place = torch.searchsorted(false_accept, shares, right=True) - 1
    return true_accept[place]
