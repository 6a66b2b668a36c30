"""Statements about what units, layers and their training can do (article 000)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from theory.backprop import forward, gradients, loss, random_layers
from theory.descent import descend


def grid(low: float, high: float, points: int = 2001) -> Tensor:
    """Evenly spaced numbers, float64."""
    return torch.linspace(low, high, points, dtype=torch.float64)


def additivity_defect(f: Callable[[Tensor], Tensor]) -> float:
    """Largest |f(a + b) − f(a) − f(b)| over a grid of a and b; 0 for a linear function."""
    a, b = grid(-2, 2, 41)[:, None], grid(-2, 2, 41)
    return float((f(a + b) - f(a) - f(b)).abs().max())


@claim(
    "000-16",
    "outside its extrema a unit must be in the inactive zone, with output −1 or 1",
    IMPRECISE,
    "saturation is only approached, 1 − tanh z = 2e⁻²ᶻ/(1 + e⁻²ᶻ), and approximation does not need it",
    "definition of tanh",
)
def saturation() -> Numbers:
    for z in (3.0, 10.0):
        due = 2 * math.exp(-2 * z) / (1 + math.exp(-2 * z))
        yield equals(f"1 − tanh {z:g}", 1 - torch.tensor(z, dtype=torch.float64).tanh(), due, 1e-7)
    yield at_least("1 − tanh 18, still above 0", 1 - math.tanh(18), 1e-16)


@claim(
    "000-19",
    "W and b are found by iterating back-propagation",
    RIGHT,
    "back-propagation is reverse-mode differentiation; gradient descent does the iterating",
    "Linnainmaa 1970; Rumelhart, Hinton and Williams 1986",
)
def back_propagation() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    layers = random_layers((3, 8, 8, 2), generator)
    x, y = (torch.randn(20, size, generator=generator, dtype=torch.float64) for size in (3, 2))
    weights = [tensor.requires_grad_() for layer in layers for tensor in layer]
    automatic = torch.autograd.grad(loss(layers, x, y), weights)
    by_hand = [tensor.detach() for layer in gradients(layers, x, y) for tensor in layer]
    gap = max(float((a - b).abs().max()) for a, b in zip(automatic, by_hand, strict=True))
    yield equals("largest |autograd − the formulas written out|", gap, 0, 1e-14)
    h, first = 1e-6, weights[0].detach()
    shift = torch.randn(first.shape, generator=generator, dtype=torch.float64)
    ahead, behind = (loss([(first + s * h * shift, layers[0][1]), *layers[1:]], x, y) for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    yield equals("slope of L along a direction − that of the gradient", slope - (automatic[0] * shift).sum(), 0, 1e-7)


@claim(
    "000-20",
    "f expands in a series; where det ≠ 0 its coefficients exist uniquely if there are more than N independent samples",
    IMPRECISE,
    "N samples suffice for N coefficients, more give the unique least squares if the columns are independent; a "
    "network's weights never are unique: n! · 2ⁿ copies of n tanh units compute the same",
    "Sussmann 1992",
)
def uniqueness() -> Numbers:
    n = 12
    truth = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angles = (torch.arange(n, dtype=torch.float64) + 0.5) * math.pi / n
    design = (angles[:, None] * torch.arange(n)).cos()  # T_k(cos θ) = cos kθ
    # the columns are orthogonal, of squared length n and n/2: det² = n (n/2)^(n-1)
    size = math.sqrt(n * (n / 2) ** (n - 1))
    yield equals("12 series terms at 12 samples: |det|", torch.linalg.det(design).abs(), size, 1e-12)
    values = (angles.cos()[:, None] ** torch.arange(n)) @ truth  # a polynomial given by its powers
    found = torch.linalg.solve(design, values)
    coefficients = torch.from_numpy(np.polynomial.chebyshev.poly2cheb(truth.numpy()))
    yield equals("12 coefficients from 12 samples: largest error", (found - coefficients).abs().max(), 0, 1e-12)
    twice = torch.cat([design[:-1], design[:1]])  # 12 samples, two of them the same
    null = torch.linalg.svd(twice).Vh[-1]
    apart = (twice @ (coefficients + null) - twice @ coefficients).abs().max()
    yield equals("one sample taken twice: other coefficients, 1 away, change the samples by", apart, 0, 1e-12)

    generator = torch.Generator().manual_seed(0)
    (weight, bias), (out, last) = random_layers((2, 3, 1), generator)
    x = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    due = forward([(weight, bias), (out, last)], x)[-1]
    copies, change = set(), 0.0
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            s = torch.tensor(signs, dtype=torch.float64)
            hidden = (s[:, None] * weight[list(order)], s * bias[list(order)])
            outputs = forward([hidden, (s * out[:, list(order)], last)], x)[-1]
            change = max(change, float((outputs - due).abs().max()))
            copies.add(tuple(hidden[0].flatten().tolist()))
    yield equals("different weights of 3 tanh units: 3! · 2³", len(copies), math.factorial(3) * 2**3)
    yield equals("largest change of the output over them", change, 0, 1e-12)
    other = forward([(weight * torch.tensor([[-1.0], [1], [1]]), bias), (out, last)], x)[-1]
    yield at_least("other weights, one sign turned at one end only: change", (other - due).abs().max(), 0.1)


@claim(
    "000-22",
    "back-propagation converges only if ‖Tx − Tx'‖ < ‖x − x'‖",
    WRONG,
    "this is not necessary: descent also converges to valleys, two points of which it leaves as far apart as they are "
    "(Polyak-Łojasiewicz); nor sufficient: a contraction needs one q < 1 for all pairs",
    "Banach 1922; Polyak 1963; Karimi, Nutini and Schmidt 2016",
)
def contractions() -> Numbers:
    def valley(w: Tensor) -> Tensor:  # a network of two weights, f = uv: its minima uv = 1 form a curve
        return 0.5 * (w[0] * w[1] - 1) ** 2

    starts = torch.tensor([[2.0, 0.3], [0.5, 1.5]], dtype=torch.float64)
    ends = torch.stack([descend(valley, start, 0.1, 300)[-1] for start in starts])
    worst = max(map(valley, ends))
    yield equals("descent on ½(uv − 1)²: largest loss reached from two starts", worst, 0, 1e-12, counterexample=True)
    moved = torch.stack([descend(valley, end, 0.1, 1)[-1] for end in ends])
    ratio = (moved[0] - moved[1]).norm() / (ends[0] - ends[1]).norm()
    yield at_least("distance of the ends x, x'", (ends[0] - ends[1]).norm(), 0.1, counterexample=True)
    yield equals("‖Tx − Tx'‖ / ‖x − x'‖ of them, not below 1", ratio, 1, 1e-12, counterexample=True)

    # T x = √(1 + x²) has |T'| = |x|/√(1 + x²) < 1 everywhere and no fixed point: (Tx)² = x² + 1.
    def runaway(x: Tensor) -> Tensor:
        return (1 + x**2).sqrt()

    for far in (10, 100, 1000):
        slopes = torch.func.vmap(torch.func.grad(runaway))(grid(-far, far))
        due = far / math.sqrt(1 + far**2)
        yield equals(f"T = √(1 + x²): largest |T'| on [−{far}, {far}], below 1", slopes.abs().max(), due, 1e-12)
    places = [torch.tensor(0.3, dtype=torch.float64)]
    for _ in range(1000):
        places.append(runaway(places[-1]))
    growth = torch.stack(places).square().diff()
    yield equals("and it runs away: least growth of x² in 1000 steps", growth.min(), 1, 1e-9)
    for lr, due in ((0.1, 0.6), (0.4, 0.6), (0.5, 1.0), (0.6, 1.4)):
        path = descend(lambda w: 2 * w[0] ** 2, starts[0, :1], lr, 3)
        yield equals(f"curvature 4, α = {lr}: factor per step |1 − 4α|", (path[3] / path[2]).abs(), due, 1e-12)


@claim(
    "000-28",
    "many classes are equally hard",
    IMPRECISE,
    "chance gets worse with the number C of classes: a network that knows nothing has the cross entropy ln C",
    "Good 1952",
)
def uninformed_loss() -> Numbers:
    for classes in (2, 10, 1000):
        logits = torch.zeros(1, classes, dtype=torch.float64)
        # -log(e^0 / sum_c e^0) = ln C
        loss = F.cross_entropy(logits, torch.tensor([1]))
        yield equals(f"cross entropy of {classes} equal logits", loss, math.log(classes), 1e-12)


@claim(
    "000-29",
    "f is nonlinear if and only if it has different slopes on two ranges",
    IMPRECISE,
    "linear means additive and homogeneous; x + 1 has one slope and is affine, and Cantor's function has slope 0 "
    "almost everywhere",
    "Cauchy 1821; Cantor 1884",
)
def linearity() -> Numbers:
    yield equals("max |f(a+b) − f(a) − f(b)| of x", additivity_defect(lambda x: x), 0, 1e-12)
    yield equals("of x + 1, which has one slope", additivity_defect(lambda x: x + 1), 1, 1e-12)
    # f = max(x, 0.2x): at a = −b = 2 it is 2 − 0.4
    yield equals("of leaky ReLU", additivity_defect(lambda x: F.leaky_relu(x, 0.2)), 2 * (1 - 0.2), 1e-12)
    places = torch.arange(3**7 + 1)
    heights = torch.tensor([cantor(int(place), 7) for place in places], dtype=torch.float64)
    flat = (heights.diff() == 0).double().mean()
    yield equals("Cantor's function: share of [0, 1] with slope 0 after 7 stages", flat, 1 - (2 / 3) ** 7, 1e-12)
    yield equals("and its rise", heights[-1] - heights[0], 1, 1e-12)


def cantor(place: int, stages: int) -> float:
    """Cantor's function at ``place`` / 3^stages: ternary digits up to the first 1, twos read as binary ones."""
    if place == 3**stages:
        return 1.0
    height = 0.0
    for stage in range(1, stages + 1):
        digit = place // 3 ** (stages - stage) % 3
        height += (digit > 0) * 2.0**-stage
        if digit == 1:
            break
    return height


@claim(
    "000-30",
    "the slope of tanh varies everywhere, that of leaky ReLU with the sign",
    RIGHT,
    "so neither is additive",
    "definition of both",
)
def slopes() -> Numbers:
    x = grid(0.1, 3, 50).requires_grad_()
    (tanh,) = torch.autograd.grad(x.tanh().sum(), x)
    yield at_most("tanh: largest rise of its slope between 50 places from 0.1 to 3", tanh.diff().max(), -1e-6)
    both = torch.cat([-x.detach(), x.detach()]).requires_grad_()
    (leaky,) = torch.autograd.grad(F.leaky_relu(both, 0.2).sum(), both)
    yield equals("leaky ReLU: different slopes", len(leaky.unique()), 2)
    yield at_least("tanh: defect of additivity", additivity_defect(torch.tanh), 0.1)
    yield at_least("leaky ReLU: defect of additivity", additivity_defect(lambda z: F.leaky_relu(z, 0.2)), 0.1)


@claim(
    "000-31",
    "one inactive zone suffices, since two layers in series make two; so ReLU nets need more layers than sigmoid nets",
    WRONG,
    "two units of the same layer make two zones, clip(x, 0, 1) = relu(x) − relu(x − 1), and three a hat: one hidden "
    "layer is enough",
    "Leshno, Lin, Pinkus and Schocken 1993",
)
def two_zones() -> Numbers:
    x = grid(-3, 4)
    clip = x.relu() - (x - 1).relu()
    gap = (clip - x.clamp(0, 1)).abs().max()
    yield equals("one layer of 2 ReLU units: largest |net − clip(x, 0, 1)|", gap, 0, 1e-15, counterexample=True)
    inactive = [float((clip[1:] == clip[:-1])[side].double().mean()) for side in (x[1:] <= 0, x[:-1] >= 1)]
    yield equals("shares of both outer zones in which it is constant, together", sum(inactive), 2, counterexample=True)
    hat = x.relu() - 2 * (x - 1).relu() + (x - 2).relu()
    yield equals("3 ReLU units: largest |net − hat|", (hat - (1 - (x - 1).abs()).relu()).abs().max(), 0, 1e-15)


@claim(
    "000-32",
    "a high pass after a low pass is a band pass",
    IMPRECISE,
    "where their pass bands overlap: linear time-invariant systems in series multiply their transfer functions, and "
    "without a common band little passes at all",
    "Oppenheim and Schafer 1975",
)
def cascade() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    n = 64
    signal = torch.randn(n, generator=generator, dtype=torch.float64)
    low = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    high = torch.tensor([-0.25, 0.5, -0.25], dtype=torch.float64)

    def filtered(x: Tensor, kernel: Tensor) -> Tensor:  # circular convolution, by its definition
        return sum(weight * x.roll(k) for k, weight in enumerate(kernel))

    # FFT(h1 * (h2 * x)) = H1 H2 FFT(x)
    product = torch.fft.rfft(low, n) * torch.fft.rfft(high, n)  # (33,)
    start = torch.fft.rfft(signal)
    in_series = torch.fft.rfft(filtered(filtered(signal, low), high))
    yield equals("max |FFT of the cascade − H₁H₂ FFT|", (in_series - product * start).abs().max(), 0, 1e-14)
    gain = product.abs()
    yield equals("gain in the middle of the band, ½ · ½", gain[16], 0.25, 1e-14)
    yield equals("gain at both ends", torch.maximum(gain[0], gain[-1]), 0, 1e-14)
    # each filter eight times: the bands of a gain from ½ end at cos²(ω/2) = ½^⅛ and begin at sin²(ω/2) = ½^⅛
    sharp = [torch.fft.rfft(kernel, n).abs() ** 8 for kernel in (low, high)]
    bands = torch.stack(sharp) >= 1 / 2
    yield at_least("eight of each: frequencies that the low pass, the high pass lets through", bands.sum(1).min(), 5)
    yield equals("frequencies that both let through", bands.all(0).sum(), 0)
    for _ in range(8):
        signal = filtered(filtered(signal, low), high)
    response = (torch.fft.rfft(signal) / start).abs()
    yield equals("largest gain of all in series, (½ · ½)⁸", response.max(), 0.25**8, 1e-9, counterexample=True)
