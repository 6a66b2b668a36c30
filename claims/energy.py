"""Statements about restricted Boltzmann machines and deep belief networks, decided by counting states of small ones."""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from models.energy.machine import RBM, coin
from models.energy.stack import DBN, SigmoidNet
from theory.ais import backward_log_z, base_logits, forward_log_z
from theory.dbn import Machine, exact_bound, exact_log_likelihood, upside_down
from theory.denoising import optimal_denoiser
from theory.gibbs import contrastive_bias, contrastive_moments, flat, gibbs_eigenvalues, joint
from theory.rbm import (
    binary_states,
    exact_samples,
    hidden_probabilities,
    likelihood_gradient,
    log_likelihood,
    log_partition,
    visible_probabilities,
)


def small_machine(visible: int, hidden: int, scale: float = 1.0, seed: int = 0) -> Machine:
    """A machine with normal parameters of the given deviation, float64."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return Machine(draw(visible, hidden), draw(visible), draw(hidden))


def some_pictures(count: int, visible: int, seed: int = 1) -> Tensor:
    """Binary pictures, shape (count, visible)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, (count, visible), generator=generator).double()


@claim(
    "003-06",
    "activation is the probability that the signal continues",
    IMPRECISE,
    "a unit of a feed-forward network is deterministic; σ(z) is a probability in stochastic units, such as an RBM's",
    "Smolensky 1986; Hinton 2012",
)
def activation_as_probability() -> Numbers:
    torch.manual_seed(0)
    rbm = RBM(20, 8, scale=1.0)
    v = some_pictures(1, 20).float()
    due = torch.sigmoid(v @ rbm.weight.detach() + rbm.hidden_bias.detach())[0]
    draws = 100_000
    measured = coin(rbm(v.expand(draws, -1))).mean(0)
    # A mean of n draws of a coin with probability p has the standard error √(p(1 - p) / n).
    errors = (measured - due).abs() / (due * (1 - due) / draws).sqrt()
    yield at_most("stochastic units: largest |mean - σ(z)| in standard errors", errors.max(), 4)
    # A unit behind them that hears the values σ(z), or the coins: they would agree if a value were its coin's mean.
    outer = 2 * torch.randn(8, generator=torch.Generator().manual_seed(0))
    heard = (coin(rbm(v.expand(draws, -1))) @ outer).sigmoid()
    apart = (heard.mean() - (due @ outer).sigmoid()).abs() / (heard.std() / draws**0.5)
    yield at_least("a unit behind: σ(w·σ(z)) less the mean of σ(w·coins), in standard errors", apart, 10,
                   counterexample=True)  # fmt: skip


@claim(
    "003-26",
    "an RBM is bipartite, with shared W, two biases and factorised conditionals",
    RIGHT,
    "E = -aᵀv - bᵀh - vᵀWh; given one side, the units of the other are independent",
    "Smolensky 1986; Hinton 2002",
)
def factorised_conditionals() -> Numbers:
    machine = small_machine(6, 4)
    v, h, p = binary_states(6), binary_states(4), joint(*machine)  # (64, 6), (16, 4), (64, 16)
    # p(h | v) = Π_j p(h_j | v), and the same with the sides exchanged
    hidden = hidden_probabilities(v, machine.weight, machine.hidden_bias)[:, None]
    visible = visible_probabilities(h, machine.weight, machine.visible_bias)[None]
    product_h = torch.where(h.bool()[None], hidden, 1 - hidden).prod(-1)  # (64, 16)
    product_v = torch.where(v.bool()[:, None], visible, 1 - visible).prod(-1)  # (64, 16)
    yield equals("p(h | v) against the counted joint", (p / p.sum(1, keepdim=True) - product_h).abs().max(), 0, 1e-12)
    yield equals("p(v | h) against the counted joint", (p / p.sum(0) - product_v).abs().max(), 0, 1e-12)
    marginal = (log_likelihood(v, *machine).exp() - p.sum(1)).abs().max()
    yield equals("e^{-F(v)} / Z against the counted marginal", marginal, 0, 1e-12)


def vector_field(v: Tensor, machine: Machine, contrastive: bool) -> Tensor:
    """Expected direction of CD-1, or the likelihood's gradient, as a function of all parameters."""
    if not contrastive:
        return flat(likelihood_gradient(v, *machine))
    data, model = contrastive_moments(v, 1, *machine)
    return flat(data) - flat(model)


@claim(
    "003-27",
    "an RBM has no explicit reconstruction: it wants v' distributed as v",
    IMPRECISE,
    "CD-k does reconstruct, and its bias falls like λ₂ᵏ of the Gibbs kernel; maximum likelihood matches moments",
    "Sutskever and Tieleman 2010; Fischer and Igel 2011",
)
def bias_of_contrastive_divergence() -> Numbers:
    machine, v = small_machine(8, 4), some_pictures(5, 8)
    second = gibbs_eigenvalues(*machine)[1]
    bias = contrastive_bias(v, 40, *machine)
    yield equals("bias of CD-40 over that of CD-39, due λ₂", bias[40] / bias[39], second, 0.01)
    yield equals("bias of CD-40 over that of CD-30, due λ₂¹⁰", bias[40] / bias[30], second**10, 0.01)
    terms = [term.clone().requires_grad_() for term in machine]
    states = binary_states(8)  # log p(v) = −F(v) − log Σ e^−F, by its definition
    free = lambda x: x @ terms[1] + F.softplus(x @ terms[0] + terms[2]).sum(1)
    slopes = torch.autograd.grad((free(v) - free(states).logsumexp(0)).mean(), terms)
    gap = max(float((a - b).abs().max()) for a, b in zip(slopes, likelihood_gradient(v, *machine), strict=True))
    yield equals("likelihood: ⟨vh⟩ of data less of the model − autograd, largest", gap, 0, 1e-12)
    # The derivative of a gradient is symmetric; that of CD-1's direction is not, so it is the gradient of no function.
    machine, v = small_machine(3, 2), some_pictures(3, 3)
    sizes = [term.numel() for term in machine]
    parameters = torch.cat([term.flatten() for term in machine])

    def asymmetry(contrastive: bool) -> float:
        def field(values: Tensor) -> Tensor:
            parts = [part.view_as(term) for part, term in zip(values.split(sizes), machine, strict=True)]
            return vector_field(v, Machine(*parts), contrastive)

        jacobian = torch.autograd.functional.jacobian(field, parameters)
        return float((jacobian - jacobian.T).norm() / jacobian.norm())

    yield equals("likelihood: asymmetry of the derivative of its gradient", asymmetry(False), 0, 1e-12)
    yield at_least("CD-1: asymmetry of the derivative of its direction", asymmetry(True), 0.01, counterexample=True)


@claim(
    "003-28",
    "the likelihood is intractable, so contrastive divergence by Gibbs sampling",
    RIGHT,
    "Z has 2^min(V, H) terms; annealed importance sampling estimates it all the same, in the mean with a bound from "
    "each side",
    "Hinton 2002; Neal 2001; Salakhutdinov and Murray 2008; Burda, Grosse and Salakhutdinov 2015",
)
def annealing_beside_counting() -> Numbers:
    weight, visible_bias, hidden_bias = (term.float() for term in small_machine(784, 14, 0.15))
    machine = Machine(weight, visible_bias - 0.5, hidden_bias)  # more dark than bright, as pictures are
    exact = log_partition(*machine)
    base = base_logits(torch.sigmoid(machine.visible_bias / 2), 10_000)  # knows half of it
    generator = torch.Generator().manual_seed(0)
    found = forward_log_z(*machine, base, steps=2000, chains=100, generator=generator)
    yield equals("784×14: annealed - counted log Z, nats", found.value - exact, 0, 0.1)
    yield at_most("the same in standard errors", abs(found.value - exact) / found.error, 3)
    # E[mean log w] ≤ log Z: Jensen; the chains back begin at samples of the machine
    yield at_most("bound from below", found.bound, exact, 3 * found.bound_error)
    back = backward_log_z(exact_samples(100, *machine, generator), *machine, base, steps=2000, generator=generator)
    yield at_least("bound from above", back.bound, exact, 3 * back.bound_error)
    yield at_most("from the one to the other, nats", back.bound - found.bound, 1)


@claim(
    "003-29",
    "a DBN is stacked RBMs with a supervised layer",
    IMPRECISE,
    "the generative DBN has an undirected top pair and directed layers below; a new layer that begins as the one below "
    "turned upside down leaves the variational bound exact, and whatever raises E_q log p(h) raises it by as much",
    "Hinton, Osindero and Teh 2006",
)
def bound_of_a_new_layer() -> Numbers:
    bottom, v = small_machine(6, 4), some_pictures(12, 6)
    top = upside_down(bottom)
    defect = (exact_bound(v, bottom, top) - log_likelihood(v, *bottom)).abs().max()
    yield equals("upside-down layer: bound - log p(v) of the one machine", defect, 0, 1e-12)
    bounds, slack = [], math.inf
    parameters = [term.requires_grad_() for term in top]
    for _ in range(60):
        bound = exact_bound(v, bottom, Machine(*parameters)).mean()
        gradient = torch.autograd.grad(bound, parameters)
        bounds.append(bound.item())
        with torch.no_grad():
            slack = min(slack, float((exact_log_likelihood(v, bottom, top) - exact_bound(v, bottom, top)).min()))
            for parameter, slope in zip(parameters, gradient, strict=True):
                parameter += 0.2 * slope
    rises = torch.tensor(bounds).diff()
    yield at_least("smallest rise of the bound in a step of the new layer, nats", rises.min(), 0)
    yield at_least("rise in 60 steps, nats", bounds[-1] - bounds[0], 0.01)
    yield at_least("smallest log p(v) - bound on the way, nats", slack, 0, 1e-12)


@claim(
    "003-33",
    "an AE models the joint density and is generative; an RBM the conditional and is discriminative",
    WRONG,
    "the RBM defines p(v, h) and is generative; a plain AE defines no density; a denoising AE learns the score: "
    "r(x) - x = σ²∇log p_σ(x)",
    "Vincent 2011; Alain and Bengio 2014",
)
def who_has_a_density() -> Numbers:
    machine = small_machine(12, 6)
    total = log_likelihood(binary_states(12), *machine).exp().sum()
    yield equals("RBM: Σ p(v) over all 4,096 pictures", total, 1, 1e-12, counterexample=True)
    # A linear autoencoder of one number in the plane: e^{-‖x - r(x)‖²} is constant along its line, so no constant
    # makes a density of it: the mass in a box of twice the side is twice as large.
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    masses = []
    for half in (8.0, 16.0):
        line = torch.linspace(-half, half, 1601, dtype=torch.float64)
        along, across = torch.meshgrid(line, line, indexing="ij")
        x = along[..., None] * direction + across[..., None] * direction.flip(0) * torch.tensor([1, -1])
        residual = x - (x @ direction)[..., None] * direction
        masses.append(float((-residual.square().sum(-1)).exp().sum() * (line[1] - line[0]) ** 2))
    yield equals("AE: e^{-error} in a box, side doubled over side", masses[1] / masses[0], 2, 1e-2, counterexample=True)
    yield from denoising_on_gaussian_data()


def denoising_on_gaussian_data(noise: float = 0.5) -> Numbers:
    """The linear map trained to denoise, its closed form, and the score of the noisy density."""
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    covariance = root @ root.T / 5
    noisy = covariance + noise**2 * torch.eye(5, dtype=torch.float64)
    # E‖x - R(x + n)‖² = tr (I-R)Σ(I-R)ᵀ + σ² tr RRᵀ, by steepest descent from 0
    trained = torch.zeros(5, 5, dtype=torch.float64)
    for _ in range(400):
        trained -= (trained @ noisy - covariance) / torch.linalg.matrix_norm(noisy, 2)
    yield equals(
        "denoising AE, trained: ‖R - Σ(Σ+σ²I)⁻¹‖", (trained - optimal_denoiser(covariance, noise)).norm(), 0, 1e-6
    )
    x = torch.randn(7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    density = torch.distributions.MultivariateNormal(torch.zeros(5, dtype=torch.float64), noisy)
    (score,) = torch.autograd.grad(density.log_prob(x).sum(), x)
    defect = (x.detach() @ trained.T - x.detach() - noise**2 * score).abs().max()
    yield equals("its r(x) - x against σ²∇log p_σ(x)", defect, 0, 1e-6)


DIGITS = 64  # pixels
HIDDEN = (64, 64, 64)


def errors_of_starts(seed: int, pictures: Tensor, labels: Tensor) -> dict[str, float]:
    """Test error of one deep logistic network after the same fine-tuning from three starts.

    Args:
        seed: Of split, machines and networks.
        pictures: Grey values in [0, 1], shape (N, 64).
        labels: Shape (N,).
    """
    torch.manual_seed(seed)
    order = torch.randperm(len(labels))
    test, train = order[:400], order[400:]
    stack = DBN(DIGITS, HIDDEN, "cd", sweeps=1, chains=1)
    for layer in range(len(HIDDEN)):
        stack.begin(layer, pictures[train])
        ascent = torch.optim.SGD(stack.machine(layer).parameters(), lr=0.3)
        for step in range(1500):
            ascent.param_groups[0]["lr"] = 0.3 * (1 - step / 1500)
            stack.climb(layer, pictures[train[torch.randint(len(train), (50,))]])
            ascent.step()
    found = {}
    for start in ("pretrained", "small normal weights", "Glorot's weights"):
        torch.manual_seed(seed)
        net = SigmoidNet(DIGITS, HIDDEN, 10)
        if start == "pretrained":
            net.take_over(stack)
        elif start == "small normal weights":
            for weight in (parameter for parameter in net.layers.parameters() if parameter.ndim > 1):
                torch.nn.init.normal_(weight, std=0.1)
        descent = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(800):
            batch = train[torch.randint(len(train), (50,))]
            descent.zero_grad()
            F.cross_entropy(net(pictures[batch]), labels[batch]).backward()
            descent.step()
        found[start] = float((net(pictures[test]).argmax(1) != labels[test]).double().mean())
    return found


@claim(
    "003-24",
    "train greedily, layer by layer, then the whole",
    RIGHT,
    "it made deep logistic networks trainable; weights scaled as Glorot and Bengio did in 2010 do so without it",
    "Hinton, Osindero and Teh 2006; Bengio et al. 2007; Erhan et al. 2010; Glorot and Bengio 2010",
    long=True,
)
def greedy_pretraining() -> Numbers:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures, labels = torch.from_numpy(digits.data).float() / 16, torch.from_numpy(digits.target)
    seeds = 5
    runs = [errors_of_starts(seed, pictures, labels) for seed in range(seeds)]
    errors = {start: 100 * torch.tensor([run[start] for run in runs]) for start in runs[0]}
    pretrained, small = errors["pretrained"], errors["small normal weights"]
    what = "64-64-64-64-10, 5 seeds: mean test error in %, pretrained; from small normal weights"
    yield at_most(what, pretrained.mean(), small.mean())
    yield at_most("variance of the error over the seeds, the same two", pretrained.var(), small.var())
    for start in ("pretrained", "Glorot's weights"):
        gains = small - errors[start]  # of the same split, seed by seed
        score = gains.mean() / (gains.std() / seeds**0.5)
        what = f"{start}: {gains.mean():.1f} points better than small weights, in standard errors; t test at 1 %"
        yield at_least(what, score, stats.t.ppf(0.99, seeds - 1))
