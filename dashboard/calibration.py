"""Does "90 % sure" mean right nine times in ten? Reliability before and after temperature, and what chance alone gives.

The expected calibration error (ECE) sorts the predictions by confidence into M equal bins and averages the distance
between confidence and accuracy: ECE = sum_b n_b / n |accuracy_b - confidence_b|. Even a perfectly calibrated classifier
has an ECE above 0 on finitely many pictures; that floor is computed by drawing right and wrong from the confidences.

Source: Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks, equations 2, 3 and 5.
"""

# N pictures, M bins

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.style import BLUE, THEORY, VERMILLION, finding, label, legend, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 15
_DRAWN_VALUES = 1_000_000  # random numbers spent on the floor, some 20 ms


class Bins(NamedTuple):
    """The filled bins of a reliability diagram, lowest confidence first; each shape (filled bins,)."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    pictures: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error in 0..1; NaN without a picture."""
        total = self.pictures.sum()
        return float((self.pictures * np.abs(self.accuracy - self.confidence)).sum() / total) if total else float("nan")


def _bin_numbers(confidence: NDArray[np.float64], num_bins: int) -> NDArray[np.int64]:
    """Bin b holds (b/M, (b+1)/M], as in the source; 0 itself goes to the first."""
    if confidence.ndim != 1 or (confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6)):
        raise ValueError("confidences must be of shape (N,) in 0..1")
    return np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)


def reliability_bins(confidence: ArrayLike, correct: ArrayLike, num_bins: int = NUM_BINS) -> Bins:
    """Mean confidence, accuracy and count of each filled bin.

    Args:
        confidence: Probability of the guess, in 0..1, shape (N,).
        correct: Whether the guess is right, shape (N,).
        num_bins: M, usually 15.

    Returns:
        The filled bins.

    Raises:
        ValueError: If a confidence is outside 0..1 or M < 1.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins is {num_bins}; allowed: 1 and more")
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    number = _bin_numbers(confidence, num_bins)
    count = np.bincount(number, minlength=num_bins)
    filled = count > 0
    sums = [np.bincount(number, weights=values, minlength=num_bins)[filled] for values in (confidence, correct)]
    return Bins(sums[0] / count[filled], sums[1] / count[filled], count[filled])


def ece_floor(confidence: ArrayLike, num_bins: int = NUM_BINS, seed: int = 0) -> float:
    """The mean ECE of a perfectly calibrated classifier with these confidences, from seeded draws.

    Args:
        confidence: Probability of the guess, in 0..1, shape (N,).
        num_bins: M.
        seed: Of the draws.

    Returns:
        Mean ECE in 0..1 over 20 to 2,000 draws of right ~ Bernoulli(confidence); NaN without a picture.
    """
    confidence = np.sort(np.asarray(confidence, dtype=np.float64))
    if not confidence.size:
        return float("nan")
    number = _bin_numbers(confidence, num_bins)
    draws = int(np.clip(_DRAWN_VALUES // confidence.size, 20, 2000))
    generator = np.random.default_rng(seed)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    total = 0.0
    for _ in range(draws):
        surplus = (generator.random(confidence.size) < confidence) - confidence  # (N,)
        total += float(np.abs(np.add.reduceat(surplus, starts)).sum())
    return total / draws / confidence.size


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
    legend(diagram, loc="upper left")
    for axes in (diagram, histogram):
        axes.set_xlim(0, 1.02)
    diagram.set_ylim(0, 1.03)
    last = list(sets)[-1]
    floor = ece_floor(sets[last], num_bins)
    text = f"ECE {100 * errors['before']:.1f} % before"
    if "after" in errors:
        text += f", {100 * errors['after']:.1f} % after temperature" + (
            "" if temperature is None else f" {temperature:.2f}"
        )
    if len(correct):
        text += f"; chance alone gives {100 * floor:.1f} % on {len(correct)} pictures"
    finding(figure, text)
    return figure
