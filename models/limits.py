"""The range of a model's options, and the one line that refuses what lies outside.

A size that no machine holds, or a loop that no one waits for, is a slip of the finger: it is refused with the option's
name, where torch would only say that memory ran out, and a loop nothing at all.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

MOST_UNITS = 1_000_000  # of a layer: the weights between two of this size would take 4 TB
MOST_LAYERS = 1_000  # the deepest networks of the literature
MOST_COPIES = 100_000  # of networks trained together, or of chains: each holds all of its own weights
MOST_STEPS = 10_000_000  # of a loop within one batch: a quarter of an hour at 0.1 ms a step
HIGHEST_SEED = 2**63 - 1  # the largest whole number of 64 bits
HIGHEST_RATE = 1_000.0  # of learning rates and weight decay: no optimiser settles beyond

# Lowest and highest value; the third says which ends belong to the range, as intervals are written. Without it both do.
Range = tuple[float, float] | tuple[float, float, Literal["[)", "(]", "()"]]

SHARE: Range = (0, 1, "[)")
POSITIVE: Range = (0, math.inf, "()")

# Of options of training that several tasks have, and of the network that they train.
OPTIMISER: dict[str, Range] = {
    "lr": (0, HIGHEST_RATE),
    "weight_decay": (0, HIGHEST_RATE),
    "warmup": (0, 1),
    "label_smoothing": (0, 0.999),
    "momentum": (0, 0.999999),
    "ema_decay": (0, 0.999999),
    "logit_scale": (0, 100),
    "norm_momentum": (0, 1),
    "columns": (1, 16),
}


def check_within(options: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Refuses numbers, and lists of numbers, outside their range.

    Args:
        options: Those of a task; one that is None, or a word such as ``auto``, is not looked at.
        ranges: Lowest and highest value of each option, and which ends are allowed.

    Raises:
        ValueError: Naming the option, both ends and the value given.
    """
    for name, (low, high, *rest) in ranges.items():
        ends, given = rest[0] if rest else "[]", options[name]
        values = given if isinstance(given, list) else [] if given is None or isinstance(given, str) else [given]
        above = [low < value if ends[0] == "(" else low <= value for value in values]
        below = [value < high if ends[1] == ")" else value <= high for value in values]
        if not all(above + below):
            each = " each" * isinstance(given, list)
            raise ValueError(f"--model.{name} must be {range_in_words(low, high, ends)}{each}, got {given}")


def check_optimiser(options: Mapping[str, Any]) -> None:
    """As `check_within`, for those of `OPTIMISER` that a task has."""
    check_within(options, {name: ends for name, ends in OPTIMISER.items() if name in options})


def range_in_words(low: float, high: float, ends: str = "[]") -> str:
    """Such as ``between 1 and 10``, ``at least 0 and below 1``, ``above 0 and finite``."""
    if ends == "[]" and math.isfinite(high):
        return f"between {in_words(low)} and {in_words(high)}"
    first = f"{'above' if ends[0] == '(' else 'at least'} {in_words(low)}"
    if not math.isfinite(high):
        return f"{first} and finite"
    return f"{first} and {'below' if ends[1] == ')' else 'at most'} {in_words(high)}"


def in_words(value: float) -> str:
    """Such as 1,000,000, 0.5, 1e-30 or inf."""
    whole = math.isfinite(value) and value == round(value) and abs(value) < 1e15
    return f"{value:,.0f}" if whole else f"{value:g}"
