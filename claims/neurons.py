"""Statements about threshold units, perceptrons and layers without an activation (articles 001 and 003)."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from theory.backprop import Layer, forward, gradients, random_layers
from theory.separability import separating_plane
from theory.threshold import (
    UNITS,
    as_labels,
    corners,
    count_separable,
    fires,
    novikoff_bound,
    rosenblatt,
    tables_with_weights,
    truth_tables,
)

DUE = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "not": [1, 0]}
XOR, XNOR = 0b0110, 0b1001


def linear_chain(*sizes: int) -> list[Tensor]:
    """Weight matrices of layers without activation, float64."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(wide, narrow, generator=generator, dtype=torch.float64)
            for narrow, wide in pairwise(sizes)]  # fmt: skip


def without_activation(weights: list[Tensor]) -> nn.Sequential:
    """The same layers as a torch network."""
    layers = [nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64) for weight in weights]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data.copy_(weight)
    return nn.Sequential(*layers)


@claim(
    "001-06",
    "a neuron is Y = X₁W₁ + X₂W₂",
    IMPRECISE,
    "bias and activation are missing; with both, one neuron computes 14 of the 16 functions of two bits and gets 3 of "
    "the 4 cases of XOR",
    "McCulloch and Pitts 1943; Minsky and Papert 1969",
)
def one_neuron() -> Numbers:
    labels = [as_labels(int(table), 2) for table in truth_tables(2)]  # 16 of shape (4,)
    computed = [one for one in labels if separating_plane(corners(2), one).separable]
    yield equals("functions of two bits that one neuron computes", len(computed), 14)
    best = max(float((one == as_labels(XOR, 2)).mean()) for one in computed)
    yield equals("best share of the cases of XOR", best, 0.75)
    grid = np.arange(-2, 2.25, 0.25)  # weights and threshold of a unit, none of them from the linear programmes
    units = {fires(corners(2), np.array(weights), t).tobytes() for *weights, t in product(grid, repeat=3)}
    yield equals("functions found by trying 4,913 weights and thresholds", len(units), 14)
    # As printed: W₁ + W₂ is 0 or 1 with W₁ and W₂, so that (W₁, W₂) is (0, 0), (1, 0) or (0, 1)
    bits = np.stack([(one + 1) / 2 for one in labels], 1)  # (4, 16)
    exact = np.abs(corners(2) @ np.linalg.lstsq(corners(2), bits)[0] - bits).max(0) < 1e-9
    yield equals("functions that X₁W₁ + X₂W₂ as printed equals", exact.sum(), 3, counterexample=True)
    # With an activation but no bias (0, 0) stays on the plane, and W₁ ≤ 0, W₂ ≤ 0 excludes W₁ + W₂ > 0: 6 functions
    halves = {(corners(2) @ np.array(weights) > 0).tobytes() for weights in product(grid, repeat=2)}
    yield equals("functions with an activation, X₁W₁ + X₂W₂ > 0, but no bias", len(halves), 6, counterexample=True)


@claim(
    "001-07",
    "a 2-3-1 network without activation “can build many functions”",
    WRONG,
    "its algebra collapses: two linear layers are one 1×2 matrix, W₂W₁, of rank at most 1",
    "linear algebra; Minsky and Papert 1969",
)
def linear_layers() -> Numbers:
    weights = linear_chain(2, 3, 1)
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        outputs = without_activation(weights)(x)
    one = weights[1] @ weights[0]  # (1, 2)
    gap = (outputs - x @ one.T).abs().max()
    yield equals("largest |network − W₂W₁x|", gap, 0, 1e-14, counterexample=True)
    # The nearest linear function to XOR in ±1 is 0, so that every such network is wrong in half of the variance.
    inputs = torch.tensor(2 * corners(2) - 1)
    target = torch.tensor(as_labels(XOR, 2))
    best = torch.linalg.lstsq(inputs, target[:, None]).solution
    floor = (inputs @ best - target[:, None]).square().mean()
    yield equals("least mean squared error on XOR in ±1", floor, 1, 1e-12, counterexample=True)
    yield at_most("rank of W₂W₁", torch.linalg.matrix_rank(one), 1)


@claim(
    "003-05",
    "the M-P neuron: a sum, signed weights, a threshold; the weights are preset",
    IMPRECISE,
    "so it is drawn today; the inhibition of 1943 was an absolute veto, not a negative weight",
    "McCulloch and Pitts 1943",
)
def preset_gates() -> Numbers:
    for name, (weights, threshold) in UNITS.items():
        inputs = corners(len(weights))
        right = (fires(inputs, np.array(weights), threshold) == np.array(DUE[name], dtype=bool)).sum()
        signs = " and ".join(f"{weight:g}" for weight in weights)
        yield equals(f"{name.upper()}, weights {signs}, threshold {threshold:g}: cases right", right, len(inputs))
    # A veto cannot be outvoted, a weight −1 can: two exciting inputs and one inhibiting.
    weighted = fires(np.array([[1.0, 1.0, 1.0]]), np.array([1.0, 1.0, -1.0]), 1)
    yield equals("1 + 1 − 1 ≥ 1 fires in spite of its inhibition", weighted[0], 1)


@claim(
    "003-07",
    "without an activation many layers are one, and only linear functions are computed",
    RIGHT,
    "W_L … W₁ is one matrix; biases make it affine",
    "linear algebra",
)
def many_linear_layers() -> Numbers:
    weights = linear_chain(4, 6, 5, 6, 3)
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.linalg.multi_dot(weights[::-1])  # (3, 4)
    network = without_activation(weights)
    with torch.no_grad():
        gap = (network(x) - x @ one.T).norm() / network(x).norm()
        additive = (network(x + x.flip(0)) - network(x) - network(x.flip(0))).norm() / network(x).norm()
    yield equals("‖network − product of the four matrices‖ / ‖network‖", gap, 0, 1e-14)
    yield equals("its defect of additivity / ‖network‖", additive, 0, 1e-14)


@claim(
    "003-08",
    "the single-layer perceptron was the first network that learns; it does AND, OR and NOT",
    IMPRECISE,
    "it does these three, but others learnt before it: Minsky's machine of 1951 and the network that Farley and Clark "
    "simulated in 1954. Where a plane separates with margin γ it makes at most (R/γ)² mistakes; of the functions of 2, "
    "3 and 4 bits it can learn 14, 104 and 1882",
    "Rosenblatt 1958; Farley and Clark 1954; Novikoff 1962; OEIS A000609 for the numbers",
)
def perceptron() -> Numbers:
    worst = 0.0
    for n in (2, 3):
        points = corners(n)
        for table in truth_tables(n):
            labels = as_labels(int(table), n)
            bound = novikoff_bound(points, labels)
            if not np.isfinite(bound):
                continue
            _, mistakes = rosenblatt(points, labels, passes=1000)
            worst = max(worst, mistakes / bound)
    yield at_most("all functions of 2 and 3 bits: largest mistakes / bound", worst, 1)
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(20):
        points = rng.normal(size=(50, 2))
        labels = np.sign(points @ rng.normal(size=2) + 0.3)
        worst = max(worst, rosenblatt(points, labels, passes=10**5)[1] / novikoff_bound(points, labels))
    yield at_most("20 sets of 50 points: largest mistakes / bound", worst, 1)
    # Tight: extended by a 1, these eight corners of a cube are the rows of a Hadamard matrix, orthogonal without any
    # rounding: each is a mistake once, whatever the others taught.
    tight, labels = hadamard(8).astype(np.float64)[:, 1:], np.where(np.arange(8) % 2, -1.0, 1.0)
    yield equals("8 corners of a cube in 7 dimensions: the bound", novikoff_bound(tight, labels), 8, 1e-9)
    yield equals("mistakes there", rosenblatt(tight, labels, passes=100)[1], 8)
    for n, due in ((2, 14), (3, 104), (4, 1882)):
        yield equals(f"functions of {n} bits separable, by linear programmes", count_separable(n), due)
    yield equals("functions of 4 bits reached by whole weights up to 3", len(tables_with_weights(4)), 1882)


@claim(
    "003-09",
    "XNOR needs a multilayer perceptron",
    RIGHT,
    "no line separates it, and two hidden units suffice",
    "Minsky and Papert 1969",
)
def xnor() -> Numbers:
    points = corners(2)
    for name, table in (("XNOR", XNOR), ("XOR", XOR)):
        infeasible = not separating_plane(points, as_labels(table, 2)).separable
        yield equals(f"{name}: is the linear programme of one layer infeasible", infeasible, 1)
    # h = (OR, AND), XNOR = NOT OR or AND = 1 where AND − OR ≥ 0
    hidden = np.stack([fires(points, np.array(UNITS[name][0]), UNITS[name][1]) for name in ("or", "and")], 1)
    output = fires(hidden.astype(float), np.array([-1.0, 1.0]), 0)
    yield equals("XNOR by two preset hidden units: cases right", (output == (as_labels(XNOR, 2) > 0)).sum(), 4)
    yield equals("XNOR learned by 2-2-1 tanh units, best of 5 starts: cases right", max(map(learned, range(5))), 4)
    slowest = rosenblatt(points, as_labels(XNOR, 2), passes=500)[1]
    yield at_least("one layer: mistakes of Rosenblatt's rule in 500 passes", slowest, 500)


def learned(seed: int) -> int:
    """Cases of XNOR that a 2-2-1 network gets right after 500 steps of gradient descent."""
    x, y = torch.tensor(2 * corners(2) - 1), torch.tensor(as_labels(XNOR, 2))[:, None]
    layers = random_layers((2, 2, 1), torch.Generator().manual_seed(seed))
    for _ in range(500):
        layers = [descended(*pair) for pair in zip(layers, gradients(layers, x, y), strict=True)]
    return int((forward(layers, x)[-1].sign() == y).sum())


def descended(layer: Layer, slope: Layer, lr: float = 0.3) -> Layer:
    """One step of gradient descent."""
    return layer[0] - lr * slope[0], layer[1] - lr * slope[1]
