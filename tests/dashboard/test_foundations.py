"""Figures of gradients, of space and of attacks: what is drawn are the numbers, and the title follows from them."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dashboard.adversarial import accuracy_figure, changes_figure
from dashboard.geometry import anatomy_figure, flatten_space, layers_figure
from dashboard.gradient_flow import profile_figure, ratio_figure, trainability_figure
from dashboard.style import to_image
from models.point_network import Stage
from tests.dashboard.figures_with_legends import minimisers
from tests.dashboard.titles import title
from theory.separability import separating_plane


def test_profiles_are_drawn_beside_their_dashed_closed_form() -> None:
    theory = [np.array([0.1, 0.5, 1.0]), np.array([4.0, 2.0, 1.0])]
    measured = [theory[0] * [1.1, 1, 1], theory[1]]
    figure = profile_figure(["a-b", "c-d"], ["a", "c"], measured, theory)
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines if line.is_dashed()] == [row.tolist() for row in theory]
    points = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert points == [row.tolist() for row in measured]
    assert title(figure).endswith("at most 10.0 % away at any layer, for a-b")
    assert to_image(figure).std() > 0


def test_settings_share_panels_evenly() -> None:
    rows = [np.ones(3)] * 9
    kinds = ["sigmoid", "tanh", "tanh", "linear", "relu", "relu", "leaky", "relu", "relu"]
    figure = profile_figure([str(k) for k in range(9)], kinds, rows, rows)
    assert [sum(line.is_dashed() for line in axes.lines) for axes in figure.axes] == [5, 4]
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() != "None"]
    colours: dict[str, set[str]] = {}
    for kind, line in zip(kinds, lines, strict=True):
        colours.setdefault(kind, set()).add(str(line.get_color()))
    assert all(len(found) == 1 for found in colours.values()), "an activation has one colour in all panels"
    assert len(set.union(*colours.values())) == 5
    for group in (lines[:5], lines[5:]):
        looks = {(line.get_color(), line.get_marker()) for line in group}
        assert len(looks) == len(group), "no two settings of a panel look alike"
        filled = [line.get_markerfacecolor() != "none" for line in group]
        assert all(a != b for a, b in pairwise(filled)), "one can be seen through the next"


def test_the_trap_is_named_and_a_missing_ratio_is_left_out() -> None:
    figure = ratio_figure(
        ["x", "y", "z"], [1e-3, 1.0, 40.0], [1e-3, 1.0, 38.0], [1.0, 1.1, math.nan], [1.0, 1.0, math.nan]
    )
    assert title(figure) == "weight gradients hide how δ decays: x has 1, δ 0.001"
    assert to_image(figure).std() > 0


@pytest.mark.parametrize(
    ("found", "weights", "due"),
    [
        ([1.0, 1.0], [1.0, 1.2], "weight gradients agree with δ within a factor of 2: b has 1.2, δ 1 at most"),
        ([1e-62, 1.0], [5e-62, 1.0], "weight gradients and δ differ by a factor of 5: a has 5·10⁻⁶², δ 10⁻⁶²"),
        ([0.5, 1e-3], [math.nan, 1.0], "weight gradients hide how δ decays: b has 1, δ 0.001"),
        ([50.0, 0.9], [1.0, math.nan], "weight gradients hide how δ grows: a has 1, δ 50"),
        ([0.5, 0.5], [math.nan] * 2, "gradient of the first layer over that of the last: δ alone, there is no ratio "
         "of weight gradients"),
    ],
)  # fmt: skip
def test_the_title_of_the_ratios_says_what_they_are(found: list[float], weights: list[float], due: str) -> None:
    assert title(ratio_figure(["a", "b"], found, found, weights, weights)) == due


@pytest.mark.parametrize("weights", [[np.nan, 1.1], [np.nan, np.nan], [0.0, 0.0]])
def test_a_ratio_of_weight_gradients_is_in_the_legend_where_one_is_drawn(weights):
    figure = ratio_figure(["a", "b"], [0.1, 2.0], [0.1, 2.0], weights, np.abs(weights))
    names = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert ("∂loss/∂W, measured" in names) == ("∂loss/∂W, closed form" in names) == (1.1 in weights)
    assert ("δ alone" in title(figure)) == (1.1 not in weights)


def test_a_single_epoch_is_seen():
    curves = trainability_figure(["x", "y"], ["relu", "tanh"], [[2.4, 2.3]], 10, 30).axes[0].lines[:2]
    assert all(line.get_marker() != "None" for line in curves), "a line of one point draws nothing"


def test_lines_that_lie_on_each_other_are_all_seen_and_named():
    names, kinds = [str(k) for k in range(9)], list("aabbccdde")
    figure = trainability_figure(names, kinds, np.full((3, 9), 2.3), 10, 30)
    for axes, group in zip(figure.axes, (names[:5], names[5:]), strict=True):
        lines, chance = axes.lines[:-1], axes.lines[-1]
        widths = [line.get_linewidth() for line in lines]
        assert all(below - above >= 0.5 for below, above in pairwise(widths))
        assert min(widths) >= 1
        assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == len(group)
        assert chance.zorder < min(line.zorder for line in lines)
        assert [text.get_text() for text in axes.get_legend().get_texts()] == group


def test_an_axis_makes_no_room_for_its_legend():
    rows = [np.array([1e-12, 1.0]), np.ones(2)]
    profile = profile_figure(["a", "b"], ["relu", "tanh"], rows, rows)
    assert profile.axes[0].get_ylim()[1] < 10
    losses = trainability_figure(["a", "b"], ["relu", "tanh"], [[2.4, 2.3], [2.0, 1.0]], 10, 30)
    assert losses.axes[0].get_ylim() == (0, pytest.approx(2.64))
    runaway = trainability_figure(["a", "b"], ["relu", "tanh"], [[2.4, 2.3], [math.inf, 1e6]], 10, 30)
    assert runaway.axes[0].get_ylim() == (0, pytest.approx(1.8 * math.log(10)))


def test_settings_at_chance_are_counted() -> None:
    figure = trainability_figure(["x", "y"], ["relu", "relu"], [[2.4, 2.3], [2.303, 0.5]], 10, 30)
    assert title(figure).startswith("30 layers: 1 of 2 settings has a mean loss of the last epoch above 95 % of that")
    assert math.log(10) in [line.get_ydata()[0] for line in figure.axes[0].lines if line.is_dashed()]


def stage(points: np.ndarray, labels: np.ndarray) -> Stage:
    return Stage(points, separating_plane(points, labels), 0.9, -3.0, len(points), points.shape[1])


def test_the_plane_of_a_stage_is_drawn_where_it_is() -> None:
    labels = np.array([0, 0, 1, 1])
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    figure = layers_figure([stage(points, labels), stage(np.eye(4)[:, :3], labels)], labels, None)
    assert title(figure).startswith("the classes are linearly separable from the start")
    plane = separating_plane(points, labels)
    (line,) = [artist for artist in figure.axes[0].get_children() if getattr(artist, "is_dashed", lambda: False)()]
    ends = np.column_stack([line.get_xdata(), line.get_ydata()])
    np.testing.assert_allclose(ends @ plane.normal + plane.offset, 0, atol=1e-9)
    assert "3-d" in figure.axes[1].get_title(loc="left")
    assert to_image(figure).std() > 0


def test_xor_is_said_to_be_inseparable() -> None:
    labels = np.array([0, 1, 1, 0])
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    figure = layers_figure([stage(points, labels)], labels, None)
    assert "at no layer; dashed" in title(figure)
    assert to_image(figure).std() > 0


def test_a_plane_that_is_not_drawn_is_not_named() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    labels = np.array([0, 1, 1, 1, 1])
    around = stage(points, labels)
    assert not around.plane.normal.any()
    figure = layers_figure([around], labels, None)
    assert title(figure).endswith("at no layer; no plane has less slack than one answer for all")
    assert not any(getattr(artist, "is_dashed", lambda: False)() for artist in figure.axes[0].get_children())


def test_the_plane_seen_holds_the_largest_components() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((500, 4)) * [5.0, 0.1, 3.0, 0.1]
    _, directions, share = flatten_space(points)
    assert share == pytest.approx(34 / 34.02, abs=1e-3)
    np.testing.assert_allclose(np.abs(directions[[0, 2]]), np.eye(2), atol=0.05)


def test_steps_of_one_dimension_are_drawn() -> None:
    cloud = np.linspace(0, 1, 4)[:, None]
    figure = anatomy_figure(["scale"], [cloud], [np.zeros((2, 5, 1))], np.array([0, 1, 0, 1]))
    assert to_image(figure).std() > 0
    assert title(figure) == "a layer scales, and bends nothing; drawn: the one coordinate of each step"
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("coordinate 1", "")
    assert not figure.axes[0].get_yticks().size, "a second coordinate that is none has no scale"
    names = ["reflect, Vᵀ", "scale, Σ", "bend, tanh"]
    steps = anatomy_figure(names, [cloud] * 3, [np.zeros((2, 5, 1))] * 3, np.array([0, 1, 0, 1]))
    assert "a layer reflects, scales and bends;" in title(steps)


def test_the_axes_of_a_space_are_named_and_the_layer_is_told() -> None:
    labels = np.array([0, 0, 1, 1])
    flat = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    figure = layers_figure([stage(points, labels) for points in (flat, np.eye(4)[:, :3], flat[:, :1])], labels, None)
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes] == [
        ("coordinate 1", "coordinate 2"), ("principal component 1", "principal component 2"), ("coordinate 1", ""),
    ]  # fmt: skip
    steps = anatomy_figure(["scale"], [np.eye(4)[:, :3]], [np.zeros((2, 5, 3))], labels, "layer 1 of 3")
    assert title(steps) == "layer 1 of 3 scales, and bends nothing; drawn: coordinates 1 and 2 of each step"
    assert (steps.axes[0].get_xlabel(), steps.axes[0].get_ylabel()) == ("coordinate 1", "coordinate 2")


def test_the_axis_of_an_entropy_says_what_its_nats_are_of() -> None:
    left, right = minimisers(np.random.default_rng(0)).axes
    assert left.get_ylabel() == "mean loss"
    assert right.get_ylabel() == "mean cross entropy (nats)"


def shares() -> dict[str, list[float]]:
    return {"fgsm": [1, 0.5], "pgd": [1, 0.05], "linear_pgd": [0.9, 0.33], "linear_exact": [0.9, 0.3]}


def test_accuracy_under_attack_is_drawn_in_percent() -> None:
    figure = accuracy_figure([0.0, 0.1], shares(), 0.1)
    assert "below guessing at ε = 0.1" in title(figure)
    assert "by 3.0 points at most" in title(figure)
    (dashed,) = [line for line in figure.axes[0].lines if line.is_dashed()]
    assert list(dashed.get_ydata()) == [90, 30]


def test_pictures_before_and_after_stand_side_by_side() -> None:
    before = np.zeros((3, 1, 8, 8))
    after = before.copy()
    after[:, 0, 2, 3] = 0.94
    figure = changes_figure(before, after, ["0", "1", "2"], ["5", "6", "7"], "three pictures", limit=2)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0", "→ 5", "1", "→ 6"]
    assert to_image(figure).std() > 0


def test_figures_refuse_what_does_not_fit() -> None:
    row, pictures = np.ones(3), np.zeros((2, 1, 4, 4))
    wrong: list[Any] = [
        lambda: profile_figure(["a"], ["relu"], [row], [row, row]),
        lambda: profile_figure(["a"], [], [row], [row]),
        lambda: ratio_figure(["a"], [1.0], [1.0, 2.0], [1.0], [1.0]),
        lambda: trainability_figure(["a"], ["relu"], [[1.0, 2.0]], 10, 3),
        lambda: layers_figure([], np.zeros(0), None),
        lambda: anatomy_figure([], [], [], []),
        lambda: accuracy_figure([0.0], shares(), 0.1),
        lambda: changes_figure(pictures, pictures[:1], ["a"], ["b"], ""),
    ]
    for draw in wrong:
        with pytest.raises(ValueError, match="allowed"):
            draw()
