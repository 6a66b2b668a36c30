"""Pictures of an approximation: what is measured is drawn, the floor is dashed, the title follows from the numbers."""

import numpy as np
import pytest

from dashboard.approximation import error_figure, fit_figure, knots_figure, surface_figure, units_figure
from dashboard.style import to_image
from tests.dashboard.titles import title

X = np.linspace(0, 1, 101)


def test_the_fit_stands_over_its_error() -> None:
    figure = fit_figure(X, X**2, X**2 + 0.01, [0, 1], [0.01, 1.01], subject="square")
    above, below = figure.axes
    assert [line.get_label() for line in above.lines] == ["function", "network", "knots"]
    assert above.lines[0].is_dashed()
    np.testing.assert_allclose(below.lines[0].get_ydata(), 0.01)
    assert title(figure) == "square: root mean square error 0.01, largest 0.01"
    assert len(fit_figure(X, X, X, [], [], subject="line", noisy=X).axes[0].lines) == 3


def test_few_samples_are_dots_on_the_function_itself() -> None:
    samples = [X[::25], X[::25] ** 2, X[::25] ** 2]
    figure = fit_figure(X, X**2, X**2 + 0.01, [], [], subject="f", samples=samples, between=0.01)
    above, below = figure.axes
    assert [line.get_label() for line in above.lines] == ["function", "network", "samples"]
    np.testing.assert_allclose(above.lines[2].get_xdata(), X[::25])
    assert above.lines[2].get_linestyle() == "None"
    np.testing.assert_allclose(below.lines[0].get_ydata(), 0.01)
    assert title(figure) == "f: root mean square error 0 on the 5 samples, 0.01 between them"
    unknown = fit_figure(X, None, X**2, [], [], subject="t.csv", samples=samples)
    assert [line.get_label() for line in unknown.axes[0].lines] == ["network", "samples"]


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


def test_knots_on_their_way() -> None:
    path = np.array([[0, 0.5, 1], [0, 0.6, 1], [0, 0.8, 1]])
    figure = knots_figure(path, path[-1], subject="f")
    np.testing.assert_allclose(figure.axes[0].lines[1].get_xdata(), path[:, 1])
    assert title(figure) == "f: knots moved by 0.100 on average, half of it in 2 rounds"
    assert title(knots_figure(path[[0, 2]], path[-1], subject="f")).endswith("half of it in 1 round")


def test_units_add_up() -> None:
    units = np.stack([X, -2 * np.maximum(X - 0.5, 0)])
    figure = units_figure(X, units, 1.0, subject="f")
    np.testing.assert_allclose(figure.axes[1].lines[-1].get_ydata(), 1 + units.sum(0))
    assert "2 lines of height up to 1 add up to a function of height 0.5" in title(figure)
    assert figure.axes[0].get_title("left") == "each unit: at most two straight pieces"
    assert "1 line of height up to 1 adds up to" in title(units_figure(X, units[:1], 1.0, subject="f"))


def test_a_surface_is_drawn_on_one_scale() -> None:
    picture = np.outer(X, X)
    figure = surface_figure({"function": picture, "16 units": picture / 2}, subject="f", text="t", extent=(0, 1, 1, 0))
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 1), (0, 1)]
    assert to_image(figure).shape[2] == 3


def test_arrays_that_do_not_fit_are_refused() -> None:
    for make in (
        lambda: fit_figure(X, X, X[1:], [], [], subject="f"),
        lambda: fit_figure([], [], [], [], [], subject="f"),
        lambda: error_figure([8], {}, subject="f"),
        lambda: error_figure([8, 16], {"a": [[1.0]]}, subject="f"),
        lambda: knots_figure(np.zeros((0, 3)), np.zeros(3), subject="f"),
        lambda: units_figure(X, np.zeros((0, 101)), 0.0, subject="f"),
        lambda: surface_figure({}, subject="f", text="", extent=(0, 1, 1, 0)),
    ):
        with pytest.raises(ValueError, match=r"allowed|must hold"):
            make()
