"""Errors of an approximation over its number of units N, of several methods and seeds, beside the proved floor."""

# W widths, S seeds

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dashboard.legends import legend_above
from dashboard.scales import logarithmic, power
from dashboard.style import BLACK, CYCLE, THEORY, finding, label, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BELOW = 2  # decades from the least error to the line of 0
MOST_TICKS = 6


@dataclass(frozen=True)
class Levels:
    """Where errors stand on a logarithmic axis, which has no place for 0.

    Attributes:
        exact: Errors up to this one are 0 but for rounding.
        least: Where these are drawn: two decades below the least error that is one.
        largest: The largest error that is one; None where there is none.
        zeros: Whether some are 0.
    """

    exact: float
    least: float
    largest: float | None
    zeros: bool

    @classmethod
    def of(cls, drawn: Sequence[np.ndarray], exact: float) -> Levels:
        """Those of an axis that shows the given errors."""
        every = np.concatenate([np.ravel(values) for values in drawn])
        above = every[every > exact]
        if not above.size:
            return cls(exact, 1e-3, None, True)  # of an axis that ends at 1
        least = 10.0 ** (np.floor(np.log10(above.min())) - BELOW)
        return cls(exact, float(least), float(above.max()), len(above) < len(every))

    def __call__(self, errors: ArrayLike) -> np.ndarray:
        """The errors, those that are 0 on their line."""
        levels = np.asarray(errors, dtype=float)
        return np.where(levels > self.exact, levels, self.least)

    def scale(self, axes: Axes) -> None:
        """Makes both axes logarithmic; where errors are 0, that of errors ends below their line, which is named."""
        if not self.zeros:
            logarithmic(axes, x=True, y=True)
            return
        axes.set_ylim(self.least / 3, 1.0 if self.largest is None else 2 * self.largest)
        logarithmic(axes, x=True, y=True)
        powers = np.zeros(1)
        if self.largest is not None:
            powers = np.arange(round(np.log10(self.least)) + BELOW, np.log10(self.largest) + 1)
        ticks = [self.least, *10.0 ** powers[:: -(-len(powers) // MOST_TICKS)]]
        axes.set_yticks(ticks, ["0", *map(power, ticks[1:])])


def error_figure(
    widths: Sequence[int],
    methods: Mapping[str, ArrayLike],
    floors: ArrayLike | None = None,
    constant: float | None = None,
    *,
    subject: str,
    root: str = "√720",
    chosen: ArrayLike | None = None,
    more_pieces: Sequence[float] = (),
    exact: float = 0.0,
) -> Figure:
    """Error over the number of units, of several methods and seeds, beside the floor.

    Args:
        widths: N, shape (W,).
        methods: Errors of every seed, each of shape (W, S); the line goes through the median, bars span the seeds.
        floors: Least possible error, shape (W,), drawn dashed.
        constant: lim N² E_N, drawn dotted.
        subject: The beginning of the title.
        root: By what the integral of the constant is divided.
        chosen: Errors of the first method's seeds that are its result, shape (W,); where it has several, they are
            starred, and the title tells of them instead of the median.
        more_pieces: Floors of N + 1 pieces, shape (W,), given where a method passes those of N.
        exact: Errors up to this one are 0 but for rounding; they lie on a line named 0 below all others.

    Returns:
        A figure of one axes; the title tells how far above the floor the methods are at the largest width.

    Raises:
        ValueError: If a method has not one row of errors for each width.
    """
    places = np.asarray(widths, dtype=float)
    arrays = {name: np.asarray(errors, dtype=float) for name, errors in methods.items()}
    if not arrays or any(errors.ndim != 2 or len(errors) != len(places) for errors in arrays.values()):
        raise ValueError(f"methods must hold errors of shape ({len(places)}, seeds), one row for each width")
    proved = None if floors is None else np.asarray(floors, dtype=float)
    starred = None if chosen is None or next(iter(arrays.values())).shape[1] == 1 else np.asarray(chosen, dtype=float)
    levels = Levels.of([*arrays.values(), *([] if proved is None else [proved])], exact)
    figure, (axes,) = new_figure(6.4, 4.4)
    draw_methods(axes, places, arrays, levels)
    if proved is not None:
        draw_floor(axes, places, levels(proved), "proved floor", zorder=4)  # over a method that lies on it
    if starred is not None:
        axes.plot(places, levels(starred), "*", color=CYCLE[0], markersize=9, linestyle="none", markeredgecolor=BLACK,
                  markeredgewidth=0.6, label="best seed")  # fmt: skip
    if len(more_pieces) and min(more_pieces) > exact:
        draw_floor(axes, places, more_pieces, "floor of N + 1 pieces", linestyle="-.")
    if constant:
        name = f"(∫|f''|^⅖)^(5/2) / ({root} N²)"
        draw_floor(axes, places, constant / places**2, name, color=BLACK, linestyle=":", linewidth=1.2)
    levels.scale(axes)
    axes.set_xticks(places, [str(width) for width in widths])
    if len(places) == 1:  # as much room as between several widths, or the methods would seem to stand at other N
        axes.set_xlim(places[0] / 2, places[0] * 2)
    most = max(errors.shape[1] for errors in arrays.values())
    units = "units N" if proved is None else "units N; the floor is that of N pieces"
    label(axes, units, "root mean square error" + f"; median and span of {most} seeds" * (most > 1))
    text = "error over the number of units"
    if proved is not None and proved[-1] > exact:
        times = ", ".join(times_the_floor(arrays, float(proved[-1]), starred))
        text = f"error over floor at N = {widths[-1]}: {times}"
    if len(more_pieces):
        text += "; N units can make N + 1 pieces, the floor is of N"
    finding(figure, f"{subject}: {text}", left=0.85, header=legend_above(axes, 2))
    return figure


def draw_methods(axes: Axes, places: np.ndarray, methods: Mapping[str, np.ndarray], levels: Levels) -> None:
    """A line through each method's medians, with bars over its seeds; errors of shape (W, S) at W places."""
    for number, (colour, (name, errors)) in enumerate(zip(CYCLE, methods.items(), strict=False)):
        middle = levels(np.median(errors, 1))
        bars = np.abs(np.stack([levels(errors.min(1)), levels(errors.max(1))]) - middle)
        shift = 1 + 0.03 * number  # the first stays where its floor is
        axes.errorbar(places * shift, middle, bars, color=colour, marker="o", markersize=4, linewidth=1.5, capsize=3,
                      elinewidth=1, label=plain(name, 40))  # fmt: skip


def draw_floor(axes: Axes, places: ArrayLike, floors: ArrayLike, name: str, **style: Any) -> None:
    """A floor over N; of one N right across, where a line from place to place would be nothing."""
    if np.size(places) == 1:
        axes.axhline(float(np.ravel(floors)[0]), label=name, **{**THEORY, **style})
    else:
        axes.plot(places, floors, label=name, **{**THEORY, **style})


def times_the_floor(methods: Mapping[str, np.ndarray], floor: float, starred: np.ndarray | None) -> list[str]:
    """Each method's median at the largest N in units of the floor; of the first its best seed, where one is starred."""
    told = [(plain(name), float(np.median(errors[-1]))) for name, errors in methods.items()]
    if starred is not None:
        name, errors = next(iter(methods.items()))
        told[0] = f"{plain(name)}, best of {errors.shape[1]} seeds,", float(starred[-1])
    return [over_floor(name, error / floor) for name, error in told]


def over_floor(name: str, times: float) -> str:
    """A method and its error in units of the floor, as the lines of a run write it. Args: name; times."""
    digits = f"{times:.4f}" if times < 0.99995 else f"{times:.4g}" if times < 2 else f"{times:.3g}"
    return f"{name} ×\N{NO-BREAK SPACE}{digits}"
