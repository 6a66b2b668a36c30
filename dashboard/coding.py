"""What a code keeps: reconstructions, eigenpictures, interpolation, maps of codes, noise removed.

Curves over the size of a code are in `dashboard.compression`. Every title states the finding, from the numbers drawn.
"""

# N pictures, P pairs, S steps, C channels, H height, W width

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.grid import picture_grid
from dashboard.style import (
    CYCLE,
    SMALL_POINTS,
    as_pictures,
    counted,
    finding,
    label,
    legend,
    names_along,
    new_figure,
    percent,
    plain,
    text_inches,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = tuple[str, ArrayLike, ArrayLike | None]
MOST_CLASSES = 10  # more colours cannot be told apart


def reconstructions_figure(rows: Sequence[Row], error: float, pca_error: float, numbers: int) -> Figure:
    """Pictures above what is left of them after coding.

    Args:
        rows: Name, pictures in 0..1 of shape (N, C, H, W), and the squared error of each, shape (N,), or None.
        error: Mean squared error of the network over all pictures.
        pca_error: The same of PCA.
        numbers: Size of the code.

    Returns:
        A grid of N columns and one row for each of ``rows``.
    """
    pictures, captions = [], []
    for name, images, errors in rows:
        images = as_pictures(images)
        pictures += list(images)
        captions += [name] * len(images) if errors is None else [f"{name}: {e:.3g}" for e in np.asarray(errors)]
    size = f"{counted(numbers, 'number')} a picture"
    title = f"{size}: squared error {error:.3g}, with PCA {pca_error:.3g} (mean of all)"
    return picture_grid(pictures, captions, title, columns=len(as_pictures(rows[0][1])), cell=84)


def signed_pictures(values: ArrayLike) -> NDArray[np.uint8]:
    """Values of any sign as pictures: 0 is mid-grey, the largest absolute value of each picture black or white.

    Args:
        values: Shape (N, C, H, W).

    Returns:
        uint8, shape (N, H, W, 3).
    """
    array = np.asarray(values, dtype=float)
    largest = np.abs(array).max(axis=(1, 2, 3), keepdims=True)
    return as_pictures(0.5 + 0.5 * array / np.where(largest > 0, largest, 1))


def eigenpictures_figure(directions: ArrayLike, shares: Sequence[float], rank: int) -> Figure:
    """Principal directions as pictures: of faces, the eigenfaces.

    Args:
        directions: Unit vectors, shape (N, C, H, W); the sign is arbitrary.
        shares: Share of the variance along each, shape (N,).
        rank: Number of all directions with any variance.

    Returns:
        A grid; grey is 0.
    """
    captions = [f"{place + 1}: {percent(share)}" for place, share in enumerate(shares)]
    total = percent(min(sum(shares), 1))
    first = f"first {len(shares)} of {rank} principal directions: together" if rank > 1 else "one principal direction:"
    title = f"{first} {total} of the variance"
    note = "share of the variance along each; mid-grey is 0, the sign is arbitrary"
    return picture_grid(signed_pictures(directions), captions, title, columns=8, cell=84, note=note)


def interpolation_figure(ours: ArrayLike, pca: ArrayLike) -> Figure:
    """From one picture to another in equal steps of the code, above the same in PCA's.

    Args:
        ours: Decoded codes in 0..1, shape (P, S, C, H, W).
        pca: The same of principal coordinates.

    Returns:
        A grid of S columns and 2P rows.
    """
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for pair, (path, other) in enumerate(zip(np.asarray(ours), np.asarray(pca), strict=True)):
        for name, images in (("ours", path), ("PCA", other)):
            pictures += list(as_pictures(images))
            captions += [f"{name} {pair + 1}" if step == 0 else "" for step in range(len(images))]
    steps = np.asarray(ours).shape[1]
    middle = steps // 2
    ghost = [float(np.abs(np.asarray(x)[:, middle] - 0.5).mean()) for x in (ours, pca)]
    title = (
        f"halfway between two pictures: mean distance of a pixel from mid-grey {ghost[0]:.2f} along the code, "
        f"{ghost[1]:.2f} along PCA (a double exposure is greyer)"
    )
    return picture_grid(pictures, captions, title, columns=steps, cell=72)


def code_map_figure(
    plane: ArrayLike, labels: ArrayLike, class_names: Sequence[str], share: float, agreement: Mapping[str, float]
) -> Figure:
    """Codes in the plane of their largest variance, coloured by a class that training never saw.

    Args:
        plane: Shape (N, 2); or codes of one number, shape (N, 1), which are drawn in one row for each class.
        labels: Classes, shape (N,).
        class_names: Names of the classes; with more than ten no colours are used.
        share: Share of the codes' variance in this plane.
        agreement: Mutual information in 0..1 of k-means clusters with the classes: of ``code``, ``pca``, ``pixels``.

    Returns:
        A figure of one axes; each of up to ten classes has a look of its own.
    """
    points, classes = np.asarray(plane, dtype=float), np.asarray(labels)
    line = points.shape[1] == 1
    if line:
        points = np.column_stack([points[:, 0], classes])
    figure, (axes,) = new_figure(6.8, 4.8)
    few = len(class_names) <= MOST_CLASSES
    if few:
        _few_classes(axes, points, classes, [plain(name) for name in class_names], mark="|" if line else "")
    else:
        look: dict[str, Any] = {"color": CYCLE[0], "markersize": 4, "linestyle": "none"}
        axes.plot(points[:, 0], points[:, 1], "|" if line else ".", **look)
    left = 0.68
    if line:
        axes.set_ylim(len(class_names) - 0.5, -0.5)
        if few:
            names_along(axes, y=[plain(name) for name in class_names])
            left += text_inches([plain(name) for name in class_names], SMALL_POINTS)
        label(axes, "the one number of the code", "class" if few else "class (number)")
        text = "codes of one number, each picture a stroke in the row of its class"
    else:
        label(axes, "first direction of the codes", "second direction")
        text = f"codes in their plane of largest variance ({percent(min(share, 1))} of it)"
    if agreement:
        names = {"code": "code", "pca": "PCA", "pixels": "pixels"}
        found = ", ".join(f"{names[name]} {value:.2f}" for name, value in agreement.items())
        text += f"; k-means and classes agree: {found} (mutual information, 1 is all)"
    if few and not line:
        legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    finding(figure, text, left=left, right=1.35 if few and not line else 0.15)
    return figure


def _few_classes(axes: Axes, points: NDArray[np.float64], classes: NDArray[Any], names: list[str], mark: str) -> None:
    """Each class in a colour and marker of its own; a ``mark``, if any, is the marker of all.

    A colour that comes a second time is open, so that the marker alone need not tell the two apart.
    """
    markers = "os^Dv"
    for place, name in enumerate(names):
        member, colour = points[classes == place], CYCLE[place % len(CYCLE)]
        look: dict[str, Any] = {"color": colour, "linestyle": "none", "alpha": 0.75, "label": name}
        if mark:
            look |= {"markersize": 14, "markeredgewidth": 0.8}
        elif place < len(CYCLE):
            look |= {"markersize": 4, "markeredgewidth": 0}
        else:
            look |= {"markersize": 4.5, "markeredgewidth": 1, "markerfacecolor": "none"}
        axes.plot(member[:, 0], member[:, 1], mark or markers[place % len(markers)], **look)


def denoising_figure(rows: Mapping[str, ArrayLike], noise: float, error: float, wiener: float) -> Figure:
    """Noise taken away by a network and by the best linear filter, and the score direction that the network implies.

    Args:
        rows: Pictures of shape (N, C, H, W) by name: ``clean``, ``noisy``, ``network``, ``Wiener`` on the scale 0..1,
            which noise may leave, and ``score``, (network - noisy) / σ², the estimate of ∇ log p.
        noise: σ.
        error: Mean squared error of the network over all pictures.
        wiener: The same of the filter.

    Returns:
        A grid of N columns and five rows.
    """
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    clean = np.asarray(rows["clean"], dtype=float)
    for name, images in rows.items():
        array = np.asarray(images, dtype=float)
        errors = np.square(array - clean).sum(axis=(1, 2, 3))
        pictures += list(signed_pictures(array) if name == "score" else as_pictures(array.clip(0, 1)))
        captions += [name if name in ("clean", "score") else f"{name}: {value:.3g}" for value in errors]
    title = f"noise of {noise:g}: squared error {error:.3g} by the network, {wiener:.3g} by the best linear filter"
    note = "score: (restored − noisy) / σ², the direction in which a picture becomes more probable; mid-grey is 0"
    return picture_grid(pictures, captions, title, columns=len(clean), cell=84, note=note)
