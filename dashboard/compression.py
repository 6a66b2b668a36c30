"""Numbers for quality: PSNR over storage, errors that tell one kind of picture from another, a gap that closes.

Every title states the finding, computed from the numbers drawn.
"""

# P points, N pictures, M others

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dashboard.legends import legend_above
from dashboard.scales import logarithmic, short
from dashboard.style import BLACK, BLUE, CYCLE, THEORY, VERMILLION, finding, label, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compression_figure(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], points: Mapping[str, tuple[float, float]]
) -> Figure:
    """Quality over the numbers stored for a picture.

    Args:
        curves: ``{"PCA": (numbers, decibels), …}``, each of shape (P,), numbers rising.
        points: ``{"autoencoder": (numbers, decibels)}``; the first is compared with the curve of the first method.

    Returns:
        A figure of one axes; the title tells how many numbers the first curve needs for the quality of the point, or
        that with as many it is better.
    """
    figure, (axes,) = new_figure(6.8, 4.2)
    # With nearly all numbers kept a curve runs away to infinity; an eye sees no error beyond 50 dB.
    tops = [min(float(np.max(decibels)), 50.0) for _, decibels in curves.values()]
    for place, (name, (numbers, decibels)) in enumerate(curves.items()):
        style: dict[str, Any] = {"marker": "o", "markersize": 3.5} if np.size(numbers) <= 30 else {}
        axes.plot(numbers, decibels, color=CYCLE[place % len(CYCLE)], linewidth=1.6, label=name, **style)
    text = "quality over numbers stored"
    for name, (count, quality) in points.items():
        size = f"{count:g} number{'s' * (count != 1)}"
        axes.plot(count, quality, "*", color=BLACK, markersize=13, linestyle="none", label=f"{name}: {size}")
        first = next(iter(curves))
        text = f"{name}: {quality:.1f} dB from {size} a picture; {first} {_beside(*curves[first], count, quality)}"
    axes.set_ylim(top=max(tops) + 2)
    logarithmic(axes, x=True)
    label(axes, "numbers stored per picture", "PSNR of the test pictures (dB)")
    legend(axes, loc="upper left")
    finding(figure, text)
    return figure


def _beside(numbers: ArrayLike, decibels: ArrayLike, count: float, quality: float) -> str:
    """What a curve needs for a quality, or that with as many numbers it is better; as far as a title's digits tell."""
    sizes, values = np.asarray(numbers, dtype=float), np.asarray(decibels, dtype=float)
    as_many = values[sizes == count]
    if len(as_many) and round(float(as_many[0]), 1) > round(quality, 1):
        return f"with as many is better: {as_many[0]:.1f} dB"
    enough = sizes[values >= quality]
    return f"needs {enough[0]:.0f} for the same" if len(enough) else "does not reach it"


def _told(areas: Mapping[str, float]) -> str:
    """Which methods tell pictures from noise, as a title. Args: area under the ROC by method."""
    able = [name for name, area in areas.items() if round(area, 3) > 0.5]
    alone = f", by {able[0]} alone" if len(able) == 1 < len(areas) else ""
    found = " and ".join(f"{area:.3f} by {name}" for name, area in areas.items())
    noise = f"Gaussian noise of equal mean and covariance by a smaller error{alone}"
    return f"pictures {'told' if able else 'not told'} from {noise}: AUC {found}"


def anomalies_figure(errors: Mapping[str, tuple[ArrayLike, ArrayLike, float]], numbers: int) -> Figure:
    """Errors of pictures and of Gaussian noise with the same mean and covariance: only the latter is PCA's matter.

    Args:
        errors: For ``code`` and ``pca``: errors of the pictures (N,), of the noise (M,), and the area under the ROC.
        numbers: Size of the code.

    Returns:
        A figure of two axes, one a method, with one histogram for each kind; the last bar holds the rarest errors too,
        those above 99.5 % of all. The title tells which methods tell the kinds apart.
    """
    names = {"code": "autoencoder", "pca": "PCA"}
    figure, panels = new_figure(8.2, 3.6, columns=len(errors))
    for axes, (name, (real, twins, area)) in zip(panels, errors.items(), strict=True):
        real, twins = np.asarray(real, dtype=float), np.asarray(twins, dtype=float)
        both = np.concatenate([real, twins])
        edges = np.linspace(both.min(), max(np.quantile(both, 0.995), both.min() + 1e-12), 41)
        for values, colour, kind in ((real, BLUE, "pictures"), (twins, VERMILLION, "Gaussian, same covariance")):
            axes.hist(
                values.clip(edges[0], edges[-1]), edges.tolist(), density=True, color=colour, alpha=0.45,
                label=f"{kind}: mean {values.mean():.3g}",
            )  # fmt: skip
        label(
            axes,
            "squared error of a picture (last bar: and all above)",
            "density",
            f"{names[name]}, {numbers} number{'s' * (numbers > 1)}: AUC {area:.3f}",
        )
    header = max(legend_above(axes, 1) for axes in panels)
    finding(figure, _told({names[name]: area for name, (_, _, area) in errors.items()}), header=header)
    return figure


def convergence_figure(
    iterations: ArrayLike, gaps: ArrayLike, rate: float | None = None, polish_from: float | None = None
) -> Figure:
    """How the exact loss of a linear autoencoder nears its floor.

    Args:
        iterations: Shape (P,).
        gaps: (loss - least) / least before each, shape (P,); those at rounding may be 0 or negative.
        rate: Factor of the gap in one step of subspace iteration, drawn as a dashed line from the first polished gap.
        polish_from: Iteration from which the polish runs.

    Returns:
        A figure of one axes, gaps logarithmic; the title tells the last gap.
    """
    steps, values = np.asarray(iterations, dtype=float), np.asarray(gaps, dtype=float)
    floor = 1e-16
    figure, (axes,) = new_figure(6.4, 4.0)
    axes.plot(steps, np.maximum(np.abs(values), floor), color=BLUE, linewidth=1.6, label="measured")
    if rate is not None and polish_from is not None and (steps >= polish_from).any():
        start = int(np.argmax(steps >= polish_from))
        line = max(abs(values[start]), floor) * rate ** (steps[start:] - steps[start])
        axes.plot(steps[start:], np.maximum(line, floor), label=f"(λₖ₊₁ / λₖ)² = {rate:.4f} a step", **THEORY)
        axes.axvline(steps[start], color="#888888", linewidth=0.8, label="polish begins")
    logarithmic(axes, y=True)
    axes.set_ylim(floor / 3, max(10.0, 3 * float(np.abs(values).max())))
    label(axes, "iterations", "relative gap to the least possible loss (1)")
    legend(axes)
    finding(
        figure,
        f"relative gap to PCA's loss: {short(values[0], 2)} at the start, {short(abs(values[-1]), 1)} at the end",
    )
    return figure
