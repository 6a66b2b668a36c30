"""Worst cases of linear classifiers against enumeration and linear programming; intervals against sampling."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from theory.adversarial import (
    Bounds,
    linear_one_pixel_margins,
    linear_worst_margins,
    margins,
    through_affine,
)

GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(4, 6, generator=GENERATOR, dtype=torch.float64)
BIAS = torch.randn(4, generator=GENERATOR, dtype=torch.float64)
X = torch.rand(5, 6, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 0])


def logits(x: torch.Tensor) -> torch.Tensor:
    return x @ WEIGHT.T + BIAS


def test_margin_is_positive_iff_the_class_is_right() -> None:
    found = margins(logits(X), LABELS)
    assert torch.equal(found > 0, logits(X).argmax(1) == LABELS)
    two = torch.tensor([[3.0, 1.0], [3.0, 1.0]])
    assert margins(two, torch.tensor([0, 1])).tolist() == [2.0, -2.0]


def test_worst_margin_is_that_of_the_worst_corner() -> None:
    epsilon = 0.3
    due = torch.full((5,), torch.inf, dtype=torch.float64)
    for corner in itertools.product((-epsilon, epsilon), repeat=6):
        due = torch.minimum(due, margins(logits(X + torch.tensor(corner, dtype=torch.float64)), LABELS))
    torch.testing.assert_close(linear_worst_margins(WEIGHT, BIAS, X - epsilon, X + epsilon, LABELS), due)


def test_worst_margin_of_a_clipped_box_is_a_linear_programme() -> None:
    low, high = (X - 0.4).clamp(0, 1), (X + 0.4).clamp(0, 1)
    for row, label in enumerate(LABELS.tolist()):
        least = []
        for rival in set(range(4)) - {label}:
            w = (WEIGHT[label] - WEIGHT[rival]).numpy()
            solved = linprog(w, bounds=np.stack([low[row], high[row]], 1))
            least.append(solved.fun + float(BIAS[label] - BIAS[rival]))
        found = linear_worst_margins(WEIGHT, BIAS, low, high, LABELS)[row]
        assert float(found) == pytest.approx(min(least), abs=1e-9)


def test_one_pixel_is_worst_at_an_extreme() -> None:
    values = torch.linspace(0, 1, 21, dtype=torch.float64)
    due = margins(logits(X), LABELS)
    for pixel, value in itertools.product(range(6), values):
        copy = X.clone()
        copy[:, pixel] = value
        due = torch.minimum(due, margins(logits(copy), LABELS))
    torch.testing.assert_close(linear_one_pixel_margins(WEIGHT, BIAS, X, LABELS, 0.0, 1.0), due)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(4, 3),
        nn.Conv2d(2, 3, 3, padding=1, stride=2),
        nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="circular"),
        nn.BatchNorm2d(2),
    ],
)
def test_an_interval_through_an_affine_map_is_reached_and_never_left(module: nn.Module) -> None:
    module.double().eval()
    shape = (4,) if isinstance(module, nn.Linear) else (2, 5, 5)
    generator = torch.Generator().manual_seed(1)
    if isinstance(module, nn.BatchNorm2d):
        module.weight.data = torch.tensor([-2.0, 0.5], dtype=torch.float64)
        module.running_var = torch.tensor([3.0, 0.1], dtype=torch.float64)
    low = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
    high = low + torch.rand(1, *shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        bounds = through_affine(Bounds(low, high), module)
        inside = low + (high - low) * torch.rand(300, *shape, generator=generator, dtype=torch.float64)
        outputs = module(inside)
        assert (outputs >= bounds.low - 1e-12).all()
        assert (outputs <= bounds.high + 1e-12).all()
        # Its gradient's sign names the corner where an output is largest; the bound is that value.
    x = ((low + high) / 2).requires_grad_()
    (gradient,) = torch.autograd.grad(module(x).flatten()[0], x)
    corner = torch.where(gradient > 0, high, low)
    torch.testing.assert_close(module(corner).flatten()[0], bounds.high.flatten()[0])


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(1, 1, 3, padding=(2, 1), padding_mode="reflect", stride=2),
        nn.Conv2d(1, 1, (3, 5), padding="same", padding_mode="replicate"),
    ],
)
def test_no_corner_of_the_box_leaves_the_interval_at_a_padded_border(module: nn.Conv2d) -> None:
    module.double()
    low = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    high = low + 1
    with torch.no_grad():
        bounds = through_affine(Bounds(low, high), module)
    # The rows of the map by autograd: each entry is largest at its own corner, where its gradient is positive.
    x = low.clone().requires_grad_()
    for place, output in enumerate(module(x).flatten()):
        (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
        for corner, end, sign in ((gradient > 0, bounds.high, 1), (gradient < 0, bounds.low, -1)):
            with torch.no_grad():
                reached = module(torch.where(corner, high, low)).flatten()[place]
            assert float(sign * (end.flatten()[place] - reached)) >= -1e-12


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="low must not be above high"):
        linear_worst_margins(WEIGHT, BIAS, X, X - 1, LABELS)
    with pytest.raises(ValueError, match="Dropout"):
        through_affine(Bounds(X, X), nn.Dropout())
    with pytest.raises(ValueError, match="BatchNorm2d"):
        through_affine(Bounds(*torch.zeros(2, 3, 2, 4, 4)), nn.BatchNorm2d(2).train())
