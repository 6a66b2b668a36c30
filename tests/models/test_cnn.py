"""The convolutional network against the formulas of convolution, and its task against closed forms."""

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import train
from data.digits import Digits
from models.classification.evaluation import Evaluation
from models.classification.gradcam import grad_cam
from models.cnn import CNNTask, further_views
from models.convnet import CNN
from models.optimisation import build_optimiser, learning_rate_factor, parameter_groups
from theory.convolution import convolution_parameters

FACTS = {"class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [8, 8], "mean": [0.3], "std": [0.2]}


def task(**options: object) -> CNNTask:
    torch.manual_seed(0)
    return CNNTask(**FACTS, widths=[4, 6], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [[12, 12], [25, 25], [28, 28], [11, 14]])
@pytest.mark.parametrize("patch", [1, 2, 3])
def test_shapes_and_parameters_follow_the_formulas(size: list[int], patch: int) -> None:
    network = CNN(3, 5, size, [4, 6], patch=patch).eval()
    x = torch.randn(2, 3, *size)
    height, width = (math.ceil(side / patch) // 2 // 2 for side in size)
    assert network.feature_map(x).shape == (2, 6, height, width)
    assert network.features(x).shape == (2, 6 * height * width)
    assert network(x).shape == (2, 5)
    channels = [3 * patch**2, 4, 4, 6, 6]
    expected = sum(
        convolution_parameters(before, after, 3, bias=False) + 2 * after for before, after in pairwise(channels)
    )
    assert sum(p.numel() for p in network.parameters()) == expected + 5 * 6 * height * width + 5


@pytest.mark.parametrize(("patch", "padding"), [(1, [1, 1]), (2, [0, 1])])
def test_receptive_field_is_what_the_gradient_reaches(patch: int, padding: list[int]) -> None:
    network = CNN(1, 2, [64, 64], [3, 3], padding, patch=patch).double().eval()
    for module in network.modules():  # no unit may be silent by chance, no maximum may hide a neighbour
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    layers = [module for stage in network.stages for module in stage]  # type: ignore[union-attr]
    stages = nn.Sequential(*[nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) else layer for layer in layers])
    x = torch.ones(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    maps = stages(F.pixel_unshuffle(x, patch))
    unit = maps.shape[-1] // 2
    (gradient,) = torch.autograd.grad(maps[0, 0, unit, unit], x)
    reached = gradient[0, 0].abs().sum(0).nonzero().flatten()
    assert reached.tolist() == list(network.receptive_field.pixels(unit, 64))


def test_features_move_with_the_picture_by_whole_strides_only() -> None:
    network = CNN(1, 2, [32, 32], [4, 4]).double().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
            module._reversed_padding_repeated_twice = [1, 1, 1, 1]
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        maps = network.feature_map(x)
        assert torch.allclose(network.feature_map(x.roll(4, -1)), maps.roll(1, -1), atol=1e-12)
        moved = network.feature_map(x.roll(1, -1))
    assert min(float((moved - maps.roll(shift, -1)).abs().max()) for shift in range(8)) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [4, 4, 4, 4]}, "4 stages are too many for pictures of 8×8"),
        ({"widths": [4], "padding": [2]}, "padding must be 0 to 1 for each of the 1 stages"),
        ({"widths": []}, "widths"),
        ({"widths": [0]}, "widths"),
        ({"widths": [4], "dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"widths": [4], "num_classes": 1}, "at least 2 classes"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CNN(**{"in_channels": 1, "num_classes": 2, "image_size": [8, 8], **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("logit_scale", -1.0), ("norm_momentum", 1.5), ("momentum", 1.0)])
def test_numbers_out_of_their_range_are_refused_before_data_are_read(
    name: str, value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("data are read")

    monkeypatch.setattr(Digits, "setup", read)
    assert train.main(["--model", "cnn", f"--model.{name}", str(value), "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"train.py: --model.{name} must be between 0 and")
    with pytest.raises(ValueError, match=rf"--model\.{name} must be between 0 and"):
        task(**{name: value})


def test_bytes_and_unit_floats_are_the_same_picture() -> None:
    model = task().eval()
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.allclose(model(images), model(images.float() / 255), atol=1e-6)
    normal = model.normalise(images)
    assert torch.allclose(normal, (images.float() / 255 - 0.3) / 0.2, atol=1e-5)


def test_loss_at_the_start_is_that_of_chance_when_the_logits_are_zero() -> None:
    model = task(logit_scale=0.0, label_smoothing=0.3)
    loss = model.training_step((torch.rand(6, 1, 8, 8), torch.arange(6) % 3), 0)
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=1e-6)
    assert model.train_sums[2] == 6


def test_classes_are_weighed_in_the_loss(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 blue pictures and 8 red ones: the weights are N / (K N_k), and the loss is their weighted mean."""
    given = ["--model", "cnn", "--data", str(pictures), "--model.backbone", "cnn", "--model.widths", "[4]", "--epochs",
             "1", "--data.image_size", "16", "--data.cache_dir", str(tmp_path / "cache"), "--device", "cpu",
             "--report", "none", "--data.aug", "none"]  # fmt: skip
    step, seen = CNNTask.training_step, list[Tensor | None]()

    def watching(self: CNNTask, *arguments: Any) -> Tensor:
        seen.append(self.class_weights)
        return step(self, *arguments)

    monkeypatch.setattr(CNNTask, "training_step", watching)
    for balance in ("none", "loss"):
        assert train.main([*given, "--data.balance", balance, "--root", str(tmp_path / balance)]) == 0
    plain, weighed = seen
    assert plain is None
    assert weighed is not None
    assert weighed.tolist() == pytest.approx([20 / 24, 20 / 16])
    model = task(label_smoothing=0.0).eval()
    model.class_weights = torch.tensor([0.5, 1.5, 1.0])
    images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 0, 0, 2, 1, 1])
    losses = F.cross_entropy(model(images), labels, reduction="none")
    expected = (losses * model.class_weights[labels]).mean()
    assert model.training_step((images, labels), 0).item() == pytest.approx(expected.item(), rel=1e-6)


def test_every_parameter_gets_a_finite_gradient() -> None:
    model = task()
    model.training_step((torch.rand(6, 1, 8, 8), torch.arange(6) % 3), 0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 0, name


def test_views_of_one_are_the_plain_prediction_and_others_are_averaged_probabilities() -> None:
    model = task().eval()
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.outputs(images)[1], model(images))
        mirrored = model.outputs(images, "mirror")[1].softmax(1)
        expected = (model(images).softmax(1) + model(images.flip(-1)).softmax(1)) / 2
    assert torch.allclose(mirrored, expected, atol=1e-6)


def test_averaged_views_have_finite_logits_in_half_precision() -> None:
    """An answer so sure that the probability of the others is 0 in float16."""
    model = task(views="shift").eval().half()
    with torch.no_grad():
        model.network.head[1].bias.copy_(torch.tensor([40.0, 0.0, -40.0]))
        found = model.outputs(torch.rand(4, 1, 8, 8).half(), "shift")[1]
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert float(found.exp().sum(1).sub(1).abs().max()) < 1e-5


@pytest.mark.parametrize(("side", "step"), [(4, 1), (28, 1), (56, 2)])
def test_shifted_views_are_shifts_by_a_28th_of_the_side(side: int, step: int) -> None:
    x = torch.arange(float(side * side)).view(1, 1, side, side)
    views = further_views(x, "shift")
    assert len(views) == 4
    inner = (slice(None), slice(None), slice(step, -step), slice(step, -step))
    rolled = [x.roll(shift, axis) for axis in (2, 3) for shift in (step, -step)]
    assert all(any(torch.equal(view[inner], other[inner]) for other in rolled) for view in views)


def test_schedule_climbs_to_one_and_ends_at_zero() -> None:
    for schedule in ("linear", "cosine"):
        factors = [learning_rate_factor(step, 100, 0.25, schedule) for step in range(101)]  # type: ignore[arg-type]
        assert factors[:25] == [(step + 1) / 26 for step in range(25)]
        assert max(factors) == factors[25] == 1
        assert factors[100] == pytest.approx(0, abs=1e-12)
        assert all(late <= early for early, late in pairwise(factors[25:]))


def test_optimisers_agree_with_their_formulas_on_one_step() -> None:
    weight = nn.Linear(2, 1)
    before = weight.weight.detach().clone()
    groups = parameter_groups([weight], 0.1)
    assert [len(group["params"]) for group in groups] == [1, 1]
    optimiser = build_optimiser("sgd", groups, lr=0.5, momentum=0.9)
    weight(torch.tensor([[1.0, 2.0]])).sum().backward()
    optimiser.step()
    gradient = torch.tensor([[1.0, 2.0]]) + 0.1 * before  # decay joins the gradient
    assert torch.allclose(weight.weight, before - 0.5 * (gradient + 0.9 * gradient), atol=1e-6)
    assert torch.allclose(groups[1]["params"][0].grad, torch.ones(1))


class AveragingNetwork(nn.Module):
    """A convolution, the mean over all places, one linear layer: Grad-CAM has a closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean((2, 3)))


def test_grad_cam_is_the_class_activation_map_of_an_averaging_network() -> None:
    torch.manual_seed(1)
    network = AveragingNetwork()
    x, classes = torch.randn(4, 1, 6, 6), torch.tensor([0, 1, 0, 1])
    with torch.no_grad():
        maps = network.conv(x)
        expected = F.relu(torch.einsum("nc,nchw->nhw", network.head.weight[classes], maps))
    expected /= expected.amax((1, 2), keepdim=True)
    assert torch.allclose(grad_cam(network, network.conv, x, classes), expected, atol=1e-5)


def test_grad_cam_works_inside_inference_and_on_the_own_network() -> None:
    model = task().eval()
    x = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        heat = grad_cam(model.network, model.network.last_spatial(), x, torch.tensor([0, 1]))
    assert heat.shape == (2, 8, 8)
    assert 0 <= float(heat.min()) <= float(heat.max()) <= 1


def test_a_run_that_blows_up_and_stays_finite_fails_after_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "cnn", "--epochs", "2", "--data.aug", "none", "--report", "none", "--root", str(tmp_path)]
    assert train.main([*words, "--lr", "6", "--trainer.precision", "32-true"]) == 1
    heard = capsys.readouterr()
    assert "test accuracy" in heard.out
    assert re.search(r"diverged: the mean loss was [\d.e+]+ nats in epoch \d and [\d.e+]+ in the last", heard.err)
    model = task()
    chance = math.log(len(model.hparams["class_names"]))
    for losses, right, fails in (
        ([], 0, False),
        ([chance + 3, chance - 0.1], 100, False),  # it came back
        ([chance + 2, chance + 0.1], 100, False),  # labels without sense, or no time to learn
        ([chance - 1, chance + 3, chance + 0.1], 100, True),
        ([chance - 1, chance + 3, chance + 0.1], 900, False),  # of 1,000: too sure of itself, and right
    ):
        model.train_results = [(loss, float(right), 1000.0) for loss in losses]
        assert bool(model.failure) == fails


def test_before_and_after_training_the_same_pictures_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: dict[str, set[int]] = {}
    finish = Evaluation.finish

    def noted(self: Evaluation, trainer: Any) -> Any:
        outcome = finish(self, trainer)
        judged.setdefault(trainer.state.fn.value, set()).add(len(outcome.labels))
        return outcome

    monkeypatch.setattr(Evaluation, "finish", noted)
    words = ["--model", "cnn", "--epochs", "1", "--device", "cpu", "--report", "none", "--root", str(tmp_path)]
    assert train.main([*words, "--trainer.limit_val_batches", "1"]) == 0
    assert judged["fit"] == judged["validate"], "before training, in it and of what is kept"
    assert max(judged["fit"]) < 144
    assert len(judged["fit"]) == 1
    assert judged["test"] == {360}
