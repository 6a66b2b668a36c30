"""Intervals against scipy's, their own definition, and their coverage."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, binomtest

from theory.intervals import summarise, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 7), (7, 7), (3, 7), (356, 360), (9958, 10_000)])
@pytest.mark.parametrize("confidence", [0.68, 0.95, 0.999])
def test_the_interval_equals_scipys(successes: int, trials: int, confidence: float) -> None:
    due = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, trials, confidence) == pytest.approx((due.low, due.high), abs=1e-12)


def test_a_mean_count_need_not_be_whole() -> None:
    low, high = wilson_interval(339.5, 360)
    (low_below, high_below), (low_above, high_above) = wilson_interval(339, 360), wilson_interval(340, 360)
    assert low_below < low < low_above
    assert high_below < high < high_above


def test_the_ends_are_exact_at_none_and_all() -> None:
    z = 1.959963984540054
    for trials in (1, 10, 360, 10_000):
        nothing, everything = wilson_interval(0, trials), wilson_interval(trials, trials)
        assert nothing.low == 0.0
        assert everything.high == 1.0
        assert nothing.high == pytest.approx(z * z / (trials + z * z), rel=1e-12)
        assert everything.low == pytest.approx(trials / (trials + z * z), rel=1e-12)


def test_the_ends_of_wilson_lie_z_of_their_own_deviations_away() -> None:
    for end in wilson_interval(356, 360):
        assert abs(356 / 360 - end) / math.sqrt(end * (1 - end) / 360) == pytest.approx(1.959963984540054, rel=1e-9)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_coverage(probability: float) -> None:
    # Exact coverage: the probability of all k whose interval holds p.
    trials = 360
    covered = 0.0
    for k in range(trials + 1):
        low, high = wilson_interval(k, trials)
        covered += binom.pmf(k, trials, probability) * (low <= probability <= high)
    assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("arguments", [(0, 0), (-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0)])
def test_impossible_counts_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="not "):
        wilson_interval(*arguments)


def test_summary_of_runs() -> None:
    assert summarise([98.0, 99.0, 100.0]) == (99.0, 1.0, 3)
    alone = summarise([0.5])
    assert (alone.mean, alone.runs) == (0.5, 1)
    assert math.isnan(alone.deviation)
    # A large common part must not swallow the deviation.
    assert summarise([1e9 + 1, 1e9 + 2, 1e9 + 3]).deviation == 1.0
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_equal_values_have_no_deviation() -> None:
    assert summarise([0.1] * 3) == (0.1, 0.0, 3)
    assert summarise([0.1 + 0.2] * 7).mean == 0.1 + 0.2
