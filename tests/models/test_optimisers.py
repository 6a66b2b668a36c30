"""The optimiser of every task beside its formula: each rate, momentum, decay and schedule that can be chosen counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.adversarial import AdversarialTask
from models.autoencoder import AutoencoderTask
from models.cnn import CNNTask
from models.deep_vs_wide import DeepVsWideTask
from models.face import FaceTask
from models.finetune.freezing import is_weight
from models.geometry import GeometryTask
from models.losses import LossesTask
from models.perceptron import PerceptronTask
from models.vanishing_gradients import VanishingGradientsTask
from tests.models.by_hand import Rule, adam, assert_steps, falling, heavy_ball, nesterov, one_cycle
from tests.models.small_folder import BACKBONE

SHAPE: dict[str, Any] = {"class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [8, 8]}
FACTS: dict[str, Any] = {**SHAPE, "mean": [0.3], "std": [0.2]}
TOTAL = 8


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_convolutional_network(optimizer: Any, schedule: Any) -> None:
    options: dict[str, Any] = {"lr": 0.03, "momentum": 0.7, "weight_decay": 0.2, "warmup": 0.5}
    task = CNNTask(**FACTS, widths=[3], optimizer=optimizer, schedule=schedule, **options)
    rates = one_cycle(0.03, TOTAL, 4, schedule)

    def rule_of(name: str, parameter: Tensor) -> Rule:
        decay = 0.2 * (parameter.ndim > 1)
        return nesterov(rates, 0.7, decay) if optimizer == "sgd" else adam(rates, 0.7, 0.99, decay)

    assert_steps(task, TOTAL, rule_of)


def test_a_backbone_has_a_rate_for_each_stage() -> None:
    options: dict[str, Any] = {"lr": 0.03, "momentum": 0.7, "weight_decay": 0.2, "warmup": 0.5, "layer_decay": 0.6}
    facts = FACTS | {"in_channels": 3, "image_size": [32, 32]}
    task = CNNTask(**facts, backbone=BACKBONE, weights="none", optimizer="adamw", **options)
    stages = task.network.stages()
    above = {id(parameter): len(stages) - 1 - place
             for place, (_, stage) in enumerate(stages) for parameter in stage.parameters()}  # fmt: skip

    def rule_of(name: str, parameter: Tensor) -> Rule:
        peak = 0.03 * 0.6 ** above[id(parameter)]
        return adam(one_cycle(peak, 2, 1, "linear"), 0.7, 0.99, 0.2 * is_weight(parameter))

    assert_steps(task, 2, rule_of)


def test_the_autoencoder() -> None:
    task = AutoencoderTask(**SHAPE, sizes=[5, 2], lr=0.03, momentum=0.7, weight_decay=0.2, warmup=0.5)
    rates = one_cycle(0.03, TOTAL, 4, "linear")
    assert_steps(task, TOTAL, lambda name, parameter: adam(rates, 0.7, 0.99, 0.2 * (parameter.ndim > 1)))


def test_an_autoencoder_whose_layers_learn_one_after_the_other_has_a_cycle_for_each_and_one_for_all() -> None:
    task = AutoencoderTask(**SHAPE, sizes=[5, 2], lr=0.03, warmup=0.5, pretrain="greedy", pretrain_share=0.5)
    alone, together = one_cycle(0.03, 2, 1, "linear"), one_cycle(0.03, 4, 2, "linear")
    assert_steps(task, TOTAL, lambda name, parameter: adam(alone + alone + together, 0.9, 0.99))


def test_the_network_under_attack_and_the_linear_one() -> None:
    task = AdversarialTask(**FACTS, widths=[3], lr=0.03, weight_decay=0.2)
    rates = one_cycle(0.03, TOTAL, 2, "linear")
    assert_steps(task, TOTAL, lambda name, parameter: nesterov(rates, 0.9, 0.2 * (parameter.ndim > 1)))


def test_networks_of_one_budget() -> None:
    task = DeepVsWideTask([], in_features=1, box=[0.0, 1.0], neurons=4, depths=[1, 2], num_networks=2, lr=0.03)
    assert_steps(task, TOTAL, lambda name, parameter: adam(falling(0.03, TOTAL)))


def test_layers_that_bend_space() -> None:
    task = GeometryTask(["a", "b"], 2, [0.0, 1.0], widths=[3], lr=0.05, weight_decay=0.2)
    assert_steps(task, TOTAL, lambda name, parameter: adam(falling(0.05, TOTAL), decay=0.2))


def test_perceptrons() -> None:
    task = PerceptronTask(2, "xor", [0.0, 1.0], starts=3, lr=0.03)
    assert_steps(task, TOTAL, lambda name, parameter: adam([0.03] * TOTAL))


def test_face_networks() -> None:
    task = FaceTask(["a", "b"], [8, 8], 2, "identification", cells=[4], lr=0.03)
    assert_steps(task, TOTAL, lambda name, parameter: adam([0.03] * TOTAL))


def test_deep_networks_of_all_settings() -> None:
    task = VanishingGradientsTask(**FACTS, settings=["relu-he"], depth=3, width=4, lr=0.03, momentum=0.7)
    assert_steps(task, TOTAL, lambda name, parameter: heavy_ball([0.03] * TOTAL, 0.7))


def test_four_losses_whose_rates_are_those_of_their_curvatures() -> None:
    task = LossesTask([1.0, 2.0], [0.3, 0.6], lr=0.03)
    times = {"numbers.absolute": 1, "numbers.squared": 1, "numbers.half-squared": 2, "logits": 8}
    assert_steps(task, TOTAL, lambda name, _: heavy_ball(falling(0.03 * 2 * times[name], TOTAL, "linear"), 0.0))
