"""McNemar's exact test against the sum that defines it."""

from math import comb

import pytest

from theory.paired import mcnemar


@pytest.mark.parametrize(("one", "other"), [(1, 0), (0, 1), (5, 0), (9, 2), (2, 9), (6, 6), (40, 21)])
def test_the_test_is_the_tail_of_coins(one: int, other: int) -> None:
    total = one + other
    upper = sum(comb(total, count) for count in range(one, total + 1)) / 2**total
    lower = sum(comb(total, count) for count in range(one + 1)) / 2**total
    assert mcnemar(one, other, "greater") == pytest.approx(upper)
    assert mcnemar(one, other) == pytest.approx(min(1.0, 2 * min(upper, lower)))
    assert mcnemar(one, other) == pytest.approx(mcnemar(other, one))


def test_no_difference_is_no_evidence() -> None:
    assert mcnemar(0, 0) == mcnemar(0, 0, "greater") == 1.0
