"""How sure a measured accuracy is: intervals for a proportion, and mean ± deviation of repeated runs.

k right answers out of n independent ones estimate the probability p with an error that shrinks as 1/√n. The textbook
interval k/n ± z √(p̂(1 - p̂)/n) collapses to a point at k = n, which good classifiers reach. Wilson's instead keeps every
p that lies within z standard deviations of k/n, measured with that p's own deviation:

    |k/n - p| ≤ z √(p (1 - p) / n)

A quadratic in p; its two roots are the ends.

Symbols: k successes, n trials, p probability, z quantile of the standard normal distribution.

Sources:
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22, pages 209-212.
    Brown, Cai, DasGupta (2001), Interval estimation for a binomial proportion, Statistical Science 16(2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """Ends of an interval, both included."""

    low: float
    high: float


class Summary(NamedTuple):
    """Repeated runs: mean, sample standard deviation (nan for one run), number of runs."""

    mean: float
    deviation: float
    runs: int


def wilson_interval(successes: float, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval, (k + z²/2 ± z √(k (n - k) / n + z²/4)) / (n + z²).

    0 of n gives exactly (0, z² / (n + z²)), n of n exactly (n / (n + z²), 1).

    Args:
        successes: k in 0..n; as a mean over several classifiers of the same n pictures it need not be whole.
        trials: n, at least 1.
        confidence: Share of such intervals that hold p, in (0, 1), usually 0.95.

    Returns:
        The ends, in 0..1.

    Raises:
        ValueError: If there are no trials, or k or the confidence is out of its range.

    Source:
        Brown, Cai, DasGupta (2001), equation 4.
    """
    _check(successes, trials, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = successes + z * z / 2
    half = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4)
    # Rounding must not leave 1e-17 where the root is 0, nor pass 1.
    low = 0.0 if successes == 0 else (centre - half) / (trials + z * z)
    high = 1.0 if successes == trials else (centre + half) / (trials + z * z)
    return Interval(low, high)


def summarise(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation √(Σ (x - mean)² / (n - 1)) of repeated runs.

    Args:
        values: One figure a run, at least one.

    Returns:
        The summary; the deviation of one run is not known (nan).

    Raises:
        ValueError: If there are no values.
    """
    if len(values) == 0:
        raise ValueError("summarise needs at least one value, not 0")
    if len(values) == 1:
        return Summary(values[0], math.nan, 1)
    if min(values) == max(values):  # or rounding would give them a deviation
        return Summary(values[0], 0.0, len(values))
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Summary(mean, deviation, len(values))


def _check(successes: float, trials: int, confidence: float) -> None:
    if trials < 1:
        raise ValueError(f"an interval needs at least 1 trial, not {trials}")
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be in 0..{trials}, not {successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
