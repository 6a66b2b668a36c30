"""One is counted as one: no title says "1 pictures"."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dashboard import (
    adjustment,
    approximation,
    calibration,
    classification,
    coding,
    energy,
    generalisation,
    gradient_flow,
    network,
    regions,
)
from dashboard.style import counted
from tests.dashboard.titles import title

ONE, PICTURE = np.ones(1), np.zeros((1, 1, 8, 8))
PIECE = regions.Curve("1", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])

SINGLE: dict[str, tuple[Callable[[], Any], str]] = {
    "strata": (
        lambda: adjustment.simpson_figure(["a", "b"], ["all"], [[1, 2]], [[4, 4]], [0.25, 0.5]),
        "in 0 of 1 stratum, as counted",
    ),
    "samples": (
        lambda: approximation.fit_figure(
            np.linspace(0, 1, 9), np.zeros(9), np.zeros(9), np.zeros(0), np.zeros(0), subject="f",
            samples=np.zeros((3, 1)), between=0.5,
        ),
        "on the 1 sample,",
    ),
    "calibration": (lambda: calibration.reliability_figure(ONE * 0.9, ONE > 0), "on 1 picture"),
    "mistakes": (
        lambda: classification.mistakes_figure(PICTURE, [0], [1], [0.9], [2.0], ["a", "b"], mistakes=1, total=1),
        "mistakes: 1 among 1 picture: truth",
    ),
    "no mistakes": (
        lambda: classification.mistakes_figure(PICTURE[:0], [], [], [], [], ["a", "b"], mistakes=0, total=1),
        "no mistake among 1 picture",
    ),
    "batch": (lambda: classification.batch_figure(PICTURE, [0], ["a"]), "batch of 1 training picture 1×8×8"),
    "mixed": (
        lambda: classification.batch_figure(PICTURE, np.eye(2)[:1], ["a", "b"]),
        "batch of 1 mixed training picture 1×8×8",
    ),
    "directions": (
        lambda: coding.eigenpictures_figure(PICTURE, [1.0], 1), "one principal direction: 100.0 % of the variance",
    ),
    "hidden units": (
        lambda: energy.filters_figure(np.ones((64, 1)), (1, 8, 8)), "weights of the only hidden unit: 100 % of",
    ),
    "temperatures": (
        lambda: energy.two_sided_figure([1], [[1.0, 0.1, 0.5, 0.1]], [[1.2, 0.1, 1.4, 0.1]]), "with 1 temperature",
    ),
    "steps": (
        lambda: generalisation.filter_figure(ONE, ONE, [(1, ONE, ONE)]),
        "after 1 step 1 of 1 direction is more than half learned",
    ),
    "layers": (
        lambda: gradient_flow.trainability_figure(["a"], ["relu"], [[2.4]], 10, 1), "1 layer: 1 of 1 setting has a",
    ),
    "filters": (
        lambda: network.filters_figure(np.ones((1, 1, 3, 3))), "1 first filter 1×3×3: norm 3.00; none below",
    ),
    "maps": (lambda: network.feature_maps_figure(PICTURE[0], np.ones((1, 4, 4))), "1 feature map 4×4: none silent"),
}  # fmt: skip


@pytest.mark.parametrize("what", SINGLE)
def test_a_title_counts_one_as_one(what: str) -> None:
    draw, due = SINGLE[what]
    text = title(draw())
    assert due in text
    assert not re.search(r"(?<![\d.,])1 (\w+ )?(?!is\b|has\b|of\b)\w+s\b", text.partition(":")[0]), text


def test_a_panel_counts_one_as_one() -> None:
    assert regions.pieces_figure([PIECE], None, "").axes[0].get_title(loc="left") == "1: 1 piece"
    drawn = regions.Picture("1", [SQUARE], np.ones(1), np.zeros((0, 2, 2)))
    assert regions.regions_figure([drawn], "").axes[0].get_title(loc="left") == "1: 1 region"
    labels = generalisation.filter_figure(ONE, ONE, [(1, ONE, ONE)]).axes[0].get_legend_handles_labels()[1]
    assert "1 step" in labels


def test_the_strongest_of_several_units_are_told_from_all_of_them() -> None:
    some = energy.filters_figure(np.ones((64, 70)), (1, 8, 8))
    assert title(some).startswith("weights of the 60 strongest of 70 hidden units: 86 % of")
    every = energy.filters_figure(np.ones((64, 7)), (1, 8, 8))
    assert title(every).startswith("weights of all 7 hidden units, strongest first: 100 % of")


def test_more_than_one_and_none_are_plural() -> None:
    assert [counted(number, "picture") for number in (0, 1, 2, 1293)] == [
        "0 pictures", "1 picture", "2 pictures", "1,293 pictures",
    ]  # fmt: skip
