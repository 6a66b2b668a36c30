"""No legend lies on what it names."""

from typing import Any

import numpy as np
import pytest

from dashboard.perceptron import decision_figure


def covered(figure: Any) -> list[str]:
    """Labels of the lines that run through a legend."""
    figure.canvas.draw()
    found = []
    for axes in figure.axes:
        if axes.get_legend() is None:
            continue
        box = axes.get_legend().get_window_extent()
        for line in axes.lines:
            points = line.get_transform().transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
            steps = np.linspace(0, 1, 50)[:, None, None]
            if line.get_linestyle() != "None" and len(points) > 1:
                points = (points[:-1] * (1 - steps) + points[1:] * steps).reshape(-1, 2)
            inside = axes.bbox.contains if line.get_clip_on() else lambda x, y: True
            if any(box.contains(x, y) and inside(x, y) for x, y in points):
                found.append(str(line.get_label()))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_points_anywhere_are_seen_beside_a_decision(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-0.5, 1.5, (400, 2))
    side = np.linspace(-0.5, 1.5, 20)
    figure = decision_figure(
        points,
        (points[:, 0] > 0.5).astype(int),
        side,
        side[None, :] - side[:, None],
        units=[(1.0, 1.0, -0.5)],
        one_layer=(1.0, -1.0, 0.1),
        name="uniform",
        accuracy={"one layer": 0.5, "network": 1.0},
        separable=False,
    )
    assert covered(figure) == []
    left, right = ({str(line.get_label()): line for line in axes.lines} for axes in figure.axes)
    boundary = right["network's boundary"]
    assert boundary.get_color() != left["Rosenblatt's line"].get_color(), "one colour, one meaning"
    assert "network's boundary" in [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
