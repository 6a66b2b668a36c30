"""All searches of a run side by side: the main method, and what people do."""

# W widths, S seeds, M samples, T places

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.approximation.descent import LBFGS, Adam
from models.approximation.family import BROKEN_LINES, Activation, Family
from models.approximation.gauss_newton import Projections
from models.approximation.knots import evaluate
from models.approximation.search import Line, SplineSearch
from theory.seeds import mix_seed

ADAM_STEPS = 10  # for each round of the other searches
DESCENT_SAMPLES, PROJECTION_SAMPLES = 512, 1024
NAMES = {"spline": "free knots", "newton": "free weights", "adam": "Adam", "lbfgs": "L-BFGS"}


def deviation(y: Tensor) -> Tensor:
    """Standard deviation of the values, 1 where they are constant."""
    spread = y.std(correction=0)
    return torch.where(spread > 1e-12 * y.abs().max().clamp_min(1e-300), spread, torch.ones_like(spread))


def subset(x: Tensor, wanted: int) -> slice:
    """About ``wanted`` samples of a line, every k-th; all of a surface."""
    stride = max(1, len(x) // wanted) if x.ndim == 1 else 1
    return slice(stride // 2, None, stride)


class Searches(nn.Module):
    """Networks of every width trained by the main method and, if wanted, by those beside it.

    Broken lines and surfaces are trained on all samples; other functions of one variable on every k-th, about 1,024 for
    variable projection and 512 for the descents, which makes their steps cheap and their functions no worse.

    Args:
        widths: N of each hidden layer, ascending.
        seeds: Random starts of each width.
        activation: φ.
        degree: Of the activation polynomial.
        num_inputs: 1 or 2.
        noisy: The samples carry noise.
        method: ``varpro``, ``adam`` or ``lbfgs``.
        compare: With ``varpro``, also run the other two.
        lr: Of Adam at the start.
        rounds: In which Adam's rate falls to 0; infinite where it does not fall.
        seed: Of everything random.
        depth: Hidden layers.
    """

    def __init__(
        self,
        widths: Sequence[int],
        seeds: int,
        activation: Activation,
        degree: int,
        num_inputs: int,
        noisy: bool,
        method: str,
        compare: bool,
        lr: float,
        rounds: float,
        seed: int,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.widths, self.depth = list(widths), depth
        lines = method == "varpro" and activation in BROKEN_LINES and num_inputs == 1 and depth == 1
        descents = ["adam", "lbfgs"] if method == "varpro" and compare else [method]

        def family(
            *stream: int, sizes: Sequence[int] = widths, spread: bool = False, dtype: torch.dtype = torch.float64
        ) -> Family:
            number = mix_seed(seed, *stream) % 2**62
            return Family(
                sizes,
                seeds=seeds,
                activation=activation,
                num_inputs=num_inputs,
                degree=degree,
                spread=spread,
                seed=number,
                dtype=dtype,
                depth=depth,
            )

        self.spline = SplineSearch(widths, seeds, noisy, seed) if lines else None
        projected = method == "varpro" and not lines
        spread = activation != "polynomial"
        self.newton = (
            Projections([family(3, width, sizes=[width], spread=spread) for width in widths]) if projected else None
        )
        self.adam = Adam(family(1, dtype=torch.float32), lr, ADAM_STEPS * rounds) if "adam" in descents else None
        self.lbfgs = LBFGS(family(2)) if "lbfgs" in descents else None
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self.rounds = 0

    def plan(self, rounds: float) -> None:
        """Says in how many rounds Adam's rate falls to 0. Args: rounds, infinite where it does not fall."""
        if self.adam is not None:
            self.adam.steps = ADAM_STEPS * rounds

    def notes(self) -> list[tuple[str, str]]:
        """What people should know of Adam's rate where its fall and the training did not end together."""
        if self.adam is None or math.isinf(self.adam.steps) or self.adam.steps == ADAM_STEPS * self.rounds:
            return []
        planned = round(self.adam.steps / ADAM_STEPS)
        if self.rounds > planned:
            text = (
                f"fell to 0 in {planned:,} rounds: the other {self.rounds - planned:,} of {self.rounds:,} moved nothing"
            )
        else:
            left = (1 + math.cos(math.pi * self.rounds / planned)) / 2
            text = (
                f"was still {left:.1%} of its start at the end: {self.rounds:,} of the {planned:,} rounds of its fall"
            )
        return [("rate of Adam", text)]

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Adds the wall time of a block to that of a search."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started

    def step(self, x: Tensor, y: Tensor, floors: Sequence[float]) -> Tensor:
        """One round of every search.

        Args:
            x: Samples in [0, 1] or its square, shape (M,) or (M, D).
            y: Values to learn from, shape (M,).
            floors: Below which broken lines cannot come, shape (W,); 0 where unknown.

        Returns:
            Least mean squared error of each width over the variance, by the main method, shape (W,).
        """
        centre, scale = y.mean(), deviation(y)
        errors: list[Tensor] = []
        if self.spline is not None:
            with self.clock("spline"):
                errors.append(self.spline.step(x, y, floors) / scale**2)
        if self.newton is not None:
            part = subset(x, PROJECTION_SAMPLES)
            with self.clock("newton"):
                errors.append(self.newton.step(x[part], y[part]).amin(1) / scale**2)
        part = subset(x, DESCENT_SAMPLES)
        places, values = x[part], (y[part] - centre) / scale  # standardised, as people do
        if self.adam is not None:
            with self.clock("adam"):
                errors.append(self.adam.step(places, values, ADAM_STEPS).view(len(self.widths), -1).amin(1).double())
        if self.lbfgs is not None:
            with self.clock("lbfgs"):
                errors.append(self.lbfgs.step(places, values).view(len(self.widths), -1).amin(1))
        self.rounds += 1
        return errors[0]

    def values(self, x: Tensor, y: Tensor, places: Tensor) -> dict[str, Tensor]:
        """What every search's networks give, the main one first.

        Args:
            x: Samples, which the broken lines are fitted to.
            y: Values to learn from.
            places: Where to evaluate, shape (T,) or (T, D).

        Returns:
            By the search's key, each of shape (W, S, T), S = 1 for broken lines.
        """
        found = {}
        if self.spline is not None:
            found["spline"] = torch.stack([evaluate(k[None], v[None], places) for k, v, _ in self.lines(x, y)])
        with torch.no_grad():
            if self.newton is not None:
                found["newton"] = self.newton(places)
            for key, search in (("adam", self.adam), ("lbfgs", self.lbfgs)):
                if search is not None:
                    raw = search.family(places).double().view(len(self.widths), -1, len(places))
                    found[key] = y.mean() + deviation(y) * raw
        return found

    def lines(self, x: Tensor, y: Tensor) -> list[Line]:
        """The best broken line of each width; none where the networks are no broken lines."""
        return [] if self.spline is None else self.spline.best(x, y)

    def steps(self, key: str) -> int:
        """Steps that a search has taken."""
        if key == "spline":
            assert self.spline is not None
            return int(self.spline.rounds)
        return self.rounds * (ADAM_STEPS if key == "adam" else 1)
