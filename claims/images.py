"""Statements about pictures as tensors and surfaces, coordinates, extrema and edges (article 000)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claims.registry import IMPRECISE, WRONG, Numbers, at_least, at_most, claim, equals
from theory.continuity import (
    interpolation_error,
    modulus_of_continuity,
    simplest_between,
    strict_extrema,
    weak_extrema,
    weierstrass,
    weierstrass_extrema,
)
from theory.metric import gaussian_curvature, metric_of, nonzeros
from theory.multilinear import fold, multilinear_floor, truncated_hosvd, unfold
from theory.wavelets import decay, squared_errors, transform

POINT = torch.tensor([1.3, 0.7], dtype=torch.float64)


def polar(u: Tensor) -> Tensor:
    """(r, φ) -> (x, y)."""
    return torch.stack([u[0] * u[1].cos(), u[0] * u[1].sin()])


def skew(u: Tensor) -> Tensor:
    """Coordinates along two directions that are not orthogonal, (1, 0) and (½, 1)."""
    return torch.stack([u[0] + 0.5 * u[1], u[1]])


@claim(
    "000-01",
    "a grey image is a 2-D matrix, a colour image a “3-D matrix” of width, height and colour",
    IMPRECISE,
    "a colour image is a tensor of order 3; a matrix has order 2, and what holds for matrices (truncated singular "
    "vectors are optimal) holds for it only up to a factor √3",
    "De Lathauwer 2000",
)
def colour_image() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(24, 32, 3, generator=generator, dtype=torch.float64)
    trips = [fold(unfold(image, mode), mode, image.shape) for mode in range(3)]
    changed = sum(int((trip != image).sum()) for trip in trips)
    yield equals("values changed by unfolding and folding back", changed, 0)
    # ‖A − HOSVD‖² ≤ Σ_n tail_n ≤ 3 max_n tail_n ≤ 3 ‖A − best‖²
    ratios = [
        float((image - truncated_hosvd(image, ranks)).norm() / multilinear_floor(image, ranks))
        for ranks in ((2, 2, 1), (4, 8, 2), (12, 16, 2))
    ]
    yield at_most(
        "error of truncation in each axis / floor of the best error, largest of 3 sizes", max(ratios), 3**0.5, 1e-12
    )
    yield at_least("the same, least of 3 sizes: never below the floor", min(ratios), 1, 1e-12)
    grey = image[..., :1]  # a matrix: here truncation is the best
    apart = (grey - truncated_hosvd(grey, (8, 8, 1))).norm() / multilinear_floor(grey, (8, 8, 1))
    yield equals("the same for one colour, a matrix: truncation is the best", apart, 1, 1e-12)


@claim(
    "000-03",
    "Cartesian ds² = dx² + dy², curvilinear ds² = A dx² + B dy² + C dx dy",
    IMPRECISE,
    "ds² = du·g du with g = JᵀJ, the cross term being 2g₁₂; orthogonal curvilinear systems have none and are not "
    "Cartesian",
    "Gauss 1827",
)
def polar_metric() -> Numbers:
    g = metric_of(polar)(POINT)
    due = torch.diag(torch.stack([torch.ones_like(POINT[0]), POINT[0] ** 2]))
    yield equals("polar coordinates: max |g − diag(1, r²)|", (g - due).abs().max(), 0, 1e-12)
    yield at_least("|r² − 1|: not Cartesian although C = 0", abs(g[1, 1] - 1), 0.1)
    yield equals("a skew basis (1, 0), (½, 1): C = 2 g₁₂", 2 * metric_of(skew)(POINT)[0, 1], 1, 1e-12)


@claim(
    "000-04",
    "a cross term dx dy means that the coordinates are not linearly independent",
    WRONG,
    "it means that they are not orthogonal; independent is det g ≠ 0. Other coordinates remove it at any one point, on "
    "a surface even around it; they make g the identity around it if and only if the Riemann tensor vanishes there",
    "Gauss 1827; Riemann 1854; Korn 1914 and Lichtenstein 1916 for orthogonal coordinates on any surface",
)
def cross_term() -> Numbers:
    g = metric_of(skew)(POINT)
    yield at_least("a skew basis has a cross term |C|", 2 * g[0, 1].abs(), 0.5, counterexample=True)
    yield at_least("and is independent: det g", torch.linalg.det(g), 0.5, counterexample=True)
    radius, tube, v = 2.0, 0.5, POINT[1]
    places = torch.cartesian_prod(*2 * [torch.linspace(0.2, 2.9, 7, dtype=torch.float64)])  # (49, 2)

    def sphere(p: Tensor) -> Tensor:
        return radius * torch.stack([p[0].sin() * p[1].cos(), p[0].sin() * p[1].sin(), p[0].cos()])

    def torus(p: Tensor) -> Tensor:
        ring = radius + tube * p[1].cos()
        return torch.stack([ring * p[0].cos(), ring * p[0].sin(), tube * p[1].sin()])

    def cylinder(p: Tensor) -> Tensor:
        return torch.stack([radius * p[0].cos(), radius * p[0].sin(), p[1] + 0.3 * p[0]])

    def straightened(p: Tensor) -> Tensor:  # the cylinder by the length of arc and the height
        return cylinder(torch.stack([p[0] / radius, p[1] - 0.3 * p[0] / radius]))

    crossed = 2 * torch.vmap(metric_of(sphere))(places)[:, 0, 1]
    yield equals("a sphere by colatitude and longitude: largest |C| at 49 places", crossed.abs().max(), 0, 1e-12)
    bent = torch.vmap(lambda p: gaussian_curvature(metric_of(sphere), p))(places)
    yield equals("and yet not flat: least curvature there, 1/R²", bent.min(), radius**-2, 1e-10)
    yield equals("largest curvature there, 1/R²", bent.max(), radius**-2, 1e-10)
    due = v.cos() / (tube * (radius + tube * v.cos()))  # cos v / (r(R + r cos v))
    yield equals("curvature of a torus", gaussian_curvature(metric_of(torus), POINT), due, 1e-10)
    yield at_least("a cylinder in slanted coordinates has C", 2 * metric_of(cylinder)(POINT)[0, 1].abs(), 0.1)
    yield equals("and is flat: curvature", gaussian_curvature(metric_of(cylinder), POINT), 0, 1e-10)
    apart = torch.vmap(metric_of(straightened))(places) - torch.eye(2)
    yield equals("in straight ones: largest |g − I| at 49 places", apart.abs().max(), 0, 1e-12)


@claim(
    "000-05",
    "the Cartesian metric matrix has only 2 nonzeros, others have more",
    IMPRECISE,
    "true for two Cartesian coordinates; how many entries are nonzero depends on the coordinates, the rank does not",
    "Gauss 1827; spectral theorem",
)
def metric_entries() -> Numbers:
    g = metric_of(skew)(POINT)
    values, basis = torch.linalg.eigh(g)
    turned = basis.T @ g @ basis
    yield equals("nonzeros in the skew basis", nonzeros(g), 4)
    yield equals("nonzeros of the same metric along its axes", nonzeros(turned), 2)
    curved = metric_of(polar)(POINT)
    yield equals("nonzeros in polar coordinates, not Cartesian", nonzeros(curved), 2)
    for name, metric in {"the skew basis": g, "the same along its axes": turned, "polar coordinates": curved}.items():
        yield equals(f"rank, {name}", torch.linalg.matrix_rank(metric), 2)
    yield equals("trace after turning", turned.trace(), g.trace(), 1e-12)
    yield equals("determinant after turning", values.prod(), torch.linalg.det(g), 1e-12)


@claim(
    "000-07",
    "faces are continuous, even injured ones",
    IMPRECISE,
    "pictures have edges, where they jump: along an edge the squared error of N wavelets falls as 1/N however smooth "
    "the rest is; on a smooth picture it falls as N⁻ᵖ for p vanishing moments",
    "Candès and Donoho 2004; Mallat 2009",
)
def edges() -> Numbers:
    n = 1024
    x, y = np.meshgrid(np.arange(n) / n, np.arange(n) / n)
    edge = np.clip(n * (y - 0.31 - 0.37 * x), 0, 1)  # blurred over one pixel, as a lens does
    smooth = np.cos(2 * np.pi * (x + 0.1)) * np.cos(2 * np.pi * (y + 0.2))
    for moments in (1, 2):
        kept = np.square(transform(edge, moments)).sum() / np.square(edge).sum()
        name = f"{moments} vanishing moment{'s' * (moments > 1)}"
        yield equals(f"wavelets of {name}: energy of the terms / of the picture", kept, 1, 1e-12)
    # with one vanishing moment a smooth picture has the slope −1 as well: only two tell it from an edge
    slope = decay(squared_errors(transform(edge, 2)), 32, 512)
    yield equals("a straight edge, 2 vanishing moments: slope", slope, -1, 0.15)
    for moments in (1, 2):
        slope = decay(squared_errors(transform(smooth, moments)), 256, 8192)
        yield equals(f"a smooth picture, {moments} vanishing moment{'s' * (moments > 1)}: slope", slope, -moments, 0.15)


@claim(
    "000-08",
    "an extremum is f(x₀) ≥ f(x) or ≤ near x₀, so a continuous f has at most countably many",
    WRONG,
    "strict local extrema are countable for any function, and so are the values at all local extrema; points that meet "
    "the definition as given need not be",
    "proof by rational intervals, at 000-09",
)
def countable_extrema() -> Numbers:
    constant = np.ones(1001)
    yield equals("a constant: share of points that are extrema", weak_extrema(constant).mean(), 1, counterexample=True)
    yield equals("a constant: strict extrema", strict_extrema(constant).sum(), 0)
    hill = np.array([0.0, 1, 2, 2, 2, 1, 0])
    found = weak_extrema(hill) != strict_extrema(hill)
    yield equals("a flat hilltop of 3 points: extrema as defined that are not strict", found.sum(), 3)
    plateaus = 7
    staircase = np.repeat(np.arange(plateaus), 50).astype(float)
    values = np.unique(staircase[1:-1][weak_extrema(staircase)])
    yield equals("a staircase: different extreme values, one for each plateau", len(values), plateaus)


@claim(
    "000-09",
    "proof: choose a rational number in each neighbourhood; this is one-to-one",
    WRONG,
    "it is not: neighbourhoods overlap. A rational interval in which x₀ is the only highest (or lowest) point gives "
    "x₀ back, and there are countably many of those",
    "the proof is in the correct form; Cantor 1874 for the rational numbers",
)
def rational_codes() -> Numbers:
    # f = x³ − 3x is highest at −1 and lowest at 1 in the same neighbourhood (−2, 2), where f(2) = f(−1).
    inside = np.linspace(-2, 2, 4001)[1:-1]
    values = inside**3 - 3 * inside
    for name, place, due in (("highest", np.argmax(values), -1), ("lowest", np.argmin(values), 1)):
        yield equals(f"x³ − 3x on (−2, 2) is {name} at", inside[place], due, 1e-12, counterexample=True)
    chosen = simplest_between(Fraction(-2), Fraction(2))
    yield equals("so both may choose the same rational, such as", chosen, 0, counterexample=True)
    degree = 12
    places = np.cos(np.pi * np.arange(degree + 1) / degree)[::-1]  # extrema of the Chebyshev polynomial, all of |T| = 1
    codes, given_back = set(), 0
    for before, here, after in zip(places, places[1:], places[2:], strict=False):
        low, high = (simplest_between(*map(Fraction, sorted(pair))) for pair in ((before, here), (here, after)))
        kind = round(math.cos(degree * math.acos(here)))
        codes.add((kind, low, high))
        inside = np.linspace(float(low), float(high), 2001)
        best = inside[np.argmax(kind * np.cos(degree * np.arccos(inside)))]
        given_back += abs(best - here) < 1e-3
    yield equals(f"T₁₂: intervals for its {degree - 1} strict extrema", len(codes), degree - 1)
    yield equals("extrema that their interval gives back", given_back, degree - 1)


@claim(
    "000-11",
    "between two extrema the curve is monotone",
    IMPRECISE,
    "only if extrema are isolated: Weierstrass's function has one in every interval, so the extrema of its partial "
    "sums never stop growing in number",
    "Weierstrass 1872; Hardy 1916",
)
def nowhere_monotone() -> Numbers:
    for a, b, terms in ((0.7, 3, 6), (0.9, 3, 6), (0.5, 4, 5), (0.5, 5, 5)):
        count = weierstrass_extrema(a, b, terms)
        yield equals(f"extrema of Σ_(k≤{terms}) {a}ᵏ cos({b}ᵏπx) inside (0, 1): {b}^{terms} − 1", count, b**terms - 1)
    growth = weierstrass_extrema(0.5, 3, 8) / weierstrass_extrema(0.5, 3, 7)
    yield equals("growth of their number from k ≤ 7 to k ≤ 8, a = ½, b = 3", growth, 3, 0.01)
    a, b = 0.5, 3
    values = weierstrass(np.arange(b**11 + 1) / b**11, a, b, 12)
    pieces = b ** np.arange(2, 8)
    errors = [interpolation_error(values, b**11 // int(count)) for count in pieces]
    slope = np.polyfit(np.log(pieces), np.log(errors), 1)[0]
    yield equals("error of N straight pieces: slope in N, −α = ln a / ln b", slope, math.log(a) / math.log(b), 0.05)


def hyperbola_error(start: float, pieces: int) -> float:
    """Largest distance of 1/x on [start, 1] from its polygon, with the nodes that make it least.

    A chord from a to b is off by (1/√a − 1/√b)², so 1/√x is evenly spaced at the best nodes.
    """
    x = np.linspace(start**-0.5, 1, 100 * pieces + 1) ** -2
    nodes = x[::100]
    return float(np.abs(1 / x - np.interp(x, nodes, 1 / nodes)).max())


@claim(
    "000-12",
    "the extrema are countable, therefore the curve can be approximated by a discrete sequence",
    WRONG,
    "that does not follow: beside a jump every polygon is off by half of it, and near 0 finitely many pieces are off "
    "1/x without bound. Countability is not needed: a continuous f on a closed interval is uniformly continuous, and "
    "the polygon of step h is within ω(f, h)",
    "Heine 1872, Cantor",
)
def uniform_continuity() -> Numbers:
    places = np.arange(2049) / 2048

    def jump(x: NDArray[np.float64]) -> NDArray[np.float64]:  # rises everywhere, and by 1 at ½, where a polygon cannot
        return x + (x >= 0.5)

    yield equals("x + [x ≥ ½]: extrema inside (0, 1)", weak_extrema(jump(places)).sum(), 0, counterexample=True)
    sides, errors = np.array([0.5 - 1e-12, 0.5]), []
    for pieces in (10, 11, 1000, 1001, 100_000, 100_001):
        nodes = np.arange(pieces + 1) / pieces
        errors.append(np.abs(jump(sides) - np.interp(sides, nodes, jump(nodes))).max())
    yield at_least(
        "its polygons of 10 to 100,001 pieces: least error at ½, jump / 2", min(errors), 0.5, 1e-6, counterexample=True
    )
    yield equals("1/x on (0, 1]: extrema inside", weak_extrema(1 / places[1:]).sum(), 0, counterexample=True)
    growth = hyperbola_error(1e-8, 32) / hyperbola_error(1e-6, 32)
    yield equals(
        "1/x on [ε, 1], 32 pieces, best nodes: error at ε = 10⁻⁸ / at 10⁻⁶", growth, 100, 0.01, counterexample=True
    )
    for name, values in {
        "√x": np.sqrt(places),
        "|x − ⅓|": np.abs(places - 1 / 3),
        "Weierstrass ½, 3": weierstrass(places, 0.5, 3, 8),
    }.items():
        ratios = [interpolation_error(values, step) / modulus_of_continuity(values, step) for step in (4, 16, 64)]
        yield at_most(f"{name}: largest error / ω(f, h)", max(ratios), 1, 1e-12)
