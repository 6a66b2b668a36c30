"""What learns is a function of the epoch; what does not learn does not change, its batch statistics included."""

import pytest
import torch
from torch import Tensor, nn

from models.finetune.backbones import Backbone, build_backbone
from models.finetune.freezing import (
    first_trainable_stage,
    is_weight,
    layerwise_groups,
    set_train_mode,
    stage_learning_rates,
)


def frozen_normalisation(backbone: nn.Module) -> list[str]:
    """Names of the normalisation layers with running statistics that are in ``eval()``."""
    return [
        name
        for name, module in backbone.named_modules()
        if getattr(module, "running_mean", None) is not None and not module.training
    ]


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def train_one_step(backbone: Backbone, optimiser: torch.optim.Optimizer) -> None:
    loss = nn.functional.cross_entropy(backbone(torch.randn(4, 3, 32, 32) + 1), torch.tensor([0, 1, 2, 0]))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def test_rates_fall_by_one_factor_per_stage():
    assert stage_learning_rates(0.1, 4, 0.5) == pytest.approx([0.0125, 0.025, 0.05, 0.1])
    assert stage_learning_rates(0.1, 3, 1.0) == [0.1, 0.1, 0.1]
    with pytest.raises(ValueError, match=r"layer_decay must be in \(0, 1\], got 1.5"):
        stage_learning_rates(0.1, 3, 1.5)
    with pytest.raises(ValueError, match="got 0"):
        stage_learning_rates(0.1, 3, 0)


@pytest.mark.parametrize(
    ("freeze_epochs", "milestones", "expected"),
    [
        (0, (), [0, 0, 0, 0, 0, 0]),
        (2, (), [5, 5, 0, 0, 0, 0]),
        (9, (), [5, 5, 5, 5, 5, 5]),
        (1, (1, 3, 4), [5, 4, 4, 3, 2, 2]),
        (0, (0, 1, 2, 3, 4), [4, 3, 2, 1, 0, 0]),
    ],
)
def test_the_first_stage_that_learns_follows_the_schedule(freeze_epochs, milestones, expected):
    assert [first_trainable_stage(epoch, 6, freeze_epochs, milestones) for epoch in range(6)] == expected


@pytest.mark.parametrize(
    ("freeze_epochs", "milestones", "message"),
    [
        (-1, (), "freeze_epochs must be 0 or more, got -1"),
        (0, (3, 2), "must increase"),
        (0, (2, 2), "must increase"),
        (3, (2, 4), "begin before freeze_epochs 3"),
        (0, (1, 2, 3), "only 2 stages can be unfrozen"),
    ],
)
def test_a_contradictory_schedule_is_refused(freeze_epochs, milestones, message):
    with pytest.raises(ValueError, match=message):
        first_trainable_stage(0, 3, freeze_epochs, milestones)


def test_frozen_stages_keep_every_bit_while_the_rest_learns(backbone):
    """AdamW with weight decay, all parameters in it: a parameter without a gradient is left alone."""
    optimiser = torch.optim.AdamW(layerwise_groups(backbone, 1e-2, 0.9, weight_decay=0.5))
    names = [name for name, _ in backbone.stages()]
    assert names == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    for epoch, learning in enumerate((["head"], ["layer4", "head"], ["layer4", "head"], names[3:])):
        assert set_train_mode(backbone, epoch, freeze_epochs=1, unfreeze_milestones=(1, 3)) == learning
        before = {name: snapshot(stage) for name, stage in backbone.stages()}
        train_one_step(backbone, optimiser)
        for name, stage in backbone.stages():
            same = [torch.equal(tensor, before[name][key]) for key, tensor in stage.state_dict().items()]
            assert all(same) if name not in learning else not any(same), (epoch, name)


def test_the_state_depends_on_the_epoch_alone(backbone):
    """A run resumed at epoch 3 has the state of one that came from epoch 0, and going back is possible too."""

    def state(network: Backbone) -> tuple[list[bool], list[bool]]:
        return [p.requires_grad for p in network.parameters()], [m.training for m in network.modules()]

    fresh = build_backbone("resnet18", 3, weights="none")
    for epoch in (0, 1, 2, 3, 1):
        set_train_mode(backbone, epoch, 1, (1, 3))
    set_train_mode(fresh, 1, 1, (1, 3))
    assert state(backbone) == state(fresh)


def test_normalisation_of_frozen_stages_is_in_eval_and_of_learning_ones_is_not(backbone):
    set_train_mode(backbone, 0, freeze_epochs=1)
    assert len(frozen_normalisation(backbone)) == 20
    assert not backbone.body.training
    set_train_mode(backbone, 0, 0, (0,))
    assert {name.split(".")[1] for name in frozen_normalisation(backbone)} == {"bn1", "layer1", "layer2", "layer3"}
    set_train_mode(backbone, 1, freeze_epochs=1)
    assert frozen_normalisation(backbone) == []
    assert all(module.training for module in backbone.modules())


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v3_small"])
def test_a_frozen_body_gives_the_same_features_every_time(name):
    """Dropout and batch statistics are off in it, so that stored features are exact."""
    backbone = build_backbone(name, 2, weights="none")
    set_train_mode(backbone, 0, freeze_epochs=1)
    x = torch.randn(3, 3, 64, 64)
    features = backbone.features(x)
    torch.testing.assert_close(backbone.features(x[:1]), features[:1], rtol=1e-4, atol=1e-5)
    assert not features.requires_grad
    assert backbone.head(features).requires_grad


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "timm/vit_tiny_patch16_224"])
def test_groups_hold_every_parameter_once_and_decay_only_weights(name):
    backbone = build_backbone(name, 2, weights="none")
    set_train_mode(backbone, 0, freeze_epochs=5)  # frozen ones are in the optimiser too
    groups = layerwise_groups(backbone, 0.1, 0.5, weight_decay=0.01)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert group["weight_decay"] == (0.0 if group["name"].endswith("/free") else 0.01)
    rates = {group["name"].removesuffix("/free"): group["lr"] for group in groups}
    stages = [stage for stage, _ in backbone.stages()]
    assert list(rates) == stages
    assert list(rates.values()) == pytest.approx([0.1 * 0.5 ** (len(stages) - 1 - i) for i in range(len(stages))])
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for label, parameter in backbone.named_parameters():
        one_axis = parameter.ndim <= 1 or label.endswith("cls_token")
        assert (id(parameter) in decayed) is not one_axis, label


def test_a_weight_multiplies_across_two_axes():
    assert is_weight(torch.zeros(5, 4))
    assert is_weight(torch.zeros(1, 4))
    assert is_weight(torch.zeros(32, 1, 3, 3))
    assert not is_weight(torch.zeros(5))
    assert not is_weight(torch.zeros(96, 1, 1))
    assert not is_weight(torch.zeros(1, 1, 192))
