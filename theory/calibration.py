"""Calibration: among the pictures answered with confidence 0.8, are 80% right?

A network trained by cross entropy to zero training error goes on enlarging its logits, and becomes surer than it is
right. Dividing all logits by one temperature T > 0 changes no answer, only the confidence. The T of smallest loss on
validation pictures is a fit of one number, β = 1/T, with

    L(β) = Σ_n [ log Σ_c exp(β z_nc) - β z_ny ],    L'(β) = Σ_n [ E z - z_ny ],    L''(β) = Σ_n [ Var z ] = I(β) ≥ 0

(E and Var under softmax(β z)). On few pictures it says too much: without a mistake among them, or with one that was
nearly right, L falls on and on as T → 0. Firth's correction, the maximum under Jeffreys' prior √I(β),

    L(β) - log I(β) / 2 → min

takes the first-order bias out of the fit and always has one. Where all margins are alike, k mistakes of N give a
probability of (k + 1/2) / (N + 1) to be wrong; on many pictures the difference vanishes as 1/N.

Symbols: N pictures, C classes, B bins, z logits, p probabilities, y labels.

Sources:
    Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks, ICML, sections 2 and 4.2.
    Naeini, Cooper, Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, AAAI.
    Firth (1993), Bias reduction of maximum likelihood estimates, Biometrika 80. Heinze, Schemper (2002), A solution to
    the problem of separation in logistic regression, Statistics in Medicine 21.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LOWEST, HIGHEST = 0.01, 100.0  # temperatures
LARGEST = 1e300  # of 1/T times the largest logit: there every probability is 0 or 1
_GRID = 41  # temperatures tried first, each 1.26 times the one before
_DRAWN_VALUES = 1_000_000  # random numbers spent on a floor, some 20 ms


class ReliabilityCurve(NamedTuple):
    """Confidence and accuracy in equal bins of confidence, each of shape (B,); empty bins hold nan.

    Bin b takes confidences in (b/B, (b + 1)/B]; ``share`` is its part of all pictures.
    """

    edges: Tensor
    confidence: Tensor
    accuracy: Tensor
    share: Tensor


def reliability_curve(probabilities: Tensor, labels: Tensor, bins: int = 15) -> ReliabilityCurve:
    """Mean confidence and accuracy of the most probable class, in bins of equal width.

    Args:
        probabilities: Rows that sum to 1, shape (N, C), N at least 1.
        labels: Right classes, shape (N,).
        bins: B, at least 1; usually 15.

    Returns:
        Edges (B + 1,), and confidence, accuracy and share of each bin (B,), in float64.

    Raises:
        ValueError: If the probabilities are none, the shapes do not fit, or a label is no class.
    """
    _check(probabilities, labels)
    sums = probabilities.double().sum(dim=1)
    if not bool(((probabilities >= 0).all(dim=1) & ((sums - 1).abs() <= 1e-3)).all()):  # nan is refused too
        raise ValueError("probabilities must be at least 0 and sum to 1 in each row; are these logits?")
    confidence, answer = probabilities.double().max(dim=1)  # (N,) each
    return confidence_bins(confidence, answer == labels, bins)


def confidence_bins(confidence: Tensor, right: Tensor, bins: int = 15) -> ReliabilityCurve:
    """Mean confidence and share of right answers in bins of equal width.

    Args:
        confidence: Probability of each answer in 0..1, shape (N,); N may be 0.
        right: Whether it is right, shape (N,).
        bins: B, at least 1; usually 15.

    Returns:
        Edges (B + 1,), and confidence, accuracy and share of each bin (B,), in float64.

    Raises:
        ValueError: If a confidence is outside 0..1, the shapes differ or B is below 1.
    """
    place = bin_numbers(confidence, bins)
    if right.shape != confidence.shape:
        raise ValueError(f"one answer a confidence is needed, not {tuple(right.shape)} and {tuple(confidence.shape)}")
    counts = torch.bincount(place, minlength=bins).double()  # (B,)
    return ReliabilityCurve(
        edges=torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device),
        confidence=torch.bincount(place, confidence.double(), minlength=bins) / counts,
        accuracy=torch.bincount(place, right.double(), minlength=bins) / counts,
        share=counts / max(len(confidence), 1),
    )


def bin_numbers(confidence: Tensor, bins: int) -> Tensor:
    """Number of the bin (b/B, (b + 1)/B] of each confidence; 0 itself goes to the first.

    Args:
        confidence: In 0..1, up to rounding, shape (N,).
        bins: B, at least 1.

    Returns:
        Numbers in 0..B - 1, int64, shape (N,).

    Raises:
        ValueError: If a confidence is outside 0..1 or B is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    values = confidence.double()
    if values.ndim != 1 or not bool(((values >= 0) & (values <= 1 + 1e-3)).all()):  # nan is refused too
        raise ValueError(f"confidences must be of shape (N,) in 0..1, not of shape {tuple(values.shape)} or outside")
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=values.device)
    return torch.bucketize(values.clamp(max=1.0), edges[1:])  # the bin whose upper edge is the next


def calibration_gap(curve: ReliabilityCurve) -> float:
    """Σ_b share_b |accuracy_b - confidence_b|, the mean gap of a reliability curve; nan without a picture."""
    filled = curve.share > 0
    gaps = curve.share * (curve.accuracy - curve.confidence).abs()
    return float(gaps[filled].sum()) if bool(filled.any()) else math.nan


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """ECE = Σ_b share_b |accuracy_b - confidence_b|, the mean gap of the reliability curve.

    It depends on the bins and is biased upwards for few pictures: even a perfectly calibrated network gets about
    Σ_b √(share_b · 2 p_b (1 - p_b) / (π N)). Compare at equal N and B alone.

    Args:
        probabilities: Shape (N, C).
        labels: Shape (N,).
        bins: B, usually 15.

    Returns:
        ECE in 0..1; nan if a probability is nan, as it is for a network that has diverged.

    Raises:
        ValueError: See ``reliability_curve``.

    Source:
        Guo et al. (2017), equation 3.
    """
    if bool(probabilities.isnan().any()):
        return math.nan
    return calibration_gap(reliability_curve(probabilities, labels, bins))


def calibration_floor(confidence: Tensor, bins: int = 15, seed: int = 0) -> float:
    """Mean ECE of a perfectly calibrated classifier with these confidences: what chance alone gives on N pictures.

    Args:
        confidence: Probability of each answer in 0..1, shape (N,).
        bins: B, usually 15.
        seed: Of the draws.

    Returns:
        Mean over 20 to 2,000 draws of right ~ Bernoulli(confidence), in 0..1; nan without a picture.

    Raises:
        ValueError: See ``bin_numbers``.
    """
    place, sure, total = bin_numbers(confidence, bins), confidence.double(), len(confidence)
    if total == 0:
        return math.nan
    draws = min(max(_DRAWN_VALUES // total, 20), 2000)
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(draws, total, generator=generator, dtype=torch.float64).to(sure.device)
    surplus = (chance < sure).double() - sure  # (draws, N)
    # share_b |accuracy_b - confidence_b| = |sum of the surplus in bin b| / N
    return float((surplus @ F.one_hot(place, bins).double()).abs().sum(dim=1).mean() / total)


def fit_temperature(logits: Tensor, labels: Tensor, *, lowest: float = LOWEST, highest: float = HIGHEST) -> float:
    """Temperature of smallest corrected cross-entropy, L(β) - log I(β) / 2 with β = 1/T.

    Where margins differ widely it may have several minima: the best of a grid of β begins. From there steps are those
    of Newton with the curvature of L alone, inside a shrinking bracket; one that leaves it is replaced by a bisection.

    Args:
        logits: Of validation pictures, never of training or test, shape (N, C).
        labels: Shape (N,).
        lowest: Smallest T allowed, positive.
        highest: Largest T allowed: the answer where the logits of many pictures say less than chance.

    Returns:
        T in lowest..highest, to a relative 1e-12.

    Raises:
        ValueError: If the shapes do not fit, a label is no class, a logit is not finite, or the range is empty.
    """
    _check(logits, labels)
    if not 0 < lowest < highest < math.inf:
        raise ValueError(f"temperatures need 0 < lowest < highest, not {lowest}, {highest}")
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("a logit is not finite")
    # In units of the largest logit, rounded to a power of two: cubes of larger ones than 1e100 would overflow.
    unit = 2.0 ** (math.frexp(float(logits.abs().max()))[1] - 1)
    scaled = logits.double() / unit
    # A constant in each row changes no probability; logits relative to the right one make z_ny = 0.
    margins = scaled - scaled.gather(1, labels.unsqueeze(1))  # (N, C)
    grid = torch.logspace(-math.log10(highest), -math.log10(lowest), _GRID, dtype=torch.float64).tolist()  # of β
    grid = [min(beta * unit, LARGEST) for beta in grid]
    losses = [_corrected(margins, beta) for beta in grid]
    best = min(range(_GRID), key=losses.__getitem__)
    low, beta, high = grid[max(best - 1, 0)], grid[best], grid[min(best + 1, _GRID - 1)]
    if losses[best] == math.inf or (best == 0 and _slope(margins, low)[0] >= 0):
        return highest
    if best == _GRID - 1 and _slope(margins, high)[0] <= 0:
        return lowest
    for _ in range(200):
        slope, curvature = _slope(margins, beta)
        if slope > 0:
            high = beta
        else:
            low = beta
        step = beta - slope / curvature if curvature > 0 else math.inf
        following = step if low < step < high else (low + high) / 2
        if abs(following - beta) <= 1e-12 * beta or slope == 0:
            break
        beta = following
    return min(max(unit / beta, lowest), highest)


def _corrected(margins: Tensor, beta: float) -> float:
    """L(β) - log I(β) / 2 from logits relative to the right class, shape (N, C); infinite where I is 0 to rounding."""
    information = _slope(margins, beta)[1]
    if information == 0:
        return math.inf
    return float((beta * margins).logsumexp(dim=1).sum()) - math.log(information) / 2


def _slope(margins: Tensor, beta: float) -> tuple[float, float]:
    """L'(β) - I'(β) / 2 I(β), and I(β), from logits relative to the right class, shape (N, C)."""
    weight = (beta * margins).softmax(dim=1)  # (N, C)
    mean = (weight * margins).sum(dim=1, keepdim=True)  # (N, 1)
    off = margins - mean
    information, third = (float((weight * off.pow(power)).sum()) for power in (2, 3))
    if information == 0:  # logits that do not differ say nothing; probabilities that are 0 and 1 to rounding too much
        return (1.0 if bool(margins.any()) else 0.0), 0.0
    return float(mean.sum()) - third / (2 * information), information


def _check(scores: Tensor, labels: Tensor) -> None:
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or len(labels) == 0:
        raise ValueError(
            "calibration takes scores (N, C) and labels (N,) with N >= 1, "
            f"not {tuple(scores.shape)}, {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
        raise ValueError(f"labels must be in 0..{scores.shape[1] - 1}, not {int(labels.min())}..{int(labels.max())}")
