"""Reliability and expected calibration error, against torchmetrics and closed forms."""

import itertools
import re

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from dashboard.calibration import reliability_bins, reliability_figure
from theory.calibration import calibration_floor


def test_ece_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    confidence = rng.random(1000)
    correct = rng.random(1000) < confidence**2
    theirs = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct).long(), n_bins=15, norm="l1")
    assert reliability_bins(confidence, correct).ece == pytest.approx(float(theirs), abs=1e-6)


def test_bins_by_hand():
    bins = reliability_bins([0.15, 0.19, 0.9, 1.0], [0, 1, 1, 1], num_bins=10)
    np.testing.assert_allclose(bins.confidence, [0.17, 0.9, 1.0])
    np.testing.assert_allclose(bins.accuracy, [0.5, 1, 1])
    assert bins.pictures.tolist() == [2, 1, 1]
    assert bins.ece == pytest.approx((2 * 0.33 + 0.1 + 0) / 4)
    assert np.isnan(reliability_bins([], []).ece)


@pytest.mark.parametrize(("confidence", "num_bins"), [([1.2], 15), ([-0.1], 15), ([float("nan")], 15), ([0.5], 0)])
def test_other_confidences_are_refused(confidence, num_bins):
    with pytest.raises(ValueError, match=r"0\.\.1|at least 1"):
        reliability_bins(confidence, [1], num_bins)


def test_floor_is_the_mean_over_all_outcomes():
    confidence = np.array([0.62, 0.65, 0.9])  # the first two share a bin of ten
    expected = 0.0
    for outcome in itertools.product([0, 1], repeat=3):
        weight = np.prod(np.where(outcome, confidence, 1 - confidence))
        expected += weight * reliability_bins(confidence, outcome, 10).ece
    floor = calibration_floor(torch.tensor(confidence), 10)
    assert floor == pytest.approx(expected, abs=0.02)
    assert floor == calibration_floor(torch.tensor(confidence), 10)


def test_floor_falls_as_one_over_the_root_of_the_pictures():
    # One bin of n pictures at confidence p: E|mean - p| = sqrt(2 p (1-p) / (pi n)) for large n.
    for n in (100, 10_000):
        expected = np.sqrt(2 * 0.7 * 0.3 / (np.pi * n))
        assert calibration_floor(torch.full((n,), 0.7)) == pytest.approx(expected, rel=0.1)


def test_the_figure_draws_both_curves_and_the_diagonal():
    rng = np.random.default_rng(0)
    after = rng.uniform(0.3, 1, 2000)
    correct = rng.random(2000) < after
    before = after ** (1 / 3)
    figure = reliability_figure(before, correct, after, temperature=1.42)
    diagram, histogram = figure.axes
    dashed = next(line for line in diagram.lines if line.is_dashed())
    np.testing.assert_array_equal(dashed.get_xydata(), [[0, 0], [1, 1]])
    for points, confidence in zip(diagram.collections, (before, after), strict=True):
        bins = reliability_bins(confidence, correct)
        np.testing.assert_allclose(points.get_offsets(), np.stack([bins.confidence, bins.accuracy], 1))
    ece = [100 * reliability_bins(confidence, correct).ece for confidence in (before, after)]
    title = figure.get_suptitle().replace("\n", " ")
    assert title.startswith(f"ECE {ece[0]:.1f} % before, {ece[1]:.1f} % after temperature 1.42; chance alone gives")
    assert ece[0] > 10 > 4 > ece[1]
    alone = 100 * calibration_floor(torch.tensor(after))  # of what the figure ends with
    assert title.endswith(f"chance alone gives {alone:.1f} % on 2,000 pictures")
    assert f"{alone:.1f}" != f"{100 * calibration_floor(torch.tensor(before)):.1f}"
    assert histogram.get_yscale() == "log"


def test_one_picture_and_none():
    figure = reliability_figure([0.7], [1])
    assert re.match(r"ECE 30\.0 % before; chance alone gives 4[12]\.", figure.get_suptitle())  # 2 * 0.7 * 0.3 = 0.42
    assert "chance" not in reliability_figure([], []).get_suptitle()
