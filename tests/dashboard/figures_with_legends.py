"""One of each figure that has a legend, with data that go anywhere, drawn from a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dashboard import (
    adjustment,
    adversarial,
    approximation,
    calibration,
    classification,
    coding,
    compression,
    curves,
    descent,
    energy,
    generalisation,
    gradient_flow,
    losses,
    perceptron,
    regions,
    regression,
    roc,
    width_errors,
)

Generator = np.random.Generator
DIGITS = [str(digit) for digit in range(10)]


def curve(rng: Generator, count: int = 40) -> Any:
    """A smooth curve in 0..1 that touches both ends, as likely here as there."""
    steps = np.convolve(rng.normal(size=count + 8), np.ones(9) / 9, "valid").cumsum()
    return (steps - steps.min()) / np.ptp(steps)


def several(rng: Generator, count: int, length: int = 40) -> Any:
    """Curves, shape (count, length)."""
    return np.stack([curve(rng, length) for _ in range(count)])


def neural_distance(rng: Generator) -> Any:
    cosines = np.sort(rng.uniform(-1, 1, (20, 3)))
    return curves.neural_distance_figure(np.arange(20), 0.05 + 1.2 * curve(rng, 20), cosines, 10)


def beside_theory(rng: Generator) -> Any:
    theory = 0.1 + curve(rng)
    return curves.beside_theory_figure(
        np.arange(1, 41), theory * rng.uniform(0.8, 1.2, 40), theory, x_label="x", y_label="y", subject="a",
        theory_name="the formula with a name",
    )  # fmt: skip


def repeats(rng: Generator) -> Any:
    groups = {name: rng.uniform(0, 5, 20) for name in ("network", "untrained, one view", "LDA on pixels", "HOG")}
    return curves.repeats_figure(groups, y_label="%", subject="e", theory={"1997": 3.8, "best": 0.1}, least=0)


def receivers(rng: Generator) -> Any:
    falses = np.concatenate([[0], np.geomspace(1e-4, 1, 60)])
    found = {f"method number {k}": (falses, falses ** rng.uniform(0.02, 0.9)) for k in range(5)}
    errors = {name: rng.uniform(0, 0.1, 20).tolist() for name in found}
    return roc.roc_figure(found, errors=errors, threshold=(0.02, rng.uniform()), pairs="4,950 pairs, mean of 20 splits")


def recall(rng: Generator) -> Any:
    found = rng.uniform(0.2, 1, 10)
    return classification.recall_figure(found, 0.9 * found, np.sqrt(found), np.full(10, 30), DIGITS)


def reliability(rng: Generator) -> Any:
    confidence = rng.uniform(0.1, 1, 300)
    right = rng.uniform(size=300) < curve(rng, 10)[(10 * confidence - 1e-9).astype(int)]
    return calibration.reliability_figure(confidence, right, confidence ** rng.uniform(0.3, 3), temperature=1.5)


def attacked(rng: Generator) -> Any:
    names = ("fgsm", "pgd", "linear_pgd", "linear_exact")
    return adversarial.accuracy_figure(np.linspace(0, 0.3, 9), {name: curve(rng, 9) for name in names}, 0.1)


def simpson(rng: Generator) -> Any:
    trials = rng.integers(20, 90, (3, 2))
    good = (trials * rng.uniform(0, 1, (3, 2))).astype(int)
    return adjustment.simpson_figure(["drug", "none"], ["young", "old", "very old"], good, trials, [0.4, 0.6])


def collider(rng: Generator) -> Any:
    x, y = rng.normal(size=(2, 3000))
    return adjustment.collider_figure(x, y, x + y, 0.5)


def fit(rng: Generator) -> Any:
    x, target = np.linspace(0, 1, 200), curve(rng, 200)
    places = np.arange(0, 200, 20)
    return approximation.fit_figure(
        x, target, target + 0.05 * curve(rng, 200) - 0.02, x[places], target[places], subject="f",
        noisy=target + 0.1 * rng.normal(size=200),
    )  # fmt: skip


def errors(rng: Generator) -> Any:
    widths = [4, 8, 16, 32, 64]
    floors = np.array([1 / width**2 for width in widths])
    methods = {f"method {k}": floors[:, None] * rng.uniform(1, 2000, (5, 3)) for k in range(4)}
    return width_errors.error_figure(widths, methods, floors, 1.0, subject="f")


def knots(rng: Generator) -> Any:
    path = np.sort(rng.uniform(0, 1, (30, 17)), 1)
    return approximation.knots_figure(path, path[-1], subject="f")


def units(rng: Generator) -> Any:
    return approximation.units_figure(np.linspace(0, 1, 100), several(rng, 12, 100) - 0.5, 0.0, subject="f")


def code_map(rng: Generator) -> Any:
    plane = rng.uniform(-1, 1, (500, 2))
    return coding.code_map_figure(plane, rng.integers(0, 10, 500), DIGITS, 0.5, {"code": 0.5, "pca": 0.4})


def compressed(rng: Generator) -> Any:
    numbers = np.arange(1, 60)
    found = {name: (numbers, 10 + 30 * np.sort(curve(rng, 59))) for name in ("PCA", "DCT, the same k for all", "SVD")}
    return compression.compression_figure(found, {"autoencoder": (2.0, 45.0)})


def anomalies(rng: Generator) -> Any:
    found = {name: (rng.gamma(2, 1, 400), rng.gamma(4, 1, 400), 0.8) for name in ("code", "pca")}
    return compression.anomalies_figure(found, 30)


def convergence(rng: Generator) -> Any:
    return compression.convergence_figure(np.arange(60), 10.0 ** (-16 * curve(rng, 60)), 0.8, 30)


def path(rng: Generator) -> Any:
    places = np.linspace(-1, 1, 30)
    values = places[:, None] ** 2 + places**2
    return descent.path_figure(rng.uniform(-1, 1, (200, 2)), [places, places], values, np.zeros(2), title="a path")


def path_of_one_number(rng: Generator) -> Any:
    places = np.linspace(-1, 1, 60)
    return descent.path_figure(rng.uniform(-1, 1, (40, 1)), [places], curve(rng, 60), np.zeros(1), title="a path")


def shrinking(rng: Generator) -> Any:
    distances = 10.0 ** (-14 * several(rng, 2, 50).T)
    return descent.shrinking_figure(distances, distances, [1.0, 5.0])


def factors(rng: Generator) -> Any:
    lr, curvature = rng.uniform(0.1, 0.4), [1.0, 5.0]
    return descent.factor_figure(lr, [abs(1 - lr * c) for c in curvature], curvature, lambda a, c: abs(1 - a * c))


def two_sided(rng: Generator) -> Any:
    rows = [[value, 0.1, value - 1, 0.1] for value in curve(rng, 6)]
    return energy.two_sided_figure([10, 30, 100, 300, 1000, 3000], rows, rows, rng.uniform())


def layer_bounds(rng: Generator) -> Any:
    return energy.bounds_figure(-90 + 5 * rng.uniform(size=4), [784, 500, 250, 100, 50], 0.1)


def capacity(rng: Generator) -> Any:
    pair = lambda: (0.01 + curve(rng, 12), 0.01 + curve(rng, 12))
    return generalisation.capacity_figure(
        range(1, 13), {"plain": pair(), "ridge": pair()}, {"plain": pair()}, 0.1, unit="n"
    )


def double_descent(rng: Generator) -> Any:
    ratios = np.geomspace(0.03, 4, 30)
    due = 0.1 + curve(rng, 30) * 50
    means = np.where(np.abs(ratios - 1) < 0.1, np.inf, 2 * due)
    return generalisation.double_descent_figure(
        ratios, due * np.array([[0.5], [1], [2]]), due, 2 * due, means, samples=40
    )


def spectral_filter(rng: Generator) -> Any:
    values, grid = np.geomspace(1e-4, 1, 12), np.geomspace(1e-4, 1, 60)
    share = lambda at, steps: 1 - (1 - at) ** steps
    found = [(steps, share(values, steps), share(grid, steps)) for steps in (1, 10, 100, 10_000)]
    return generalisation.filter_figure(values, grid, found)


def profile(rng: Generator) -> Any:
    rows = list(10.0 ** (6 * several(rng, 9, 30) - 3))
    return gradient_flow.profile_figure([f"setting-{k}" for k in range(9)], list("aabbccdde"), rows, rows)


def ratio(rng: Generator) -> Any:
    rows = 10.0 ** rng.uniform(-6, 3, (4, 6))
    return gradient_flow.ratio_figure([f"setting-{k}" for k in range(6)], *rows)


def trainability(rng: Generator) -> Any:
    losses_of = 2.4 * several(rng, 9, 20).T
    return gradient_flow.trainability_figure([f"setting-{k}" for k in range(9)], list("aabbccdde"), losses_of, 10, 30)


def minimisers(rng: Generator) -> Any:
    f, p = np.linspace(0, 4, 200), np.linspace(0.01, 0.99, 99)
    m, q = rng.uniform(0.5, 3.5), rng.uniform(0.05, 0.95)
    found = {"absolute": np.abs(f - m), "squared": (f - m) ** 2, "half-squared": (f - m) ** 2 / 2}
    cross = -q * np.log(p) - (1 - q) * np.log(1 - p)
    due = dict.fromkeys(found, m) | {"cross-entropy": q}
    return losses.minimisers_figure(f, found, p, cross, due=due, learned=due, floor=float(cross.min()))


def mistakes(rng: Generator) -> Any:
    bounds = rng.uniform(5, 30, 4)
    return perceptron.learning_figure(["and", "or", "nand", "nor"], (bounds / 2).tolist(), bounds.tolist())


def separable(rng: Generator) -> Any:
    return perceptron.separable_figure({2: 14, 3: 104, 4: 1882})


def decision(rng: Generator) -> Any:
    points, side = rng.uniform(-0.5, 1.5, (400, 2)), np.linspace(-0.5, 1.5, 20)
    return perceptron.decision_figure(
        points, (points[:, 0] > 0.5).astype(int), side, side[None, :] - side[:, None], units=[(1.0, 1.0, -0.5)],
        one_layer=(1.0, -1.0, 0.1), name="uniform", accuracy={"one layer": 0.5, "network": 1.0}, separable=False,
    )  # fmt: skip


def pieces(rng: Generator) -> Any:
    x = np.linspace(0, 1, 60)
    found = [regions.Curve(name, x, curve(rng, 60)) for name in ("48", "3×16")]
    return regions.pieces_figure(found, regions.Curve("sawtooth", x, curve(rng, 60)), "pieces")


def region_bounds(rng: Generator) -> Any:
    depths = np.array([1, 2, 3, 4])
    counts = {name: 10 ** rng.uniform(1, 3, (4, 5)) for name in ("trained", "random start")}
    bounds = {"upper bound (Serra et al. 2018)": 10.0 ** (1.5 * depths), "lower bound": 10.0 ** (depths / 2)}
    return regions.bounds_figure(depths, counts, bounds, "regions")


def region_training(rng: Generator) -> Any:
    counts = {f"{k} layers": 100 * curve(rng, 6)[:, None] + rng.uniform(0, 5, (6, 3)) for k in range(4)}
    return regions.training_figure([0, 1, 3, 10, 30, 100], counts, "regions")


def constructions(rng: Generator) -> Any:
    layers, stages = np.arange(1, 13), np.arange(1, 9)
    shallow = (np.arange(1, 120), 1 / (8 * np.arange(1, 120) ** 2.0))
    return regions.constructions_figure(layers, 2**layers, stages, 2.0 ** -(2 * stages + 2), shallow, (24, 90, 1.5e-5))


def regressed(rng: Generator) -> Any:
    x, mean = np.linspace(-3, 3, 80), curve(rng, 80)[:, None]
    points = (rng.uniform(-3, 3, 300), rng.uniform(0, 1, (300, 1)))
    return regression.fit_figure("gaussian", x, mean, mean - 0.1, mean + 0.1, mean + 0.05, points=points)


def classes_regressed(rng: Generator) -> Any:
    x, mean = np.linspace(-3, 3, 80), several(rng, 4, 80).T
    points = (rng.uniform(-3, 3, 300), np.eye(4)[rng.integers(0, 4, 300)][:, 1:])
    return regression.fit_figure("softmax", x, mean, mean - 0.1, mean + 0.1, mean, points=points)


def solvers(rng: Generator) -> Any:
    distances = 10.0 ** (-12 * several(rng, 3, 40).T)
    return regression.solvers_figure(distances, ["Newton", "L-BFGS", "gradient descent"], 0.8)


DRAWN_BY = {
    "adjustment.collider_figure": [collider], "adjustment.simpson_figure": [simpson],
    "adversarial.accuracy_figure": [attacked],
    "approximation.fit_figure": [fit], "approximation.knots_figure": [knots], "approximation.units_figure": [units],
    "calibration.reliability_figure": [reliability], "classification.recall_figure": [recall],
    "coding.code_map_figure": [code_map], "compression.anomalies_figure": [anomalies],
    "compression.compression_figure": [compressed], "compression.convergence_figure": [convergence],
    "curves.beside_theory_figure": [beside_theory],
    "curves.neural_distance_figure": [neural_distance], "curves.repeats_figure": [repeats],
    "descent.factor_figure": [factors], "descent.path_figure": [path, path_of_one_number],
    "descent.shrinking_figure": [shrinking], "energy.bounds_figure": [layer_bounds],
    "energy.two_sided_figure": [two_sided], "generalisation.capacity_figure": [capacity],
    "generalisation.double_descent_figure": [double_descent], "generalisation.filter_figure": [spectral_filter],
    "gradient_flow.profile_figure": [profile], "gradient_flow.ratio_figure": [ratio],
    "gradient_flow.trainability_figure": [trainability], "losses.minimisers_figure": [minimisers],
    "perceptron.decision_figure": [decision], "perceptron.learning_figure": [mistakes],
    "perceptron.separable_figure": [separable], "regions.bounds_figure": [region_bounds],
    "regions.constructions_figure": [constructions], "regions.pieces_figure": [pieces],
    "regions.training_figure": [region_training], "regression.fit_figure": [regressed, classes_regressed],
    "regression.solvers_figure": [solvers], "roc.roc_figure": [receivers],
    "width_errors.error_figure": [errors],
}  # fmt: skip
FIGURES: list[Callable[[Generator], Any]] = [figure for figures in DRAWN_BY.values() for figure in figures]
