"""The standard error of a mean over groups against the spread of redrawn means, and two closed forms."""

import math

import pytest
import torch

from theory.strata import stratified_mean


def test_the_error_is_the_spread_of_redrawn_means() -> None:
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(3).repeat_interleave(torch.tensor([20, 40, 60]))
    scale = torch.tensor([0.1, 10.0, 3.0], dtype=torch.float64)[group]
    draws = [
        stratified_mean(-scale * torch.rand(120, generator=generator, dtype=torch.float64).log(), group, 3)
        for _ in range(3000)
    ]
    spread = torch.tensor([mean for mean, _ in draws]).std()
    error = torch.tensor([error for _, error in draws]).square().mean().sqrt()
    assert float(error / spread) == pytest.approx(1, abs=0.05)


def test_differences_between_groups_make_nothing_uncertain() -> None:
    values = torch.tensor([1.0, 1.0, 5.0, 5.0], dtype=torch.float64)
    assert stratified_mean(values, torch.tensor([0, 0, 1, 1]), 2) == (3.0, 0.0)
    assert stratified_mean(values, torch.zeros(4, dtype=torch.long), 1)[1] == pytest.approx(float(values.std()) / 2)
    assert math.isnan(stratified_mean(values, torch.tensor([0, 1, 1, 1]), 2)[1])
