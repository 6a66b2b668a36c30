"""A machine's gradient against the exact one, the product of centred units, and a step by hand."""

from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from data.digits import Digits
from models.energy.machine import OFFSET_RATE, RBM, Ascent, climb, coin
from models.energy.pictures import unit_pixels
from models.rbm import RBMTask
from tests.theory.machines import pictures
from theory.gibbs import contrastive_moments, flat
from theory.rbm import Moments, likelihood_gradient, log_likelihood


def machine(visible: int = 8, hidden: int = 4) -> RBM:
    torch.manual_seed(0)
    rbm = RBM(visible, hidden, scale=1.0).double()
    with torch.no_grad():
        rbm.visible_bias.normal_()
        rbm.hidden_bias.normal_()
    return rbm


def mean_direction(rbm: RBM, v: Tensor, ascent: Ascent, draws: int) -> tuple[Tensor, Tensor]:
    """Mean and standard error of the direction over many steps, offsets held."""
    offsets = ascent.visible_offset.clone(), ascent.hidden_offset.clone()
    found = []
    for _ in range(draws):
        found.append(flat(ascent.gradient(rbm, v)))
        ascent.visible_offset.copy_(offsets[0])
        ascent.hidden_offset.copy_(offsets[1])
    values = torch.stack(found)
    return values.mean(0), values.std(0) / draws**0.5


def centred(plain: Moments, mu: Tensor, lam: Tensor) -> Tensor:
    """The centred direction by its definition, from differences of moments: (v-μ)(h-λ)ᵀ multiplied out."""
    weight = plain.weight - torch.outer(plain.visible_bias, lam) - torch.outer(mu, plain.hidden_bias)
    return flat(Moments(weight, plain.visible_bias - weight @ lam, plain.hidden_bias - weight.T @ mu))


@pytest.mark.parametrize("sweeps", [1, 3])
def test_contrastive_divergence_has_the_expected_direction(sweeps: int) -> None:
    rbm, v = machine(), pictures()
    ascent = Ascent(8, 4, "cd", sweeps, 1, centre=False).double()
    mean, error = mean_direction(rbm, v.repeat(40, 1), ascent, 400)
    phases = contrastive_moments(v, sweeps, *rbm.terms())
    due = flat(phases[0]) - flat(phases[sweeps])
    assert ((mean - due).abs() / error.clamp_min(1e-12)).max() < 4.5


def test_persistent_chains_reach_the_gradient_of_the_likelihood_centred_or_not() -> None:
    rbm, v = machine(), pictures()
    for centre in (False, True):
        ascent = Ascent(8, 4, "pcd", 20, 400, centre).double()
        ascent.start_from(torch.full((8,), 0.3, dtype=torch.float64))
        ascent.gradient(rbm, v)  # burn-in
        ascent.visible_offset.fill_(0.3 if centre else 0.0)
        ascent.hidden_offset.fill_(0.6 if centre else 0.0)
        mean, error = mean_direction(rbm, v, ascent, 150)
        exact = likelihood_gradient(v, *rbm.terms())
        # The offsets move by a hundredth of their distance before they are used: not visible within the errors.
        due = centred(exact, ascent.visible_offset, ascent.hidden_offset) if centre else flat(exact)
        assert ((mean - due).abs() / (error + 2e-3)).max() < 4.5


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_a_look_leaves_the_chains_where_they_are(algorithm: Literal["cd", "pcd"]) -> None:
    rbm, v = machine(), pictures()
    ascent = Ascent(8, 4, algorithm, 2, 7).double()
    before = ascent.chains.clone()
    seen = ascent.look(rbm, v)
    assert torch.equal(ascent.chains, before)
    assert seen.shape == (7 if algorithm == "pcd" else len(v), 8)
    assert set(seen.unique().tolist()) <= {0.0, 1.0}


def cd_step(rbm: RBM, v: Tensor, ascent: Ascent) -> tuple[Moments, Tensor, Tensor]:
    """Plain differences of a CD step with seed 1, and the middles between data and model of v (V,) and of h (H,)."""
    torch.manual_seed(1)
    h = rbm(v)
    model_v, model_h, _ = rbm.gibbs(coin(h), ascent.sweeps)
    slope = v.T @ h / len(v) - model_v.T @ model_h / len(v)
    plain = Moments(slope, v.mean(0) - model_v.mean(0), h.mean(0) - model_h.mean(0))
    return plain, (v.mean(0) + model_v.mean(0)) / 2, (h.mean(0) + model_h.mean(0)) / 2


def test_the_direction_is_the_centred_one_of_the_same_draws() -> None:
    rbm, v = machine(), pictures(7)
    ascent = Ascent(8, 4, "cd", 2, 1).double()
    mu, lam = torch.rand(8, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    ascent.visible_offset.copy_(mu)
    ascent.hidden_offset.copy_(lam)
    plain, middle_v, middle_h = cd_step(rbm, v, ascent)
    torch.manual_seed(1)
    found = flat(ascent.gradient(rbm, v))
    mu, lam = mu + OFFSET_RATE * (middle_v - mu), lam + OFFSET_RATE * (middle_h - lam)
    torch.testing.assert_close(ascent.visible_offset, mu, rtol=0, atol=1e-15)
    torch.testing.assert_close(ascent.hidden_offset, lam, rtol=0, atol=1e-15)
    torch.testing.assert_close(found, centred(plain, mu, lam), rtol=0, atol=1e-14)


def test_centred_direction_is_the_product_of_centred_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of (v-μ)(h-λ)ᵀ under the data minus that under the model, with offsets that stay where they are."""
    monkeypatch.setattr("models.energy.machine.OFFSET_RATE", 0.0)
    rbm, v = machine(), pictures(7)
    ascent = Ascent(8, 4, "cd", 1, 1).double()
    mu, lam = torch.rand(8, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    ascent.visible_offset.copy_(mu)
    ascent.hidden_offset.copy_(lam)
    torch.manual_seed(1)
    h = rbm(v)
    model_v, model_h, _ = rbm.gibbs(coin(h), 1)
    torch.manual_seed(1)
    weight, _, _ = ascent.gradient(rbm, v)
    by_hand = (v - mu).T @ (h - lam) / 7 - (model_v - mu).T @ (model_h - lam) / 7
    torch.testing.assert_close(weight, by_hand, rtol=0, atol=1e-14)


def test_centred_step_is_the_same_when_black_and_white_are_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turning all pixels over and adjusting the parameters gives the same machine; its step must be the same too."""
    monkeypatch.setattr("models.energy.machine.coin", lambda probabilities: probabilities)  # no draws to mirror
    rbm, v = machine(), pictures(50)
    turned = machine()
    with torch.no_grad():
        turned.weight.copy_(-rbm.weight)
        turned.visible_bias.copy_(-rbm.visible_bias)
        turned.hidden_bias.copy_(rbm.hidden_bias + rbm.weight.sum(0))
    torch.testing.assert_close(rbm(v), turned(1 - v))
    for centre in (True, False):
        steps = []
        for one, pixels in ((rbm, v), (turned, 1 - v)):
            ascent = Ascent(8, 4, "cd", 1, 1, centre).double()
            ascent.start_from(pixels.mean(0))
            steps.append(ascent.gradient(one, pixels))
        here, there = steps
        if centre:
            torch.testing.assert_close(here.weight, -there.weight)
            torch.testing.assert_close(here.visible_bias, -there.visible_bias)
            torch.testing.assert_close(here.hidden_bias + here.weight.sum(0), there.hidden_bias)
        else:
            assert (here.weight + there.weight).abs().max() > 0.01  # the uncentred step is another one


def test_a_step_climbs_and_pulls_the_weights_but_not_the_biases_towards_zero() -> None:
    """One step by hand: W + lr (∇W - decay W), a + lr ∇a, b + lr ∇b."""
    task = RBMTask(1, [2, 4], hidden=4, algorithm="cd", lr=0.3, weight_decay=0.25, scale=1.0)
    task._trainer = SimpleNamespace(  # type: ignore[assignment]
        estimated_stepping_batches=10, precision="32-true", gradient_clip_val=None
    )
    with torch.no_grad():
        task.rbm.visible_bias.normal_()
        task.rbm.hidden_bias.normal_()
    configured: Any = task.configure_optimizers()
    before = task.rbm.terms()
    gradient = Moments(torch.rand(8, 4), torch.rand(8), torch.rand(4))
    due = (before[0] + 0.3 * (gradient[0] - 0.25 * before[0]), *(before[i] + 0.3 * gradient[i] for i in (1, 2)))
    climb(task.rbm, Moments(*(slope.clone() for slope in gradient)))
    configured["optimizer"].step()
    for parameter, value in zip(task.rbm.terms(), due, strict=True):
        torch.testing.assert_close(parameter, value)


def test_ascent_raises_the_exact_likelihood() -> None:
    torch.manual_seed(0)
    data = Digits(binarise="sample").part("train").images[:500]
    v = unit_pixels(data)
    rbm, ascent = RBM(64, 8), Ascent(64, 8, "pcd", 1, 100)
    rbm.start_from(v.mean(0), len(v))
    ascent.start_from(v.mean(0))
    before = float(log_likelihood(v, *rbm.terms()).mean())
    optimiser = torch.optim.SGD(rbm.parameters(), lr=0.2)
    for _ in range(400):
        climb(rbm, ascent.gradient(rbm, v))
        optimiser.step()
    assert float(log_likelihood(v, *rbm.terms()).mean()) > before + 1.5


def test_coin_is_fair_and_certain_at_the_ends() -> None:
    torch.manual_seed(0)
    assert (coin(torch.zeros(1000)) == 0).all()
    assert (coin(torch.ones(1000)) == 1).all()
    assert abs(float(coin(torch.full((40_000,), 0.3)).mean()) - 0.3) < 4.5 * (0.21 / 40_000) ** 0.5
