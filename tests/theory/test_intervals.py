"""Intervals against scipy's, their own definition, and their coverage."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, binomtest

from theory.intervals import clopper_pearson_interval, summarise, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (356, 360), (9958, 10_000)])
@pytest.mark.parametrize("confidence", [0.68, 0.95, 0.999])
def test_both_intervals_equal_scipys(successes: int, trials: int, confidence: float) -> None:
    test = binomtest(successes, trials)
    for method, ours in (("wilson", wilson_interval), ("exact", clopper_pearson_interval)):
        due = test.proportion_ci(confidence, method=method)
        assert ours(successes, trials, confidence) == pytest.approx((due.low, due.high), abs=1e-12)


def test_the_ends_are_exact_at_none_and_all() -> None:
    z = 1.959963984540054
    for trials in (1, 10, 360, 10_000):
        nothing, everything = wilson_interval(0, trials), wilson_interval(trials, trials)
        assert nothing.low == 0.0
        assert everything.high == 1.0
        assert nothing.high == pytest.approx(z * z / (trials + z * z), rel=1e-12)
        assert everything.low == pytest.approx(trials / (trials + z * z), rel=1e-12)
        # The exact interval of n of n is (tail)^(1/n).
        assert clopper_pearson_interval(trials, trials).low == pytest.approx(0.025 ** (1 / trials), rel=1e-12)


def test_the_ends_of_wilson_lie_z_of_their_own_deviations_away() -> None:
    for end in wilson_interval(356, 360):
        assert abs(356 / 360 - end) / math.sqrt(end * (1 - end) / 360) == pytest.approx(1.959963984540054, rel=1e-9)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_coverage(probability: float) -> None:
    # Exact coverage: the probability of all k whose interval holds p.
    trials = 360
    covered = {wilson_interval: 0.0, clopper_pearson_interval: 0.0}
    for k in range(trials + 1):
        for interval in covered:
            low, high = interval(k, trials)
            covered[interval] += binom.pmf(k, trials, probability) * (low <= probability <= high)
    assert covered[clopper_pearson_interval] >= 0.95
    assert covered[wilson_interval] == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("arguments", [(0, 0), (-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0)])
@pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])
def test_impossible_counts_are_refused(interval, arguments: tuple) -> None:
    with pytest.raises(ValueError, match="not "):
        interval(*arguments)


def test_summary_of_runs() -> None:
    assert summarise([98.0, 99.0, 100.0]) == (99.0, 1.0, 3)
    alone = summarise([0.5])
    assert (alone.mean, alone.runs) == (0.5, 1)
    assert math.isnan(alone.deviation)
    # A large common part must not swallow the deviation.
    assert summarise([1e9 + 1, 1e9 + 2, 1e9 + 3]).deviation == 1.0
    with pytest.raises(ValueError, match="at least one"):
        summarise([])
