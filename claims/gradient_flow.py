"""Why deep networks were hard to train: gradients over depth, initialisation, activations."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from models.deep_mlp import DeepMLP, Setting, losses, measure_gradients
from theory.mean_field import ACTIVATIONS, gaussian_mean, he_gain, layers

DEPTH = 20


class Average(NamedTuple):
    """‖δ₁‖/‖δ₂₀‖ over many networks, root mean square, and its standard error as a share of it."""

    ratio: float
    error: float


def averaged(name: str, weight_scale: float | None = None) -> Average:
    """Back-propagates a normal δ₂₀ for each of a batch of inputs through many networks at initialisation.

    For ReLU and leaky ReLU the mean square of the ratio is exact at every width. Most of its chance is how many units
    are active: the product c of the layers' mean φ'² over E φ'² has the mean 1, and dividing by its average takes that
    chance out. Smooth activations need width instead.

    Source:
        Hanin (2018), Which neural net architectures give rise to exploding and vanishing gradients?
    """
    setting, generator = Setting.parse(name), torch.Generator().manual_seed(0)
    rectified = setting.activation in ("relu", "leaky")
    networks, width, inputs = (160, 256, 32) if rectified else (56, 512, 64)
    slope = ACTIVATIONS[setting.activation].slope
    squares, shares = [], []
    for _ in range(networks // 8):
        network = DeepMLP(setting, 8, width, width, DEPTH, 1, generator).requires_grad_(False)
        for weight in network.weights:
            weight.mul_(1.0 if weight_scale is None else weight_scale / setting.weight_scale)
        x = torch.randn(8, inputs, width, generator=generator)
        z = network.pre_activations((x / x.square().mean(2, keepdim=True).sqrt()).requires_grad_())  # each (8, N, n)
        last = torch.randn(z[-1].shape, generator=generator)
        (first,) = torch.autograd.grad((last * z[-1]).sum(), z[:1])
        squares.append(first.double().square().sum((1, 2)) / last.double().square().sum((1, 2)))
        if rectified:
            active = torch.stack([slope(layer.detach()).double().square().mean(2) for layer in z[:-1]])  # (L - 1, 8, N)
            shares.append((active / gaussian_mean(lambda u: slope(u).square(), 1.0)).prod(0).mean(1))
    r = torch.cat(squares)
    c = torch.cat(shares) if rectified else torch.ones_like(r)
    spread = (r / r.mean() - c / c.mean()).std() / len(r) ** 0.5
    return Average(float((r.mean() / c.mean()).sqrt()), float(spread) / 2)


def law(name: str, due: float, weight_scale: float | None = None, remark: str = "") -> Numbers:
    """The average beside the closed form, to 1 %, and that this is two standard errors."""
    found = averaged(name, weight_scale)
    yield equals(f"‖δ₁‖/‖δ₂₀‖, {name}{remark}", found.ratio, due, 0.01)
    yield at_most("its standard error, as a share of it", found.error, 0.01 / 2)


@claim(
    "000-23",
    "sigmoid and tanh saturate, so deep networks are hard to train",
    IMPRECISE,
    "σ' ≤ 1/4 and tanh' ≤ 1 decide nothing without the weights: a layer multiplies E δ² by χ = σ_w² E φ'². With "
    "Glorot's, σ_w = 1, δ dies with depth, with larger ones it explodes, for tanh at σ_w = 2; the gradients of ReLU's "
    "weights do not show the decay",
    "Hochreiter 1991; Glorot and Bengio 2010; Schoenholz et al. 2017",
)
def vanishing_delta() -> Numbers:
    z = torch.linspace(-6, 6, 2401, dtype=torch.float64)
    yield equals("largest slope of sigmoid", ACTIVATIONS["sigmoid"].slope(z).max(), 1 / 4, 1e-12)
    yield equals("largest slope of tanh", ACTIVATIONS["tanh"].slope(z).max(), 1, 1e-12)
    for name in ("sigmoid-glorot", "tanh-glorot", "relu-glorot"):
        yield from law(name, Setting.parse(name).theory(DEPTH).delta_ratio)
    large = layers("tanh", 2.0, DEPTH).delta_ratio
    yield at_least("tanh, σ_w = 2, by recursion: ‖δ₁‖/‖δ₂₀‖, above 1", large, 1.1, counterexample=True)
    yield from law("tanh-glorot", large, 2.0, " with σ_w = 2")
    found = measure_gradients(Setting("relu", "glorot"), DEPTH, batch=32, draws=16)
    yield equals("16 networks, gradients of a cross-entropy: ‖δ₁‖/‖δ₂₀‖, 2^−9.5", found.delta_ratio, 2**-9.5, 0.05)
    yield equals("the same ratio of weight gradients", found.weight_ratio, 1, 0.1)


@claim(
    "000-24",
    "a gradient factor other than 1 explodes or vanishes exponentially with depth; 1 is best",
    RIGHT,
    "E δ² is multiplied by χ = σ_w² E φ'² a layer; an orthogonal linear network has χ = 1 for every vector",
    "Poole et al. 2016; Schoenholz et al. 2017; Saxe, McClelland, Ganguli 2014",
)
def factor_of_a_layer() -> Numbers:
    # χ = σ_w²/2 for ReLU, so the ratio over L layers is (σ_w²/2)^((L-1)/2)
    for scale in (1.0, 2.0):
        due = (scale**2 / 2) ** ((DEPTH - 1) / 2)
        found = layers("relu", scale, DEPTH)
        yield equals(f"ReLU, σ_w = {scale:g}, by recursion: ‖δ₁‖/‖δ₂₀‖ = (σ_w²/2)^9.5", found.delta_ratio, due, 1e-9)
        signal = scale**2 * (scale**2 / 2) ** (DEPTH - 1)
        yield equals("the mean square of z₂₀: σ_w² (σ_w²/2)^19", found.variance[-1], signal, 1e-9)
    turned = measure_gradients(Setting("linear", "orthogonal"), DEPTH, width=128, batch=32, draws=2)
    yield equals("orthogonal linear network, measured: ‖δ₁‖/‖δ₂₀‖", turned.delta_ratio, 1, 1e-6)


@claim(
    "000-25",
    "ReLU is x for x > 0 and 0 for x < 0",
    RIGHT,
    "at 0 the value is 0 and every slope in [0, 1] a subgradient; half the signal is lost, hence He's gain √2",
    "Nair and Hinton 2010; He et al. 2015",
)
def relu() -> Numbers:
    x = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
    yield equals("relu(-2) and relu(0)", ACTIVATIONS["relu"].value(x)[:2].abs().sum(), 0)
    yield equals("relu(3)", ACTIVATIONS["relu"].value(x)[2], 3)
    yield equals("E relu(Z)²", gaussian_mean(lambda z: ACTIVATIONS["relu"].value(z).square(), 1.0), 1 / 2, 1e-12)
    yield from law("relu-he", 1.0)


@claim(
    "000-26",
    "leaky ReLU has the slope 0.2",
    IMPRECISE,
    "a is free: 0.01 (Maas 2013), 0.25 at first (PReLU), 0.2 in GANs; the gain that fits it is √(2/(1+a²))",
    "Maas, Hannun, Ng 2013; He et al. 2015",
)
def leaky_relu() -> Numbers:
    yield equals("PyTorch's default slope", torch.nn.LeakyReLU().negative_slope, 0.01)
    yield equals("gain for a = 0.2", he_gain("leaky"), 1.386750490563073, 1e-12)
    yield from law("leaky-he", 1.0)
    yield from law("leaky-he", 1.04**9.5, 2**0.5, ", with ReLU's gain √2: (1+a²)^9.5")


@claim(
    "000-27",
    "leaky ReLU cures units that cannot train because x < 0",
    RIGHT,
    "a ReLU unit that is negative on all data has no gradient, nor has one behind which all is dead: half of the units "
    "of narrow deep networks at the start",
    "Lu, Shin, Su, Karniadakis 2019",
)
def dead_units() -> Numbers:
    dead, silent = units_at_start("relu", 4)
    yield at_least("ReLU, 10 layers of 4: share of 2,000 units that are negative on all data", silent.mean(), 0.25)
    yield equals("of them, with a gradient", (silent * (1 - dead)).sum(), 0)
    yield at_least("share that fires on some data, and all behind it is dead", (dead * (1 - silent)).mean(), 0.1)
    wide = units_at_start("relu", 32)[0].mean()
    yield at_most("10 layers of 32: share without gradient; a third of that in layers of 4", wide, dead.mean() / 3)
    yield equals("leaky ReLU, 10 layers of 4: units without gradient", units_at_start("leaky", 4)[0].sum(), 0)


def units_at_start(activation: str, width: int) -> tuple[Tensor, Tensor]:
    """Which units of 50 networks of 10 layers get no gradient, and which are negative on all data; (L, S, n) each."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 4, generator=generator)
    network = DeepMLP(Setting(activation, "he"), 50, 4, width, 10, 2, generator)
    z = network.pre_activations(x)
    # The outputs of all inputs are summed with random signs, so that nothing cancels by symmetry.
    signs = torch.randn(50, 256, 2, generator=generator)
    gradients = torch.autograd.grad((signs * network.logits(z[-1])).sum(), z)
    dead = torch.stack([(layer == 0).all(1) for layer in gradients])
    return dead.double(), torch.stack([(layer <= 0).all(1) for layer in z]).double()


@cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test digits, mean 0 and mean square 1, every fifth for the test."""
    bunch = load_digits()
    x = torch.from_numpy(bunch.data).float()
    x, y = (x - x.mean()) / x.std(), torch.from_numpy(bunch.target)
    test = torch.arange(len(y)) % 5 == 0
    return x[~test], y[~test], x[test], y[test]


def trained_accuracy(name: str, depth: int, epochs: int, seed: int = 0) -> float:
    """Test accuracy after gradient descent with momentum, the same for every setting."""
    x, y, test_x, test_y = digits()
    generator = torch.Generator().manual_seed(seed)
    network = DeepMLP(Setting.parse(name), 1, 64, 64, depth, 10, generator)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.003, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(y), generator=generator).split(64):
            optimiser.zero_grad()
            losses(network(x[batch]), y[batch]).sum().backward()
            optimiser.step()
    return float((network(test_x)[0].argmax(1) == test_y).float().mean())


@claim(
    "003-20",
    "many hidden layers do worse than one",
    IMPRECISE,
    "plain layers do: He's start makes 30 of them trainable, though worse than one still; with skip connections 30 "
    "layers are no worse",
    "He, Zhang, Ren, Sun 2015 and 2016; Glorot and Bengio 2010",
    long=True,
)
def depth_and_start() -> Numbers:
    truth = digits()[3]
    most = float(truth.bincount().max()) / len(truth)  # what answering with one class can reach
    error = lambda p: (p * (1 - p) / len(truth)) ** 0.5  # standard error of a share p
    chance = most + 3 * error(most)
    found = trained_accuracy("relu-glorot", 30, 15)
    yield at_most("30 layers, ReLU, Glorot: accuracy; one class for all, and 3 standard errors", found, chance)
    # one start alone depends on how the processor rounds
    deep, flat = (np.array([trained_accuracy("relu-he", depth, 15, seed) for seed in range(16)]) for depth in (30, 1))
    least = deep.mean() - 3 * deep.std(ddof=1) / len(deep) ** 0.5
    yield at_least("30 layers, ReLU, He, mean of 16 starts, less 3 standard errors: above them", least, chance)
    one, found = float(flat[0]), trained_accuracy("relu-he-residual", 30, 15)
    due = one - 3 * 2**0.5 * error(one)
    apart = float(deep.mean() - flat.mean() + 3 * ((deep.var(ddof=1) + flat.var(ddof=1)) / len(deep)) ** 0.5)
    yield at_most("that mean less the mean of 1 layer, with 3 standard errors of the difference added", apart, 0)
    yield at_least("30 layers with skip connections; 1 layer, less 3 standard errors", found, due)


@claim(
    "003-21",
    "the last layers get confused input from first layers that have not learnt",
    IMPRECISE,
    "random features are informative: a linear readout of frozen random layers is far above chance",
    "Rahimi and Recht 2007; Saxe et al. 2011",
)
def random_features() -> Numbers:
    x, y, test_x, test_y = digits()
    network = DeepMLP(Setting("relu", "he"), 1, 64, 512, 3, 10, torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, test_features = (torch.relu(network.pre_activations(part)[-1][0]).double() for part in (x, test_x))
    # Ridge regression on one-hot targets: (AᵀA + λ)⁻¹ Aᵀ Y
    gram = features.T @ features + 1.0 * torch.eye(512, dtype=torch.float64)
    readout = torch.linalg.solve(gram, features.T @ F.one_hot(y, 10).double())
    accuracy = ((test_features @ readout).argmax(1) == test_y).double().mean()
    yield at_least("8×8 digits: test accuracy behind 3 frozen random layers, chance is 0.1", accuracy, 0.8)


@claim(
    "003-22",
    "deeper networks get stuck in local extrema",
    IMPRECISE,
    "where training stops moving is often a plateau by a saddle, as here in a network of 4 layers of sigmoids, whose "
    "Hessian has a negative eigenvalue there; not always: around a dead ReLU unit the loss is flat",
    "Dauphin et al. 2014; Goodfellow, Vinyals, Saxe 2015",
)
def stuck_at_a_saddle() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    y = (x[:, 0] * x[:, 1] > 0).double()
    sizes = [(2, 3), (3, 3), (3, 3), (3, 1)]
    count = sum((rows + 1) * columns for rows, columns in sizes)

    def loss(theta: Tensor) -> Tensor:
        h, place = x, 0
        for layer, (rows, columns) in enumerate(sizes):
            weight = theta[place : place + rows * columns].view(rows, columns)
            place += rows * columns
            h = h @ weight + theta[place : place + columns]
            place += columns
            h = torch.sigmoid(h) if layer < len(sizes) - 1 else h
        return F.binary_cross_entropy_with_logits(h[:, 0], y)

    theta = torch.randn(count, generator=generator, dtype=torch.float64) * 0.5
    for _ in range(1500):
        theta.requires_grad_()
        (slope,) = torch.autograd.grad(loss(theta), theta)
        theta = (theta - 0.5 * slope).detach()
    values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(loss, theta))
    stuck = float(loss(theta))
    prior = float(y.mean())
    guess = -prior * np.log(prior) - (1 - prior) * np.log(1 - prior)
    yield at_most("norm of the gradient where 4 layers of sigmoids stop", slope.norm(), 0.01)
    yield equals("loss there; guessing costs H(y)", stuck, guess, 0.02)
    yield at_most("smallest eigenvalue of the Hessian", values[0], -1e-6)
    lowest = min(float(loss(theta + step * vectors[:, 0])) for step in (-2.0, -1.0, 1.0, 2.0))
    yield at_least("the loss falls along its eigenvector, by", stuck - lowest, 1e-4)
    # |x₁| + |x₂| by one ReLU unit, relu(w·|x| + b): exact for w = (1, 1), b = 0, dead for w = (−1, −1), b = −1
    fit = lambda w: (torch.relu(x.abs() @ w[:2] + w[2]) - x.abs().sum(1)).square().mean()
    dead = -torch.ones(3, dtype=torch.float64)
    bend = torch.linalg.eigvalsh(torch.autograd.functional.hessian(fit, dead)).abs().max()
    yield equals("one dead ReLU unit: largest |eigenvalue| of the Hessian", bend, 0)
    yield at_least("its loss; the best is 0", fit(dead) - fit(torch.tensor([1.0, 1.0, 0.0]).double()), 1)
