"""The numbers due: floors of each width on the samples, what a discontinuity costs, and a line written as a network."""

# W widths, N pieces, M samples

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.approximation.family import BROKEN_LINES, LEAKY_SLOPE
from models.approximation.knots import evaluate
from models.approximation.search import Line
from theory.broken_lines import as_network, asymptotic_l2, jump_floor, ramp_l1
from theory.compression import cosine_errors_largest, psnr, rank_errors
from theory.named_functions import TARGETS
from theory.segmentation import best_segmentation


class Floors(NamedTuple):
    """Least root mean square error of each width, or None where nothing is proved; what it is; lim N² E_N, or None."""

    values: list[float] | None
    name: str
    constant: float | None


def find_floors(batch: Any, widths: list[int], activation: str, degree: int) -> Floors:
    """The floor of each width on the noiseless samples.

    Args:
        batch: Places (M,) or (M, D) first, noiseless values (M,) third.
        widths: N.
        activation: Broken lines have the floor of N pieces, polynomials that of their degree, others none.
        degree: Of the polynomial.
    """
    x, clean = batch[0].cpu().numpy(), batch[2].cpu().numpy()
    if x.ndim == 1 and activation in BROKEN_LINES:
        best = best_segmentation(x, clean, max(widths))
        name = "floor of N straight pieces by dynamic programming; proved for broken lines of N pieces"
        return Floors([float(best.floors[width - 1]) for width in widths], name, curvature_constant(x, clean))
    if x.ndim == 1 and activation == "polynomial":
        basis = np.polynomial.legendre.legvander(2 * x - 1, degree)
        residual = clean - basis @ np.linalg.lstsq(basis, clean, rcond=None)[0]
        floor = float(np.sqrt(np.mean(residual**2)))
        return Floors([floor] * len(widths), f"best polynomial of degree {degree}, whatever the width", None)
    return Floors(None, "", None)


def curvature_constant(x: np.ndarray, y: np.ndarray) -> float | None:
    """Limit of N² E_N from second differences; None where the samples are too few or not equally far apart."""
    steps = np.diff(x)
    if len(x) < 64 or np.ptp(steps) > 1e-6 * steps.mean():
        return None
    return asymptotic_l2(np.diff(y, 2) / steps[0] ** 2)


def one_network(line: Line, slope: float, low: float, high: float) -> nn.Sequential:
    """The broken line as Linear-ReLU-Linear (or LeakyReLU) of the function's own variable.

    Args:
        line: On [0, 1].
        slope: Of the activation for negative arguments.
        low: Where 0 lies.
        high: Where 1 lies.
    """
    bias, outer, offset = as_network(line.knots.cpu().numpy(), line.values.cpu().numpy(), slope)
    first, last = nn.Linear(1, len(bias), dtype=torch.float64), nn.Linear(len(outer), 1, dtype=torch.float64)
    with torch.no_grad():
        first.weight.fill_(1 / (high - low))
        first.bias.copy_(torch.from_numpy(bias) - low / (high - low))
        last.weight.copy_(torch.from_numpy(outer)[None])
        last.bias.fill_(offset)
    activation = nn.LeakyReLU(LEAKY_SLOPE) if slope else nn.ReLU()
    return nn.Sequential(first, activation, last).requires_grad_(False).to(line.knots.device)


def beside_linear_methods(
    values: Tensor, chosen: Tensor, widths: list[int]
) -> tuple[list[tuple[str, str]], dict[str, float]]:
    """A surface by its network, by a truncated SVD and by its largest cosines, at the network's number of parameters.

    A network of N units on two variables has 4N + 1 numbers; a rank takes H + W; a term of the cosine series takes two,
    itself and its place, or one where places are held to cost nothing.

    Args:
        values: The surface on an n × n grid, shape (n²,).
        chosen: The networks' values there, shape (W, n²).
        widths: N.

    Returns:
        Lines for people, and tags.
    """
    side = round(len(values) ** 0.5)
    spread = float(values.max() - values.min()) or 1.0
    picture = ((values - values.min()) / spread).view(1, 1, side, side)
    ranks, terms = rank_errors(picture).tolist(), cosine_errors_largest(picture).tolist()
    lines: list[tuple[str, str]] = []
    tags: dict[str, float] = {}
    for width, fit in zip(widths, chosen, strict=True):
        numbers = 4 * width + 1

        def quality(errors: list[float], count: int) -> float:
            return psnr(max(errors[min(count, len(errors) - 1)], 1e-30), side * side)

        ours = psnr(max(float(((fit - values) / spread).square().sum()), 1e-30), side * side)
        due = {
            "svd": quality(ranks, numbers // (2 * side)),
            "dct": quality(terms, numbers // 2),
            "dct_free_places": quality(terms, numbers),
        }
        tags |= {f"test/psnr_{width}": ours, **{f"theory/psnr_{name}_{width}": value for name, value in due.items()}}
        tags[f"gap/psnr_{width}"] = ours - max(due["svd"], due["dct"])
        lines.append(
            (f"{numbers} numbers", f"network {ours:.2f} dB; truncated SVD {due['svd']:.2f} dB; largest cosines "
                                   f"{due['dct']:.2f} dB ({due['dct_free_places']:.2f} dB if their places are free)")
        )  # fmt: skip
    return lines, tags


def notes_on(function: str, lines: list[Line], low: float, high: float) -> list[tuple[str, str]]:
    """What a jump means for the sup and the L1 norm, if the function has one."""
    target = TARGETS.get(function)
    if target is None or target.jump is None or not lines or not low < target.jump[0] < high:
        return []
    place, left, right = target.jump
    at = (place - low) / (high - low)
    line = lines[-1]
    slopes = line.values.diff() / line.knots.diff()
    steepest = float(slopes.abs().max())
    there = float(evaluate(line.knots[None], line.values[None], line.knots.new_tensor([at])))
    sup = max(abs(there - left), abs(there - right))
    floor = jump_floor(right - left)
    # Two triangles; of equal height, and least, where the ramp crosses the jump in its middle.
    area = ((there - left) ** 2 + (right - there) ** 2) / (2 * steepest)
    least = (right - left) ** 2 * ramp_l1(steepest)
    return [
        ("at the jump", f"the network, being continuous, is off by {sup:.4f} beside it; no width gets below {floor:g} "
                        "(half the jump): in the sup norm a discontinuous function is out of reach, with any depth"),
        ("in the mean", f"the ramp found costs {area:.3e} in L1; least for its slope k: 1/(4k) = {least:.3e}, → 0: "
                        "one hidden layer is enough"),
    ]  # fmt: skip
