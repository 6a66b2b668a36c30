"""No legend lies on what it names, and none is cut."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dashboard
from dashboard.perceptron import decision_figure
from tests.dashboard.figures_with_legends import DRAWN_BY, FIGURES


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


def cut(figure: Any) -> list[str]:
    """Texts above the axes that reach over the edge of the figure, or lie on each other."""
    figure.canvas.draw()
    title = figure._suptitle
    panels = [axes._left_title for axes in figure.axes if axes.get_title(loc="left")]
    named = [text for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    boxes = {text: text.get_window_extent() for text in (title, *panels, *named)}
    found = [text for text, box in boxes.items() if box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1]
    found += [text for text in (*panels, *named) if boxes[text].overlaps(boxes[title])]
    found += [panel for panel in panels if any(boxes[panel].overlaps(boxes[text]) for text in named)]
    return [text.get_text() for text in found]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_a_legend_hides_no_curve_and_is_not_cut(draw: Callable[[np.random.Generator], Any], seed: int) -> None:
    figure = draw(np.random.default_rng(seed))
    assert any(axes.get_legend() for axes in figure.axes)
    assert covered(figure) == []
    assert cut(figure) == []


def test_every_figure_with_a_legend_is_looked_at() -> None:
    found = set()
    for file in sorted(Path(dashboard.__path__[0]).glob("*.py")):
        parts = ast.parse(file.read_text(encoding="utf-8")).body
        own = {part.name for part in parts if isinstance(part, ast.FunctionDef)}  # another function of that name
        for function in parts:
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = {node.id for node in calls if isinstance(node, ast.Name)}
            if isinstance(function, ast.FunctionDef) and names & ({"legend", "legend_above"} - own):
                found.add(f"{file.stem}.{function.name}")
    assert found == DRAWN_BY.keys()


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
