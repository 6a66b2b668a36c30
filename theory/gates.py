"""Boolean gates of n inputs: what each says, from how many of its inputs are 1, and its truth table as a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# The value from s, the inputs that are 1, of n; s is a whole number or a tensor of them.
GATES: dict[str, Callable[[Any, int], Any]] = {
    "and": lambda s, n: s == n,
    "or": lambda s, n: s > 0,
    "nand": lambda s, n: s < n,
    "nor": lambda s, n: s == 0,
    "xor": lambda s, n: s % 2 == 1,
    "xnor": lambda s, n: s % 2 == 0,
}


def truth_table(name: str, n: int) -> int:
    """The gate's truth table: bit i is its value where the inputs are the bits of i. Args: one of `GATES`; inputs."""
    return sum(1 << i for i in range(1 << n) if GATES[name](i.bit_count(), n))
