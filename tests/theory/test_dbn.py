"""The variational bound of two layers, counted: exact where it must be, never above the likelihood."""

import torch

from tests.theory.machines import machine, pictures
from theory.dbn import (
    bernoulli_entropy,
    bernoulli_log_probability,
    exact_bound,
    exact_log_likelihood,
    upside_down,
    variational_bound,
)
from theory.rbm import binary_states, log_likelihood, log_partition


def test_a_layer_turned_upside_down_changes_nothing() -> None:
    bottom, v = machine(6, 4, 0), pictures(9, 6)
    due = log_likelihood(v, *bottom)
    torch.testing.assert_close(exact_bound(v, bottom, upside_down(bottom)), due, rtol=0, atol=1e-12)
    torch.testing.assert_close(exact_log_likelihood(v, bottom, upside_down(bottom)), due, rtol=0, atol=1e-12)


def test_the_bound_is_never_above_the_likelihood_which_is_normalised() -> None:
    bottom, top = machine(6, 4, 0), machine(4, 5, 2)
    v = binary_states(6)
    likelihood = exact_log_likelihood(v, bottom, top)
    assert likelihood.exp().sum().sub(1).abs() < 1e-12
    slack = likelihood - exact_bound(v, bottom, top)
    assert slack.min() > 0
    assert slack.max() > 0.01


def test_the_drawn_bound_has_the_counted_mean() -> None:
    bottom, top, v = machine(6, 4, 0), machine(4, 5, 2), pictures(1, 6)
    log_z = float(log_partition(*top))
    draws = variational_bound(v.expand(40_000, -1), [bottom, top], log_z, torch.Generator().manual_seed(3))
    error = draws.std() / 200
    assert (draws.mean() - exact_bound(v, bottom, top)[0]).abs() < 4 * error


def test_one_machine_is_its_own_likelihood() -> None:
    bottom, v = machine(6, 4, 0), pictures(5, 6)
    drawn = variational_bound(v, [bottom], float(log_partition(*bottom)))
    torch.testing.assert_close(drawn, log_likelihood(v, *bottom), rtol=0, atol=1e-12)


def test_independent_units_against_torch_distributions() -> None:
    logits, x = torch.randn(7, 5, generator=torch.Generator().manual_seed(4)).double(), pictures(7, 5)
    units = torch.distributions.Bernoulli(logits=logits)
    torch.testing.assert_close(bernoulli_log_probability(x, logits), units.log_prob(x).sum(-1))
    torch.testing.assert_close(bernoulli_entropy(logits), units.entropy().sum(-1))
