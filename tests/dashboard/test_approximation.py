"""Pictures of an approximation: what is measured is drawn, and the title follows from the numbers."""

import numpy as np
import pytest

from dashboard.approximation import fit_figure, knots_figure, surface_figure, units_figure
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
        lambda: knots_figure(np.zeros((0, 3)), np.zeros(3), subject="f"),
        lambda: units_figure(X, np.zeros((0, 101)), 0.0, subject="f"),
        lambda: surface_figure({}, subject="f", text="", extent=(0, 1, 1, 0)),
    ):
        with pytest.raises(ValueError, match=r"allowed|must hold"):
            make()
