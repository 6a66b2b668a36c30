"""Each option of an autoencoder changes what it says it changes, by the amount that a formula gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.autoencoder import AutoencoderTask
from models.coding.layerwise import layer_error
from models.coding.linear import LinearAutoencoder
from models.coding.networks import Autoencoder, Convolutional, Dense
from models.coding.reference import Reference

SIDE, SHAPE = 6, (1, 6, 6)
IMAGES = torch.rand(10, *SHAPE, generator=torch.Generator().manual_seed(3))
BATCH = (IMAGES, torch.zeros(10, dtype=torch.int64))


def task(**options: Any) -> AutoencoderTask:
    torch.manual_seed(0)
    made = AutoencoderTask(["a", "b"], 1, [SIDE, SIDE], **options)
    if isinstance(made.model, Autoencoder):
        made.model.centre(IMAGES.mean(0).flatten())
    return made


def trainer(**facts: Any) -> Any:
    return SimpleNamespace(precision="32-true", gradient_clip_val=None, **facts)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_network_sees_noise_and_answers_for_the_clean_picture(noise: float, output: Any) -> None:
    model = task(sizes=[5, 2], noise=noise, output=output)
    torch.manual_seed(7)
    found = model.training_step(BATCH, 0)
    torch.manual_seed(7)
    seen = IMAGES + noise * torch.randn_like(IMAGES)
    due = (model.model(seen) - IMAGES).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found, due)
    assert torch.equal(model.sums, torch.stack([due.detach() * 10, torch.tensor(10.0)]))


@pytest.mark.parametrize("place", [0, 1])
def test_a_pair_of_layers_sees_noise_on_its_own_input(place: int) -> None:
    model = task(sizes=[5, 2], activation="tanh").model
    network = model.network
    torch.manual_seed(7)
    found = layer_error(model, IMAGES, 0.3, place)  # type: ignore[arg-type]
    up, down = network.encoder, network.decoder  # type: ignore[union-attr]
    centred = (IMAGES - IMAGES.mean(0)).flatten(1)
    own = torch.tanh(centred @ up[0].weight.T + up[0].bias) if place else centred  # type: ignore[union-attr, index]
    torch.manual_seed(7)
    noisy = own + 0.3 * torch.randn_like(own)
    if place:
        restored = torch.tanh(down[0](up[1](noisy)))  # type: ignore[index, operator]
        due = (restored - own).square().sum(1)
    else:
        restored = torch.sigmoid(down[1](torch.tanh(up[0](noisy))))  # type: ignore[index, operator]
        due = (restored - IMAGES.flatten(1)).square().sum(1)
    torch.testing.assert_close(found, due)


def test_layers_that_learn_alone_see_the_noise_of_the_run_for_their_share_of_it() -> None:
    model = task(sizes=[5, 2], noise=0.3, pretrain="greedy", pretrain_share=0.5)
    model.total_steps = 12
    stages = []
    for step in range(12):
        model._trainer = trainer(global_step=step)
        stages.append(model.stage())
    assert stages == [0] * 3 + [1] * 3 + [None] * 6
    for step, stage in ((0, 0), (4, 1)):
        model._trainer = trainer(global_step=step)
        torch.manual_seed(7)
        found = model.training_step(BATCH, 0)
        torch.manual_seed(7)
        torch.testing.assert_close(found, layer_error(model.model, IMAGES, 0.3, stage).mean())  # type: ignore[arg-type]


NETWORKS: list[tuple[dict[str, Any], Any]] = [
    ({"sizes": [7, 5, 3]}, lambda: Autoencoder(Dense(36, [7, 5, 3], "silu"), SHAPE, "sigmoid")),
    ({"activation": "tanh"}, lambda: Autoencoder(Dense(36, [5, 2], "tanh"), SHAPE, "sigmoid")),
    ({"output": "linear"}, lambda: Autoencoder(Dense(36, [5, 2], "silu"), SHAPE, "linear")),
    ({"tied": True}, lambda: Autoencoder(Dense(36, [5, 2], "silu", tied=True), SHAPE, "sigmoid")),
    (
        {"kind": "convolutional", "sizes": [4, 3], "activation": "tanh", "output": "linear"},
        lambda: Autoencoder(Convolutional(1, [6, 6], [4, 3], "tanh"), SHAPE, "linear"),
    ),
    (
        {"kind": "convolutional", "sizes": [4, 5, 3]},
        lambda: Autoencoder(Convolutional(1, [6, 6], [4, 5, 3], "silu"), SHAPE, "sigmoid"),
    ),
]


@pytest.mark.parametrize(
    ("options", "network"), NETWORKS, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_the_network_is_the_one_that_the_options_name(options: dict[str, Any], network: Any) -> None:
    model = task(**({"sizes": [5, 2]} | options))
    torch.manual_seed(0)
    due = network()
    due.centre(IMAGES.mean(0).flatten())
    assert [parameter.shape for parameter in model.parameters()] == [parameter.shape for parameter in due.parameters()]
    torch.testing.assert_close(model(IMAGES), due(IMAGES))


def linear(**options: Any) -> tuple[AutoencoderTask, LinearAutoencoder, Tensor]:
    """A linear task that knows 40 pictures, its model, and their covariance."""
    made = task(kind="linear", **options)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, *SHAPE), generator=generator).to(torch.uint8)
    made.reference = Reference(images, None)
    assert isinstance(made.model, LinearAutoencoder)
    made.model.fit_moments(*made.reference.moments)
    return made, made.model, made.reference.moments[1]


@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_of_a_linear_network_is_that_of_its_noise(tied: bool) -> None:
    """E|x - W (x + e)|² = tr((I - W) C (I - W)') + sigma² |W|² with W = W_2 W_1, for centred x of covariance C."""
    _, model, covariance = linear(sizes=[9, 3], noise=0.4, tied=tied)
    assert model.encoder.shape == (3, 36), "a linear network has no hidden layer"
    whole = (model.encoder.T if tied else model.decoder) @ model.encoder
    left = torch.eye(36, dtype=torch.float64) - whole
    due = (left @ covariance @ left.T).trace() + 0.4**2 * whole.square().sum()
    torch.testing.assert_close(model.loss(), due)


def test_a_linear_network_is_solved_for_its_iterations_and_polished_at_the_end() -> None:
    made, model, _ = linear(sizes=[3], iterations=3, polish=0.25)
    optimiser: Any = made.configure_optimizers()
    assert optimiser.param_groups[0]["max_iter"] == 3
    done: list[Any] = []
    made.optimizers = lambda *_: SimpleNamespace(step=lambda closure: done.append("L-BFGS"))  # type: ignore[method-assign, assignment, return-value]
    model.polish = done.append  # type: ignore[method-assign]
    for epoch in range(8):
        made._trainer = trainer(num_training_batches=1, max_epochs=8, current_epoch=epoch)
        made.training_step(BATCH, 0)
    assert done == ["L-BFGS"] * 6 + [3] * 2
    assert [iteration for iteration, _ in made.history] == list(range(0, 24, 3))
