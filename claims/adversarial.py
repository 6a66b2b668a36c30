"""How little a picture must change before a classifier is wrong."""

from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from claims.registry import RIGHT, Numbers, at_least, at_most, claim, equals
from models.robustness.attacks import evolve_one_pixel, exhaustive_one_pixel, fgsm
from theory.adversarial import contrasts, linear_one_pixel_margins, linear_worst_margins, margins


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Digits in 0..1, shape (1797, 1, 8, 8), and their classes."""
    bunch = load_digits()
    return torch.from_numpy(bunch.images)[:, None] / 16, torch.from_numpy(bunch.target)


def trained(network: nn.Module, steps: int, lr: float) -> nn.Module:
    """Adam on all training digits at once."""
    x, y = digits()
    optimiser = torch.optim.Adam(network.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(network(x[360:]), y[360:]).backward()
        optimiser.step()
    return network.requires_grad_(False)


@claim(
    "003-01",
    "one changed pixel can flip the recognition",
    RIGHT,
    "of some pictures, not of all: how many is a count, exact by exhaustive search; for a linear model a closed form",
    "Su, Vargas, Sakurai 2019; Goodfellow, Shlens, Szegedy 2015",
)
def one_pixel() -> Numbers:
    x, y = digits()
    torch.manual_seed(0)
    linear = trained(nn.Sequential(nn.Flatten(), nn.Linear(64, 10, dtype=torch.float64)), 150, 0.05)
    weight, bias = linear[1].weight, linear[1].bias  # type: ignore[index]
    x, y = x[:360], y[:360]
    known = margins(linear(x), y) > 0
    x, y = x[known], y[known]
    # of two classes, 3 and 8, the margin falls by ε ‖w‖₁ at δ = −ε sign(w), w = W_3 − W_8 or its opposite
    epsilon, pair = 0.05, torch.tensor([3, 8])
    two = lambda images: linear(images)[:, pair]
    shown, labels = x[(y[:, None] == pair).any(1)], (y[(y[:, None] == pair).any(1)] == 8).long()
    drop = margins(two(shown), labels) - margins(two(fgsm(two, shown + 1, labels, epsilon, high=9.0) - 1), labels)
    steepest = contrasts(weight, bias, pair)[0][0, 8].abs().sum()
    worst = (drop / (epsilon * steepest) - 1).abs().max()
    yield equals("linear, 3 against 8: margin drop of FGSM over ε ‖w‖₁ − 1, largest", worst, 0, 1e-10)
    exact = linear_worst_margins(weight, bias, x.flatten(1) - epsilon, x.flatten(1) + epsilon, y)
    # The least margin lies at a corner of the box, one for each rival class: the network is asked at all nine.
    at_corners = torch.stack([
        margins(linear(x - epsilon * (weight[y] - weight[rival]).sign().view_as(x)), y) for rival in range(10)
    ])  # fmt: skip
    gap = (exact - at_corners.amin(0)).abs().max()
    yield equals("linear: exact worst margin − margin at the worst corner, largest", gap, 0, 1e-12)
    found = exhaustive_one_pixel(linear, x, y, torch.tensor([0.0, 1.0], dtype=torch.float64))
    due = linear_one_pixel_margins(weight, bias, x.flatten(1), y, 0.0, 1.0)
    yield equals("linear, one pixel: distance of search and closed form", (found.margin - due).abs().max(), 0, 1e-12)
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    network = trained(nn.Sequential(*layers).double(), 100, 0.01)
    known = margins(network(x), y) > 0
    x, y = x[known][:60], y[known][:60]
    values = torch.arange(17, dtype=torch.float64) / 16  # all that these pixels can hold
    search = exhaustive_one_pixel(network, x, y, values)
    evolved = evolve_one_pixel(network, x, y, values, 30, 10, torch.Generator().manual_seed(0))
    share = search.fooled.double().mean()
    yield at_least("network: share of 60 right 8×8 digits that one pixel fools", share, 1 / 60)
    yield at_most("network: the same share", share, 59 / 60)
    both = evolved.fooled[search.fooled].double().mean()
    yield at_least("network: of these, share that differential evolution finds too", both, 0.75)
