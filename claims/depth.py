"""Depth and linear regions: what stacking buys, what it can buy, and what a random or trained network gets."""

from __future__ import annotations

import numpy as np

from claims.registry import IMPRECISE, WRONG, Numbers, at_least, at_most, claim, equals
from models.depth.shapes import equal_neurons
from theory.regions import bounds, constructions
from theory.regions.count import count_regions, regions, square
from theory.regions.line import kinks, linear_pieces
from theory.regions.network import Floats, Layer, affine_maps, random_network


def standard_error(values: Floats) -> float:
    """Of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def typical_share(widths: list[int], draws: int) -> Floats:
    """Regions in [-1, 1]² of random networks over the order of the upper bound, one for each seed."""
    counts = [count_regions(random_network(widths, seed), square(1.0)) for seed in range(draws)]
    return np.array(counts) / bounds.typical_order(widths, 2)


@claim(
    "001-08",
    "layers are stacked because computers find it convenient",
    WRONG,
    "depth buys with few units what width buys only with exponentially many: L layers of 2 units make 2^L pieces, one "
    "layer of 2L units at most 2L + 1",
    "Telgarsky 2016; Yarotsky 2017",
)
def depth_buys_pieces() -> Numbers:
    # hat(x) = 2 relu(x) - 4 relu(x - 1/2), composed L times
    for layers in (2, 4, 10, 16):
        pieces = linear_pieces(constructions.sawtooth(layers), 0.0, 1.0)
        yield equals(f"pieces of {2 * layers} units in {layers} layers of 2", pieces, 2**layers, counterexample=True)
    # the same 20 units in one layer: at most 20 kinks on the line
    most = bounds.upper_bound([20], 1)
    found = len(kinks(random_network([20], 0, inputs=1), -100, 100)) - 1
    yield at_most("pieces of 20 units in one layer, at random", found, most)
    # x² by 3m units: sup error 2^-(2m+2); a broken line of N pieces: at least 1/(8N²)
    for stages in range(1, 8):
        error = constructions.measured_square_error(stages)
        yield equals(f"sup error for x², {3 * stages} units", error, 2.0 ** -(2 * stages + 2))
    yield equals("pieces one layer needs for the last", constructions.shallow_pieces_needed(2.0**-16), 91)


@claim(
    "003-14",
    "with the same number of neurons, depth gives more linear regions",
    IMPRECISE,
    "it concerns the maximum, and only with more neurons than inputs; at random the deeper network has no more",
    "Montúfar 2014; Serra 2018; Hanin, Rolnick 2019",
)
def same_neurons() -> Numbers:
    shapes = [equal_neurons(48, depth) for depth in (1, 2, 4)]
    wide, *deep = ([count_regions(random_network(w, seed), square(1.0)) for seed in range(12)] for w in shapes)
    # the maximum does grow: some network of the deeper shape has more than any of the wide one
    most = bounds.upper_bound(shapes[0], 2)
    yield equals("lower bound, one layer of 48: it meets the upper", bounds.lower_bound(shapes[0], 2), most)
    yield at_least("lower bound, 2 layers of 24", bounds.lower_bound(shapes[1], 2), most)
    yield at_least("lower bound, 4 layers of 12", bounds.lower_bound(shapes[2], 2), bounds.lower_bound(shapes[1], 2))
    for widths in shapes:
        most = bounds.upper_bound(widths, 2)
        yield at_most(f"lower bound of {widths}, its upper bound", bounds.lower_bound(widths, 2), most)
    # and is reached: units that all cross inside the square, on top of a layer that folds it p² times
    for folds, units in ((2, 3), (2, 5), (3, 4)):
        angles = np.pi * (np.arange(units) + 0.5) / units
        normals = np.stack([np.cos(angles), np.sin(angles)], 1)
        offsets = normals @ [0.5, 0.5] + 0.02 * (-1.0) ** np.arange(units) * (1 + np.arange(units))
        found = count_regions(constructions.folded(folds, normals, offsets), square(0.5, (0.5, 0.5)))
        widths = [2 * folds, units]
        yield equals(f"regions of a layer of {units} on {2 * folds} that fold", found, bounds.lower_bound(widths, 2))
    # at random it does not: mean of the deep minus mean of the wide, 3 standard errors
    for widths, counts in zip(shapes[1:], deep, strict=True):
        margin = 3 * np.hypot(standard_error(np.array(counts)), standard_error(np.array(wide)))
        name = f"mean regions at random, {len(widths)}×{widths[0]} (one layer of 48 has the bound)"
        yield at_most(name, np.mean(counts), np.mean(wide) + margin, counterexample=True)
    # fewer neurons than inputs: one layer attains 2^n, no shape has more
    yield equals("one layer of 4 on 6 inputs", bounds.upper_bound([4], 6), 2**4)
    yield at_most("2 layers of 2 on 6 inputs", bounds.upper_bound([2, 2], 6), 2**4, counterexample=True)
    # no count passes its bound
    for widths, counts in zip(shapes, [wide, *deep], strict=True):
        yield at_most(f"most regions of {widths}", max(counts), bounds.upper_bound(widths, 2))


@claim(
    "003-15",
    "depth contributes exponentially, width linearly",
    IMPRECISE,
    "one layer of n units has Σ C(n, j) regions, of degree n₀ in the width, linear only for one input; the maximum "
    "grows exponentially with depth, but the typical count is at most of order (neurons)^n₀/n₀! at every depth: of "
    "that order while the depth is small beside the width, far below it in deep and narrow networks",
    "Zaslavsky 1975; Telgarsky 2016; Hanin, Rolnick 2019",
)
def exponential_and_linear() -> Numbers:
    # width, two inputs: 1 + n + C(n, 2), counted in a square that holds all crossings
    for units in (100, 300):
        due = 1 + units + units * (units - 1) // 2
        found = count_regions(random_network([units], 0), square(1e6))
        yield equals(f"regions of one layer of {units}", found, due, counterexample=True)
        yield equals("and the bound", bounds.lower_bound([units], 2), due)
    # width, one input: linear in the mean, n (2/π) atan(T σ_w/σ_b) kinks in [-T, T], which is 32 for n = 64, T = 1
    mean = bounds.expected_breakpoints(64, -1.0, 1.0, 1.0)
    yield equals("that formula for n = 64", mean, 32, 1e-12)
    draw = np.random.default_rng(1)
    places = np.array(
        [len(kinks([Layer(draw.normal(size=(64, 1)), draw.normal(size=64), 0.0)], -1.0, 1.0)) - 2 for _ in range(2000)]
    )
    yield at_most("mean kinks of 2000 layers, distance from 32", abs(places.mean() - mean), 3 * standard_error(places))
    # depth: the maximum is exponential, 2^L
    yield equals("pieces of the sawtooth, L = 10", linear_pieces(constructions.sawtooth(10), 0.0, 1.0), 2**10)
    # depth: the typical count is not, on [-1, 1]² against the order (nL)²/2
    for depth in (1, 2, 3):
        shares = typical_share([100] * depth, 8)
        what = f"{depth} layer{'s' * (depth > 1)} of 100, 8 at random: mean regions over (nL)²/2"
        yield at_most(what, shares.mean(), 1, counterexample=depth > 1)
        yield at_least("the same, less 3 standard errors", shares.mean() - 3 * standard_error(shares), 0.5)
    for depth, width, most in ((10, 30, 0.6), (50, 6, 0.05)):
        shares = typical_share([width] * depth, 8)
        what = f"as many units in {depth} layers of {width}: mean and 3 standard errors"
        yield at_most(what, shares.mean() + 3 * standard_error(shares), most, counterexample=True)
    # the mean of one layer in the square is known exactly
    exact = bounds.expected_regions(40, 1.0, 0.3)
    counts = np.array([count_regions(random_network([40], seed), square(1.0)) for seed in range(300)])
    yield at_most("mean of 300 layers of 40, distance from it", abs(counts.mean() - exact), 3 * standard_error(counts))
    # and nothing is lost: the regions fill the square, on each the network is one affine map
    found_regions = regions(random_network([30, 30, 30], 3), square(1.0))
    yield equals("area of all regions of a 30×3", found_regions.areas().sum(), 4, 1e-9)
    network = random_network([30, 30, 30], 3)
    matrix, offset = affine_maps(network, found_regions.centres())
    corner = found_regions.begins[:-1]
    hidden = found_regions.corners[corner]
    for layer in network:
        hidden = np.maximum(hidden @ layer.weight.T + layer.bias, 0)
    gap = np.abs(np.einsum("fod,fd->fo", matrix, found_regions.corners[corner]) + offset - hidden).max()
    yield equals("affine map of a region at its corner, distance from the network", gap, 0, 1e-9)
