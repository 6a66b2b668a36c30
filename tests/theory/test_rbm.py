"""The binary machine against counting, autograd and scikit-learn; its Gibbs kernel against its eigenvalues."""

import math

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM
from torch import Tensor

from tests.theory.machines import machine, pictures
from theory.gibbs import contrastive_bias, contrastive_moments, flat, gibbs_eigenvalues, gibbs_kernel, joint
from theory.rbm import (
    binary_states,
    energy,
    exact_samples,
    free_energy,
    hidden_probabilities,
    likelihood_gradient,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)

Terms = tuple[Tensor, Tensor, Tensor]


def counted_log_z(weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The definition: the sum over all pairs of states."""
    v, h = binary_states(len(a)), binary_states(len(b))
    return torch.logsumexp(-energy(v[:, None], h[None], weight, a, b).flatten(), 0)


def test_states_are_the_binary_numbers() -> None:
    assert binary_states(3).tolist() == [[n & 1, n >> 1 & 1, n >> 2 & 1] for n in range(8)]


def test_free_energy_sums_out_the_hidden_units() -> None:
    weight, a, b = machine()
    v, h = pictures(), binary_states(4)
    due = -torch.logsumexp(-energy(v[:, None], h[None], weight, a, b), 1)
    torch.testing.assert_close(free_energy(v, weight, a, b), due, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("visible", "hidden"), [(8, 4), (3, 9)])
def test_log_partition_whichever_side_is_smaller(visible: int, hidden: int) -> None:
    terms = machine(visible, hidden)
    torch.testing.assert_close(log_partition(*terms), counted_log_z(*terms), rtol=1e-13, atol=0)
    assert log_likelihood(binary_states(visible), *terms).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_log_partition_without_weights_is_a_product() -> None:
    _, a, b = machine(30, 18)
    due = torch.nn.functional.softplus(a).sum() + torch.nn.functional.softplus(b).sum()
    assert log_partition(torch.zeros(30, 18), a.float(), b.float()).item() == pytest.approx(due.item(), rel=1e-7)


def test_too_many_units_are_refused_with_the_limit() -> None:
    terms = machine(30, 21)
    with pytest.raises(ValueError, match=r"has 21 units, 2\^21 states: at most 20 units can be enumerated"):
        log_partition(*terms)
    with pytest.raises(ValueError, match="13 units: a Gibbs kernel is computed for at most 12"):
        gibbs_kernel(*machine(13, 2))


def test_likelihood_gradient_is_that_of_autograd() -> None:
    terms, v = machine(), pictures()
    parameters = [term.requires_grad_() for term in terms]
    mean = (-free_energy(v, *parameters)).mean() - counted_log_z(*parameters)
    due = torch.autograd.grad(mean, parameters)
    for ours, theirs in zip(likelihood_gradient(v, *(term.detach() for term in terms)), due, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


def test_exact_samples_have_the_model_s_moments() -> None:
    for visible, hidden in ((6, 4), (4, 6)):
        weight, a, b = machine(visible, hidden)
        p = joint(weight, a, b).sum(1)  # of v
        drawn = exact_samples(40_000, weight, a, b, torch.Generator().manual_seed(2))
        counts = torch.bincount((drawn.long() << torch.arange(visible)).sum(1), minlength=2**visible)
        deviation = (counts / 40_000 - p).abs() / (p * (1 - p) / 40_000).sqrt()
        assert deviation.max() < 4.5


def test_pseudo_likelihood_against_the_definition_and_scikit_learn() -> None:
    weight, a, b = machine()
    v, parts = pictures(6), []
    for i in range(8):
        turned = v.clone()
        turned[:, i] = 1 - turned[:, i]
        due = 8 * torch.log_softmax(torch.stack([-free_energy(x, weight, a, b) for x in (v, turned)]), 0)[0]
        ours = pseudo_log_likelihood(v, weight, a, b, torch.full((6, 1), i))
        torch.testing.assert_close(ours, due, rtol=1e-12, atol=1e-12)
        parts.append(due)
    whole = pseudo_log_likelihood(v, weight, a, b)
    torch.testing.assert_close(whole, torch.stack(parts).mean(0), rtol=1e-12, atol=1e-12)
    some = torch.stack([torch.arange(6), torch.arange(6) + 2], 1)  # two pixels of each picture, others in each
    due = torch.stack(parts)[some, torch.arange(6)[:, None]].mean(1)
    torch.testing.assert_close(pseudo_log_likelihood(v, weight, a, b, some), due, rtol=1e-12, atol=1e-12)
    peer = BernoulliRBM(n_components=4, random_state=np.random.RandomState(0))
    peer.components_, peer.intercept_visible_, peer.intercept_hidden_ = weight.T.numpy(), a.numpy(), b.numpy()
    np.testing.assert_allclose(peer._free_energy(v.numpy()), free_energy(v, weight, a, b).numpy(), rtol=1e-12)
    np.testing.assert_allclose(peer.transform(v.numpy()), hidden_probabilities(v, weight, b).numpy(), rtol=1e-12)
    peer.n_features_in_ = 8
    theirs = np.mean([peer.score_samples(v.numpy()) for _ in range(1000)], 0)
    np.testing.assert_allclose(theirs, whole.numpy(), rtol=0.15)
    with pytest.raises(ValueError, match="needs pixels of 0 and 1"):
        pseudo_log_likelihood(v * 0.5, weight, a, b)


@pytest.mark.parametrize("terms", [1, 70, 2**20])
def test_pseudo_likelihood_is_the_same_in_any_number_of_parts(terms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, a, b = machine()
    v, pixels = pictures(6), torch.randint(8, (6, 5), generator=torch.Generator().manual_seed(0))
    due = [pseudo_log_likelihood(v, weight, a, b), pseudo_log_likelihood(v, weight, a, b, pixels)]
    monkeypatch.setattr("theory.rbm._TERMS", terms)
    torch.testing.assert_close(pseudo_log_likelihood(v, weight, a, b), due[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(pseudo_log_likelihood(v, weight, a, b, pixels), due[1], rtol=1e-13, atol=0)


def test_kernel_leaves_the_model_as_it_is_and_its_eigenvalues_are_those_of_the_matrix() -> None:
    terms = machine()
    kernel, p = gibbs_kernel(*terms), joint(*terms).sum(1)
    torch.testing.assert_close(kernel.sum(1), torch.ones(256, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(p @ kernel, p, rtol=0, atol=1e-15)
    torch.testing.assert_close(p[:, None] * kernel, (p[:, None] * kernel).T, rtol=0, atol=1e-16)  # reversible
    due = torch.linalg.eigvals(kernel).real.sort(descending=True).values[:16]
    torch.testing.assert_close(gibbs_eigenvalues(*terms), due, rtol=0, atol=1e-12)


def test_independent_sides_forget_in_one_sweep() -> None:
    _, a, b = machine()
    values = gibbs_eigenvalues(torch.zeros(8, 4, dtype=torch.float64), a, b)
    torch.testing.assert_close(values, torch.eye(1, 16, dtype=torch.float64)[0], rtol=0, atol=1e-14)


def test_second_eigenvalue_of_a_single_pair_is_its_squared_correlation() -> None:
    weight, a, b = machine(1, 1)
    p = joint(weight, a, b)
    v, h = p[1].sum(), p[:, 1].sum()
    correlation = (p[1, 1] - v * h) / (v * (1 - v) * h * (1 - h)).sqrt()
    assert gibbs_eigenvalues(weight, a, b)[1].item() == pytest.approx(correlation.item() ** 2, rel=1e-12)


def test_bias_of_contrastive_divergence_falls_with_the_second_eigenvalue() -> None:
    terms, v = machine(), pictures()
    bias = contrastive_bias(v, 40, *terms)
    assert (bias[40] / bias[39]).item() == pytest.approx(gibbs_eigenvalues(*terms)[1].item(), rel=0.01)
    assert (bias[1:] < bias[:-1]).all()
    gap = flat(contrastive_moments(v, 0, *terms)[0]) - flat(contrastive_moments(v, 400, *terms)[400])
    due = flat(likelihood_gradient(v, *terms))
    torch.testing.assert_close(gap, due, rtol=0, atol=1e-12)
    assert math.isclose(bias[0].item(), due.norm().item(), rel_tol=1e-12)
