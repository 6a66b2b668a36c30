"""Each option of the tasks on attacks and on faces changes what it says it changes."""

from __future__ import annotations

import inspect
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.adversarial import AdversarialTask
from models.face import FaceTask
from models.faces.net import FaceNet
from models.robustness import results
from models.robustness.attacks import pgd
from tests.models.small_victims import IMAGES, LABELS

FACTS: dict[str, Any] = {
    "class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [5, 5], "mean": [0.3], "std": [0.5],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def attacked(**options: Any) -> AdversarialTask:
    return AdversarialTask(**FACTS, **({"widths": [4]} | options))


def test_the_network_under_attack_has_the_widths_that_were_asked_for() -> None:
    kernels = [parameter for parameter in attacked(widths=[3, 6]).victim.parameters() if parameter.ndim == 4]
    assert [len(kernel) for kernel in kernels] == [3, 3, 6, 6]


@pytest.mark.parametrize("steps", [1, 4])
def test_adversarial_training_sees_pictures_changed_in_as_many_steps_as_asked_for(steps: int) -> None:
    task = attacked(train_epsilon=0.2, train_steps=steps)
    task.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    before = deepcopy(task)
    torch.manual_seed(3)
    found = task.training_step((IMAGES, LABELS), 0)
    torch.manual_seed(3)
    changed = pgd(before.victim.eval(), IMAGES, LABELS, 0.2, 1.0, steps)
    due = F.cross_entropy(before.victim.train()(changed), LABELS) + F.cross_entropy(before.linear(IMAGES), LABELS)
    torch.testing.assert_close(found, due)


@pytest.mark.parametrize(("epsilon", "steps"), [(0.0, 5), (0.2, 1), (0.2, 4)])
def test_validation_is_on_the_pictures_of_the_training(
    epsilon: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, seen = attacked(train_epsilon=epsilon, train_steps=steps).eval(), list[Tensor]()
    torch.manual_seed(3)
    changed = pgd(task.victim, IMAGES, LABELS, epsilon, 1.0, steps)
    task.victim.register_forward_hook(lambda module, given, out: seen.append(given[0].detach()))
    torch.manual_seed(3)
    task.validation_step((IMAGES, LABELS), 0)
    torch.testing.assert_close(seen[-1], changed)


def test_pictures_are_attacked_as_hard_and_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, Any] = {"steps": 3, "one_pixel_images": 2, "population": 5, "generations": 6}
    chosen = {"epsilons": [0.1, 0.4], "one_pixel_values": "extremes", "test_images": 4}
    task, seen = attacked(**chosen, **sizes).eval(), dict[str, list[Any]]()

    def watch(name: str, *asked: str) -> None:
        function = getattr(results, name)
        signature = inspect.signature(function)

        def watched(*given: Any, **named: Any) -> Any:
            arguments = signature.bind(*given, **named).arguments
            seen.setdefault(name, []).append([arguments[one] for one in asked])
            return function(*given, **named)

        monkeypatch.setattr(results, name, watched)

    watch("fgsm", "images", "epsilon")
    watch("pgd", "epsilon", "steps")
    watch("exact_one_pixel", "images", "search")
    watch("evolve_one_pixel", "population", "generations")
    monkeypatch.setattr(task, "log_dict", lambda _: None)
    with torch.no_grad():
        task.collected = [(IMAGES, task.victim(IMAGES).argmax(1))]  # all of them right, so one pixel is tried on two
    task.on_test_epoch_end()
    assert [(len(images), epsilon) for images, epsilon in seen["fgsm"]] == [(4, 0.0), (4, 0.1), (4, 0.4)]
    assert seen["pgd"] == [[0.0, 3], [0.0, 3], [0.1, 3], [0.1, 3], [0.4, 3], [0.4, 3]]
    assert [(len(images), search) for images, search in seen["exact_one_pixel"]] == [(2, False)]
    assert seen["evolve_one_pixel"] == [[5, 6]]


PEOPLE, ROLES = torch.arange(3).repeat_interleave(4), torch.zeros(2, 12, dtype=torch.int64)


def face(**options: Any) -> FaceTask:
    made = FaceTask(["a", "b", "c"], [12, 10], 2, "identification", **({"cells": [4, 5]} | options))
    made.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return made


def test_the_face_network_is_the_one_that_the_options_name() -> None:
    task = face(shrinkage=0.3, sharpness=13.0, shift=0.2, scale=0.1)
    assert set(task.views) == set(product((1.0, 0.9, 1.1), (0.0, -0.2, 0.2), (0.0, -0.2, 0.2)))
    due = FaceNet([12, 10], 2, [4, 5], 0.3, 13.0)
    assert task.network.log_gain.shape == (2, 3 * 2 + 2 * 2)
    torch.testing.assert_close(task.network.shrinkage(), torch.full((2,), 0.3))
    support, queries = torch.rand(2, 6, 10, 9), torch.rand(2, 3, 5, 10, 9)
    torch.testing.assert_close(task.network(support, queries, 3), due(support, queries, 3))


def test_faces_are_seen_in_as_many_views_as_asked_for_and_pulled_as_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = face(train_views=3, pull=0.25), list[int]()
    nothing = torch.zeros(2)

    def held_out(looks: Tensor, pictures: Tensor, order: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        assert views[0] == 0, "the picture itself first"
        seen.append(len(views.unique()))
        return nothing, nothing

    monkeypatch.setattr(task, "held_out", held_out)
    with torch.no_grad():
        task.network.log_gain.fill_(0.5)
    batch = torch.rand(12, 1, 12, 10), PEOPLE, ROLES
    loss = task.training_step(batch, 0)
    assert float(loss.detach()) == pytest.approx(0.25 * 2 * 10 * 0.5**2)
    task.validation_step(batch, 0)
    assert set(seen) == {3}
