"""The range of a data module's options, and options that a set does not use: one line that refuses them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_POINTS = 10_000_000  # of a set that is computed and kept in memory: a gigabyte with its order and its labels
MOST_NOISE = 1e6  # standard deviation: beyond, nothing of a signal of size 1 is left in single precision

Range = tuple[float, float]


def check_within(options: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Refuses numbers outside their range.

    Args:
        options: Those of a data module; an option that is None is not looked at.
        ranges: Lowest and highest allowed value of each option; the highest is infinite where there is none.

    Raises:
        ValueError: Naming the option, both ends and the value given.
    """
    for name, (low, high) in ranges.items():
        value = options[name]
        if value is not None and not low <= value <= high:
            allowed = f"at least {low:g}" if high == math.inf else f"between {low:,.12g} and {high:,.12g}"
            raise ValueError(f"--data.{name} must be {allowed}, got {value}")


def check_among(options: Mapping[str, Any], allowed: Mapping[str, Sequence[str]]) -> None:
    """Refuses words that are none of those allowed.

    Args:
        options: Those of a data module.
        allowed: Words allowed for each option that is looked at.

    Raises:
        ValueError: Naming the option, the words allowed and the value given.
    """
    for name, words in allowed.items():
        if options[name] not in words:
            raise ValueError(f"{name} must be one of {', '.join(words)}, got {options[name]!r}")


def check_used(options: Mapping[str, Any], usual: Mapping[str, Any], user: str) -> None:
    """Refuses options that the chosen set does not use, when they are not what they are without being given.

    Args:
        options: Those of a data module.
        usual: Default of each option that is not used.
        user: What would use them, such as ``--data.points spirals``.

    Raises:
        ValueError: Naming the first of them, what uses it and the value given.
    """
    for name, default in usual.items():
        if options[name] != default:
            raise ValueError(f"--data.{name} is only for {user}, got {options[name]}")
