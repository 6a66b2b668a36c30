"""What a run of shapes found, beside what mathematics says: errors, regions, and who wins at equal budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.scales import short
from models.depth.counting import Slice
from models.depth.history import Bounds, History
from models.depth.shapes import shape_name
from theory.intervals import summarise
from theory.regions import constructions
from theory.regions.line import linear_pieces
from theory.regions.network import Layer
from theory.regions.planar_map import TooManyRegionsError

SAWTOOTH_LAYERS, SQUARE_STAGES = 10, 7
CLEAR = 3.0  # standard errors from which on a difference is called one


def standard_errors(first: list[float], second: list[float]) -> float:
    """Distance of two means in standard errors of their difference (Welch); NaN where it is not known."""
    if len(first) < 2 or len(second) < 2:
        return math.nan
    one, other = summarise(first), summarise(second)
    error = math.sqrt(one.deviation**2 / one.runs + other.deviation**2 / other.runs)
    return (one.mean - other.mean) / error if error else math.nan


@dataclass
class Result:
    """Findings of a run.

    Attributes:
        shapes: Hidden widths of each shape, by depth.
        errors: Test error of every network, by shape.
        trained: Regions of every network tested, by shape; NaN where there were too many.
        history: Counts while they trained.
        bounds: What theory says, by shape.
        where: The slice.
        classifies: Whether errors are shares of wrong classes; otherwise root mean squares.
        target: What the data is called.
        given: Networks of another run, by name.
        samples: Test points and values of a function of one number, in order.
        circles: Radii around 0 at which the true class changes; empty where it changes otherwise.
    """

    shapes: list[list[int]]
    errors: list[list[float]]
    trained: list[list[float]]
    history: History
    bounds: list[Bounds]
    where: Slice
    classifies: bool
    target: str
    given: dict[str, list[Layer]]
    samples: tuple[np.ndarray, np.ndarray] | None = None
    circles: Sequence[float] = ()

    def error_text(self, values: list[float]) -> str:
        """``2.10 ± 0.31 %`` or ``0.0120 ± 0.0031``."""
        mean, deviation, _ = summarise(values)
        if self.classifies:
            return f"{100 * mean:.2f}" + (f" ± {100 * deviation:.2f}" if deviation == deviation else "") + " %"
        return f"{mean:.3g}" + (f" ± {deviation:.2g}" if deviation == deviation else "")

    def count_text(self, values: list[float]) -> str:
        """``612 ± 20``."""
        mean, deviation, _ = summarise(values)
        if mean != mean:
            return "too many to count"
        return f"{mean:,.0f}" + (f" ± {deviation:,.0f}" if deviation == deviation else "")

    def verdict(self) -> str:
        """Who wins, the widest or the deeper shape of least error, and by how many standard errors."""
        what = "test error" if self.classifies else "test RMS error"
        texts = [f"{shape_name(w)} {self.error_text(e)}" for w, e in zip(self.shapes, self.errors, strict=True)]
        if len(self.shapes) < 2:
            return f"{what} {texts[0]}"
        means = [summarise(values).mean for values in self.errors]
        wide, deep = 0, min(range(1, len(self.shapes)), key=means.__getitem__)
        apart, runs = standard_errors(self.errors[wide], self.errors[deep]), len(self.errors[wide])
        found = f"{what} wide {texts[wide]}, best deep {texts[deep]}"
        if runs < 2:
            return f"one network each: no deviation, so no verdict; {found}"
        if math.isnan(apart):
            winner = "no verdict: the networks of a shape do not differ, so there is no standard error"
        elif abs(apart) < CLEAR:
            winner = f"neither wins: wide and best deep are within {CLEAR:g} standard errors"
        else:
            winner = f"{'deep' if apart > 0 else 'wide'} wins by {abs(apart):.1f} standard errors"
        return f"{winner}; {found} ({runs} networks each)"

    def beside_wide(self, place: int) -> str:
        """Which of the widest and this shape has the smaller error, by how many standard errors of the difference."""
        apart = standard_errors(self.errors[0], self.errors[place])
        if place == 0 or math.isnan(apart):
            return ""
        if abs(apart) < CLEAR:
            return f" (not told apart from wide: {abs(apart):.2f} s.e., below {CLEAR:g})"
        return f" ({'better' if apart > 0 else 'worse'} than wide by {abs(apart):.1f} s.e.)"

    def findings(self) -> list[tuple[str, str]]:
        """Lines for the end of a run."""
        lines = [(f"deep or wide on {self.target}" if self.target else "deep or wide", self.verdict())]
        for place, (widths, said) in enumerate(zip(self.shapes, self.bounds, strict=True)):
            start, end = (self.count_text(row[place]) for row in (self.history.counts[0], self.trained))
            due = f" (its mean must be {said.expected:,.1f})" if said.expected is not None else ""
            error = self.error_text(self.errors[place]) + self.beside_wide(place)
            text = f"error {error}; regions {start} at the start{due}, {end} trained; at most {said.upper:,}"
            reached = self.reached(place)
            some = "" if reached is None else f" (some network of the shape has {reached:,})"
            lines.append((f"{shape_name(widths)} neurons", text + some))
        lines.append(("regions", f"counted exactly on {self.where.words()}; {self.order_text()}"))
        for name, layers in self.given.items():
            try:
                lines.append(("checkpoint", f"{name}: {self.where.count(layers):,} linear regions"))
            except TooManyRegionsError as error:
                lines.append(("checkpoint", f"{name}: {error}"))
        if self.history.most:
            lines.append(("not counted", self.history.most))
        return [*lines, ("written down", self.construction_text())]

    def reached(self, place: int) -> int | None:
        """What some network of a shape has, by the source or, if more, in this run; None without a source."""
        lower = self.bounds[place].lower
        if lower is None:
            return None
        seen = [count for row in [*self.history.counts, self.trained] for count in row[place] if math.isfinite(count)]
        return max(lower, *map(int, seen)) if seen else lower

    def order_text(self) -> str:
        """The order of the mean at random weights, without its constant: one for all shapes of as many neurons."""
        orders = [f"{one.typical:,.0f}" for one in self.bounds]
        said, source = "mean at random weights, order without its constant:", "(Hanin and Rolnick 2019)"
        if len(set(orders)) == 1:
            return f"{said} {orders[0]}, whatever the depth {source}"
        return f"{said} {', '.join(orders)}, by the number of neurons alone {source}"

    def bounds_text(self) -> str:
        """What the shapes can have, and what the trained networks have of it; for a title."""
        parts = []
        for widths, counts, said in zip(self.shapes, self.trained, self.bounds, strict=True):
            most = f"{said.upper:,}" if said.upper < 10**6 else short(bounded(said.upper), 2)
            if math.isinf(bounded(said.upper)):
                most = f"10^{math.log10(said.upper):.0f}"
            beside = " of" if np.isfinite(counts).all() else ", at most"
            parts.append(f"{shape_name(widths)} has {self.count_text(counts)}{beside} {most}")
        return f"regions of the trained networks beside the most possible: {', '.join(parts)}"

    def construction_text(self) -> str:
        """The two networks that are written down, measured, beside what they must be."""
        made, layers, stages = self.constructed(), SAWTOOTH_LAYERS, SQUARE_STAGES
        due = constructions.square_error(stages)
        return (
            f"sawtooth of {layers} layers of 2: {made['test/sawtooth_pieces']:,.0f} pieces (must be {2**layers:,}; one "
            f"layer of {2 * layers} has at most {2 * layers + 1}); x² with {3 * stages} units: sup error "
            f"{made['test/square_error']:.4g} (must be {due:.4g}, for which a broken line needs "
            f"{constructions.shallow_pieces_needed(due)} pieces)"
        )

    def constructed(self) -> dict[str, float]:
        """The two networks that are written down, measured."""
        return {
            "test/sawtooth_pieces": float(linear_pieces(constructions.sawtooth(SAWTOOTH_LAYERS), 0.0, 1.0)),
            "theory/sawtooth_pieces": 2.0**SAWTOOTH_LAYERS,
            "test/square_error": constructions.measured_square_error(SQUARE_STAGES),
            "theory/square_error": constructions.square_error(SQUARE_STAGES),
        }

    def metrics(self) -> dict[str, float]:
        """Tags of the result."""
        found = self.constructed()
        for place, (widths, said) in enumerate(zip(self.shapes, self.bounds, strict=True)):
            tag = f"depth_{len(widths)}"
            mean, deviation, _ = summarise(self.errors[place])
            start, end = (summarise(row[place]).mean for row in (self.history.counts[0], self.trained))
            found |= {
                f"test/error_{tag}": mean,
                f"test/error_deviation_{tag}": deviation,
                f"test/neurons_{tag}": float(sum(widths)),
                f"test/regions_start_{tag}": start,
                f"test/regions_{tag}": end,
                f"theory/regions_upper_{tag}": bounded(said.upper),
                f"theory/regions_order_{tag}": said.typical,
                f"gap/regions_over_upper_{tag}": end / bounded(said.upper),
            }
            if said.lower is not None:
                found[f"theory/regions_lower_{tag}"] = bounded(said.lower)
            if said.expected is not None:
                found[f"theory/regions_start_{tag}"] = said.expected
                found[f"gap/regions_start_{tag}"] = start / said.expected
        return {name: value for name, value in found.items() if math.isfinite(value)}


def bounded(number: int) -> float:
    """A whole number as float; infinite when no float holds it."""
    try:
        return float(number)
    except OverflowError:
        return math.inf
