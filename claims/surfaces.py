"""Statements about surfaces given by an equation (article 000)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import jacrev
from torch.nn import functional as F

from claims.registry import IMPRECISE, Numbers, at_most, claim, equals

RADIUS = 0.7


def colour(x: Tensor) -> Tensor:
    """A shade for each place."""
    return 0.5 + 0.3 * x[..., 0].sin() + 0.2 * x[..., 2]


def distance(x: Tensor) -> Tensor:
    """Signed distance from the sphere, shape (..., 3) to (...)."""
    return x.norm(dim=-1) - RADIUS


def fitted_distance(generator: torch.Generator) -> nn.Sequential:
    """A small smooth network fitted to the signed distance of a sphere and its gradient, by L-BFGS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 24), nn.Softplus(beta=5), nn.Linear(24, 24), nn.Softplus(beta=5),
                            nn.Linear(24, 1)).double()  # fmt: skip
    direction = F.normalize(torch.randn(400, 3, generator=generator, dtype=torch.float64), dim=1)
    x = direction * (0.3 + 0.8 * torch.rand(400, 1, generator=generator, dtype=torch.float64))  # a shell
    x.requires_grad_()
    optimizer = torch.optim.LBFGS(net.parameters(), lr=1, max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        values = net(x)[:, 0]
        (slopes,) = torch.autograd.grad(values.sum(), x, create_graph=True)
        error = (values - distance(x)).square().mean() + (slopes - direction).square().mean()
        error.backward()
        return error

    optimizer.step(loss)
    return net


@claim(
    "000-06",
    "a face has a surface equation f(x, y, z, c) = 0 with the colour c",
    IMPRECISE,
    "one equation in four variables leaves three dimensions; a coloured surface takes two, f(x, y, z) = 0 and "
    "c = C(x, y, z), with ∇f ≠ 0 on the surface",
    "regular value theorem (do Carmo 1976, section 2-2)",
)
def coloured_surface() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    place = RADIUS * F.normalize(torch.randn(3, generator=generator, dtype=torch.float64), dim=0)
    point = torch.cat([place, colour(place)[None]])  # (x, y, z, c)
    one = jacrev(lambda p: distance(p[:3])[None] * (1 + p[3] ** 2))(point)  # f(x, y, z, c)
    two = jacrev(lambda p: torch.stack([distance(p[:3]), p[3] - colour(p[:3])]))(point)
    # Dimension of the solutions = 4 − rank of the Jacobian.
    yield equals("dimensions of the solutions of one equation in R⁴", 4 - torch.linalg.matrix_rank(one), 3)
    yield equals("dimensions of the solutions of two equations", 4 - torch.linalg.matrix_rank(two), 2)

    net = fitted_distance(generator)
    direction = F.normalize(torch.randn(500, 3, generator=generator, dtype=torch.float64), dim=1)
    low, high = torch.full((500, 1), 0.4, dtype=torch.float64), torch.full((500, 1), 1.0, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(30):  # the surface along each direction, by bisection
            middle = (low + high) / 2
            outside = net(middle * direction) > 0
            low, high = torch.where(outside, low, middle), torch.where(outside, middle, high)
    yield at_most("a network's sphere: largest radius error / R", (low - RADIUS).abs().max() / RADIUS, 1e-2)
    surface = (low * direction).requires_grad_()
    (slopes,) = torch.autograd.grad(net(surface).sum(), surface)
    yield at_most("its mean |‖∇f‖ − 1| on the surface", (slopes.norm(dim=1) - 1).abs().mean(), 0.05)
