"""One hidden layer approximates continuous functions: how well exactly, and what decides it (articles 000 and 003)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from models.approximation.descent import Adam
from models.approximation.family import Activation, Family
from models.approximation.gauss_newton import GaussNewton
from models.approximation.knots import evaluate
from models.approximation.reference import one_network
from models.approximation.search import Line, SplineSearch
from theory.backprop import forward, random_layers
from theory.broken_lines import L2_CONSTANT, jump_floor, ramp_l1
from theory.expression import Expression
from theory.named_functions import TARGETS
from theory.segmentation import best_segmentation

Floats = NDArray[np.float64]
SAMPLES = 4096
BERNSTEIN = 0.28016949902386913303643649  # lim 2k E_{2k}(|x|) on [-1, 1]; Varga and Carpenter 1985


def samples(name: str, count: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """A named function at the middles of ``count`` equal cells of [0, 1]."""
    x = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return x, Expression(TARGETS[name].formula)(x)


def floors(name: str) -> Floats:
    """F_1 … F_64 on 4,096 samples."""
    x, y = samples(name)
    return best_segmentation(x.numpy(), y.numpy(), 64).floors


def best_lines(name: str, widths: list[int], rounds: int = 40) -> list[Line]:
    """The best broken lines that the search finds."""
    x, y = samples(name)
    due = floors(name)
    search = SplineSearch(widths, 0)
    for _ in range(rounds):
        search.step(x, y, [float(due[width - 1]) for width in widths])
    return search.best(x, y)


def ratios(name: str, widths: list[int], rounds: int = 40) -> Iterator[tuple[int, float]]:
    """Root mean square error over the floor, for each width."""
    due = floors(name)
    for width, line in zip(widths, best_lines(name, widths, rounds), strict=True):
        yield width, line.error**0.5 / float(due[width - 1])


@claim(
    "000-13",
    "a continuous surface can be approximated by broken lines",
    RIGHT,
    "broken lines are dense in the continuous functions on an interval, and the best of N pieces can be proved so",
    "Weierstrass 1885; Burchard and Hale 1975",
)
def broken_lines_are_dense() -> Numbers:
    for name in ("exponential", "step-sine"):
        for width, found in ratios(name, [16, 32]):
            # RMS(N) / F_N ≥ 1, since F_N is the minimum over a larger class
            yield at_most(f"{name}, {width} pieces: error over the proved floor", found, 1.01)
            yield at_least(f"{name}, {width} pieces: no error is below the floor", found, 1.0, 1e-9)


@claim(
    "000-14",
    "sigmoid, tanh and ReLU can be used because they are monotone",
    WRONG,
    "with a continuous activation one hidden layer is universal if and only if that is no polynomial; monotony has "
    "nothing to do with it",
    "Leshno, Lin, Pinkus and Schocken 1993; Bernstein 1914",
)
def monotony_is_not_the_reason() -> Numbers:
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    place, target = (x + 1) / 2, x.abs()
    # φ(z) = z³ is monotone: Σ c_n (w_n x + b_n)³ + d is a cubic, and E_3(|x|) = E_2(|x|) = 1/8 (|x| ≈ x² + 1/8)
    cubes = torch.stack([(w * x + b) ** 3 for w, b in ((1, 0), (1, 1), (1, -1), (2, 1), (0, 1))], 1)
    powers = torch.stack([x**k for k in range(4)], 1)
    residual = powers - cubes @ torch.linalg.lstsq(cubes, powers).solution
    yield equals("shifted cubes span exactly the cubics: defect", residual.abs().max(), 0, 1e-12)
    # x² + 1/8 - |x| takes its extremes with signs + - + - + : by Chebyshev no cubic is nearer
    extremes = (x * x + 1 / 8 - target)[[0, 500, 1000, 1500, 2000]] * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    yield equals("best of all cubics, x² + 1/8: least of five alternating errors", extremes.min(), 1 / 8, 1e-12)
    yield equals("… and its sup error", (x * x + 1 / 8 - target).abs().max(), 1 / 8, 1e-12)
    sine, bell = (network_error(name, place, target) for name in ("sin", "gaussian"))
    for found, name in ((sine, "sin"), (bell, "gaussian")):
        yield at_most(f"sup error of 16 units, {name}, not monotone", found, 1 / 8, counterexample=True)
    # d E_d(|x|) → β for even degrees d
    yield equals("degree 16: d · least sup error", 16 * best_polynomial_error(16), BERNSTEIN, 0.005)
    for found, name in ((sine, "sin"), (bell, "gaussian")):
        what = f"16 units of {name}: sup error; best of all polynomials of degree 8"
        yield at_most(what, found, best_polynomial_error(8), counterexample=True)


def network_error(activation: Activation, x: Tensor, y: Tensor) -> float:
    """Sup error of 16 units after 40 rounds of variable projection, best of eight starts: some stay in a bad valley."""
    x, y = x[::4], y[::4]
    search = GaussNewton(Family([16], 8, activation, spread=True, seed=1))
    for _ in range(40):
        search.step(x, y)
    with torch.no_grad():
        return float((search.family(x) - y).abs().amax(1).min())


def best_polynomial_error(degree: int) -> float:
    """E_d(|x|) on [-1, 1], on Chebyshev's points and 0."""
    x = np.append(np.cos(np.pi * (np.arange(1000) + 0.5) / 1000), 0.0)
    return least_sup_error(x, abs(x), degree)


def least_sup_error(x: Floats, y: Floats, degree: int) -> float:
    """Of all polynomials, by the linear programme  min t,  |Σ c_k T_k(x) - y| ≤ t.  Args: x in [-1, 1], y, degree."""
    basis = np.polynomial.chebyshev.chebvander(x, degree)
    ones = np.ones((len(x), 1))
    sides = np.block([[basis, -ones], [-basis, -ones]])
    bounds = [(None, None)] * (degree + 1) + [(0, None)]
    goal = np.append(np.zeros(degree + 1), 1.0)
    return float(linprog(goal, sides, np.concatenate([y, -y]), bounds=bounds).fun)


@claim(
    "000-15",
    "tanh(WX + b): W is the slope and b the intercept of the segment",
    IMPRECISE,
    "of a ReLU unit: the slope also contains the output weight, and the knee of the segment sits at −b/W; tanh has no "
    "segments, and at −b/W its inflection, where it is steepest",
    "Montúfar et al. 2014, section 2",
)
def knee_of_a_unit() -> Numbers:
    (line,) = best_lines("runge", [16])
    network = one_network(line, 0.0, 0.0, 1.0)
    weight, bias, outer = (parameter.flatten() for parameter in list(network.parameters())[:3])
    # fitted knots k_1 … k_{N-1} are the knees -b/w of the units 2 … N
    yield equals("knots + b/W", (line.knots[1:-1] + (bias / weight)[1:]).abs().max(), 0, 1e-12)
    slopes = line.values.diff() / line.knots.diff()
    yield equals(
        "change of slope = |W| · output weight", (slopes.diff() - (outer * weight.abs())[1:]).abs().max(), 0, 1e-10
    )
    x = torch.linspace(0, 1, 5001, dtype=torch.float64)
    difference = network(x[:, None])[:, 0] - evaluate(line.knots[None], line.values[None], x)[0]
    yield equals("Linear-ReLU-Linear less the broken line", difference.abs().max(), 0, 1e-13)
    steep = (1.7 * x - 0.6).tanh().diff().argmax()
    yield equals("tanh(1.7 x − 0.6): where it is steepest, −b/W", (x[steep] + x[steep + 1]) / 2, 0.6 / 1.7, 1e-3)


@claim(
    "000-17",
    "the blank between the lines is the error: more neurons, less error",
    RIGHT,
    "the best error does not rise with N, since the classes are nested; that of a trained network may",
    "definition; dynamic programming by Bellman 1961",
)
def more_units_less_error() -> Numbers:
    curves = {name: tuple(tensor.numpy() for tensor in samples(name, 512)) for name in ("step-sine", "runge")}
    grid = curves["runge"][0]
    curves["kink and waves"] = grid, np.abs(grid - 0.4) + np.sin(40 * grid) / 100
    for name, (places, values) in curves.items():
        due = floors_by_all_pairs(places, values, 64)
        # F_{N+1} ≤ F_N; the fast recursion makes its floors so, the slow one need not
        what = f"{name}, F_N the least error of N pieces, all tried: largest F_(N+1) / F_N, N < 64"
        yield at_most(what, (due[1:] / due[:-1]).max(), 1)
        apart = np.abs(best_segmentation(places, values, 64).floors / due - 1).max()
        yield equals(f"{name}: the fast search for F_N / F_N − 1, largest", apart, 0, 1e-6)
    x, y = samples("sine", 128)
    family = Family([4, 8], 20, "relu", seed=0, dtype=torch.float32)
    Adam(family, 0.01, 800).step(x, y, 800)
    with torch.no_grad():
        four, eight = (family(x).double() - y).square().mean(1).sqrt().view(2, 20)
    found = eight.max() / four.min()
    yield at_least("trained by Adam, 20 seeds: worst error of 8 units / best of 4, not below 1", found, 1)


def floors_by_all_pairs(x: Floats, y: Floats, pieces: int) -> Floats:
    """F_1 … F_N by Bellman's recursion over every pair i < j, with C(i, j) from sums; no piece is empty."""
    x = x - 0.5
    sums = np.cumsum(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]), axis=1)
    sums = np.concatenate([np.zeros((6, 1)), sums], axis=1)
    n, sx, sy, sxx, sxy, syy = sums[:, None, :] - sums[:, :, None]  # of the samples i..j-1, each (M + 1, M + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # C = Syy - Sxy² / Sxx of the centred samples
        cost = syy - sy * sy / n - (sxy - sx * sy / n) ** 2 / (sxx - sx * sx / n)
    cost = np.select([n < 1, n < 3], [np.inf, 0.0], cost)
    least, found = cost[0], []
    for _ in range(pieces):
        found.append(math.sqrt(least[-1] / len(x)))
        least = (least[:, None] + cost).min(0)
    return np.array(found)


@claim(
    "000-18",
    "so a network of three layers fits any continuous function to any accuracy",
    IMPRECISE,
    "on compact sets, in the sup norm, with any continuous activation that is no polynomial; by ReLU f in C² of one "
    "variable at the rate N^-2, of d variables at N^(-2/d)",
    "Cybenko 1989; Hornik 1991; Leshno et al. 1993; Burchard and Hale 1975; Pinkus 1999 for d variables",
)
def universal_approximation() -> Numbers:
    widths = [16, 24, 32, 48, 64]
    for name in ("exponential", "sine"):
        x, y = samples(name)
        networks = [one_network(line, 0.0, 0.0, 1.0) for line in best_lines(name, widths)]
        with torch.no_grad():
            errors = [float((network(x[:, None])[:, 0] - y).square().mean().sqrt()) for network in networks]
        constant = TARGETS[name].constant
        assert constant is not None
        # the least error of N pieces times N² → (∫|f''|^(2/5))^(5/2) / √720, joined or not
        slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
        yield equals(f"{name}, networks of N ReLU units: slope of log error in log N", slope, -2, 0.01)
        yield equals(f"{name}: 64² times the error of 64 units", errors[-1] * 64**2, L2_CONSTANT * constant, 0.015)
    # x² on a cell of length h: the best line is f'' h² / 16 off, so that N² times it is 2/16 in each of N equal cells
    for pieces in (1, 4, 32):
        cells = [np.linspace(cell, cell + 1, 401) / pieces for cell in {0, pieces // 2, pieces - 1}]
        found = max(least_sup_error(x, x**2, 1) for x in cells)
        yield equals(f"x², {pieces} equal pieces, by linear programmes: N² sup error", pieces**2 * found, 2 / 16, 1e-6)
        knots = torch.linspace(0, 1, pieces + 1, dtype=torch.float64)
        network = one_network(Line(knots, knots**2 - 1 / (8 * pieces**2), 0.0), 0.0, 0.0, 1.0)
        places = torch.linspace(0, 1, 400 * pieces + 1, dtype=torch.float64)
        with torch.no_grad():
            sup = (network(places[:, None])[:, 0] - places**2).abs().max()
        yield equals(f"the same of a network of {pieces} ReLU units", pieces**2 * sup, 2 / 16, 1e-9)


@claim(
    "003-10",
    "one wide hidden layer approximates any continuous function",
    IMPRECISE,
    "on a compact set; of a given width the best broken line can be certified: its error over a floor that none passes",
    "Cybenko 1989; Leshno et al. 1993",
)
def one_wide_layer() -> Numbers:
    for name in ("tanh", "runge"):
        for width, found in ratios(name, [16, 64]):
            yield equals(f"{name}, {width} pieces: error over the proved floor", found, 1.0, 0.01)
    for width, found in ratios("step-sine", [8], rounds=120):
        yield at_most(f"step-sine, {width} pieces: error over the proved floor", found, 1.05)


@claim(
    "003-11",
    "two hidden layers approximate any discontinuous function",
    WRONG,
    "not in the sup norm: every continuous function is half the jump away; in the mean one hidden layer is enough",
    "Hornik 1991; Lippmann 1987",
)
def discontinuous_functions() -> Numbers:
    # a ramp of slope k through the middle of the jump, as two units: relu(k x + 1/2) - relu(k x - 1/2)
    for slope in (10.0, 1e3, 1e5):
        x = torch.linspace(-1 / slope, 1 / slope, 200_001, dtype=torch.float64)
        ramp = torch.relu(slope * x + 0.5) - torch.relu(slope * x - 0.5)
        step = (x > 0).double()
        sup = (ramp - step).abs().max()
        due = jump_floor(1.0)
        yield equals(f"ramp of slope {slope:g} for the step: sup error", sup, due, 1e-9, counterexample=True)
        area = torch.trapezoid((ramp - step).abs(), x)
        yield equals(f"ramp of slope {slope:g}: L1 error, 1/(4 · slope)", area, ramp_l1(slope), 1e-9)
    # two hidden layers are continuous too: they cannot come nearer in the sup norm, but they do in the mean
    found = max(error_at_a_jump(seed) for seed in range(5))
    what = "two hidden layers of 8 tanh units, trained from 5 starts: largest mean error, a tenth of the sup error due"
    yield at_most(what, found, jump_floor(1.0) / 10)
    # two layers of step units: a unit of the second is 1 where all four sides of its square are; the output adds them
    grid = torch.linspace(-1, 4, 101, dtype=torch.float64)
    x, y = torch.meshgrid(grid, grid, indexing="ij")
    inside, output = torch.zeros_like(x), torch.zeros_like(x)
    for a in (0.0, 2.0):
        inside += (x - a - 0.5).abs().maximum((y - a - 0.5).abs()) <= 0.5
        first = torch.stack([x - a, a + 1 - x, y - a, a + 1 - y]) >= 0
        output += first.sum(0) - 3.5 >= 0
    yield equals("step units, two layers: two squares, places wrong", (output != inside).sum(), 0)


def error_at_a_jump(seed: int) -> float:
    """Mean error on [-1, 1] of a 1-8-8-1 network of tanh units fitted to the step at 0 by L-BFGS."""
    weights = random_layers((1, 8, 8, 1), torch.Generator().manual_seed(seed))
    parameters = [tensor.requires_grad_() for layer in weights for tensor in layer]
    x = torch.linspace(-1, 1, 400, dtype=torch.float64)[:, None]
    step = (x > 0).double()
    optimizer = torch.optim.LBFGS(parameters, max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (forward(weights, x)[-1] - step).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return float((forward(weights, x)[-1] - step).abs().mean())
