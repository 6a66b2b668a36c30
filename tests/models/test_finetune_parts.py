"""The parts of fine-tuning against closed forms, scikit-learn and autograd."""

import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from models.classification.targets import class_weights, smooth_targets, smoothed_cross_entropy, soft_cross_entropy
from models.finetune.compilation import compile_if_possible
from models.finetune.folds import stratified_folds
from models.finetune.head_start import coordinates, fit_head, minimise
from models.finetune.lr_finder import run_trial, smoothed, suggest, trial_rates
from models.finetune.memory import loss_in_parts, loss_within_memory
from models.finetune.mixing import beta, box, mix
from models.finetune.policy import FineTuning


def clouds(per_class: list[int], dimensions: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(per_class)])
    centres = torch.randn(len(per_class), dimensions, generator=generator)
    return centres[labels] + torch.randn(len(labels), dimensions, generator=generator), labels


@pytest.mark.parametrize(("dimensions", "per_class"), [(4, [12, 20, 9]), (60, [12, 9, 10])])
def test_the_head_is_scikit_learns_minimum(dimensions: int, per_class: list[int]) -> None:
    features, labels = clouds(per_class, dimensions)
    z, _, _ = coordinates(features)
    strength, count = 0.01, len(labels)
    importance = torch.full((count, 1), 1 / count, dtype=torch.float64)
    start = z.new_zeros(z.shape[1], 1, len(per_class))
    ours = minimise(z, labels, importance, strength, start)[:, 0]
    theirs = LogisticRegression(C=1 / (strength * count), tol=1e-10, max_iter=10_000)
    theirs.fit(z[:, :-1].numpy(), labels.numpy())
    mine = (z @ ours).softmax(1).numpy()
    np.testing.assert_allclose(mine, theirs.predict_proba(z[:, :-1].numpy()), atol=2e-4)


def test_folds_do_not_see_each_other() -> None:
    """Each fold of the joint solution is the solution without the pictures of that fold."""
    features, labels = clouds([15, 15])
    z, _, _ = coordinates(features)
    folds = stratified_folds(labels, 3)
    inside = (folds[:, None] != torch.arange(3)).double()
    inside /= inside.sum(0)
    together = minimise(z, labels, inside, 0.01, z.new_zeros(z.shape[1], 3, 2))
    kept = folds != 1
    part = z[kept]
    weights = torch.full((len(part), 1), 1 / len(part), dtype=torch.float64)
    alone = minimise(part, labels[kept], weights, 0.01, z.new_zeros(z.shape[1], 1, 2))
    assert torch.allclose(together[:, 1], alone[:, 0], atol=1e-3)


def test_the_fitted_head_acts_on_the_features_as_given() -> None:
    features, labels = clouds([40, 40], 5, seed=3)
    features = features * 7 + 3
    head = fit_head(features, labels, 2)
    logits = features @ head.weight.T + head.bias
    assert head.weight.shape == (2, 5)
    assert min(head.losses) < math.log(2)
    assert float((logits.argmax(1) == labels).float().mean()) >= head.accuracy - 0.1


def test_noise_gets_a_strong_pull_and_no_better_than_chance() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(80, 200, generator=generator)
    labels = torch.arange(80) % 2
    head = fit_head(features, labels, 2)
    assert head.strength >= 0.1
    assert min(head.losses) == pytest.approx(math.log(2), abs=0.05)


def test_balanced_heads_weigh_classes_alike() -> None:
    features, labels = clouds([60, 6], 3)
    repeated = torch.cat([features[:60], features[60:].repeat(10, 1)]), torch.cat([labels[:60], labels[60:].repeat(10)])
    z, centre, basis = coordinates(features)
    weights = class_weights(labels, 2)[labels].double()
    ours = minimise(z, labels, (weights / weights.sum())[:, None], 0.01, z.new_zeros(z.shape[1], 1, 2))
    again = torch.cat([(repeated[0].double() - centre) @ basis, z.new_ones(120, 1)], 1)
    importance = torch.full((120, 1), 1 / 120, dtype=torch.float64)
    theirs = minimise(again, repeated[1], importance, 0.01, z.new_zeros(z.shape[1], 1, 2))
    assert torch.allclose((z @ ours[:, 0]).softmax(1), (z @ theirs[:, 0]).softmax(1), atol=1e-3)


@pytest.mark.parametrize("balance", [False, True])
def test_views_that_are_the_pictures_themselves_change_nothing_and_others_share_the_weight(balance: bool) -> None:
    features, labels = clouds([40, 12], 5, seed=3)
    alone = fit_head(features, labels, 2, balance)
    again = fit_head(features, labels, 2, balance, views=(features.repeat(3, 1), labels.repeat(3), 3))
    assert again.strength == alone.strength
    assert (again.judged, again.accuracy) == (alone.judged, alone.accuracy)
    assert torch.allclose(again.weight, alone.weight, atol=1e-4)
    moved = features + 0.3 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    head = fit_head(features, labels, 2, balance, views=(moved, labels, 1))
    both = fit_head(torch.cat([features, moved]), labels.repeat(2), 2, balance)
    assert not torch.allclose(head.weight, alone.weight, atol=1e-3)
    if head.strength == both.strength:  # then the same rows with the same weights
        assert torch.allclose(head.weight, both.weight, atol=1e-4)


@pytest.mark.parametrize("counts", [[10, 10], [7, 3, 1], [1, 1]])
def test_folds_are_stratified(counts: list[int]) -> None:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    folds = stratified_folds(labels, 3)
    for label, count in enumerate(counts):
        sizes = torch.bincount(folds[labels == label], minlength=3)
        assert sizes.sum() == count
        assert sizes.max() - sizes.min() <= 1


def test_class_weights_have_mean_one_and_ignore_absent_classes() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    weights = class_weights(labels, 3)
    assert weights.tolist() == pytest.approx([4 / 6, 0, 2])
    assert float(weights[labels].mean()) == pytest.approx(1)


def test_a_head_of_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 pictures"):
        fit_head(torch.randn(1, 3), torch.tensor([0]), 2)


def test_smoothed_targets_give_torchs_loss() -> None:
    logits, labels = torch.randn(5, 4), torch.tensor([0, 3, 2, 1, 1])
    weights = torch.tensor([0.5, 1.0, 2.0, 0.7])
    targets = smooth_targets(labels, 4, 0.2)
    assert torch.allclose(soft_cross_entropy(logits, targets), F.cross_entropy(logits, labels, label_smoothing=0.2))
    ours = [smoothed_cross_entropy(logits, labels, 0.2, given) for given in (None, torch.ones(4))]
    assert torch.allclose(*ours), "weights of 1 are none"
    assert torch.allclose(ours[0], soft_cross_entropy(logits, targets))
    plain = soft_cross_entropy(logits, smooth_targets(labels, 4), weights)
    expected = F.cross_entropy(logits, labels, weights, reduction="none").mean()
    assert torch.allclose(plain, expected)


def test_mixup_is_the_convex_combination_of_pictures_and_targets() -> None:
    torch.manual_seed(0)
    images, targets = torch.rand(6, 3, 8, 8), smooth_targets(torch.arange(6) % 3, 3)
    order = torch.tensor([1, 2, 3, 4, 5, 0])
    mixed, soft = mix(images, targets, 1.0, 0.0, order)
    share = float((soft[0] * targets[0]).sum())
    assert 0 < share < 1
    assert torch.allclose(mixed, share * images + (1 - share) * images[order], atol=1e-6)
    assert torch.allclose(soft, share * targets + (1 - share) * targets[order], atol=1e-6)


def test_cutmix_shares_the_label_by_area() -> None:
    torch.manual_seed(3)
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 10, 12).contiguous()
    order = torch.tensor([3, 2, 1, 0])
    targets = smooth_targets(torch.arange(4), 4)
    mixed, soft = mix(images, targets, 0.0, 1.0, order)
    for index in range(4):
        kept = float((mixed[index] == index).float().mean())
        assert float(soft[index, index]) == pytest.approx(kept, abs=1e-6)
        assert float(soft[index, order[index]]) == pytest.approx(1 - kept, abs=1e-6)
    assert images.unique().tolist() == [0, 1, 2, 3]
    assert mix(images, targets, 0.0, 0.0) == (images, targets)


def test_the_box_has_the_area_it_is_drawn_for() -> None:
    top, bottom, left, right = box(100, 200, 0.75, 0.5, 0.5)
    assert (bottom - top, right - left) == (50, 100)
    assert box(100, 200, 0.0, 0.0, 0.0) == (0, 50, 0, 100)


def test_draws_follow_the_beta_distribution() -> None:
    torch.manual_seed(0)
    draws = np.array([beta(0.2) for _ in range(4000)])
    assert draws.mean() == pytest.approx(0.5, abs=0.03)
    assert draws.var() == pytest.approx(1 / (4 * 1.4), abs=0.01)  # 1 / (4 (2a + 1))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_the_loss_of_half_precision_has_the_digits_of_float32(half: torch.dtype) -> None:
    logits, labels = (
        (20 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))).to(half),
        torch.arange(50) % 4,
    )
    for weights in (None, torch.tensor([1.0, 2.0, 0.5, 0.5])):
        found = smoothed_cross_entropy(logits, labels, 0.1, weights)
        assert found.dtype == torch.float32
        assert torch.equal(found, smoothed_cross_entropy(logits.float(), labels, 0.1, weights))
    assert smoothed_cross_entropy(logits.double(), labels, 0.1, None).dtype == torch.float64
    torch.set_default_dtype(half)  # as Lightning does in half precision
    try:
        targets = smooth_targets(labels, 4, 0.1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(targets, smooth_targets(labels, 4, 0.1))


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(parts: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    network[0].bias.requires_grad_(False)
    x, labels = torch.randn(7, 5, dtype=torch.float64), torch.arange(7) % 3
    expected = F.cross_entropy(network(x), labels)
    expected.backward()
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    loss = loss_in_parts(
        lambda part: F.cross_entropy(network(x[part]), labels[part]), 7, parts, list(network.parameters()), 64.0
    )
    (loss * 3).backward()
    assert loss.item() == pytest.approx(expected.item())
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, 3 * gradient, atol=1e-12)


def test_parts_are_doubled_until_they_fit_and_a_single_picture_must() -> None:
    weight = torch.ones(3, requires_grad=True)
    x = torch.randn(10, 3)
    sizes: list[int] = []

    def loss_of(part: slice, most: int = 3) -> Tensor:
        sizes.append(len(x[part]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("out of memory")
        return (x[part] @ weight).square().mean()

    loss, parts = loss_within_memory(loss_of, 10, 1, [weight], whole=True)
    assert (parts, sizes[:3]) == (4, [10, 5, 2])
    assert loss.item() == pytest.approx((x @ weight).square().mean().item(), rel=1e-6)
    with pytest.raises(torch.OutOfMemoryError):
        loss_within_memory(lambda part: loss_of(part, 0), 10, 1, [weight])


def test_the_suggested_rate_is_stable_on_a_parabola() -> None:
    """Gradient descent on c/2 w^2 diverges above 2/c: the suggestion stays below, not by orders of magnitude."""
    curvature = 40.0
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    before = network.weight.detach().clone()

    def loss_of(trial: nn.Module, batch: Tensor) -> Tensor:
        return curvature / 2 * trial.weight.square().sum()

    rates = trial_rates(1e-5, 10.0, 60)
    tried, losses = run_trial(network, lambda trial: torch.optim.SGD(trial.parameters(), lr=1.0), loss_of,
                              [torch.zeros(1)] * 60, rates)  # fmt: skip
    assert 1e-4 < suggest(tried, losses) < 2 / curvature
    assert len(tried) < 60
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize(("slope", "scale", "passed_over"), [(-27, 0, 10), (-27, 16, 0), (-5, 24, 4)])
def test_a_trial_in_float16_has_gradients_that_neither_vanish_nor_overflow(
    slope: int, scale: int, passed_over: int
) -> None:
    """float16 has the powers of two from -24 to 15: the gradient times the scale must lie between."""
    weights: list[float] = []

    def loss_of(trial: nn.Module, batch: Tensor) -> Tensor:
        weights.append(trial.weight.item())
        return (trial.weight.half().float() * 2.0**slope).sum() + 1

    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**scale)
    run_trial(network, lambda trial: torch.optim.SGD(trial.parameters(), lr=1.0), loss_of,
              [torch.zeros(1)] * 11, [1e-3] * 11, scaler)  # fmt: skip
    due = [-1e-3 * 2.0**slope * max(0, step - passed_over) for step in range(11)]
    assert weights == pytest.approx(due, rel=1e-5, abs=0)
    assert scaler.get_scale() == 2.0**scale


def test_smoothing_keeps_a_constant_and_a_trial_without_a_finite_loss_is_refused() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="give --lr"):
        suggest([1e-6], [float("nan")])


class Uncompilable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise RuntimeError("no compiler here")
        return self.layer(x.flatten(1))


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Uncompilable()
    expected = network(torch.ones(1, 3, 2, 2))

    def fails(self: nn.Module) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(nn.Module, "compile", fails)
    assert not compile_if_possible(network, 3, [2, 2], nullcontext())
    assert torch.equal(network(torch.ones(1, 3, 2, 2)), expected)


def test_a_head_alone_needs_no_scaler_of_the_loss() -> None:
    """Float16 on a GPU brings one, which fails where no weight has a gradient."""
    plugin = SimpleNamespace(scaler=torch.amp.GradScaler("cpu"))
    trainer: Any = SimpleNamespace(limit_train_batches=None, fit_loop=SimpleNamespace(), precision_plugin=plugin)
    head: Any = SimpleNamespace(head_only=True)
    FineTuning.setup(head, trainer, None, "fit")  # type: ignore[arg-type]
    assert plugin.scaler is None
    assert (trainer.limit_train_batches, trainer.fit_loop.max_epochs) == (1, 1)
