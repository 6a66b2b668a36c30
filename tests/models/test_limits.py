"""One wording for every number outside its range."""

import math
import re
from typing import Any

import pytest

from models.limits import OPTIMISER, POSITIVE, SHARE, Range, check_optimiser, check_within, in_words


@pytest.mark.parametrize(
    ("ends", "inside", "outside", "words"),
    [
        ((1, 10), [1, 10], [0, 11, math.nan], "between 1 and 10"),
        (SHARE, [0, 0.999], [-0.1, 1, math.nan], "at least 0 and below 1"),
        ((0, 1000, "(]"), [1e-9, 1000], [0, 1001, math.inf], "above 0 and at most 1,000"),
        ((-1, 1, "()"), [0, 0.5], [-1, 1], "above -1 and below 1"),
        (POSITIVE, [1e-300, 1e300], [0, -1, math.inf, math.nan], "above 0 and finite"),
    ],
)
def test_the_ends_of_a_range_are_in_it_or_not(
    ends: Range, inside: list[float], outside: list[float], words: str
) -> None:
    for value in inside:
        check_within({"size": value, "sizes": [value] * 2}, {"size": ends, "sizes": ends})
    for value in outside:
        with pytest.raises(ValueError, match=f"^--model.size must be {words}, got {value}$"):
            check_within({"size": value}, {"size": ends})
        both = [inside[0], value]
        with pytest.raises(ValueError, match=f"^--model.sizes must be {words} each, got {re.escape(str(both))}$"):
            check_within({"sizes": both}, {"sizes": ends})


@pytest.mark.parametrize("given", [None, "auto", []])
def test_what_is_no_number_is_left_to_others(given: Any) -> None:
    check_within({"lr": given}, {"lr": POSITIVE})


def test_a_misspelt_name_is_no_range() -> None:
    with pytest.raises(KeyError):
        check_within({"width": 1}, {"widht": (1, 2)})


def test_the_optimiser_s_options_are_looked_at_where_a_task_has_them() -> None:
    check_optimiser({"lr": 0.1, "other": -1})
    for name, (lowest, *_) in OPTIMISER.items():
        with pytest.raises(ValueError, match=rf"--model\.{name} must be between {lowest} and .*, got -1"):
            check_optimiser({name: -1})


@pytest.mark.parametrize(
    ("value", "words"), [(10**6, "1,000,000"), (0.5, "0.5"), (1e-30, "1e-30"), (1e300, "1e+300"), (math.inf, "inf")]
)
def test_numbers_in_words(value: float, words: str) -> None:
    assert in_words(value) == words
