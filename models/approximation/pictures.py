"""Which figures a run of approximation draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dashboard.approximation import fit_figure, knots_figure, surface_figure, units_figure
from dashboard.width_errors import error_figure
from models.approximation.measure import Drawing
from models.approximation.results import EXACT, Result, root_of_720
from models.approximation.search import SplineSearch

SHOWN = 16  # units of the network that is drawn


def pictures(
    result: Result, drawing: Drawing, spline: SplineSearch | None, low: float, high: float
) -> Iterator[tuple[str, Any]]:
    """The figures of a run.

    Args:
        result: What it found.
        drawing: The samples, and the best networks on them.
        spline: The search for broken lines, if there was one.
        low: Left end of the interval.
        high: Right end.

    Yields:
        Name and figure.
    """
    batch, chosen = drawing.batch, drawing.chosen.cpu().numpy()
    place = int(np.argmin([abs(width - SHOWN) for width in result.widths]))
    width = result.widths[place]
    methods = {"free knots" if spline is not None else result.method.name: result.method.errors}
    methods |= {other.name: other.errors for other in result.others}
    passed = any(
        result.passes(float(row.min()), place) for errors in methods.values() for place, row in enumerate(errors)
    )
    yield "error", error_figure(
        result.widths, methods, result.known_floors(), result.constant, subject=result.function,
        root=root_of_720(result.length), chosen=result.errors, more_pieces=result.unit_floors if passed else (),
        exact=EXACT * result.scale if result.floors else 0.0,
    )  # fmt: skip
    if batch[0].ndim == 2:
        side = round(len(batch[0]) ** 0.5)
        shown = {"function": batch[2].cpu().numpy().reshape(side, side)}
        shown |= {
            f"{n} unit{'s' * (n > 1)}": values.reshape(side, side)
            for n, values in zip(result.widths, chosen, strict=True)
        }
        text = f"error {result.errors[0]:.3g} to {result.errors[-1]:.3g}"
        yield "surface", surface_figure(shown, subject=result.function, text=text, extent=(low, high, high, low))
        return
    x, places = (low + (high - low) * part.cpu().numpy() for part in (batch[0], drawing.places))
    line = drawing.lines[place] if drawing.lines else None
    knots = low + (high - low) * line.knots.cpu().numpy() if line else np.empty(0)
    heights = line.values.cpu().numpy() if line else np.empty(0)
    clean = batch[2].cpu().numpy()
    noisy = None if batch[1] is batch[2] or bool((batch[1] == batch[2]).all()) else batch[1].cpu().numpy()
    subject = f"{result.function}, {width} unit{'s' * (width > 1)}"
    function = None if drawing.function is None else drawing.function.cpu().numpy()
    dots = None if drawing.places is batch[0] and function is not None else (x, clean, chosen[place])
    yield "fit", fit_figure(
        places, function, drawing.curves[place].cpu().numpy(), knots, heights, subject=subject, noisy=noisy,
        samples=dots, between=result.test_errors[place] if result.differs_between(place) else None,
    )  # fmt: skip
    if spline is None or line is None:
        return
    path = spline.path[: int(spline.rounds), place, : width + 1].cpu().numpy()
    if len(path) > 1:
        yield "knots", knots_figure(low + (high - low) * path, knots, subject=subject)
    units, offset = contributions(drawing.networks[place], batch[0].new_tensor(x))
    yield "units", units_figure(x, units, offset, subject=subject)


def contributions(network: nn.Sequential, x: Tensor) -> tuple[np.ndarray, float]:
    """What each hidden unit adds to the output at x (M,), shape (N, M), and the output's bias."""
    with torch.no_grad():
        hidden = network[:2](x[:, None])  # (M, N)
        last = network[2]
        assert isinstance(last, nn.Linear)
        return (hidden * last.weight[0]).T.cpu().numpy(), float(last.bias)
