"""The numbers due: floors of each width on the samples, what a discontinuity costs, and a line written as a network."""

# W widths, N pieces, M samples

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.approximation.family import BROKEN_LINES, LEAKY_SLOPE
from models.approximation.knots import evaluate
from models.approximation.search import Line
from theory.broken_lines import L2_CONSTANT, as_network, asymptotic_l2, jump_floor, ramp_l1
from theory.expression import Expression
from theory.named_functions import TARGETS
from theory.segmentation import best_segmentation


class Floors(NamedTuple):
    """What is due of each width.

    Attributes:
        values: Least root mean square error, or None where nothing is proved.
        name: What it is.
        family: Whose least error it is, ``{}`` standing for widths.
        constant: lim N² E_N, or None.
        closed: Whether the constant is a closed form; else it is estimated from second differences.
        units: F_{N+1}, below which no network of N units comes, whatever its knots; empty where the values hold for it.
    """

    values: list[float] | None
    name: str
    family: str = "{} pieces"
    constant: float | None = None
    closed: bool = False
    units: Sequence[float] = ()


def find_floors(
    batch: Any, widths: list[int], activation: str, degree: int, depth: int = 1, function: str = ""
) -> Floors:
    """The floor of each width on the noiseless samples.

    Args:
        batch: Places (M,) or (M, D) first, noiseless values (M,) third.
        widths: N.
        activation: Broken lines have the floor of N pieces, polynomials that of their degree, others none.
        degree: Of the polynomial.
        depth: Hidden layers; of more than one nothing is proved.
        function: Its name, where it is one of ``theory.named_functions`` on its own interval.
    """
    if depth > 1:
        return Floors(None, "")
    x, clean = batch[0].cpu().numpy(), batch[2].cpu().numpy()
    if x.ndim == 1 and activation in BROKEN_LINES:
        found = best_segmentation(x, clean, max(widths) + 1).floors
        name = "floor of N straight pieces by dynamic programming; proved for broken lines of N pieces"
        floors, units = ([float(found[width - 1 + more]) for width in widths] for more in (0, 1))
        closed = closed_constant(function)
        constant = estimated_constant(x, clean) if closed is None else closed
        return Floors(floors, name, constant=constant, closed=closed is not None, units=units)
    if x.ndim == 1 and activation == "polynomial":
        basis = np.polynomial.legendre.legvander(2 * x - 1, degree)
        residual = clean - basis @ np.linalg.lstsq(basis, clean, rcond=None)[0]
        floor = float(np.sqrt(np.mean(residual**2)))
        family = f"polynomials of degree {degree}"
        return Floors([floor] * len(widths), f"best polynomial of degree {degree}, whatever the width", family)
    return Floors(None, "")


def closed_constant(function: str) -> float | None:
    """Limit of N² E_N where it is known. Args: function, one of ``theory.named_functions`` on its own interval."""
    target = TARGETS.get(function)
    return None if target is None or target.constant is None else L2_CONSTANT * target.constant


def estimated_constant(x: np.ndarray, y: np.ndarray) -> float | None:
    """Limit of N² E_N from second differences.

    Second differences see no f'' at a kink or a jump, where they grow as their step h shrinks. A jump fades from the
    mean most slowly: two of them are wrong by h^-2, which adds 2 h (h^-2)^⅖ ~ h^⅕. So where twice the step, at the same
    places, says something else, 1 / (2^⅕ - 1) = 6.7 times as much may still be wrong.

    Args:
        x: Samples, shape (M,).
        y: Their values, shape (M,).

    Returns:
        The limit, or None where it may be wrong by more than 1 %, or the samples are too few or not equally far apart.
    """
    steps = np.diff(x)
    if len(x) < 64 or np.ptp(steps) > 1e-6 * steps.mean():
        return None
    fine, coarse = ((y[2 + k : len(y) - 2 + k] - 2 * y[2:-2] + y[2 - k : -2 - k]) / (k * steps[0]) ** 2 for k in (1, 2))
    if abs(asymptotic_l2(fine) - asymptotic_l2(coarse)) > 0.01 * (2**0.2 - 1) * asymptotic_l2(coarse):
        return None
    inner = np.diff(y, 2) / steps[0] ** 2
    return asymptotic_l2(np.concatenate([inner[:1], (inner[1:] + inner[:-1]) / 2, inner[-1:]]))  # of each cell


def one_network(line: Line, slope: float, low: float, high: float) -> nn.Sequential:
    """The broken line as Linear-ReLU-Linear (or LeakyReLU) of the function's own variable.

    Args:
        line: On [0, 1].
        slope: Of the activation for negative arguments.
        low: Where 0 lies.
        high: Where 1 lies.
    """
    inner, bias, outer, offset = as_network(line.knots.cpu().numpy(), line.values.cpu().numpy(), slope)
    first, last = nn.Linear(1, len(bias), dtype=torch.float64), nn.Linear(len(outer), 1, dtype=torch.float64)
    with torch.no_grad():
        weight = torch.from_numpy(inner) / (high - low)
        first.weight.copy_(weight[:, None])
        first.bias.copy_(torch.from_numpy(bias) - low * weight)
        last.weight.copy_(torch.from_numpy(outer)[None])
        last.bias.fill_(offset)
    activation = nn.LeakyReLU(LEAKY_SLOPE) if slope else nn.ReLU()
    return nn.Sequential(first, activation, last).requires_grad_(False).to(line.knots.device)


def function_at(function: str, low: float, high: float, x: Tensor, y: Tensor, places: Tensor) -> Tensor | None:
    """A function of one variable where it was not sampled, or None where nothing but its samples is known.

    Args:
        function: Its name or formula; of a table its file, which may be named as a formula is.
        low: Where 0 lies.
        high: Where 1 lies.
        x: Samples in [0, 1], shape (M,).
        y: Their values, shape (M,), by which the function is recognised.
        places: Where to evaluate it, shape (T,).
    """
    formula = TARGETS[function].formula if function in TARGETS else function
    try:
        known = Expression(formula)
    except ValueError:
        return None
    if not torch.allclose(known(low + (high - low) * x), y, rtol=0, atol=1e-9 * float(y.abs().max())):
        return None
    found = known(low + (high - low) * places)
    return torch.where(torch.isfinite(found), found, torch.nan)


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
