"""Figures of regression, adjustment and generalisation: titles tell what the arrays hold, and everything fits."""

import numpy as np
import pytest

from dashboard import style
from dashboard.adjustment import collider_figure, simpson_figure
from dashboard.generalisation import capacity_figure, double_descent_figure, filter_figure
from dashboard.regression import fit_figure, solvers_figure
from tests.dashboard.titles import title


def inside(figure: object) -> bool:
    """Whether title, axis labels and legends lie within the picture."""
    style.to_image(figure)  # type: ignore[arg-type]
    width, height = figure.canvas.get_width_height()  # type: ignore[attr-defined]
    parts = [figure._suptitle]  # type: ignore[attr-defined]
    for axes in figure.axes:  # type: ignore[attr-defined]
        parts += [axes.xaxis.label, axes.yaxis.label, *([axes.get_legend()] if axes.get_legend() else [])]
    boxes = [part.get_window_extent() for part in parts]
    return all(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1 for box in boxes)


@pytest.mark.parametrize(("family", "columns"), [("gaussian", 1), ("bernoulli", 1), ("poisson", 1), ("softmax", 3)])
def test_the_fit_tells_how_much_of_the_truth_lies_in_the_band(family, columns):
    x = np.linspace(0, 1, 10)
    truth = np.full((10, columns), 0.5)
    mean = truth + 0.1 * (np.arange(10) >= 7)[:, None]
    y = np.zeros((20, columns - 1 or 1))
    figure = fit_figure(family, x, mean, mean - 0.05, mean + 0.05, truth, points=(np.linspace(0, 1, 20), y))
    assert "truth on 70 % of" in title(figure)
    assert inside(figure)


def test_solvers_are_counted_and_zero_is_drawn():
    distances = np.stack([[1, 1e-5, 0, 0], [1, 1e-2, 1e-5, 1e-9], [1, 0.5, 0.25, 0.125]], 1)
    figure = solvers_figure(distances, ["IRLS", "L-BFGS", "gradient descent"], 0.5)
    assert title(figure) == "steps to 10⁻⁸ of the start: IRLS 2, L-BFGS 3, gradient descent over 3"
    axes = figure.axes[0]
    assert axes.get_xlabel() == "step of the solver"
    assert axes.get_ylabel() == "distance of θ from the most likely, ‖θ − θ*‖ (1)"
    assert inside(figure)
    (dashed,) = [line for line in figure.axes[0].lines if "slope due" in str(line.get_label())]
    np.testing.assert_allclose(dashed.get_ydata()[1:] / dashed.get_ydata()[:-1], 0.5)


def test_the_counts_of_many_steps_fit_on_one_line():
    figure = solvers_figure(np.ones((20_001, 3)), ["IRLS", "L-BFGS", "gradient descent"], 0.9999)
    assert str(figure.get_suptitle()).count("over 20000") == 3
    assert "\n" not in str(figure.get_suptitle())


def test_simpson_tells_both_differences():
    figure = simpson_figure(["old", "new"], ["a", "b"], [[9, 1], [5, 20]], [[10, 2], [50, 100]], [0.4, 0.3])
    assert title(figure) == "old ahead of new in 1 of 2 strata, as counted by 0.027, adjusted by 0.100"
    assert inside(figure)


def test_the_collider_tells_both_correlations():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4000))
    figure = collider_figure(x, y, x + y, -1.0)
    near = np.abs(x + y - 1) < 0.35
    assert f"the {near.sum()} with z near 1: {style.signed(np.corrcoef(x[near], y[near])[0, 1], 2)}" in title(figure)
    assert inside(figure)


@pytest.mark.parametrize("panels", [1, 2])
def test_capacity_tells_best_and_largest(panels):
    errors = (np.array([1.0, 0.3, 0.1]), np.array([1.2, 0.5, 30.0]))
    measured = {f"way {number}": errors for number in range(panels)}
    figure = capacity_figure([0, 1, 2], measured, {"way 0": errors}, 0.25, unit="degree")
    assert title(figure).startswith("way 0: best degree 1 (0.5), largest 2 (30)")
    figure.draw_without_rendering()
    assert all(float(place).is_integer() for axes in figure.axes for place in axes.get_xticks())
    assert title(capacity_figure([0, 1], {"way": ([1.0, 0.3], [1.2, 0.5])}, {}, 0.25, unit="degree")) == (
        "way: best degree 1 (0.5), the largest"
    )
    assert inside(figure)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_what_is_due_is_called_a_bound_where_it_is_one():
    errors = (np.array([1.0, 0.3]), np.array([1.2, 0.5]))
    pairs = {"way 0": errors, "way 1": errors}
    figure = capacity_figure([0, 1], pairs, pairs, 0.25, unit="degree", bounds=["way 1"])
    names = [{text.get_text() for text in axes.get_legend().get_texts()} for axes in figure.axes]
    assert "exact" in names[0]
    assert "at least, over all draws" in names[1]
    assert "exact" not in names[1]


def test_double_descent_leaves_out_means_that_do_not_settle():
    ratios, medians = np.array([0.5, 0.9, 1.0, 1.5]), np.array([1.0, 8.0, 60.0, 2.0])
    quartiles = np.stack([medians / 2, medians * [1, 1, 1.05, 1], medians * 2])
    figure = double_descent_figure(ratios, quartiles, medians, medians, [1.1, 9, np.inf, 2.1], samples=10)
    assert "at most 5.0 % from the exact law, at p/n = 1.00" in title(figure)
    (means,) = [line for line in figure.axes[0].lines if line.get_label() == "mean, measured"]
    assert means.get_xdata().tolist() == [0.5, 1.5]
    assert inside(figure)


def test_the_filter_counts_directions():
    figure = filter_figure(
        [0.1, 1.0], [0.1, 0.5, 1.0], [(3, [0.1, 0.6], [0.1, 0.4, 0.6]), (9, [0.3, 1], [0.3, 0.9, 1])]
    )
    assert "after 9 steps 1 of 2 directions" in title(figure)
    assert inside(figure)
