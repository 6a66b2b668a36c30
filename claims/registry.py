"""What a claim is: a statement of the articles, its verdict, its correct form, and the numbers that decide it.

A claim's check is a generator of `Number`: what was measured, what it must be, and how near. Nothing is decided by the
check itself, so that every number that decides is printed.

    @claim("000-28", "many classes are equally hard", IMPRECISE, "an uninformed network of C classes scores ln C")
    def uninformed_loss() -> Numbers:
        logits = torch.zeros(1, 10, dtype=torch.float64)
        yield equals("cross entropy of 10 classes", F.cross_entropy(logits, torch.tensor([3])), math.log(10), 1e-12)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, SupportsFloat

Verdict = Literal["right", "imprecise", "wrong"]
RIGHT: Verdict = "right"
IMPRECISE: Verdict = "imprecise"
WRONG: Verdict = "wrong"


@dataclass(frozen=True)
class Number:
    """One number beside the number that mathematics says it must be.

    Attributes:
        what: What was measured, in a few words.
        measured: The number measured.
        due: The number due: an exact value, a bound or a record.
        relation: How they must stand to each other.
        tolerance: For ``=``: relative, or absolute where ``due`` is 0; for bounds: what rounding may add, absolute.
        counterexample: True for a number that refutes the statement as it was made.
    """

    what: str
    measured: float
    due: float
    relation: Literal["=", "≤", "≥"]
    tolerance: float = 0.0
    counterexample: bool = False

    @property
    def passed(self) -> bool:
        """Whether the number stands as it must; one that is not a number never does."""
        if math.isnan(self.measured) or math.isnan(self.due):
            return False
        if self.relation == "≤":
            return self.measured <= self.due + self.tolerance
        if self.relation == "≥":
            return self.measured >= self.due - self.tolerance
        if math.isinf(self.measured) or math.isinf(self.due):
            return self.measured == self.due
        return abs(self.measured - self.due) <= self.tolerance * (abs(self.due) or 1.0)


Numbers = Iterator[Number]


def _plain(value: SupportsFloat) -> float:
    """A tensor of one element, with or without a graph behind it, or any other number as a float."""
    return float(value.detach() if hasattr(value, "detach") else value)


def equals(
    what: str, measured: SupportsFloat, due: SupportsFloat, tolerance: float = 0.0, *, counterexample: bool = False
) -> Number:
    """``measured`` must be ``due``, to a relative tolerance (absolute where ``due`` is 0; 0 means exactly)."""
    return Number(what, _plain(measured), _plain(due), "=", tolerance, counterexample)


def at_most(
    what: str, measured: SupportsFloat, bound: SupportsFloat, tolerance: float = 0.0, *, counterexample: bool = False
) -> Number:
    """``measured`` must not exceed ``bound``."""
    return Number(what, _plain(measured), _plain(bound), "≤", tolerance, counterexample)


def at_least(
    what: str, measured: SupportsFloat, bound: SupportsFloat, tolerance: float = 0.0, *, counterexample: bool = False
) -> Number:
    """``measured`` must not fall short of ``bound``."""
    return Number(what, _plain(measured), _plain(bound), "≥", tolerance, counterexample)


@dataclass(frozen=True)
class Claim:
    """A statement of the articles that can be run.

    Attributes:
        id: ``AAA-NN``: article and running number.
        said: What the article says.
        verdict: Whether it is right.
        correct: The correct form.
        source: Where the correct form is proved or measured.
        check: Gives the numbers that decide.
        long: True when the check takes more than a few seconds; run with ``--all``.
        needs: Data that the check reads from ``DATA_ROOT`` and that no package brings, such as ``mnist``; or empty.
    """

    id: str
    said: str
    verdict: Verdict
    correct: str
    source: str
    check: Callable[[], Numbers]
    long: bool = False
    needs: str = ""


CLAIMS: dict[str, Claim] = {}


def claim(
    id: str, said: str, verdict: Verdict, correct: str, source: str = "", *, long: bool = False, needs: str = ""
) -> Callable[[Callable[[], Numbers]], Callable[[], Numbers]]:
    """Registers the check below it under the statement's id."""
    assert re.fullmatch(r"00[0-4]-\d\d", id), id
    assert id not in CLAIMS, f"{id} is checked twice"

    def register(check: Callable[[], Numbers]) -> Callable[[], Numbers]:
        CLAIMS[id] = Claim(id, said, verdict, correct, source, check, long, needs)
        return check

    return register
