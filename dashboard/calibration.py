"""Does "90 % sure" mean right nine times in ten? Reliability before and after temperature, and what chance alone gives.

The expected calibration error (ECE) sorts the predictions by confidence into M equal bins and averages the distance
between confidence and accuracy. Even a perfectly calibrated classifier has an ECE above 0 on finitely many pictures.
Both numbers are those of `theory.calibration`.

Source: Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks, equations 2, 3 and 5.
"""

# N pictures, M bins

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dashboard.legends import legend_above
from dashboard.scales import logarithmic
from dashboard.style import BLUE, THEORY, VERMILLION, counted, finding, label, new_figure
from theory.calibration import calibration_floor, calibration_gap, confidence_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 15


class Bins(NamedTuple):
    """The filled bins, lowest confidence first, each of shape (filled bins,), and their ECE (nan without a picture)."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    pictures: NDArray[np.int64]
    ece: float


def reliability_bins(confidence: ArrayLike, correct: ArrayLike, num_bins: int = NUM_BINS) -> Bins:
    """The bins that are drawn, see `theory.calibration.confidence_bins`.

    Args:
        confidence: Probability of the guess, in 0..1, shape (N,).
        correct: Whether the guess is right, shape (N,).
        num_bins: M, usually 15.

    Returns:
        The filled bins.

    Raises:
        ValueError: If a confidence is outside 0..1 or M < 1.
    """
    sure, right = (torch.tensor(np.asarray(values, dtype=np.float64)) for values in (confidence, correct))
    curve = confidence_bins(sure, right, num_bins)
    filled = curve.share > 0
    pictures = (curve.share[filled] * len(sure)).round().long()
    means = (curve.confidence[filled].numpy(), curve.accuracy[filled].numpy())
    return Bins(*means, pictures.numpy(), calibration_gap(curve))


def reliability_figure(
    before: ArrayLike,
    correct: ArrayLike,
    after: ArrayLike | None = None,
    *,
    temperature: float | None = None,
    num_bins: int = NUM_BINS,
) -> Figure:
    """Accuracy over confidence before and after temperature scaling, the number of pictures below.

    Args:
        before: Probability of the guess, in 0..1, shape (N,).
        correct: Whether the guess is right, shape (N,); a temperature does not change the guess.
        after: Probability of the guess after temperature scaling, shape (N,).
        temperature: T, for the title.
        num_bins: M.

    Returns:
        A figure of two axes: accuracy over confidence with perfect calibration dashed, and the histogram.
    """
    correct = np.asarray(correct)
    sets = {"before": np.asarray(before, dtype=float)}
    if after is not None:
        sets["after"] = np.asarray(after, dtype=float)
    figure, (diagram, histogram) = new_figure(5.2, 5.0, rows=2, height_ratios=[3, 1])
    diagram.plot([0, 1], [0, 1], label="perfectly calibrated", **THEORY)
    errors = {}
    for (name, confidence), colour, marker in zip(sets.items(), (VERMILLION, BLUE), "os", strict=False):
        bins = reliability_bins(confidence, correct, num_bins)
        errors[name] = bins.ece
        # The dot's area grows with its number of pictures: a bin of three pictures proves little.
        area = 12 + 90 * bins.pictures / max(bins.pictures.max(initial=1), 1)
        diagram.plot(bins.confidence, bins.accuracy, color=colour, linewidth=1, alpha=0.6)
        text = f"{name}: ECE {100 * bins.ece:.1f} %"
        diagram.scatter(bins.confidence, bins.accuracy, s=area, color=colour, marker=marker, alpha=0.85, label=text)
        histogram.hist(
            confidence,
            bins=list(np.linspace(0, 1, num_bins + 1)),
            histtype="step",
            color=colour,
            linewidth=1.4,
        )
    label(diagram, "", "accuracy (share right)")
    label(histogram, "confidence (probability of the guess)", "pictures")
    logarithmic(histogram, y=len(correct) > 20)
    # On a logarithmic axis a bin of one picture must still have a height.
    histogram.set_ylim(bottom=0.5 if len(correct) > 20 else 0)
    for axes in (diagram, histogram):
        axes.set_xlim(0, 1.02)
    diagram.set_ylim(0, 1.03)
    last = list(sets)[-1]
    floor = calibration_floor(torch.tensor(sets[last]), num_bins)
    text = f"ECE {100 * errors['before']:.1f} % before"
    if "after" in errors:
        text += f", {100 * errors['after']:.1f} % after temperature" + (
            "" if temperature is None else f" {temperature:.2f}"
        )
    if len(correct):
        text += f"; chance alone gives {100 * floor:.1f} % on {counted(len(correct), 'picture')}"
    finding(figure, text, header=legend_above(diagram, 3))
    return figure
