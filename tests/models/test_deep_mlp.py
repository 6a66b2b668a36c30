"""Deep networks at initialisation: the gradient law, orthogonality, and copies that do not touch each other."""

import math

import pytest
import torch

from models.deep_mlp import DeepMLP, Setting, draw_weight, losses, measure_gradients


@pytest.mark.parametrize("text", ["relu-he", "tanh-orthogonal", "leaky-glorot-batch", "sigmoid-glorot-residual"])
def test_a_setting_reads_back_as_it_was_written(text: str) -> None:
    assert str(Setting.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relu", "a setting is ACTIVATION-INITIALISATION"),
        ("gelu-he", "'gelu' is none of linear, relu"),
        ("relu-xavier", "'xavier' is none of glorot, he, orthogonal"),
        ("relu-he-skip", "'skip' is none of plain, residual, batch"),
        ("relu-he-batch-x", "a setting is"),
    ],
)
def test_mistakes_in_a_setting_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setting.parse(text)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (4, 9), (9, 4)])
def test_orthogonal_weights_are(rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = draw_weight(Setting("relu", "orthogonal"), 3, rows, columns, generator).double()
    small = weight @ weight.mT if rows <= columns else weight.mT @ weight
    scale = 2 * max(1, columns / rows)
    torch.testing.assert_close(
        small, scale * torch.eye(min(rows, columns)).double().expand_as(small), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("initialisation", ["glorot", "he", "orthogonal"])
def test_weights_take_mean_square_one_to_their_scale_squared(initialisation: str) -> None:
    generator = torch.Generator().manual_seed(1)
    setting = Setting("relu", initialisation)
    for rows, columns in ((60, 200), (200, 60)):
        weight = draw_weight(setting, 20, rows, columns, generator)
        x = torch.randn(20, 50, rows, generator=generator)
        assert float((x @ weight).square().mean()) == pytest.approx(setting.weight_scale**2, rel=0.03)


@pytest.mark.parametrize(
    "text",
    ["relu-glorot", "relu-he", "leaky-he", "tanh-glorot", "sigmoid-glorot", "relu-he-residual", "tanh-glorot-residual"],
)
def test_gradients_follow_mean_field_theory(text: str) -> None:
    setting = Setting.parse(text)
    found = measure_gradients(setting, depth=8, width=256, batch=32, draws=16)
    due = setting.theory(8)
    torch.testing.assert_close(found.profile, torch.from_numpy(due.delta.copy()), atol=0, rtol=0.05)
    assert found.weight_ratio == pytest.approx(due.weight_ratio, rel=0.08)


def test_batch_normalisation_explodes_as_it_should() -> None:
    setting = Setting.parse("relu-glorot-batch")
    found = measure_gradients(setting, depth=12, width=512, batch=256, draws=4)
    assert found.delta_ratio == pytest.approx((math.pi / (math.pi - 1)) ** 5.5, rel=0.05)


def test_an_orthogonal_linear_network_keeps_every_gradient() -> None:
    found = measure_gradients(Setting("linear", "orthogonal"), depth=20, width=64, batch=8, draws=2)
    assert found.delta_ratio == pytest.approx(1, abs=1e-6)


def test_a_gradient_below_the_range_of_float32_is_measured() -> None:
    setting = Setting("sigmoid", "glorot")
    found, due = measure_gradients(setting, depth=100, width=128, batch=8, draws=2), setting.theory(100)
    assert due.delta_ratio < 1e-60
    assert found.delta_ratio == pytest.approx(due.delta_ratio, rel=0.5)
    assert found.weight_ratio == pytest.approx(due.weight_ratio, rel=0.5)


def test_delta_is_the_gradient_of_the_pre_activations() -> None:
    """Against finite differences of the loss, for the ratio of two layers."""
    generator = torch.Generator().manual_seed(2)
    network = DeepMLP(Setting("tanh", "glorot"), 1, 5, 5, 3, 10, generator).double()
    x, labels = torch.randn(4, 5, generator=generator, dtype=torch.float64), torch.tensor([1, 2, 3, 4])
    bias = network.biases[0]
    losses(network(x), labels).sum().backward()
    assert bias.grad is not None
    with torch.no_grad():
        before = losses(network(x), labels)
        bias[0, 0, 2] += 1e-6
        slope = (losses(network(x), labels) - before) / 1e-6
    assert float(slope) == pytest.approx(float(bias.grad[0, 0, 2]), rel=1e-4)


@pytest.mark.parametrize("text", ["relu-he", "relu-he-batch", "relu-he-residual"])
def test_copies_do_not_influence_each_other(text: str) -> None:
    network = DeepMLP(Setting.parse(text), 3, 6, 5, 4, 2, torch.Generator().manual_seed(3))
    x, labels = torch.randn(7, 6, generator=torch.Generator().manual_seed(4)), torch.tensor([0, 1, 0, 1, 0, 1, 1])
    losses(network(x), labels)[1].backward()
    for weight in (*network.weights, network.head):
        assert weight.grad is not None
        assert (weight.grad[[0, 2]] == 0).all()
        assert (weight.grad[1] != 0).any()


def test_a_copy_is_an_ordinary_network() -> None:
    network = DeepMLP(Setting("relu", "he"), 2, 6, 5, 3, 2, torch.Generator().manual_seed(5))
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(6))
    h = x
    for weight in network.weights:
        h = torch.relu(h @ weight[1])
    torch.testing.assert_close(network(x)[1], h @ network.head[1])
