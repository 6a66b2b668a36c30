"""The range of a model's options, and the one line that refuses what lies outside.

A size that no machine holds, or a loop that no one waits for, is a slip of the finger: it is refused with the option's
name, where torch would only say that memory ran out, and a loop nothing at all.
"""

from collections.abc import Mapping
from typing import Any

MOST_UNITS = 1_000_000  # of a layer: the weights between two of this size would take 4 TB
MOST_LAYERS = 1_000  # the deepest networks of the literature
MOST_COPIES = 100_000  # of networks trained together, or of chains: each holds all of its own weights
MOST_STEPS = 10_000_000  # of a loop within one batch: a quarter of an hour at 0.1 ms a step
HIGHEST_SEED = 2**63 - 1  # the largest whole number of 64 bits
HIGHEST_RATE = 1_000.0  # of learning rates and weight decay: no optimiser settles beyond

Range = tuple[float, float]


def check_within(options: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Refuses numbers, and lists of numbers, outside their range.

    Args:
        options: Those of a task; an option that is None is not looked at.
        ranges: Lowest and highest allowed value of each option.

    Raises:
        ValueError: Naming the option, both ends and the value given.
    """
    for name, (low, high) in ranges.items():
        given = options[name]
        values = given if isinstance(given, list) else [] if given is None else [given]
        if not all(low <= value <= high for value in values):
            ends = f"{in_words(low)} and {in_words(high)}{' each' * isinstance(given, list)}"
            raise ValueError(f"--model.{name} must be between {ends}, got {given}")


def in_words(value: float) -> str:
    """Such as 1,000,000, 0.5 or 1e-30."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:g}"
