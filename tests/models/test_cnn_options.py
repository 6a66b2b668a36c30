"""Each option of the classifiers changes what it says it changes, by the amount that a formula gives."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.cnn import CNNTask
from models.convnet import CNN
from models.finetune.head_start import fit_best_head
from models.finetune.mixing import mix
from tests.models.small_folder import BACKBONE
from theory.convolution import convolution_parameters

FACTS: dict[str, Any] = {
    "class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [12, 12], "mean": [0.3], "std": [0.2],
}  # fmt: skip
IMAGES = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
COLOURED = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


def task(**options: Any) -> CNNTask:
    torch.manual_seed(0)
    return CNNTask(**FACTS, **({"widths": [4, 6]} | options))


@pytest.mark.parametrize(
    "options",
    [
        {"widths": [3, 5, 2]}, {"padding": [1, 0]}, {"depths": [1, 3]}, {"pools": [3, 1]}, {"patch": 2},
        {"dropout": 0.4}, {"logit_scale": 0.25}, {"norm_momentum": 0.3}, {"columns": 2},
    ],
    ids=str,
)  # fmt: skip
def test_the_network_is_the_one_that_the_options_name(options: dict[str, Any]) -> None:
    model = task(**options)
    torch.manual_seed(0)
    network = CNN(1, 3, [12, 12], **({"widths": [4, 6]} | options))
    torch.manual_seed(1)
    found = model(IMAGES)
    torch.manual_seed(1)
    torch.testing.assert_close(found, network((IMAGES - 0.3) / 0.2))
    for (name, ours), theirs in zip(model.network.state_dict().items(), network.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_each_stage_has_its_own_padding_depth_and_pool() -> None:
    options: dict[str, Any] = {"padding": [1, 0], "depths": [1, 3], "pools": [3, 1]}
    network = CNN(1, 3, [21, 21], [4, 6], **options)
    assert network.feature_map(torch.zeros(2, 1, 21, 21)).shape == (2, 6, 1, 1), "21, by threes 7, 5, 3, 1"
    with pytest.raises(ValueError, match="2 stages are too many"):
        CNN(1, 3, [20, 20], [4, 6], **options)
    due = sum(convolution_parameters(a, b, 3, bias=False) + 2 * b for a, b in pairwise([1, 4, 6, 6, 6]))
    assert sum(p.numel() for p in network.stages.parameters()) == due


def test_a_share_of_the_features_is_dropped_and_the_others_grow_by_as_much() -> None:
    """Of D features 1 with weights 1/D: the logit has mean 1 and variance p / ((1 - p) D)."""
    network = CNN(1, 2, [8, 8], [4], dropout=0.4)
    last: Any = network.head[1]
    torch.nn.init.constant_(last.weight, 1 / last.in_features)
    torch.nn.init.zeros_(last.bias)
    torch.manual_seed(0)
    logits = network.head(torch.ones(4000, last.in_features))[:, 0].double()
    variance = 0.4 / (0.6 * last.in_features)
    assert float(logits.mean().detach()) == pytest.approx(1, abs=4 * (variance / 4000) ** 0.5)
    assert float(logits.var().detach()) == pytest.approx(variance, rel=0.1)
    assert torch.allclose(network.eval().head(torch.ones(1, last.in_features)), torch.ones(1, 2))


def test_logits_are_scaled() -> None:
    scaled, plain = (task(logit_scale=factor).eval()(IMAGES) for factor in (0.25, 1.0))
    torch.testing.assert_close(scaled, plain / 4)


def test_the_newest_batch_has_its_weight_in_the_running_mean() -> None:
    network = CNN(1, 2, [8, 8], [4], depths=[1], pools=[1], norm_momentum=0.3)
    x = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    stage: Any = network.stages[0]
    seen = F.conv2d(x, stage[0].weight, padding=1)
    network(x)
    torch.testing.assert_close(stage[1].running_mean, 0.3 * seen.mean((0, 2, 3)))
    torch.testing.assert_close(stage[1].running_var, 0.7 + 0.3 * seen.transpose(0, 1).flatten(1).var(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_that_of_smoothed_targets(smoothing: float) -> None:
    found = task(label_smoothing=smoothing).training_step((IMAGES, LABELS), 0)
    logs = task()(IMAGES).log_softmax(1)
    due = -(1 - smoothing) * logs.gather(1, LABELS[:, None]).mean() - smoothing * logs.mean()
    torch.testing.assert_close(found, due)


@pytest.mark.parametrize("views", ["one", "shift", "mirror"])
def test_validation_and_test_answer_for_the_views_that_were_chosen(views: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = task(views=views).eval(), list[Tensor]()
    monkeypatch.setattr(model.evaluation, "collect", lambda *given: seen.append(given[-1]))
    model._trainer = SimpleNamespace()  # type: ignore[assignment]
    with torch.no_grad():
        model.validation_step((IMAGES, LABELS), 0)
        model.test_step((IMAGES, LABELS), 0)
        due = model.outputs(IMAGES, views)[1]
        plain = model(IMAGES)
    assert all(torch.equal(found, due) for found in seen)
    assert len(seen) == 2
    assert torch.allclose(due.softmax(1), plain.softmax(1), atol=1e-7) == (views == "one")


def finetuned(**options: Any) -> CNNTask:
    """A task on a small backbone, at the beginning of the first of 4 epochs."""
    torch.manual_seed(0)
    facts = FACTS | {"in_channels": 3, "image_size": [32, 32]}
    made = CNNTask(**facts, backbone=BACKBONE, weights="none", **({"norm": "fixed"} | options))
    at(made, 0)
    return made


def at(task: CNNTask, epoch: int) -> None:
    """Puts a task into an epoch of 4."""
    trainer: Any = SimpleNamespace(
        current_epoch=epoch, max_epochs=4, max_steps=-1, world_size=1, precision_plugin=SimpleNamespace(),
        num_training_batches=1, accumulate_grad_batches=1, estimated_stepping_batches=4, global_step=epoch,
    )  # fmt: skip
    task._trainer = trainer
    task.finetuning.on_train_epoch_start(trainer, task)


@pytest.mark.parametrize(
    ("mixup", "cutmix", "off"), [(0.0, 0.0, 1), (0.4, 0.0, 1), (0.0, 0.8, 1), (0.4, 0.8, 1), (0.4, 0.0, 3)]
)
def test_pictures_are_mixed_as_chosen_until_the_last_epochs(
    mixup: float, cutmix: float, off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = finetuned(mixup=mixup, cutmix=cutmix, mix_off_epochs=off, label_smoothing=0.3), list[Tensor]()
    model.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        seen.append(targets)
        return logits.sum()

    monkeypatch.setattr("models.finetune.policy.soft_cross_entropy", loss)
    smooth = 0.7 * F.one_hot(LABELS, 3) + 0.1
    for epoch in range(4):
        at(model, epoch)
        torch.manual_seed(epoch)
        model.training_step((COLOURED, LABELS), 0)
        torch.manual_seed(epoch)
        due = model.normalise(COLOURED), smooth
        if epoch < 4 - off:
            due = mix(*due, mixup, cutmix)
        torch.testing.assert_close(tuple(seen[-2:]), due)
        assert model.finetuning.mixes(model) == (bool(mixup or cutmix) and epoch < 4 - off)


@pytest.mark.parametrize(
    ("options", "learning"),
    [
        ({}, [0, 0, 0, 0]),
        ({"freeze_epochs": 2}, [-1, -1, 0, 0]),
        ({"unfreeze_milestones": [1, 3]}, [-1, -2, -2, -3]),
    ],
    ids=str,
)
def test_what_learns_in_an_epoch_is_what_was_asked_for(options: dict[str, Any], learning: list[int]) -> None:
    model = finetuned(**options)
    stages = [stage for _, stage in model.network.stages()]
    for epoch, first in enumerate(learning):
        at(model, epoch)
        learns = [all(p.requires_grad for p in stage.parameters()) for stage in stages]
        assert learns == [place >= first % len(stages) for place in range(len(stages))]


@pytest.mark.parametrize("decay", [0.0, 0.6])
def test_weights_are_averaged_with_the_memory_that_was_asked_for(decay: float) -> None:
    trainer: Any = SimpleNamespace(callbacks=[])
    averages = [one for one in finetuned(ema_decay=decay).finetuning.callbacks(trainer) if hasattr(one, "decay")]
    assert [one.decay for one in averages] == [decay] * bool(decay)


@pytest.mark.parametrize(("norm", "learns"), [("fixed", False), ("batch", True), ("auto", True)])
def test_statistics_are_those_of_the_batch_where_this_was_asked_for_or_none_came(norm: Any, learns: bool) -> None:
    model = finetuned(norm=norm)
    layers = [m for m in model.network.modules() if getattr(m, "running_mean", None) is not None]
    assert {layer.training for layer in layers} == {learns}
    assert (model.finetuning.statistics is not None) == learns


@pytest.mark.parametrize("last", [True, False])
def test_weights_and_pictures_lie_in_the_order_of_memory_that_was_asked_for(last: bool) -> None:
    model = finetuned(channels_last=last)
    weights = [p for p in model.network.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert weights
    for tensor in (*weights, model.normalise(COLOURED)):
        assert tensor.is_contiguous(memory_format=torch.channels_last) == last


@pytest.mark.parametrize(("start", "count"), [(False, 0), (True, 0), (True, 2)])
def test_a_head_is_fitted_first_where_it_was_asked_for_on_as_many_views(start: bool, count: int) -> None:
    model = finetuned(head_start=start, head_views=count, norm="fixed", tune="all")
    before = model.network.head.weight.detach().clone()
    turned = [COLOURED.flip(-1), COLOURED.flip(-2)]
    loader = SimpleNamespace(images=COLOURED, labels=LABELS, batch_size=6)
    loader.views = lambda count: ((view, LABELS) for view in turned[:count])
    trainer: Any = model.trainer
    trainer.current_epoch = trainer.global_step = 0
    trainer.precision, trainer.train_dataloader, trainer.datamodule = "32-true", loader, SimpleNamespace()
    trainer.strategy = SimpleNamespace(broadcast=lambda value: value)
    model.finetuning.on_train_start(trainer, model)
    if not start:
        assert torch.equal(model.network.head.weight, before)
        return
    with torch.no_grad():
        features, *others = (model.network.eval().features(model.normalise(x)) for x in (COLOURED, *turned[:count]))
    views = (torch.cat(others), LABELS.repeat(count), count) if count else None
    due = fit_best_head(features, model.network.parts(), LABELS, 3, False, views=views)
    torch.testing.assert_close(
        model.network(model.normalise(COLOURED)), features @ due.weight.T + due.bias, rtol=1e-3, atol=1e-3
    )
