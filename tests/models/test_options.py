"""Each option of the smaller tasks changes what it says it changes; optimisers are in `test_optimisers`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from models.deep_vs_wide import DeepVsWideTask
from models.generalisation import GeneralisationTask
from models.geometry import GeometryTask
from models.glm import GLMTask
from models.gradient_descent import GradientDescentTask
from models.mlp import MLPTask
from models.perceptron import PerceptronTask
from models.vanishing_gradients import VanishingGradientsTask
from tests.models.small_victims import IMAGES, LABELS

FACTS: dict[str, Any] = {
    "class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [5, 5], "mean": [0.3], "std": [0.5],
}  # fmt: skip
POINTS = torch.rand(7, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters()]


def drive(task: Any, optimisers: Any) -> None:
    """Gives a task that steps by itself what Lightning would."""
    task.optimizers, task.manual_backward = lambda: optimisers, lambda loss: loss.backward()
    task.log = task.log_dict = lambda *_, **__: None
    task._trainer = SimpleNamespace()


BENDS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": F.relu, "leaky": lambda z: F.leaky_relu(z, 0.2),
         "linear": lambda z: z}  # fmt: skip


@pytest.mark.parametrize("activation", list(BENDS))
def test_geometry_has_the_layers_that_were_asked_for(activation: Any) -> None:
    task = GeometryTask(["a", "b"], 2, [0.0, 1.0], widths=[5, 3], activation=activation)
    assert shapes(task) == [(5, 2), (5,), (3, 5), (3,), (1, 3), (1,)]
    x = POINTS
    for layer in task.network.hidden():
        x = BENDS[activation](x @ layer.weight.T + layer.bias)
    torch.testing.assert_close(task(POINTS), task.network.readout(x)[:, 0])


def test_perceptrons_are_as_many_and_as_large_as_asked_for() -> None:
    assert shapes(PerceptronTask(2, "xor", [0.0, 1.0], hidden=3, starts=5)) == [(5, 3, 2), (5, 3), (5, 3), (5, 1)]


@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.0), ("leaky_relu", 0.4)])
@pytest.mark.parametrize(("budget", "widths"), [("neurons", [7, 7]), ("parameters", [5, 5])])
def test_deep_and_wide_networks_share_the_budget(budget: Any, widths: list[int], activation: Any, slope: float) -> None:
    """14 neurons in one layer of 2 inputs and an output have 57 parameters; 5 and 5 have 51, 6 and 5 have 59."""
    options: dict[str, Any] = {"num_networks": 3, "slope": 0.4, "view": [-1.0, 2.0], "neurons": 14, "depths": [1, 2]}
    task = DeepVsWideTask([], 2, [0.0, 1.0], budget=budget, activation=activation, **options)
    assert task.shapes == [[14], widths]
    assert [weight.shape[0] for stack in task.stacks for weight in stack.weights] == [3] * 5
    assert (task.where().low, task.where().high) == (-1, 2)
    deep = task.stacks[1]
    x = POINTS.expand(3, *POINTS.shape)
    for weight, bias in zip(deep.weights[:-1], deep.biases[:-1], strict=True):
        x = F.leaky_relu(x @ weight + bias, slope)
    torch.testing.assert_close(deep(POINTS), x @ deep.weights[-1] + deep.biases[-1])


def test_gradients_are_measured_where_and_as_often_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, int] = {"measured_depth": 5, "measured_width": 6, "measured_batch": 7, "draws": 9}
    task = VanishingGradientsTask(**FACTS, settings=["relu-he"], depth=3, width=4, copies=2, **sizes)
    assert shapes(task) == [(2, 4, 3), (2, 25, 4), *[(2, 4, 4)] * 2, *[(2, 1, 4)] * 3]
    logits = task(IMAGES)[0]
    alone = torch.stack([F.cross_entropy(one, LABELS) for one in logits])
    torch.testing.assert_close(task.training_step((IMAGES, LABELS), 0), alone.sum(), msg="each copy learns alone")
    seen: list[Any] = []
    monkeypatch.setattr("models.vanishing_gradients.measure_gradients", lambda *given: seen.append(given[1:5]))
    monkeypatch.setattr(task, "shares", lambda: (torch.ones(1, 2), torch.ones(3)))
    monkeypatch.setattr(task, "log_dict", lambda _: None)
    task.on_test_epoch_end()
    assert seen == [(5, 6, 7, 9)]


def test_three_solvers_take_as_many_steps_of_the_length_asked_for() -> None:
    """Gradient descent on a Gaussian sample: theta <- theta - a / lambda_max X'(X theta - y) from 0."""
    options: dict[str, Any] = {"lr": 0.5, "history_size": 7, "steps": 3}
    task = GLMTask("gaussian", ["1", "x"], 1, 1.0, None, "fit", **options)
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.ones(20, 1), torch.randn(20, 1, generator=generator)], 1).double()
    y = torch.randn(20, 1, generator=generator).double()
    (lbfgs, descent), _ = task.configure_optimizers()
    assert lbfgs.param_groups[0]["history_size"] == 7
    drive(task, [lbfgs, descent])
    task.training_step((x, y), 0)
    theta = torch.zeros(2, 1, dtype=torch.float64)
    for _ in range(3):
        theta = theta - 0.5 / torch.linalg.eigvalsh(x.T @ x)[-1] * x.T @ (x @ theta - y)
    torch.testing.assert_close(task.descent.theta.detach(), theta)
    assert len(task.history) == 1 + 3


@pytest.mark.parametrize("learner", ["polynomial", "network"])
def test_learners_are_regularised_as_asked_for(learner: Any) -> None:
    options: dict[str, Any] = {"weight_decay": 0.3, "dropout": 0.25, "augmentation": 0.5, "max_size": 6, "steps": 3}
    task = GeneralisationTask("sine", 0.1, 20, 2, learner=learner, lr=0.03, **options)
    model = task.learner
    assert model.sizes == (list(range(7)) if learner == "polynomial" else [1, 2, 3, 4, 6])
    assert (model.weight_decay, model.keep, model.noise) == (0.3, 0.75, 0.5)
    optimiser: Any = task.configure_optimizers()
    # The step of a polynomial is in its objective, in units of the edge of stability.
    assert (model.lr if learner == "polynomial" else optimiser.param_groups[0]["lr"]) == 0.03  # type: ignore[union-attr]
    assert isinstance(optimiser, torch.optim.SGD) == (learner == "polynomial")
    steps: list[None] = []
    optimiser.register_step_post_hook(lambda *_: steps.append(None))
    drive(task, optimiser)
    task.training_step((torch.linspace(-1, 1, 20).double(), torch.randn(20, 2).double()), 0)
    assert len(steps) == int(task.taken) == 3


def test_as_many_data_sets_are_drawn_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = GeneralisationTask("sine", 0.1, 20, 2, max_size=3, draws=150, draw_samples=9), list[Any]()
    monkeypatch.setattr("models.generalisation.Risks.draw", lambda *given: seen.append(given[:2]))
    drive(task, None)
    task.sample = (torch.linspace(-1, 1, 20).double(), torch.randn(20, 2).double())
    task.test_step(task.sample, 0)
    assert seen == [(9, 150)]


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_pull_on_a_network_is_on_the_weights_of_its_own_units(decay: float) -> None:
    model: Any = GeneralisationTask("sine", 0.1, 20, 2, learner="network", max_size=3, weight_decay=decay).learner
    x, y = torch.linspace(-1, 1, 20), torch.randn(20, 2)
    due = (model(x) - y.T).square().mean(2).sum() / 2
    for place, size in enumerate(model.sizes):
        due = due + decay / 2 * sum(part[place, :, :size].square().sum() for part in (model.slope, model.weight))
    torch.testing.assert_close(model.objective(x, y), due)


def test_searches_are_those_that_the_options_name() -> None:
    options: dict[str, Any] = {"widths": [3, 5], "seeds": 4, "activation": "polynomial", "degree": 3, "lr": 0.07}
    task = MLPTask("runge", -1.0, 1.0, 1, False, **options, method="adam", rounds=6, depth=2)
    searches = task.searches
    assert searches.spline is searches.newton is searches.lbfgs is None
    assert searches.adam is not None
    assert (searches.adam.lr, searches.adam.steps) == (0.07, 60)
    family = searches.adam.family
    assert (family.widths, family.seeds, family.depth) == ([3, 5], 4, 2)
    assert family.activation(torch.tensor(0.3)).item() == pytest.approx(4 * 0.3**3 - 3 * 0.3), "Chebyshev's third"
    every = MLPTask("runge", -1.0, 1.0, 1, False, hidden=6, seeds=2).searches
    assert (every.widths, every.newton) == ([6], None)
    assert every.spline is not None is not every.lbfgs
    assert MLPTask("runge", -1.0, 1.0, 1, False, hidden=6, seeds=2, compare=False).searches.adam is None


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov"])
def test_descent_takes_as_many_steps_by_the_rule_asked_for(rule: Any) -> None:
    """On x² the slope is 2x: v <- b v + 2x, x <- x - a v, or x - a (2x + b v) for Nesterov's."""
    task = GradientDescentTask("x^2", [1.0], rule, lr=0.1, momentum=0.6, steps=4)
    optimiser = task.configure_optimizers()
    drive(task, optimiser)
    task.training_step((), 0)
    x, v, beta, due = 1.0, 0.0, 0.0 if rule == "sgd" else 0.6, [1.0]
    for _ in range(4):
        v = beta * v + 2 * x
        x -= 0.1 * (2 * x + beta * v if rule == "nesterov" else v)
        due.append(x)
    assert [point for (point,) in task.path] == pytest.approx(due)
