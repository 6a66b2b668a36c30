"""The space of inputs on its way through a network: a grid and the points of two classes at every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.style import BLUE, THEORY, VERMILLION, finding, label, new_figure, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = "#BBBBBB"


class _Plane(Protocol):
    normal: NDArray[np.float64]
    offset: float
    separable: bool


class _Stage(Protocol):
    @property
    def points(self) -> NDArray[np.float64]: ...
    @property
    def plane(self) -> Any: ...
    @property
    def accuracy(self) -> float: ...


def flatten_space(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The plane that shows most of a cloud: its first two principal directions.

    Args:
        points: Shape (n, d), n at least 1.

    Returns:
        Centre (d,), directions as columns (d, 2), and the share of the variance that they hold. In one and two
        dimensions nothing is turned.
    """
    dimension = points.shape[1]
    if dimension <= 2:
        return np.zeros(dimension), np.eye(dimension, 2), 1.0
    centre = points.mean(0)
    values, vectors = np.linalg.eigh(np.cov((points - centre).T))
    return centre, vectors[:, :-3:-1], float(values[-2:].sum() / max(values.sum(), 1e-300))


def _scene(axes: Axes, points: NDArray[np.float64], labels: NDArray[Any], lines: ArrayLike | None) -> None:
    """Points of two classes over a grid, both of two coordinates, on equal scales."""
    from matplotlib.collections import LineCollection

    if lines is not None:
        axes.add_collection(LineCollection(list(np.asarray(lines)), colors=LINE, linewidths=0.6))
    for name, colour in ((0, BLUE), (1, VERMILLION)):
        chosen = points[labels == name]
        axes.plot(chosen[:, 0], chosen[:, 1], "o", color=colour, markersize=2.2, linestyle="none")
    axes.grid(False)
    axes.margins(0.08)
    axes.set_aspect("equal", adjustable="datalim")
    axes.tick_params(labelsize=6.5)


def _boundary(axes: Axes, plane: _Plane) -> None:
    """The plane of least slack, where the stage has two dimensions, drawn across what is seen."""
    if not plane.normal.any():
        return
    from matplotlib.lines import Line2D

    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    middle = np.array([(left + right) / 2, (low + high) / 2])
    nearest = middle - plane.normal * (plane.normal @ middle + plane.offset) / (plane.normal @ plane.normal)
    along = np.array([-plane.normal[1], plane.normal[0]]) / np.linalg.norm(plane.normal)
    reach = np.hypot(right - left, high - low)
    ends = nearest + np.outer([-reach, reach], along)
    axes.add_artist(Line2D(ends[:, 0], ends[:, 1], **THEORY))  # unlike plot, this moves no limit


def _dashed(stages: Sequence[_Stage]) -> str:
    """What the title says of the planes: that they are drawn, and where there is none."""
    flat = [stage.plane.normal.any() for stage in stages if stage.points.shape[1] == 2]
    drawn = "; dashed: the plane of least slack" if any(flat) else ""
    where = ("; where no line is, " if drawn else "; ") if not all(flat) else ""
    return drawn + (f"{where}no plane has less slack than one answer for all" if where else "")


def layers_figure(stages: Sequence[_Stage], labels: ArrayLike, lines: Sequence[ArrayLike] | None) -> Figure:
    """The points, and the grid of the input plane, at every stage of a network.

    Args:
        stages: The inputs and each hidden layer: points (n, d), plane of least slack, share right.
        labels: 0 or 1, shape (n,).
        lines: The grid at every stage, each of shape (lines, steps, d); None draws points only.

    Returns:
        A figure of one axes for each stage, more than two dimensions seen along the two largest principal components;
        the title tells where the classes become separable.

    Raises:
        ValueError: If there is no stage or the numbers differ.
    """
    y = np.asarray(labels)
    if not stages or (lines is not None and len(lines) != len(stages)):
        raise ValueError(f"{len(stages)} stages and {0 if lines is None else len(lines)} grids; allowed: as many")
    columns = min(len(stages), 4)
    rows = -(-len(stages) // columns)
    figure, panels = new_figure(2.8 * columns + 0.6, 2.9 * rows + 0.6, rows=rows, columns=columns)
    for place, (axes, stage) in enumerate(zip(panels, stages, strict=False)):
        centre, directions, share = flatten_space(stage.points)
        grid = None if lines is None else (np.asarray(lines[place]) - centre) @ directions
        _scene(axes, (stage.points - centre) @ directions, y, grid)
        if stage.points.shape[1] == 2:
            _boundary(axes, stage.plane)
        seen = "" if share >= 0.9995 else f" ({percent(share)} seen)"
        by = "a plane" if stage.plane.normal.any() else "one answer for all"
        verdict = "separable" if stage.plane.separable else f"{percent(stage.accuracy)} by {by}"
        name = f"layer {place}" if place else "inputs"
        _name_axes(axes, stage.points.shape[1], f"{name}, {stage.points.shape[1]}-d{seen}\n{verdict}", turned=True)
    for axes in panels[len(stages) :]:
        axes.set_visible(False)
    first = next((place for place, stage in enumerate(stages) if stage.plane.separable), None)
    where = "at no layer" if first is None else "from the start" if not first else f"from layer {first} on"
    finding(
        figure, f"the classes are linearly separable {where}{_dashed(stages)}",
        left=0.55, between=0.6, bottom=0.42,
        below=0.9, header=0.42,
    )  # fmt: skip
    return figure


def _name_axes(axes: Axes, dimension: int, panel: str, *, turned: bool = False) -> None:
    """Which two coordinates are drawn; one dimension has no second one. A space of more may be ``turned``."""
    kind = "principal component" if turned and dimension > 2 else "coordinate"
    label(axes, f"{kind} 1", f"{kind} 2" if dimension > 1 else "", panel)
    if dimension == 1:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)


def anatomy_figure(
    names: Sequence[str],
    points: Sequence[ArrayLike],
    lines: Sequence[ArrayLike],
    labels: ArrayLike,
    layer: str = "a layer",
) -> Figure:
    """One layer in steps: rotate or reflect, scale, rotate or reflect, shift, bend.

    Args:
        names: What each step does, S of them: a verb, with more behind a comma; or input.
        points: After each step, shape (n, d); the first two coordinates are drawn.
        lines: The grid after each step, shape (lines, steps, d).
        labels: 0 or 1, shape (n,).
        layer: Which one it is, for the title.

    Returns:
        A figure of one axes for each step.

    Raises:
        ValueError: If the numbers differ.
    """
    if not len(names) == len(points) == len(lines) or not len(names):
        raise ValueError(
            f"{len(names)} names, {len(points)} clouds, {len(lines)} grids; allowed: as many, at least one"
        )
    figure, panels = new_figure(2.5 * len(names) + 0.4, 3.1, columns=len(names))
    y = np.asarray(labels)
    for axes, name, cloud, grid in zip(panels, names, points, lines, strict=True):
        flat, net = (_two(np.asarray(part, dtype=float)) for part in (cloud, grid))
        _scene(axes, flat, y, net)
        _name_axes(axes, np.shape(cloud)[1], f"{name} ({np.shape(cloud)[1]}-d)")
    steps = [f"{name.partition(',')[0]}s" for name in names if name != "input"]
    does = " and ".join([", ".join(steps[:-1]), steps[-1]] if len(steps) > 1 else steps)
    drawn = "coordinates 1 and 2" if any(np.shape(cloud)[1] > 1 for cloud in points) else "the one coordinate"
    bends = "" if "bends" in steps else ", and bends nothing"
    finding(
        figure, f"{layer} {does}{bends}; drawn: {drawn} of each step", left=0.55, between=0.6, bottom=0.42,
    )  # fmt: skip
    return figure


def _two(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first two coordinates; a single one gets a zero beside it."""
    return part[..., :2] if part.shape[-1] > 1 else np.concatenate([part, np.zeros_like(part)], -1)
