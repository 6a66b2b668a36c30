"""Verification: are these two pictures of the same person? The decision behind face unlock.

A score (the cosine of two embeddings, say) is compared with a threshold: at or above it means "same". Two errors are
possible, and a threshold trades one for the other:

    false accept rate  FAR(t) = share of different pairs with score ≥ t      (a stranger unlocks)
    false reject rate  FRR(t) = share of same pairs with score < t           (the owner is refused)

The curve of 1 - FRR over FAR is the receiver operating characteristic (ROC). Its area is the probability that a same
pair scores above a different pair (ties count half), which is the statistic of Mann and Whitney. Where both rates are
equal lies the equal error rate (EER).

Symbols: S same pairs, D different pairs, T distinct scores.

Sources:
    Fawcett (2006), An introduction to ROC analysis, Pattern Recognition Letters 27.
    Hanley, McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Receiver(NamedTuple):
    """ROC: thresholds from high to low (the first is +inf) and the shares accepted at each, all of shape (T + 1,)."""

    thresholds: Tensor
    false_accept: Tensor
    true_accept: Tensor


class EqualError(NamedTuple):
    """The rate at which false accepts and false rejects are equally frequent, and the threshold there."""

    rate: float
    threshold: float


def receiver_curve(same: Tensor, different: Tensor) -> Receiver:
    """Both rates of acceptance at every threshold that matters.

    Args:
        same: Scores of pairs of one person, shape (S,), S at least 1.
        different: Scores of pairs of two people, shape (D,), D at least 1.

    Returns:
        The curve, from (0, 0) to (1, 1), in float64.

    Raises:
        ValueError: If there are no scores of a kind, they are no vectors, or one is not finite.
    """
    _check(same, different)
    scores = torch.cat([same, different]).double()
    thresholds = scores.unique().flip(0)  # (T,), highest first
    end = thresholds.new_tensor([float("inf")])
    thresholds = torch.cat([end, thresholds])  # (T + 1,)
    return Receiver(thresholds, _accepted(different, thresholds), _accepted(same, thresholds))


def area_under_curve(same: Tensor, different: Tensor) -> float:
    """P(score of a same pair > score of a different pair) + P(equal) / 2, by the trapezium rule on the ROC.

    Args:
        same: Shape (S,).
        different: Shape (D,).

    Returns:
        Area in 0..1; 1 separates the pairs, 0.5 knows nothing.

    Raises:
        ValueError: See ``receiver_curve``.

    Source:
        Hanley, McNeil (1982).
    """
    curve = receiver_curve(same, different)
    return float(torch.trapezoid(curve.true_accept, curve.false_accept))


def equal_error_rate(same: Tensor, different: Tensor) -> EqualError:
    """Where the ROC crosses FAR = FRR, interpolated linearly between its two neighbouring thresholds.

    Args:
        same: Shape (S,).
        different: Shape (D,).

    Returns:
        Rate in 0..1 and threshold. Take the threshold from validation people; never from those it is tested on.

    Raises:
        ValueError: See ``receiver_curve``.
    """
    thresholds, false_accept, true_accept = receiver_curve(same, different)
    after, share, rate = equal_error_crossing(false_accept, true_accept)
    before = after - 1
    # Both rates stay as they are down to the next score: the middle of that gap is the safest place.
    if share == 1.0 and after + 1 < len(thresholds):
        return EqualError(rate, float(thresholds[after : after + 2].mean()))
    # Above the highest score there is no threshold to interpolate with.
    if before == 0:
        return EqualError(rate, float(thresholds[after]))
    return EqualError(rate, float(torch.lerp(thresholds[before], thresholds[after], share)))


def equal_error_crossing(false_accept: Tensor, true_accept: Tensor) -> tuple[int, float, float]:
    """Where a ROC, straight between its points, crosses FAR = FRR.

    Args:
        false_accept: Rising from 0 to 1, shape (T,).
        true_accept: Rising from 0 to 1, shape (T,).

    Returns:
        The first point at or past the crossing, how far along the segment before it the crossing lies, in (0, 1], and
        the rate there.
    """
    surplus = false_accept - (1 - true_accept)  # FAR - FRR, from -1 up to 1, never falling
    after = max(int((surplus >= 0).nonzero()[0]), 1)
    before = after - 1
    share = float(-surplus[before] / (surplus[after] - surplus[before]))
    return after, share, float(torch.lerp(false_accept[before], false_accept[after], share))


def error_rates(same: Tensor, different: Tensor, threshold: float) -> tuple[float, float]:
    """False accept and false reject rate at a threshold.

    Args:
        same: Shape (S,).
        different: Shape (D,).
        threshold: Accept from this score on.

    Returns:
        (FAR, FRR), each in 0..1.

    Raises:
        ValueError: See ``receiver_curve``.
    """
    _check(same, different)
    at = torch.tensor([threshold], dtype=torch.float64, device=same.device)
    return float(_accepted(different, at)), 1 - float(_accepted(same, at))


def verification_accuracy(same: Tensor, different: Tensor, threshold: float) -> float:
    """Share of right decisions with both kinds of pairs equally frequent, 1 - (FAR + FRR) / 2.

    Args:
        same: Shape (S,).
        different: Shape (D,).
        threshold: Accept from this score on.

    Returns:
        Accuracy in 0..1; 0.5 knows nothing, however unequal the numbers of pairs are.

    Raises:
        ValueError: See ``receiver_curve``.
    """
    false_accept, false_reject = error_rates(same, different, threshold)
    return 1 - (false_accept + false_reject) / 2


def pair_scores(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Split the scores of all unordered pairs of samples into those of one person and those of two.

    Args:
        scores: Symmetric, shape (N, N).
        labels: People, shape (N,).

    Returns:
        (same (S,), different (D,)) with S + D = N (N - 1) / 2.

    Raises:
        ValueError: If the scores are no square matrix with one label a row.
    """
    if scores.ndim != 2 or scores.shape != (len(labels), len(labels)):
        raise ValueError(f"pair_scores takes scores (N, N) and labels (N,), not {tuple(scores.shape)}, {len(labels)}")
    rows, columns = torch.triu_indices(len(labels), len(labels), offset=1, device=scores.device)
    one_person = labels[rows] == labels[columns]
    values = scores[rows, columns]  # (N (N - 1) / 2,)
    return values[one_person], values[~one_person]


def _accepted(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Share of the scores at or above each threshold, shape of ``thresholds``."""
    ascending = scores.double().sort().values
    below = torch.searchsorted(ascending, thresholds)  # number of scores < threshold
    return 1 - below.double() / len(scores)


def _check(same: Tensor, different: Tensor) -> None:
    for name, scores in (("same", same), ("different", different)):
        if scores.ndim != 1 or len(scores) == 0:
            raise ValueError(f"scores of {name} pairs must be a vector of at least 1, not shape {tuple(scores.shape)}")
        if not bool(torch.isfinite(scores).all()):
            raise ValueError(f"a score of the {name} pairs is not finite")
