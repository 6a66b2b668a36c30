"""Adjustment against sums over people, regression and published counts."""

import pytest
import torch

from theory.causality import (
    TABLES,
    adjusted_rates,
    collider_covariance,
    crude_rates,
    partial_correlation,
    stratum_rates,
)


@pytest.mark.parametrize(
    ("name", "people", "crude", "adjusted"),
    [
        ("kidney-stones", 700, (0.7800, 0.8257), (0.8325, 0.7789)),
        ("berkeley", 4526, (0.4452, 0.3035), (0.3873, 0.4300)),
    ],
)
def test_the_published_tables(name: str, people: int, crude: tuple, adjusted: tuple) -> None:
    counts = TABLES[name].tensors()
    assert int(counts[1].sum()) == people
    assert crude_rates(*counts).tolist() == pytest.approx(crude, abs=5e-5)
    assert adjusted_rates(*counts).tolist() == pytest.approx(adjusted, abs=5e-5)


def test_adjusting_changes_nothing_where_groups_are_alike() -> None:
    trials = torch.tensor([[10.0, 30], [20, 60]], dtype=torch.float64)
    successes = torch.tensor([[5.0, 3], [4, 42]], dtype=torch.float64)
    torch.testing.assert_close(adjusted_rates(successes, trials), crude_rates(successes, trials), atol=1e-15, rtol=0)


def test_an_untried_treatment_is_refused() -> None:
    with pytest.raises(ValueError, match="a cell with 0 trials"):
        stratum_rates(torch.zeros(1, 2), torch.tensor([[0.0, 3.0]]))


@pytest.mark.parametrize("square", [0.1, 1.0, 9.0])
def test_partial_correlation_of_the_collider(square: float) -> None:
    covariance = collider_covariance(square)
    assert float(partial_correlation(covariance, 0, 1, [2])) == pytest.approx(-1 / (1 + square), abs=1e-13)
    # ... and from the inverse covariance, -P_01 / sqrt(P_00 P_11)
    inverse = torch.linalg.inv(covariance)
    due = -inverse[0, 1] / (inverse[0, 0] * inverse[1, 1]).sqrt()
    torch.testing.assert_close(partial_correlation(covariance, 0, 1, [2]), due)
    assert float(partial_correlation(covariance, 0, 2, [])) == pytest.approx((2 + square) ** -0.5)
