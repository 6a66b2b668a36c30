"""Verification measures against scikit-learn, counting, and the normal distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from theory.verification import (
    area_under_curve,
    equal_error_crossing,
    equal_error_rate,
    error_rates,
    pair_scores,
    receiver_curve,
    verification_accuracy,
)


def scores(same: int, different: int, apart: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(same, generator=generator, dtype=torch.float64) + apart,
        torch.randn(different, generator=generator, dtype=torch.float64),
    )


@pytest.mark.parametrize("digits", [8, 1, 0])  # rounding makes ties
def test_curve_and_area_equal_scikit_learns(digits: int) -> None:
    same, different = (values.round(decimals=digits) for values in scores(70, 200))
    truth, values = [1] * 70 + [0] * 200, torch.cat([same, different])
    false_accept, true_accept, thresholds = roc_curve(truth, values, drop_intermediate=False)
    ours = receiver_curve(same, different)
    for mine, due in zip(ours, (thresholds, false_accept, true_accept), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(due), atol=1e-14, rtol=0)
    assert area_under_curve(same, different) == pytest.approx(roc_auc_score(truth, values), abs=1e-14)
    # Mann and Whitney: count the pairs of pairs.
    above = (same.unsqueeze(1) > different).double() + (same.unsqueeze(1) == different).double() / 2
    assert area_under_curve(same, different) == pytest.approx(above.mean().item(), abs=1e-14)


def test_errors_at_a_threshold_by_counting() -> None:
    same, different = torch.tensor([0.9, 0.5, 0.4]), torch.tensor([0.5, 0.1, 0.2, 0.6])
    # A score equal to the threshold is accepted.
    assert error_rates(same, different, 0.5) == pytest.approx((2 / 4, 1 / 3))
    assert verification_accuracy(same, different, 0.5) == pytest.approx(1 - (2 / 4 + 1 / 3) / 2)
    assert error_rates(same, different, 2.0) == (0.0, 1.0)
    assert error_rates(same, different, -2.0) == (1.0, 0.0)


def test_equal_error_by_hand() -> None:
    # Between the thresholds 0.6 (FAR 1/4, FRR 1/2) and 0.4 (FAR 1/2, FRR 0) the lines cross at 1/3.
    same, different = torch.tensor([0.4, 0.8]), torch.tensor([0.6, 0.3, 0.2, 0.4])
    curve = receiver_curve(same, different)
    assert curve.thresholds.tolist() == pytest.approx([math.inf, 0.8, 0.6, 0.4, 0.3, 0.2])
    assert curve.false_accept.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
    assert curve.true_accept.tolist() == [0, 0.5, 0.5, 1, 1, 1]
    rate, threshold = equal_error_rate(same, different)
    assert rate == pytest.approx(1 / 3, abs=1e-7)
    assert threshold == pytest.approx(0.6 - 0.2 / 3, abs=1e-7)


def test_equal_error_of_extremes() -> None:
    apart = equal_error_rate(torch.tensor([0.8, 0.9]), torch.tensor([0.1, 0.2]))
    assert apart.rate == 0
    assert apart.threshold == pytest.approx(0.5)  # the middle of the gap
    assert equal_error_rate(torch.tensor([0.1]), torch.tensor([0.9])).rate == 1
    assert equal_error_rate(torch.ones(3), torch.ones(5)).rate == pytest.approx(0.5)  # one score for all
    for seed in range(20):
        same, different = scores(13, 29, seed=seed)
        rate, threshold = equal_error_rate(same, different)
        low, high = sorted(error_rates(same, different, threshold))
        # No threshold hits both rates at once; the interpolated one is within one pair of each kind.
        assert low - 1 / 13 <= rate <= high + 1 / 13


def test_normal_scores_have_the_known_area_and_error() -> None:
    # Two unit normals d apart: area Φ(d / √2), equal error Φ(-d / 2) at d / 2.
    d = 2.0
    same, different = scores(40_000, 40_000, apart=d)
    rate, threshold = equal_error_rate(same, different)
    assert area_under_curve(same, different) == pytest.approx(NormalDist().cdf(d / math.sqrt(2)), abs=0.004)
    assert rate == pytest.approx(NormalDist().cdf(-d / 2), abs=0.006)
    assert threshold == pytest.approx(d / 2, abs=0.03)
    assert verification_accuracy(same, different, threshold) == pytest.approx(1 - rate, abs=1e-4)


def test_the_crossing_of_a_smooth_curve_is_the_known_error() -> None:
    for d in (0.0, 1.0, 4.0):
        threshold = torch.linspace(8, -8, 20001, dtype=torch.float64)
        false_accept, true_accept = (1 - torch.special.ndtr(threshold - mean) for mean in (0.0, d))
        after, share, rate = equal_error_crossing(false_accept, true_accept)
        assert rate == pytest.approx(NormalDist().cdf(-d / 2), abs=1e-6)
        assert threshold[after] <= d / 2 <= threshold[after - 1]
        assert 0 < share <= 1


def test_pairs() -> None:
    matrix = torch.arange(16.0).view(4, 4)
    same, different = pair_scores(matrix, torch.tensor([0, 0, 1, 1]))
    assert same.tolist() == [1, 11]
    assert different.tolist() == [2, 3, 6, 7]
    with pytest.raises(ValueError, match="pair_scores"):
        pair_scores(matrix, torch.arange(3))


@pytest.mark.parametrize("wrong", [torch.tensor([]), torch.tensor([0.5, math.nan]), torch.zeros(2, 2)])
def test_impossible_scores_are_refused(wrong: torch.Tensor) -> None:
    right = torch.tensor([0.5])
    for arguments in ((wrong, right), (right, wrong)):
        with pytest.raises(ValueError, match=r"at least 1|not finite"):
            equal_error_rate(*arguments)
