"""Measures a finished run: errors of every method on the noiseless samples and between them, beside the floors."""

# W widths, S seeds, M samples, T places of the test

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.approximation.family import BROKEN_LINES
from models.approximation.reference import Floors, function_at, notes_on, one_network
from models.approximation.results import EXACT, Method, Result
from models.approximation.search import NEAR, Line
from models.approximation.searches import NAMES, Searches, deviation
from models.approximation.surfaces import beside_linear_methods
from theory.joined_bound import least_joined

FINE = 2000  # places of a curve that is drawn, where the samples are fewer


@dataclass
class Drawing:
    """What the figures need.

    Attributes:
        batch: The samples.
        chosen: Values of each width's best network on them, shape (W, M).
        lines: The best broken lines, if the networks are such.
        networks: The same as networks.
        places: Of a curve close enough to be drawn, shape (T,); of a surface the samples' own.
        curves: Values of each width's best network there, shape (W, T).
        function: The function there, shape (T,), or None where it is known at the samples alone.
    """

    batch: Any
    chosen: Tensor
    lines: list[Line]
    networks: list[nn.Sequential]
    places: Tensor
    curves: Tensor
    function: Tensor | None


def measure(searches: Searches, batch: Any, floors: Floors, options: Any) -> tuple[Result, Drawing]:
    """Errors beside floors.

    Args:
        searches: As trained.
        batch: x, y, clean (M,), test_x, test_y (T,).
        floors: On the noiseless samples.
        options: The task's: function, low, high, activation, noisy.

    Returns:
        The result, and what its figures need. Of several seeds the one with the least error on ``y`` is taken, so that
        noiseless values choose nothing.
    """
    x, y, clean, test_x, test_y = batch
    values, between = searches.values(x, y, x), searches.values(x, y, test_x)
    methods = [judged(searches, key, found, y, clean) for key, found in values.items()]
    key = next(iter(values))
    rows, best = range(len(searches.widths)), torch.from_numpy(methods[0].best).tolist()
    chosen = values[key][rows, best]  # (W, M)
    test_errors = (between[key][rows, best] - test_y).square().mean(1).sqrt().tolist()
    lines = searches.lines(x, y)
    low, high = options["low"], options["high"]
    networks = [one_network(line, BROKEN_LINES[options["activation"]], low, high) for line in lines]
    real = (low + (high - low) * x)[:, None] if lines else x
    gaps = [float((net(real)[:, 0] - line).abs().max()) for net, line in zip(networks, chosen, strict=False)]
    result = Result(
        function=options["function"],
        widths=searches.widths,
        samples=len(x),
        scale=float(deviation(clean)),
        method=methods[0],
        others=methods[1:],
        floors=floors.values,
        floor_name=floors.name,
        floor_family=floors.family,
        unit_floors=floors.units,
        test_errors=test_errors,
        constant=floors.constant,
        length=high - low,
        closed=floors.closed,
        network_gap=max(gaps, default=None),
    )
    if searches.spline is not None and not options["noisy"] and int(searches.spline.generation) > 0:
        ends = searches.spline.first_error.view(len(lines), -1).sqrt().cpu().numpy()
        result.starts = dict(zip(searches.spline.names, ends.T, strict=True))
    if lines and not options["noisy"]:
        with searches.clock("spline"):
            result.joined = [
                price_of_meeting(x, clean, *each)
                for each in zip(searches.widths, result.errors, floors.values or [], strict=True)
            ]
    if options["noisy"] and lines and floors.values and min(floors.values) > 0:
        variance = float((y - clean).square().mean())
        pairs = list(zip(searches.widths, floors.values, strict=True))
        result.noise = [price_of_noise(variance / len(x), floor, 2 * width) for width, floor in pairs]
        result.noise_least = [price_of_noise(variance / len(x), floor, width + 1) for width, floor in pairs]
    if x.ndim == 2 and math.isqrt(len(x)) ** 2 == len(x):
        result.notes, result.tags = beside_linear_methods(searches, x, clean, chosen, best)
    else:
        result.notes = notes_on(options["function"], lines, low, high)
    places = torch.linspace(0, 1, FINE, dtype=x.dtype, device=x.device) if x.ndim == 1 and len(x) < FINE else x
    curves = chosen if places is x else searches.values(x, y, places)[key][rows, best]
    function = function_at(options["function"], low, high, x, clean, places) if x.ndim == 1 else clean
    return result, Drawing(
        batch=batch, chosen=chosen, lines=lines, networks=networks, places=places, curves=curves, function=function
    )


def judged(searches: Searches, key: str, found: Tensor, y: Tensor, clean: Tensor) -> Method:
    """What a search reached.

    Args:
        searches: As trained.
        key: Of the search.
        found: Values of its networks on the samples, shape (W, S, M).
        y: Values to learn from, shape (M,).
        clean: The same without noise, shape (M,).
    """
    return Method(
        NAMES[key],
        (found - clean).square().mean(2).sqrt().cpu().numpy(),
        (found - y).square().mean(2).argmin(1).cpu().numpy(),
        searches.steps(key),
        searches.seconds[key],
    )


def price_of_meeting(x: Tensor, y: Tensor, pieces: int, error: float, floor: float) -> float:
    """What no line comes below whose pieces meet; 0 where the floor is reached, or too many lines are nearly as good.

    Args:
        x: Samples, shape (M,).
        y: Their values, shape (M,).
        pieces: N.
        error: Root mean square error of the line that was found.
        floor: Least error of N pieces that need not meet.
    """
    if error <= NEAR * floor or floor <= EXACT * float(deviation(y)):
        return 0.0
    return least_joined(x.cpu().numpy(), y.cpu().numpy(), pieces, error) or 0.0


def price_of_noise(variance: float, floor: float, parameters: int) -> float:
    """Expected error of a fit to noisy samples over the floor of noiseless ones: each free parameter lets in a share.

    Args:
        variance: Of the noise, over the number of samples.
        floor: Least root mean square error without noise, above 0.
        parameters: Free ones: N + 1 heights, which no method does without even if told the knots, and N - 1 knots.
    """
    return math.sqrt(1 + parameters * variance / floor**2)
