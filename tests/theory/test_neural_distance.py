"""Neural distance against all pairs one by one, isometries and the simplex."""

from __future__ import annotations

import math

import pytest
import torch

import theory.neural_distance
from theory.neural_distance import (
    class_mean_cosines,
    collapse_ratio,
    distance_ratio,
    neural_distance,
    pair_distances,
    simplex_frame,
)


def clusters(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """60 vectors of 7 numbers in classes 0, 2, 3, 9 of unequal sizes, far from the origin; class 9 has one sample."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0] * 30 + [2] * 9 + [3] * 20 + [9])[torch.randperm(60, generator=generator)]
    means = 3 * torch.randn(10, 7, generator=generator, dtype=torch.float64) + 100
    return means[labels] + torch.randn(60, 7, generator=generator, dtype=torch.float64), labels


@pytest.mark.parametrize("at_once", [1, 180, 1 << 18])  # one column, three of seven, all
def test_distances_equal_those_of_all_pairs(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory.neural_distance, "NUMBERS_AT_ONCE", at_once)
    samples, labels = clusters()
    within, between = [], []
    for i in range(60):
        for j in range(i):
            squared = float((samples[i] - samples[j]).square().sum())
            (within if labels[i] == labels[j] else between).append(squared)
    assert len(within) == (30 * 29 + 9 * 8 + 20 * 19) // 2
    ours = pair_distances(samples, labels)
    assert ours.within == pytest.approx(sum(within) / len(within), rel=1e-12)
    assert ours.between == pytest.approx(sum(between) / len(between), rel=1e-12)
    assert distance_ratio(samples, labels) == ours.within / ours.between
    # Pictures are flattened.
    assert pair_distances(torch.cat([samples, samples], 1).view(60, 1, 2, 7), labels).within == pytest.approx(
        2 * ours.within, rel=1e-12
    )


def test_an_isometry_keeps_the_neural_distance_at_one() -> None:
    samples, labels = clusters()
    generator = torch.Generator().manual_seed(1)
    rotation, _ = torch.linalg.qr(torch.randn(12, 7, generator=generator, dtype=torch.float64))
    assert neural_distance(5 * samples @ rotation.T - 3, samples, labels) == pytest.approx(1, rel=1e-10)
    # A projection on few random directions is no isometry, and a better embedding brings classes together.
    assert neural_distance(samples[:, :1], samples, labels) != pytest.approx(1, rel=0.01)
    means = torch.stack([samples[labels == label].mean(0) for label in range(10)])
    assert neural_distance(samples + 3 * means[labels], samples, labels) < 0.2


def test_collapse() -> None:
    classes, labels = 10, torch.arange(10).repeat(6)
    samples, generator = torch.rand(60, 30).double(), torch.Generator().manual_seed(2)
    rotation, _ = torch.linalg.qr(torch.randn(30, classes, generator=generator, dtype=torch.float64))
    noise = torch.randn(60, 30, generator=generator, dtype=torch.float64)
    collapsed = 7 + (simplex_frame(classes) @ rotation.T)[labels]  # (60, 30)
    assert neural_distance(collapsed, samples, labels) < 1e-25
    assert collapse_ratio(collapsed, labels) < 1e-25
    torch.testing.assert_close(class_mean_cosines(collapsed, labels), torch.full((45,), -1 / 9).double())
    # On the way there, both ratios fall with the square of the noise.
    ratios = [collapse_ratio(collapsed + size * noise, labels) for size in (1e-3, 1e-4)]
    assert ratios[0] / ratios[1] == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_simplex_frame_is_equiangular_tight_and_least(classes: int) -> None:
    frame = simplex_frame(classes)
    gram = frame @ frame.T
    identity = torch.eye(classes, dtype=torch.float64)
    due = identity - (1 - identity) / (classes - 1)
    torch.testing.assert_close(gram, due, atol=1e-14, rtol=0)
    # Tight: FᵀF is a multiple of the projection on the space of sum zero.
    projection = identity - 1 / classes
    torch.testing.assert_close(frame.T @ frame, projection * classes / (classes - 1), atol=1e-14, rtol=0)
    # No other unit vectors have a smaller largest cosine.
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        vectors = torch.nn.functional.normalize(torch.randn(classes, classes, generator=generator).double(), dim=1)
        cosines = (vectors @ vectors.T)[~torch.eye(classes, dtype=torch.bool)]
        assert cosines.max() >= -1 / (classes - 1) - 1e-12


def test_scatter_ratio_is_the_trace_of_the_matrices() -> None:
    samples, labels = clusters()
    centred = samples - samples.mean(0)
    total = centred.T @ centred / 60
    within = torch.zeros_like(total)
    for label in labels.unique():
        group = samples[labels == label]
        within += (group - group.mean(0)).T @ (group - group.mean(0)) / 60
    due = within.trace() / (total - within).trace()
    assert collapse_ratio(samples, labels) == pytest.approx(due.item(), rel=1e-10)


def test_cosines_by_hand() -> None:
    # Means (0, 0), (2, 0), (1, 3) have the centre (1, 1).
    samples = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 2.0], [1.0, 4.0]])
    cosines = class_mean_cosines(samples, torch.tensor([0, 1, 2, 2]))
    due = torch.tensor([0.0, -1 / math.sqrt(2), -1 / math.sqrt(2)], dtype=torch.float64)
    torch.testing.assert_close(cosines, due, atol=1e-15, rtol=0)


def test_degenerate_samples() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert math.isnan(distance_ratio(torch.ones(4, 3), labels))
    assert math.isnan(distance_ratio(torch.rand(4, 3), torch.arange(4)))  # no pair within a class
    assert math.isnan(collapse_ratio(torch.ones(4, 3), labels))
    assert math.isnan(neural_distance(torch.rand(4, 3), labels.unsqueeze(1).float(), labels))
    with pytest.raises(ValueError, match="at least 2 classes"):
        pair_distances(torch.rand(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match="one label a sample"):
        pair_distances(torch.rand(4, 3), labels[:2])
    with pytest.raises(ValueError, match="at least 2"):
        simplex_frame(1)


@pytest.mark.parametrize("scale", [1e-200, 1e-13, 1e200])
def test_cosines_do_not_depend_on_the_scale(scale: float) -> None:
    samples, labels = clusters()
    torch.testing.assert_close(class_mean_cosines(scale * samples, labels), class_mean_cosines(samples, labels))
