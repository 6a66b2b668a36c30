"""Errors over the number of units: the floor is dashed, zeros have a line, the title follows from the numbers."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from dashboard.width_errors import Levels, error_figure
from tests.dashboard.titles import title


def test_below_the_floor_the_title_is_of_the_seed_that_the_run_tells_of() -> None:
    figure = error_figure([1], {"Adam": [[4e-5, 0.14, 0.3]]}, [0.14], subject="f", chosen=[4e-5], more_pieces=[0.1])
    (axes,) = figure.axes
    assert title(figure).endswith(
        "at N = 1: Adam, best of 3 seeds, × 0.0003; N units can make N + 1 pieces, the floor is of N"
    )
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(drawn["best seed"].get_ydata(), 4e-5)
    for name, due in (("proved floor", 0.14), ("floor of N + 1 pieces", 0.1)):
        np.testing.assert_allclose(drawn[name].get_ydata(), due)
        assert len(np.ravel(drawn[name].get_xdata())) == 2, "a line across, where one place would show nothing"
    without = error_figure([1], {"Adam": [[4e-5, 0.14]]}, [0.14], subject="f", chosen=[4e-5], more_pieces=[0.0])
    assert "floor of N + 1 pieces" not in {line.get_label() for line in without.axes[0].lines}, (
        "0 on a logarithmic axis"
    )


def test_a_logarithmic_axis_within_a_decade_is_numbered() -> None:
    figure = error_figure([1, 2], {"a": [[0.7], [0.5]]}, [0.6, 0.5], subject="f")
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 2


def test_errors_over_the_floor() -> None:
    figure = error_figure([8, 16], {"free knots": [[2e-3], [1e-3]], "Adam": [[1e-2, 3e-2], [1e-2, 5e-2]]},
                          [2e-3, 5e-4], 0.128, subject="f")  # fmt: skip
    (axes,) = figure.axes
    dashed = [line for line in axes.lines if line.get_label() == "proved floor"]
    np.testing.assert_allclose(dashed[0].get_ydata(), [2e-3, 5e-4])
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted[0].get_ydata(), [2e-3, 5e-4])
    assert title(figure) == "f: error over floor at N = 16: free knots × 2, Adam × 60"
    assert title(error_figure([8], {"a": [[0.0]]}, [0.0], subject="f")) == "f: error over the number of units"


def test_what_is_zero_but_for_rounding_lies_on_a_line_of_that_name_with_the_floor_over_it() -> None:
    errors = {"free knots": [[0.0, 2e-17], [1e-17, 1e-17]], "Adam": [[0.2, 0.3], [0.1, 0.2]]}
    (axes,) = error_figure([8, 16], errors, [0.0, 0.0], subject="step", chosen=[0.0, 0.0], exact=1e-9).axes
    drawn = {str(line.get_label()): line for line in axes.lines}
    ticks = dict(zip((text.get_text() for text in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    np.testing.assert_allclose(drawn["proved floor"].get_ydata(), ticks["0"])
    np.testing.assert_allclose(drawn["best seed"].get_ydata(), ticks["0"])
    assert axes.get_ylim()[0] < ticks["0"] < 1e-2 < 0.1
    assert drawn["proved floor"].get_zorder() > max(line.get_zorder() for line in axes.lines[:6])
    (alone,) = error_figure([8], {"free knots": [[0.0]]}, [0.0], subject="step", exact=1e-9).axes
    assert [text.get_text() for text in alone.get_yticklabels()] == ["0", "1"]


def test_methods_of_one_width_stand_at_it() -> None:
    errors = [[1e-2, 2e-2, 3e-2]]
    (axes,) = error_figure([24], {"a": [[1e-2]], "b": errors, "c": errors}, [9e-3], subject="f").axes
    low, high = np.log(axes.get_xlim())
    shown = [np.log(container[0].get_xdata()[0]) for container in axes.containers]
    assert (max(shown) - np.log(24)) / (high - low) < 0.05
    assert axes.get_ylabel().endswith("median and span of 3 seeds")


@pytest.mark.parametrize("widths", [[16], [8, 16]])
def test_the_floor_of_a_single_width_is_seen(widths: list[int]) -> None:
    """A line of one point draws nothing."""
    errors, floors = [[1e-2]] * len(widths), [9e-3] * len(widths)
    lines = error_figure(widths, {"Adam": errors}, floors, 2.0, subject="f").axes[0].lines
    drawn = {str(line.get_label()): line for line in lines}
    floor, limit = drawn["proved floor"], drawn["(∫|f''|^⅖)^(5/2) / (√720 N²)"]
    assert list(floor.get_xdata()) == list(limit.get_xdata())
    assert floor.get_xdata()[0] < floor.get_xdata()[-1]
    assert floor.get_ydata()[-1] == 9e-3
    assert limit.get_ydata()[-1] == 2 / 16**2


def test_levels_put_zeros_two_decades_below_the_least_error() -> None:
    levels = Levels.of([np.array([[0.0, 0.3], [2e-5, 1e-12]])], exact=1e-9)
    assert (levels.zeros, levels.largest) == (True, 0.3)
    assert levels.least == pytest.approx(1e-7)
    np.testing.assert_allclose(levels([0.0, 1e-12, 2e-5]), [1e-7, 1e-7, 2e-5])
    assert not Levels.of([np.array([0.5, 2.0])], exact=0.0).zeros


@pytest.mark.parametrize("methods", [{}, {"a": [[1.0]]}, {"a": [1.0, 2.0]}])
def test_errors_without_a_row_for_each_width_are_refused(methods: dict[str, ArrayLike]) -> None:
    with pytest.raises(ValueError, match=r"methods must hold errors of shape \(2, seeds\)"):
        error_figure([8, 16], methods, subject="f")
