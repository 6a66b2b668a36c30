"""Every claim that has a check passes, and a number passes only where it stands as it must."""

import math
from pathlib import Path

import pytest

from claims import catalogue
from claims.registry import Number, at_least, at_most, claim, equals
from claims.report import as_text, digits_for
from claims.runner import run_claim
from claims.sources import FILES, missing
from tests.one_claim import BROKEN, REGISTERED, SMALL


def case(id: str) -> object:
    """Long claims, and those that read real data, are no part of the quick tests."""
    slow = REGISTERED[id].long or REGISTERED[id].needs
    return pytest.param(id, marks=pytest.mark.slow) if slow else id


@pytest.mark.parametrize("id", [case(id) for id in REGISTERED])
def test_the_numbers_stand_as_they_must(id: str) -> None:
    if REGISTERED[id].needs and missing(REGISTERED[id].needs):
        pytest.skip(missing(REGISTERED[id].needs))
    outcome = run_claim(REGISTERED[id])
    assert not outcome.error
    assert not [as_text(number) for number in outcome.numbers if not number.passed]
    if REGISTERED[id].verdict == "wrong":
        refuting = [number.counterexample for number in outcome.numbers]
        assert any(refuting), "a wrong statement needs a counterexample"
        assert not all(refuting), "a wrong statement needs its repair"


def test_every_topic_can_be_imported() -> None:
    assert not BROKEN
    assert {path.stem for path in Path(catalogue.__file__).parent.glob("*.py")} > catalogue.FRAMEWORK


def test_every_statement_has_a_check_or_a_reason_for_none() -> None:
    assert len(catalogue.IDS) == 139
    assert set(REGISTERED).isdisjoint(catalogue.WITHOUT_EXPERIMENT)
    assert sorted({*REGISTERED, *catalogue.WITHOUT_EXPERIMENT}) == sorted(catalogue.IDS)


def test_every_claim_says_all_it_must() -> None:
    for one in REGISTERED.values():
        assert one.said
        assert one.correct
        assert one.needs in {"", *FILES}
        assert "\n" not in one.said + one.correct + one.source


# The registry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "passed"),
    [
        (equals("", 1.0, 1.0), True),
        (equals("", 1.1, 1.0, 0.09), False),
        (equals("", 1001.0, 1000.0, 0.0011), True),  # relative
        (equals("", 1e-9, 0.0, 1e-8), True),  # absolute beside 0
        (equals("", math.nan, math.nan, 1e9), False),
        (equals("", math.inf, math.inf, 0.0), True),
        (equals("", math.inf, 1.0, math.inf), False),
        (at_most("", 1.0, 1.0), True),
        (at_most("", 1.0 + 1e-9, 1.0), False),
        (at_most("", math.nan, 1.0), False),
        (at_least("", 1.0, 1.0 + 1e-9, 1e-8), True),
        (at_least("", 0.9, 1.0, 1e-8), False),
    ],
)
def test_a_number_passes_only_where_it_stands_as_it_must(number: Number, passed: bool) -> None:
    assert number.passed is passed


def test_one_id_is_checked_once() -> None:
    with pytest.raises(AssertionError, match="000-28 is checked twice"):
        claim(SMALL, "", "right", "")
    with pytest.raises(AssertionError):
        claim("000-1", "", "right", "")


@pytest.mark.parametrize(
    ("number", "measured", "due", "tolerance"),
    [
        (equals("", 2, 2), "2", "= 2", "exactly"),
        (equals("", math.log(10), math.log(10), 1e-7), "2.30258509", "= 2.30258509", "± 1e−7 relative"),
        (equals("", -3.14159e-17, 0, 1e-12), "−3.1e−17", "= 0", "± 1e−12 absolute"),
        (equals("", math.nan, 0, 1e-12), "not a number", "= 0", "± 1e−12 absolute"),
        (at_most("", 1 + 1e-10, 1.0), "1.0000000001", "≤ 1", ""),
        (at_least("", math.inf, 100), "∞", "≥ 100", ""),
    ],
)
def test_numbers_are_written_in_the_digits_that_decide(number: Number, measured: str, due: str, tolerance: str) -> None:
    assert as_text(number) == (measured, due, tolerance)


def test_digits_grow_with_the_tolerance() -> None:
    assert [digits_for(tolerance) for tolerance in (0, 1, 1e-2, 1e-6, 1e-15)] == [12, 4, 4, 8, 12]
