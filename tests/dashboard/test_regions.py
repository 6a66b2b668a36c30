"""Figures of linear regions: what is counted is drawn, bounds are dashed, labels stay inside."""

import numpy as np
import pytest

from dashboard.regions import (
    Curve,
    Picture,
    bounds_figure,
    constructions_figure,
    pieces_figure,
    regions_figure,
    training_figure,
)
from dashboard.style import to_image

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TRIANGLES = [SQUARE[[0, 1, 2]], SQUARE[[0, 2, 3]]]


def margins_are_white(figure):
    pixels = to_image(figure)
    return all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.mark.parametrize("slopes", [[1.0, 300.0], [0.0, 0.0], [2.0, 2.0]])
def test_every_region_is_drawn(slopes):
    diagonal = [[[0.0, 0.0], [1.0, 1.0]]]
    pictures = [Picture("wide", TRIANGLES, slopes, diagonal), Picture("deep", [SQUARE], slopes[:1], [])]
    figure = regions_figure(pictures, "what was found")
    wide, deep = figure.axes[:2]
    assert [len(axes.collections[0].get_paths()) for axes in (wide, deep)] == [2, 1]
    assert len(wide.collections) == 2, "and the line between the classes"
    assert wide.get_title(loc="left") == "wide: 2 regions"
    assert figure.get_suptitle().replace("\n", " ").endswith("; on white lines both classes are equally likely")
    circled = regions_figure(pictures, "what was found", [0.25, 0.5])
    assert [[patch.get_radius() for patch in axes.patches] for axes in circled.axes[:2]] == [[0.25, 0.5]] * 2
    assert circled.get_suptitle().replace("\n", " ").endswith(", dashed are the true circles")
    assert margins_are_white(figure)
    with pytest.raises(ValueError, match="at least one network of at least one region"):
        regions_figure([Picture("none", [], [], [])], "")


def test_kinks_are_dots_and_the_target_is_dashed():
    curve, target = Curve("net", [0, 0.3, 1], [0, 1, 0]), Curve("hat", [0, 0.5, 1], [0, 1, 0])
    figure = pieces_figure([curve], target, "found")
    network, due = figure.axes[0].lines
    assert network.get_marker() == "o"
    assert network.get_xdata().tolist() == [0, 0.3, 1]
    assert due.is_dashed()
    assert figure.axes[0].get_title(loc="left") == "net: 2 pieces"
    assert margins_are_white(figure)


def test_bounds_are_above_what_is_drawn():
    counts = {"trained": [[10, 11], [12, 15]]}
    figure = bounds_figure([1, 2], counts, {"upper": [20, 4000], "order": [12, 12]}, "found")
    axes = figure.axes[0]
    dots = axes.lines[0]
    assert sorted(dots.get_ydata()) == [10, 11, 12, 15]
    assert sum(line.is_dashed() for line in axes.lines) == 2
    assert axes.get_ylim()[1] == 8000, "no room is made for the legend, which stands above"
    assert axes.get_legend().get_window_extent().y0 >= axes.bbox.y1
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["trained", "upper", "order"]
    over = bounds_figure([1, 2], counts, {"upper": [20, np.inf]}, "found").axes[0]
    assert over.get_ylim()[1] == 40
    assert margins_are_white(figure)


def test_training_shows_mean_and_deviation():
    figure = training_figure([0, 1, 2, 4], {"48": np.arange(8.0).reshape(4, 2), "one": np.ones((4, 1))}, "found")
    axes = figure.axes[0]
    assert axes.lines[0].get_ydata().tolist() == [0.5, 2.5, 4.5, 6.5]
    assert len(axes.collections) == 1, "a single network has no deviation"
    assert margins_are_white(figure)


def test_the_constructions_lie_on_their_formulas():
    layers, stages = np.arange(1, 5), np.arange(1, 4)
    figure = constructions_figure(
        layers, 2**layers, stages, 2.0 ** -(2 * stages + 2), ([1, 50], [0.1, 0.001]), (9, 23, 1 / 256)
    )
    left, right = figure.axes
    for axes in (left, right):
        assert np.allclose(axes.lines[0].get_ydata(), axes.lines[1].get_ydata())
        assert axes.lines[1].is_dashed()
    assert margins_are_white(figure)
