"""Figures of energy models: they fit, and their titles tell the numbers drawn."""

import numpy as np

from dashboard.energy import bounds_figure, dreams_figure, filters_figure, two_sided_figure
from dashboard.style import to_image
from tests.dashboard.titles import title


def test_two_sides_tell_their_distance() -> None:
    low, high = [[9.0, 0.5, 8.0, 0.5], [9.9, 0.1, 9.8, 0.1]], [[10.5, 0.5, 12.0, 0.5], [10.1, 0.1, 10.2, 0.1]]
    assert "backward − forward = +0.20 ± 0.14 nats" in title(two_sided_figure([100, 1000], low, high))
    figure = two_sided_figure([100, 1000], low, high, exact=10.0)
    assert "forward −0.10 ± 0.10 nats from exact, backward +0.10 ± 0.10" in title(figure)
    assert to_image(figure).std() > 0
    names = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert {"estimate, forward", "estimate, backward", "between the bounds, mean of log w"} < names
    small = two_sided_figure([1, 2], [[0.0, 2e-6, 0.0, 0.1]] * 2, [[-3e-6, 1e-6, -1.0, 0.1]] * 2)
    assert "forward = −3·10⁻⁶ ± 2.2·10⁻⁶ nats" in title(small)
    assert not any("between" in text.get_text() for text in small.axes[0].get_legend().get_texts()), "bounds exchanged"


def test_an_unknown_error_is_not_drawn_as_a_number() -> None:
    low, high = [[9.0, 0.5, 8.0, 0.5], [9.9, np.nan, 9.8, 0.1]], [[10.5, 0.5, 12.0, 0.5], [10.1, 0.1, 10.2, 0.1]]
    figure = two_sided_figure([100, 1000], low, high)
    assert "= +0.200 nats (error unknown) with 1,000" in title(figure)
    assert to_image(figure).std() > 0
    assert "forward −0.100 nats from exact, backward +0.10 ± 0.10" in title(two_sided_figure([1, 2], low, high, 10.0))
    assert to_image(bounds_figure([-120.0], [784, 500], [np.nan])).std() > 0


def test_filters_are_sorted_by_length_and_survive_zero() -> None:
    weight = np.zeros((4, 3))
    weight[:, 1] = 2.0
    assert "1 strongest of 3 hidden units: 100 % of" in title(filters_figure(weight, (1, 2, 2), most=1))
    assert to_image(filters_figure(np.zeros((12, 3)), (3, 2, 2))).std() > 0


def test_dreams_and_bounds() -> None:
    assert to_image(dreams_figure(np.full((5, 4), 0.5), (1, 2, 2), "five")).std() > 0
    figure = bounds_figure([-25.1, -25.09], [64, 10, 64], [0.01, 0.02])
    told = "likelihood of one machine, then lower bound of the deeper network: −25.10, −25.09 nats"
    assert title(figure) == told
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["likelihood of one machine", "lower bound"]
    assert title(bounds_figure([-120.0], [784, 500])) == "likelihood of one machine: −120.00 nats"
    assert np.ptp(figure.axes[0].get_ylim()) >= 1  # hundredths of a nat do not look like a cliff
    assert to_image(bounds_figure([-120.0], [784, 500])).std() > 0
