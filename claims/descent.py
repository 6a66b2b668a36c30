"""Statements about gradients and descending along them (articles 001 and 003)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from theory.backprop import forward, random_layers, residuals
from theory.descent import (
    contraction,
    curvatures,
    descend,
    edge_by_bisection,
    gradient,
    hessian,
    kind_of,
    stability_edge,
    stationary_point,
)

KINDS = {"minimum": 1, "saddle": 0, "degenerate": 0, "maximum": -1}


def point(*values: float) -> Tensor:
    """A point, float64."""
    return torch.tensor(values, dtype=torch.float64)


def parabola(x: Tensor) -> Tensor:
    """2x² − 12x + 20."""
    return 2 * x[0] ** 2 - 12 * x[0] + 20


def saddle(x: Tensor) -> Tensor:
    """2x² + 2y + 4xy."""
    return 2 * x[0] ** 2 + 2 * x[1] + 4 * x[0] * x[1]


def bowl(x: Tensor) -> Tensor:
    """2x² + y² + 3."""
    return 2 * x[0] ** 2 + x[1] ** 2 + 3


def waves(x: Tensor) -> Tensor:
    """A function that is no quadratic: eˣ + x⁴ + y² cos x."""
    return x[0].exp() + x[0] ** 4 + x[1] ** 2 * x[0].cos()


@claim(
    "001-17",
    "the minimum of 2x² − 12x + 20: f' = 4x − 12, so x = 3 and f = 2",
    RIGHT,
    "and f'' = 4 > 0 makes it the only minimum; each step of descent multiplies the distance by |1 − 4α|",
    "Cauchy 1847",
)
def the_parabola() -> Numbers:
    best = stationary_point(parabola, point(10.0))
    assert best is not None
    yield equals("x where f' = 0", best[0], 3, 1e-15)
    yield equals("f there", parabola(best), 2, 1e-15)
    yield equals("f''", hessian(parabola, best)[0, 0], 4, 1e-15)
    for lr in (0.1, 0.3, 0.4):
        x = descend(parabola, point(10.0), lr, 5)[:, 0] - 3
        due = contraction("sgd", lr, 4)  # |1 − αλ|
        yield equals(f"α = {lr}: distance after a step / before", (x[5] / x[4]).abs(), due, 1e-12)
    yield equals("α = 1/4: x after one step", descend(parabola, point(10.0), 0.25, 1)[1, 0], 3)


@claim(
    "001-18",
    "a vanishing derivative means a minimum",
    IMPRECISE,
    "it is necessary inside the domain, not sufficient; with it either convexity or, for a local minimum, f'' > 0 is "
    "sufficient, and neither is necessary",
    "Fermat 1638; second-derivative test",
)
def vanishing_derivative() -> Numbers:
    zero = point(0.0)
    yield equals("x³ at 0: f'", gradient(lambda x: x[0] ** 3, zero)[0], 0)
    lower = point(-0.01)[0] ** 3 - zero[0] ** 3
    yield at_most("x³ just below 0: f − f(0) is negative", lower, -1e-6, 1e-15)
    yield equals("x⁴ at 0, a minimum: f''", hessian(lambda x: x[0] ** 4, zero)[0, 0], 0)
    values, _ = curvatures(parabola, point(3.0))
    yield equals("2x² − 12x + 20 at 3 is a minimum by f'' > 0", KINDS[kind_of(values)], KINDS["minimum"])


@claim(
    "001-19",
    "the gradient is the derivative, and its direction is that of decrease",
    WRONG,
    "the gradient is the vector of partial derivatives and points to the steepest ascent; −∇f descends: slope −‖∇f‖²",
    "Cauchy 1847",
)
def direction_of_the_gradient() -> Numbers:
    x, h = point(0.4, -0.7), 1e-6
    g = gradient(waves, x)
    ahead, behind = waves(x + h * g), waves(x - h * g)
    yield at_least("f(x + hg) − f(x): along the gradient f grows", ahead - waves(x), 1e-9, counterexample=True)
    yield at_most("f(x − hg) − f(x)", behind - waves(x), -1e-9)
    yield equals("slope of f along −g at h = 0: −‖g‖²", (behind - ahead) / (2 * h), -g.square().sum(), 1e-6)


@claim(
    "001-20",
    "f = 2x² + 2y + 4xy as the example to minimise",
    WRONG,
    "it has no minimum: its only stationary point (−½, ½) is a saddle with curvatures 2(1 ∓ √5), and "
    "f(−t, t) = 2t − 2t² falls without end",
    "second-derivative test",
)
def the_saddle() -> Numbers:
    place = stationary_point(saddle, point(3.0, 3.0))
    assert place is not None
    values, vectors = curvatures(saddle, place)
    due = 2 * (1 - math.sqrt(5)), 2 * (1 + math.sqrt(5))
    yield equals("lower curvature 2(1 − √5), negative", values[0], due[0], 1e-12, counterexample=True)
    lr, steps = 0.1, 60
    path = descend(saddle, place + 0.1 * vectors[:, 0], lr, steps)
    yield at_most("descent with α = 0.1: f after 60 steps", saddle(path[-1]), -1e6, counterexample=True)
    yield equals("upper curvature 2(1 + √5)", values[1], due[1], 1e-12)
    yield equals("stationary point: x", place[0], -0.5, 1e-12)
    yield equals("stationary point: y", place[1], 0.5, 1e-12)
    yield equals("f there", saddle(place), 0.5, 1e-12)
    away = (path - place) @ vectors[:, 0]
    yield equals("factor by which a step leaves it: 1 + 2.472α", away[1] / away[0], 1 - lr * due[0], 1e-9)


@claim(
    "001-22",
    "walking A → B → … → K reaches the lowest point",
    IMPRECISE,
    "a stationary point. Where f is convex and L-smooth, α = 1/L gives f_k − f* ≤ L‖x₀ − x*‖²/2k",
    "Beck and Teboulle 2009, section 3; Drori and Teboulle 2014; Lee, Simchowitz, Jordan and Recht 2016 for saddles",
)
def where_it_ends() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(10):
        root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        quadratic = root.T @ root / 6
        start = torch.randn(6, generator=generator, dtype=torch.float64)
        largest = float(torch.linalg.eigvalsh(quadratic)[-1])
        path = descend(lambda x, a=quadratic: 0.5 * x @ a @ x, start, 1 / largest, 200)  # type: ignore[misc]
        values = 0.5 * ((path @ quadratic) * path).sum(1)[1:]  # f* = 0 at x* = 0
        bound = largest * start.square().sum() / (2 * torch.arange(1, 201))
        worst = max(worst, float((values / bound).max()))
    yield at_most("10 convex quadratics: largest (f_k − f*) / bound", worst, 1)

    # The hardest convex f with L = 1 for k steps from 1: |x| is followed until 1/(2k + 1), then a parabola
    k = 20
    bend = 1 / (2 * k + 1)
    huber = lambda x: torch.where(x[0].abs() > bend, bend * x[0].abs() - bend**2 / 2, x[0] ** 2 / 2)
    last = huber(descend(huber, point(1.0), 1.0, k)[-1])
    yield equals("hardest f for 20 steps: f_20 − f*, L‖x₀ − x*‖²/(4k + 2)", last, 1 / (4 * k + 2), 1e-12)
    yield at_most("the same beside the bound L‖x₀ − x*‖²/2k", last, 1 / (2 * k))

    def two_basins(x: Tensor) -> Tensor:
        return (x[0] ** 2 - 1) ** 2 + 0.3 * x[0]

    ends = [descend(two_basins, point(start), 0.05, 400)[-1] for start in (-1.5, 1.5)]
    yield equals("(x² − 1)² + 0.3x from 1.5: slope at the end", gradient(two_basins, ends[1])[0], 0, 1e-9)
    yield at_least("and f there − f at the end from −1.5", two_basins(ends[1]) - two_basins(ends[0]), 0.5)


@claim(
    "001-23",
    "f = 2x² + y² + 3: 2 and 1 are weights, 3 is the bias",
    IMPRECISE,
    "x and y are the variables here, in learning the coefficients are; the minimum is 3 at (0, 0)",
    "Cauchy 1847",
)
def the_bowl() -> Numbers:
    best = stationary_point(bowl, point(2.0, -3.0))
    assert best is not None
    yield equals("‖minimum − (0, 0)‖", best.norm(), 0, 1e-12)
    yield equals("f there", bowl(best), 3, 1e-12)
    lr = 0.1
    path = descend(bowl, point(2.0, -3.0), lr, 1)
    for axis, curvature in ((0, 4), (1, 2)):
        due = contraction("sgd", lr, curvature)
        yield equals(f"shrinkage of {'xy'[axis]} in a step of α = 0.1", path[1, axis] / path[0, axis], due, 1e-12)


@claim("001-24", "W ← W − α ∂L/∂W, the same for b", RIGHT, "gradient descent", "Cauchy 1847")
def the_step() -> Numbers:
    lr, steps, different = 0.07, 10, 0
    path = descend(lambda x: (x**4).sum(), point(0.3, -1.2, 0.8), lr, steps)
    weight = path[0].clone().requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=lr)
    for place in path[1:]:
        optimizer.zero_grad()
        (weight**4).sum().backward()
        optimizer.step()
        different += int((weight != place).sum())
    yield equals("numbers that differ from torch's SGD in 10 steps", different, 0)


@claim("001-25", "α is the distance walked", WRONG, "the distance is α‖∇L‖; α is its factor", "Cauchy 1847")
def step_length() -> Numbers:
    lr, start = 0.1, point(0.4, -0.7)
    walker = start.clone().requires_grad_()
    waves(walker).backward()
    torch.optim.SGD([walker], lr).step()
    length, (x, y) = (walker.detach() - start).norm(), start
    slope = torch.stack([x.exp() + 4 * x**3 - y**2 * x.sin(), 2 * y * x.cos()]).norm()  # ∇ by hand
    yield at_least("|distance walked / α − 1|", (length / lr - 1).abs(), 0.1, counterexample=True)
    yield equals("distance walked / α‖∇L‖", length / (lr * slope), 1, 1e-12)


@claim(
    "003-17",
    "the gradient is the direction and the size of the largest directional derivative",
    RIGHT,
    "for a differentiable f, by the Cauchy-Schwarz inequality: u·∇f ≤ ‖∇f‖ for every unit vector u",
    "Cauchy 1847",
)
def steepest() -> Numbers:
    x = point(0.4, -0.7)
    g = gradient(waves, x)
    angle = torch.linspace(0, 2 * math.pi, 10_001, dtype=torch.float64)[:-1]
    directions = torch.stack([angle.cos(), angle.sin()], 1)
    h = 1e-5  # central differences, so that the gradient is not used to test itself
    slopes = (waves(x[:, None] + h * directions.T) - waves(x[:, None] - h * directions.T)) / (2 * h)
    exact = directions @ g
    yield equals("largest of 10,000 measured slopes / ‖∇f‖", slopes.max() / g.norm(), 1, 1e-3)
    yield at_most("largest of 10,000 u·∇f / ‖∇f‖", exact.max() / g.norm(), 1, 1e-15)
    best = directions[exact.argmax()]
    yield equals("cosine of the best direction and the gradient", best @ g / g.norm(), 1, 1e-6)


@claim(
    "003-18",
    "descending along −∇f decreases f",
    IMPRECISE,
    "for α < 2/L where the gradient is L-Lipschitz, f falls at every step; a quadratic diverges beyond",
    "Nesterov 2004, section 2.1.5",
)
def edge_of_stability() -> Numbers:
    largest = float(curvatures(bowl, point(0.0, 0.0))[0][-1])

    def diverges(lr: float) -> bool:
        path = descend(bowl, point(1.0, 1.0), lr, 100)
        return bool(path[-1].norm() > path[0].norm())

    edge = edge_by_bisection(diverges, 0.1, 1.0, steps=12)
    yield equals("2x² + y² + 3: α from which descent diverges, 2/L", edge, stability_edge("sgd", largest), 0.01)
    path = descend(bowl, point(1.0, 1.0), 1.99 / largest, 50)
    values = torch.stack([bowl(x) for x in path])
    yield at_most("α = 1.99/L: largest rise of f in 50 steps", values.diff().max(), 0)


@claim(
    "003-19",
    "the residual of a node is ∂L/∂node",
    RIGHT,
    "δ of back-propagation: the derivative in the node's pre-activation",
    "Rumelhart, Hinton and Williams 1986",
)
def residual() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    layers = random_layers((3, 6, 5, 2), generator)
    x, y = (torch.randn(12, size, generator=generator, dtype=torch.float64) for size in (3, 2))
    for number, delta in enumerate(residuals(layers, x, y)):
        # The derivative in z_l is that in a number added to z_l.
        added = torch.zeros_like(delta, requires_grad=True)
        outputs = forward(layers[: number + 1], x)[-1] + added
        for weight, bias in layers[number + 1 :]:
            outputs = outputs.tanh() @ weight.T + bias
        (slope,) = torch.autograd.grad((outputs - y).square().sum() / (2 * len(x)), added)
        yield equals(f"layer {number + 1}: largest |δ − autograd|", (slope - delta).abs().max(), 0, 1e-14)
