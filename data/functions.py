"""Functions as data: places and values of a named function, of a user's own formula, or of a table.

A batch is the whole set: places scaled to the unit interval (or square), values to learn from, the same without noise,
and further places, between the others, with their values, for the test. Everything is float64: what is measured is how
near a fit comes to its floor, often six digits below the function's size.

Letters: M samples, T places of the test, D variables.
"""

import difflib
import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import WholeSetLoader
from data.function_files import LARGEST, LEAST, MOST, PICTURE_FILES, PICTURES, read_grey_square, read_pairs
from data.ranges import MOST_NOISE, check_within
from data.run import run_device
from theory.expression import Expression
from theory.named_functions import TARGETS, Target
from theory.seeds import mix_seed

MOST_STEPS = 100_000  # of an epoch; more epochs go on from there, and say how far they are


class Samples(NamedTuple):
    """A function by its samples, float64.

    Attributes:
        x: Places scaled to [0, 1], ascending if there is one variable: shape (M,) for D = 1, else (M, D).
        y: Values to learn from, shape (M,).
        clean: Values without noise, shape (M,).
        test_x: Places of the test, (T,) or (T, D).
        test_y: Their values without noise, shape (T,).
    """

    x: Tensor
    y: Tensor
    clean: Tensor
    test_x: Tensor
    test_y: Tensor


def middles(count: int, variables: int = 1) -> Tensor:
    """Middles of equal cells of [0, 1], shape (count,), or of the square, row by row, shape (count², 2)."""
    line = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return line if variables == 1 else torch.stack(torch.meshgrid(line, line, indexing="ij"), 2).flip(2).reshape(-1, 2)


def values_of(target: Target, places: Tensor, low: float, high: float) -> Tensor:
    """The function at places scaled to [0, 1], shape (M,).

    Args:
        target: The function.
        places: Shape (M,) or (M, 2).
        low: Where 0 lies.
        high: Where 1 lies.

    Raises:
        ValueError: If it is not finite somewhere; the first such place is named.
    """
    real = low + (high - low) * places
    columns = [real] if real.ndim == 1 else list(real.unbind(1))
    found = Expression(target.formula, target.variables)(*columns)
    bad = (~torch.isfinite(found)).nonzero()
    if len(bad):
        value = float(found[bad[0, 0]])
        if not any(re.search(rf"\b{name}\b", target.formula) for name in target.variables):
            raise ValueError(
                f"--data.function {target.formula!r} is {value} everywhere: write a formula of finite values"
            )
        where = ", ".join(f"{name} = {float(column[bad[0, 0]]):.6g}" for name, column in
                          zip(target.variables, columns, strict=True))  # fmt: skip
        raise ValueError(
            f"--data.function {target.formula!r} is {value} at {where}: it must be finite on "
            f"[{low:g}, {high:g}]; choose --data.low and --data.high, or another formula"
        )
    if float(found.abs().max()) > LARGEST:
        raise ValueError(f"--data.function {target.formula!r} goes beyond {LARGEST:g}, whose square overflows")
    return found.contiguous()


def find_target(text: str, low: float | None, high: float | None) -> tuple[str, Target]:
    """The function that a text names or writes.

    Args:
        text: A name of ``theory.named_functions``, or a formula in x, or in x and y.
        low: Left end of the interval, or None for the usual one.
        high: Right end, or None.

    Returns:
        Its name (the formula itself where it has none), and the function on its interval.

    Raises:
        ValueError: If it is neither, or the interval is empty.
    """
    known = TARGETS.get(text)
    if known is None:
        try:
            Expression(text, ("x", "y"))
        except ValueError as error:
            if re.fullmatch(r"[^\W\d][\w-]*", text):  # a name, as step-sine
                match = difflib.get_close_matches(text, [*TARGETS, *PICTURES], n=1, cutoff=0.6)
                hint = f", did you mean {match[0]!r}?" if match else ","
                raise ValueError(
                    f"--data.function: no function named {text!r}{hint} known: {', '.join([*TARGETS, *PICTURES])}; "
                    "or a formula in x (and y), or the path of a CSV file"
                ) from None
            raise ValueError(f"--data.function: {error}") from None
        known = Target(text, "your own formula")
    left, right = known.low if low is None else low, known.high if high is None else high
    if not (math.isfinite(left) and math.isfinite(right) and left < right):
        raise ValueError(f"--data.low must be below --data.high, and both finite; got {left} and {right}")
    unchanged = (left, right) == (known.low, known.high)
    jump = known.jump if known.jump and left < known.jump[0] < right else None
    return text, Target(known.formula, known.about, left, right, known.constant if unchanged else None, jump)


def places_with_several_values(x: Tensor, y: Tensor) -> int:
    """How many places stand there with values that differ. Args: x ascending, y, both of shape (M,)."""
    torn = (x.diff() == 0) & (y.diff() != 0)
    return len(x[1:][torn].unique())


def is_picture(function: str) -> bool:
    """Whether a function is a bundled picture, or given as the file of one."""
    return function in PICTURES or Path(function).suffix.lower() in PICTURE_FILES


def is_table(function: str) -> bool:
    """Whether a function is given as a file of x, y."""
    if is_picture(function):
        return False
    table = Path(function).suffix.lower() in (".csv", ".tsv", ".txt")
    return table or os.path.isfile(os.path.expanduser(function))  # which a name too long is not


class Functions(LightningDataModule):
    """A function of one or two variables by its samples.

    Args:
        function: square, exponential, root, sine, sine4, tanh, runge, step-sine, step, abs, weierstrass, the surfaces
            ripple and saddle, the pictures camera and face, a formula such as "exp(-x)*sin(9*x)" (with a y: a
            surface), a CSV file of x, y, or the file of a picture.
        low: Left end of the interval; of a named function its own by default, else 0. Not for a CSV file.
        high: Right end; of a named function its own by default, else 1.
        num_samples: Samples at the middles of equal cells; of a surface the nearest square number. 2 to 8,192.
        noise: Standard deviation of Gaussian noise on the values to learn from, in units of the function's own.
        noise_seed: Seed of the noise.
        steps: Training steps an epoch, at most 100,000, each a round of every search.
    """

    FACTS = ("function", "low", "high", "num_inputs", "noisy")
    CONDITIONS = (
        (
            ("data.num_samples",),
            lambda o: not is_table(str(o["data.function"])),
            "a file of x, y brings its own samples",
        ),
        (("data.noise_seed",), lambda options: options["data.noise"] > 0, "only with --data.noise above 0"),
    )
    name = "functions"

    def __init__(
        self,
        function: str = "step-sine",
        low: float | None = None,
        high: float | None = None,
        num_samples: int = 4096,
        noise: float = 0.0,
        noise_seed: int = 0,
        steps: int = 50,
    ) -> None:
        super().__init__()
        check_within(locals(), {"num_samples": (LEAST, MOST), "noise": (0, MOST_NOISE), "noise_seed": (0, math.inf),
                                "steps": (1, MOST_STEPS)})  # fmt: skip
        self.num_samples, self.noise, self.noise_seed, self.steps = num_samples, noise, noise_seed, steps
        self.target: Target | None = None
        self.path: Path | None = None
        self.picture = function if is_picture(function) else None
        if self.picture is not None:
            self.function = Path(function).stem
            if low is not None or high is not None:
                raise ValueError("--data.low and --data.high: a picture fills the unit square")
        elif is_table(function):
            self.path = Path(function).expanduser()
            self.function = self.path.name
            if low is not None or high is not None:
                raise ValueError("--data.low and --data.high: a CSV file brings its own interval")
        elif os.path.isdir(os.path.expanduser(function)):
            raise ValueError(f"--data.function {function} is a folder: give a formula, a CSV file or a picture")
        else:
            self.function, self.target = find_target(function, low, high)
        self._samples: Samples | None = None
        self._interval = (0.0, 1.0)

    def setup(self, stage: str | None = None) -> None:
        """Computes or reads the samples; a second call does nothing.

        Raises:
            ValueError: If the function is not finite on its interval, or the file is no table of pairs and no picture.
        """
        if self._samples is not None:
            return
        if self.picture is not None:
            grey = read_grey_square(self.picture, max(LEAST, round(math.sqrt(self.num_samples))))
            x = test_x = middles(len(grey), 2)
            clean = test_y = grey.flatten()
        elif self.path is not None:
            x, clean = read_pairs(self.path)
            self._interval = (float(x[0]), float(x[-1]))
            x = (x - x[0]) / (x[-1] - x[0])
            test_x, test_y = x, clean
        else:
            assert self.target is not None
            variables = len(self.target.variables)
            count = self.num_samples if variables == 1 else max(2, round(math.sqrt(self.num_samples)))
            self._interval = (self.target.low, self.target.high)
            x, test_x = middles(count, variables), middles(4 * count if variables == 1 else 2 * count, variables)
            clean, test_y = (values_of(self.target, places, *self._interval) for places in (x, test_x))
        generator = torch.Generator().manual_seed(mix_seed(self.noise_seed))
        noise = torch.randn(len(clean), generator=generator, dtype=torch.float64)
        y = clean + self.noise * clean.std(correction=0) * noise if self.noise else clean
        self._samples = Samples(x, y, clean, test_x, test_y)

    def samples(self) -> Samples:
        """The whole set, on the CPU until a trainer has asked for it."""
        self.setup()
        assert self._samples is not None
        return self._samples

    def facts(self) -> dict[str, Any]:
        """What a model must know: the function, its interval, how many variables it has, whether there is noise."""
        samples = self.samples()
        return {
            "function": self.function,
            "low": self._interval[0],
            "high": self._interval[1],
            "num_inputs": samples.x.ndim,
            "noisy": self.noise > 0,
        }

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts."""
        samples, (low, high) = self.samples(), self._interval
        square = "²" if samples.x.ndim == 2 else ""
        source = "read from a file" if self.target is None else self.target.about
        if self.path is not None and (several := places_with_several_values(samples.x, samples.clean)):
            source += f"; {several} of its places x have several values, which no function takes"
        return {
            "name": self.function,
            "source": f"{source}, noise of {self.noise:g} deviations" if self.noise else source,
            "splits": {"train": len(samples.x), "val": 0, "test": len(samples.test_x)},
            "shape": f"values on [{low:g}, {high:g}]{square}",
            "formula": "" if self.target is None else self.target.formula,
            "noise": self.noise,
        }

    def _loader(self, steps: int) -> WholeSetLoader:
        self._samples = Samples(*(tensor.to(run_device(self)) for tensor in self.samples()))
        return WholeSetLoader(self._samples, steps)

    def train_dataloader(self) -> WholeSetLoader:
        """The set, ``steps`` times an epoch."""
        return self._loader(self.steps)

    def test_dataloader(self) -> WholeSetLoader:
        """The set, once."""
        return self._loader(1)


class Picture(Functions):
    """A picture as a function of two variables, place to brightness.

    Args:
        function: camera or face (bundled with scikit-image), or the file of a picture.
        num_samples: Pixels at most, 2 to 8,192: larger pictures are reduced to a square of about so many, at least 4.
        noise: Standard deviation of Gaussian noise on the values to learn from, in units of the picture's own.
        noise_seed: Seed of the noise.
        steps: Training steps an epoch, at most 100,000, each a round of every search.
    """

    name = "image"

    def __init__(
        self,
        function: str = "camera",
        num_samples: int = 4096,
        noise: float = 0.0,
        noise_seed: int = 0,
        steps: int = 50,
    ) -> None:
        super().__init__(function, None, None, num_samples, noise, noise_seed, steps)
        if self.picture is None:
            raise ValueError(
                f"--data.function must be {', '.join(PICTURES)} or the file of a picture, got {function!r}"
            )
