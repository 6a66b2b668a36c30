"""What a run of approximation found: errors of every method and width beside the floor of N straight pieces.

Which class is certified. F_N of ``theory.segmentation`` bounds all broken lines of N pieces from below. The fits found
here are such lines, written as plain ReLU networks of N units: one unit bends at the left end, where only its slope is
seen. A network of N units may bend in N places inside and has then N + 1 pieces, so what no network of N units can pass
is F_{N+1}, printed beside it. All errors are given in units of F_N, so that methods can be compared.
"""

# W widths, S seeds, M samples

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dashboard.style import counted

Array = NDArray[np.float64]
ROUNDING = 1e-6  # of a floor: an error so little below it is on it
EXACT = 1e-9  # of the function's deviation: a floor below this is 0 but for rounding


def ratio(error: float, floor: float, scale: float) -> float:
    """Error over floor; 1 where both vanish to rounding, infinite where only the floor does.

    Args:
        error: Root mean square error.
        floor: The least possible.
        scale: Size of the function, for what counts as rounding.
    """
    if floor > EXACT * scale:
        return error / floor
    return 1.0 if error <= max(EXACT * scale, 10 * floor) else math.inf


def fitted_slope(widths: list[int], errors: list[float]) -> float:
    """Slope of log error in log width by least squares; NaN for one width, or where an error is 0."""
    if len(widths) < 2 or min(errors) <= 0:
        return math.nan
    return float(np.polyfit(np.log(widths), np.log(errors), 1)[0])


def root_of_720(length: float) -> str:
    """By what (∫|f''|^⅖)^(5/2) is divided in lim N² E_N. Args: length, of the interval that the mean is taken over."""
    return "√720" if length == 1 else f"√(720 · {length:g})"


@dataclass
class Method:
    """What one method reached.

    Attributes:
        name: For people.
        errors: Root mean square error on the noiseless samples of each width and seed, shape (W, S).
        best: Seed of the least training error of each width, shape (W,).
        steps: Steps it took.
        seconds: Wall time it took.
    """

    name: str
    errors: Array
    best: NDArray[np.int64]
    steps: int
    seconds: float


@dataclass
class Result:
    """What a run found.

    Attributes:
        function: Name or formula.
        widths: N.
        samples: M.
        scale: Standard deviation of the function (1 where it is constant).
        method: The main method; its best error of each width is the result.
        others: What people do, beside it.
        floors: Least possible error of each width, or None where nothing is proved.
        floor_name: What the floor is.
        floor_family: Whose least error it is, see `models.approximation.reference.Floors`.
        unit_floors: Error below which no network of N units comes, of each width; empty where ``floors`` says it.
        test_errors: Root mean square error between the samples, of the best network of each width.
        starts: Where each start of the broken lines led, by name; each of shape (W,).
        constant: lim N² E_N from the asymptotic theory, or None.
        length: Of the interval, whose square root divides the constant.
        closed: Whether it is a closed form; else it is estimated from second differences.
        joined: Error below which no line comes whose pieces meet, of each width: proved; 0 where the floor is reached
            or it was not worked out.
        network_gap: Largest difference of the broken lines and their networks, or None.
        noise: Ratio expected from the noise alone, N + 1 heights and N - 1 knots learnt from it, of each width; empty
            without noise.
        noise_least: Ratio that is due even if the best knots are known, of each width; empty without noise.
        notes: Further lines for people.
        tags: Their numbers.
    """

    function: str
    widths: list[int]
    samples: int
    scale: float
    method: Method
    others: list[Method]
    floors: list[float] | None
    floor_name: str
    floor_family: str
    test_errors: list[float]
    starts: dict[str, Array] = field(default_factory=dict)
    unit_floors: Sequence[float] = ()
    constant: float | None = None
    length: float = 1.0
    closed: bool = False
    joined: list[float] = field(default_factory=list)
    network_gap: float | None = None
    noise: list[float] = field(default_factory=list)
    noise_least: list[float] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    tags: dict[str, float] = field(default_factory=dict)

    @property
    def errors(self) -> list[float]:
        """Error of the chosen seed of each width."""
        return [float(row[best]) for row, best in zip(self.method.errors, self.method.best, strict=True)]

    def ratios(self, errors: list[float]) -> list[float]:
        """Errors over the floors."""
        assert self.floors is not None
        return [ratio(error, floor, self.scale) for error, floor in zip(errors, self.floors, strict=True)]

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        values = dict(self.tags)
        for place, width in enumerate(self.widths):
            values[f"test/rms_{width}"] = self.test_errors[place]
            values[f"test/rms_samples_{width}"] = self.errors[place]
            for other in self.others:
                values[f"test/rms_samples_{other.name.lower()}_{width}"] = float(np.median(other.errors[place]))
        values["test/slope"] = fitted_slope(self.widths, self.errors)
        if self.floors is not None:
            for width, floor, found in zip(self.widths, self.floors, self.ratios(self.errors), strict=True):
                values |= {f"theory/floor_{width}": floor, f"gap/ratio_{width}": found}
            values["gap/worst_ratio"] = max(self.ratios(self.errors))
            for other in self.others:
                medians = self.ratios([float(np.median(row)) for row in other.errors])
                values |= {f"gap/ratio_{other.name.lower()}_{w}": r for w, r in zip(self.widths, medians, strict=True)}
        values |= {f"theory/floor_units_{w}": floor for w, floor in zip(self.widths, self.unit_floors, strict=False)}
        for width, error, least in zip(self.widths, self.errors, self.joined, strict=False):
            if least:
                values |= {f"theory/joined_{width}": least, f"gap/joined_{width}": error / least}
        if self.constant is not None:
            values["theory/asymptotic_constant"] = self.constant
            values["theory/slope"] = -2.0
        if self.network_gap is not None:
            values["gap/network_minus_spline"] = self.network_gap
        for width, expected in zip(self.widths, self.noise, strict=False):
            values[f"theory/noise_ratio_{width}"] = expected
        for width, expected in zip(self.widths, self.noise_least, strict=False):
            values[f"theory/noise_ratio_known_knots_{width}"] = expected
        return {tag: value for tag, value in values.items() if math.isfinite(value)}

    def findings(self) -> list[tuple[str, str]]:
        """Name and text of each line of the result."""
        lines = [("result", self.headline())]
        for place, (width, error) in enumerate(zip(self.widths, self.errors, strict=True)):
            text = f"RMS {error:.4e}"
            if self.differs_between(place):
                text += f" on the samples, {self.test_errors[place]:.4e} between them"
            if self.floors is not None:
                text += f", floor {self.floors[place]:.7e}, {self.compared(error, place)}"
            if self.noise:
                known = self.noise_least[place]
                text += f" (noise in 2N parameters: × {self.noise[place]:.4f}; in N + 1 heights alone: × {known:.4f})"
            for other in self.others:
                text += f"; {other.name} {self.compared(float(np.median(other.errors[place])), place)}"
            lines.append((f"N = {width}", text))
        if self.floors is not None:
            lines.append(("certificate", f"{self.floor_name}; {counted(self.samples, 'sample')} of {self.function}"))
        pairs = list(zip(self.widths, self.unit_floors, strict=False))
        # Where already the floor of N pieces is 0, another that is 0 says nothing.
        if above := [pair for pair, floor in zip(pairs, self.floors or [], strict=False) if floor > EXACT * self.scale]:
            text = ", ".join(self.shown(floor) for _, floor in above)
            only = "" if len(above) == len(pairs) else f" (N = {', '.join(str(width) for width, _ in above)})"
            lines.append(
                ("any knots", "N units can make N + 1 pieces, more than the floor is proved for: no network of N units "
                              f"comes below {text}{only}")
            )  # fmt: skip
        lines += self.price_of_meeting()
        slope = fitted_slope(self.widths, self.errors)
        if self.constant and math.isfinite(slope) and min(self.floors or [0]) > EXACT * self.scale:
            last, how, root = self.widths[-1], "due" if self.closed else "estimated", root_of_720(self.length)
            lines.append(
                ("rate", f"slope {slope:.3f} in log N (due -2 for large N); at N = {last} RMS·N² = "
                         f"{self.errors[-1] * last**2:.5g} ({how} {self.constant:.5g} = (∫|f''|^⅖)^(5/2) / {root})")
            )  # fmt: skip
        if self.starts and self.floors is not None:
            blind = [self.ratios(list(errors)) for name, errors in self.starts.items() if name.startswith("random")]
            if blind and np.isfinite(blind).all():
                sets, several = f"{len(blind)} random set{'s' * (len(blind) > 1)}", len(blind) > 1
                spread = lambda of: f" ± {np.std(of):.2g}" * several
                text = ", ".join(f"{np.mean(of):.3g}{spread(of)}" for of in zip(*blind, strict=True))
                lines.append(("blind starts", f"from {sets} of knots the same search ends at × {text}"))
        if self.others:
            text = "; ".join(
                f"{m.name} {counted(m.steps, 'step')}, {m.seconds:.1f} s" for m in [self.method, *self.others]
            )
            seeds = self.others[0].errors.shape[1]
            lines.append(("budget", f"{text}; {f'median of {seeds} seeds' if seeds > 1 else '1 seed'}"))
        if self.network_gap is not None:
            lines.append(
                ("as a network", f"Linear-ReLU-Linear and broken line differ by at most {self.network_gap:.1e}")
            )
        return lines + self.notes

    def price_of_meeting(self) -> list[tuple[str, str]]:
        """How much of what is left above the floor is due to pieces having to meet, where that is known."""
        known = [place for place, least in enumerate(self.joined) if least]
        if self.floors is None or not known:
            return []
        text = "; ".join(
            f"N = {self.widths[place]} not below {self.compared(self.joined[place], place)}, "
            f"found × {self.errors[place] / self.joined[place]:.4f} of that"
            for place in known
        )
        return [
            ("meeting", f"the floor's pieces need not meet. Those of a broken line do, which is proved to cost: {text}")
        ]

    def compared(self, error: float, place: int) -> str:
        """An error in units of the floor, or as it is where there is none."""
        if self.floors is None:
            return f"{error:.3e}"
        times = ratio(error, self.floors[place], self.scale)
        if self.floors[place] <= EXACT * self.scale:
            return "exact" if times == 1 else f"{error:.1e}"
        return f"× {times:.4f}" if times < 1.5 else f"× {times:.3g}"

    def headline(self) -> str:
        """The main result in one line."""
        if self.floors is None:
            errors = ", ".join(f"{error:.3e}" for error in self.errors)
            units = f"{', '.join(map(str, self.widths))} unit{'s' * (self.widths != [1])}"
            return f"{self.function}: RMS {errors} with {units}; no floor is proved here"
        ratios = self.ratios(self.errors)
        vanishing = [floor <= EXACT * self.scale for floor in self.floors]
        parts = []
        below = [place for place, error in enumerate(self.errors) if self.passes(error, place)]
        if some := [place for place, zero in enumerate(vanishing) if not zero and place not in below]:
            found = ", ".join(self.compared(self.errors[place], place) for place in some)
            parts.append(f"{found} of the proved floor of {self.family(some)}")
        if below:
            found = ", ".join(self.compared(self.errors[place], place) for place in below)
            due = ", ".join(self.shown(self.unit_floors[place]) for place in below)
            parts.append(
                f"below the floor of {self.family(below)} ({found}), since N units can make N + 1 pieces, whose floor "
                f"is {due}"
            )
        if exact := [place for place, zero in enumerate(vanishing) if zero and ratios[place] == 1]:
            on = (
                f" on the {counted(self.samples, 'sample')}"
                if any(self.differs_between(place) for place in exact)
                else ""
            )
            parts.append(f"exact{on}, as the floor 0 of {self.family(exact)} allows")
        parts += [
            f"RMS {self.errors[place]:.1e} where the floor of {self.family([place])} is 0"
            for place in sorted(set(range(len(vanishing))) - {*some, *below, *exact})
        ]
        if differs := [place for place in range(len(self.widths)) if self.differs_between(place)]:
            units = ", ".join(str(self.widths[place]) for place in differs)
            only = f" with {units} unit{'s' * (units != '1')}" if len(differs) < len(self.widths) else ""
            found = ", ".join(dict.fromkeys(f"{self.test_errors[place]:.3g}" for place in differs))  # each once
            parts.append(f"between the samples the error is {found}{only}")
        return f"{self.function}: {'; '.join(parts)}"

    def known_floors(self) -> list[float] | None:
        """The floors, 0 where they are that but for rounding."""
        return self.floors and [floor if floor > EXACT * self.scale else 0.0 for floor in self.floors]

    def passes(self, error: float, place: int) -> bool:
        """Whether an error is below the floor of N pieces, as that of a network with more pieces may be."""
        if self.floors is None or not self.unit_floors:
            return False
        return self.floors[place] > EXACT * self.scale and error < (1 - ROUNDING) * self.floors[place]

    def differs_between(self, place: int) -> bool:
        """Whether the error between the samples is more than twice that on them, and not 0."""
        return self.test_errors[place] > max(2 * self.errors[place], EXACT * self.scale)

    def shown(self, floor: float) -> str:
        """A floor for people, 0 where it is that but for rounding."""
        return f"{floor:.4e}" if floor > EXACT * self.scale else "0"

    def family(self, places: list[int]) -> str:
        """Whose floor stands at these places, such as ``16, 32 pieces``."""
        widths = ", ".join(str(self.widths[place]) for place in places)
        text = self.floor_family.format(widths)
        return text.replace("pieces", "piece") if widths == "1" else text
