"""The closed-form face baselines against scikit-learn, plain loops, and the figure they are known to reach."""

from __future__ import annotations

import math
import os
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf as peer_ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from theory import neighbours
from theory.hog import hog, image_gradient, orientation_votes
from theory.lda import (
    cosine_scores,
    discriminate,
    fit_discriminant,
    generalised_eigenvectors,
    ledoit_wolf,
    nearest_class_mean,
)
from theory.neighbours import nearest_neighbour
from theory.principal import encode, principal


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def people(num: int = 6, each: int = 5, features: int = 20, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated samples around random means, in units that differ by feature; labels 10, 11, …"""
    labels = torch.arange(num).repeat_interleave(each)
    mixing = normal(features, features, seed=seed + 1)
    samples = (normal(num, features, seed=seed)[labels] + normal(num * each, features, seed=seed + 2)) @ mixing
    return samples * torch.logspace(-2, 2, features).double() + 3, labels + 10


@pytest.mark.parametrize("at_once", [1, 100, neighbours.AT_ONCE])
def test_nearest_neighbour_equals_scikit_learns(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "AT_ONCE", at_once)
    samples, labels = people()
    queries = samples + normal(*samples.shape, seed=7) * samples.std(0)
    peer = KNeighborsClassifier(1, algorithm="brute").fit(samples, labels)
    np.testing.assert_array_equal(nearest_neighbour(queries, samples, labels), peer.predict(queries))
    with pytest.raises(ValueError, match="one label a sample"):
        nearest_neighbour(queries, samples, labels[1:])
    twice = torch.cat([samples, samples]), torch.cat([labels, labels + 100])
    assert torch.equal(nearest_neighbour(samples, *twice), labels)  # among equals the first


@pytest.mark.parametrize("num", [3, 5, 400])
def test_ledoit_wolf_equals_scikit_learns(num: int) -> None:
    samples = normal(num, 12) @ normal(12, 12, seed=1)
    covariance, shrinkage = ledoit_wolf(samples)
    due, due_shrinkage = peer_ledoit_wolf(samples.numpy())
    assert shrinkage == pytest.approx(due_shrinkage, rel=1e-9)
    np.testing.assert_allclose(covariance, due, atol=1e-11)
    assert 0 <= shrinkage <= 1


def test_generalised_eigenvectors_solve_their_equation() -> None:
    between, within = normal(4, 9), normal(20, 9, seed=1)
    between, within = between.T @ between, within.T @ within
    values, vectors = generalised_eigenvectors(between, within)
    torch.testing.assert_close(between @ vectors, within @ vectors * values, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(vectors.T @ within @ vectors, torch.eye(9).double(), atol=1e-10, rtol=0)
    assert (values.diff() <= 0).all()


@pytest.mark.parametrize("features", [3, 20, 60])
def test_discriminant_equals_scikit_learns(features: int) -> None:
    samples, labels = people(features=features)
    samples[labels == 12, 1] = 5.0  # constant in one class: no scale of its own
    ours = fit_discriminant(samples, labels)
    peer = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(samples.numpy(), labels.numpy())
    count = min(5, features)
    mine = discriminate(samples, ours).numpy()
    due = peer.transform(samples.numpy() - samples.numpy().mean(0))[:, :count]
    signs = np.sign((mine * due).sum(0))
    np.testing.assert_allclose(mine, signs * due, atol=1e-6 * np.abs(due).max())
    means = np.stack([mine[labels == label].mean(0) for label in range(10, 16)])
    np.testing.assert_allclose(ours.class_means, means, atol=1e-9 * np.abs(means).max())


def test_nearest_class_mean_by_cosine() -> None:
    # Classes far apart are all found, and labels are returned as they were given.
    samples, labels = people(each=8)
    samples = samples + 40 * normal(6, 20, seed=5)[labels - 10] * samples.std(0)
    train, test = torch.arange(48) % 8 < 5, torch.arange(48) % 8 >= 5
    discriminant = fit_discriminant(samples[train], labels[train])
    assert torch.equal(nearest_class_mean(samples[test], discriminant), labels[test])
    cosines = cosine_scores(torch.tensor([[3.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 1.0]]))
    torch.testing.assert_close(cosines, torch.tensor([[1.0, 0.0, -1 / math.sqrt(2)]]))


@pytest.mark.parametrize("scale", [1e-200, 1e-14, 1.0, 1e200])
def test_cosines_do_not_depend_on_the_scale(scale: float) -> None:
    vectors = normal(4, 3)
    due = cosine_scores(vectors, vectors[:2])
    torch.testing.assert_close(cosine_scores(scale * vectors, vectors[:2] / scale), due, rtol=1e-14, atol=1e-15)
    assert torch.equal(cosine_scores(torch.zeros(1, 3), vectors[:2].float()), torch.zeros(1, 2))


def test_discriminant_refuses_impossible_problems() -> None:
    samples, labels = people()
    with pytest.raises(ValueError, match="at least 2 classes"):
        fit_discriminant(samples, torch.zeros(30))
    with pytest.raises(ValueError, match=r"1\.\.5"):
        fit_discriminant(samples, labels, 6)
    with pytest.raises(ValueError, match="labels"):
        fit_discriminant(samples, labels[1:])
    with pytest.raises(ValueError, match="needs a class of two different samples"):
        fit_discriminant(samples, torch.arange(30))
    with pytest.raises(ValueError, match="needs a class of two different samples"):
        fit_discriminant(torch.eye(2, dtype=torch.float64).repeat(3, 1), torch.arange(2).repeat(3))


def hog_by_loops(image: np.ndarray, cell: int, bins: int, offset: float) -> np.ndarray:
    """Pixel by pixel, bin by bin: each bin takes the tent max(0, 1 - distance on the circle / width of a bin)."""
    vertical, horizontal = np.gradient(image)
    rows, columns = image.shape[0] // cell, image.shape[1] // cell
    top, left = (image.shape[0] - rows * cell) // 2, (image.shape[1] - columns * cell) // 2
    features = np.zeros((rows, columns, bins))
    for y in range(rows * cell):
        for x in range(columns * cell):
            g = complex(horizontal[top + y, left + x], vertical[top + y, left + x])
            angle = math.atan2(g.imag, g.real)
            for b in range(bins):
                distance = abs(angle - (b + 0.5) * math.pi / bins) % math.pi
                distance = min(distance, math.pi - distance) / (math.pi / bins)
                features[y // cell, x // cell, b] += abs(g) * max(0.0, 1 - distance)
    return (features / (np.linalg.norm(features, axis=2, keepdims=True) + offset)).ravel()


@pytest.mark.parametrize(("size", "cell", "bins"), [((16, 24), 8, 9), ((19, 17), 8, 9), ((12, 12), 4, 6)])
def test_hog_equals_plain_loops(size: tuple[int, int], cell: int, bins: int) -> None:
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    due = np.stack([hog_by_loops(image, cell, bins, 0.05) for image in images.numpy()])
    ours = hog(images, cell, bins)
    assert ours.shape == (2, (size[0] // cell) * (size[1] // cell) * bins)
    np.testing.assert_allclose(ours, due, atol=1e-12)
    # In single precision, with an axis for the channel, and in colour when one channel has all edges.
    np.testing.assert_allclose(hog(images.float().unsqueeze(1), cell, bins), due, atol=1e-4)
    colour = torch.stack([torch.full_like(images, 0.3), images, 0.5 * images], dim=1)
    np.testing.assert_allclose(hog(colour, cell, bins), due, atol=1e-12)


def test_votes_add_up_and_go_where_the_edge_points() -> None:
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vertical, horizontal = image_gradient(images)
    votes = orientation_votes(vertical, horizontal)
    torch.testing.assert_close(votes.sum(1), torch.hypot(vertical, horizontal))
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    for direction in range(9):
        angle = (direction + 0.5) * math.pi / 9
        ramp = (math.cos(angle) * x + math.sin(angle) * y) / 20
        for picture in (ramp, 1 - ramp):  # unsigned: light from the left or from the right
            feature = hog(picture.unsqueeze(0))[0]
            assert feature.argmax() == direction
            assert feature[direction] / feature.sum() == pytest.approx(1, abs=1e-3)


def test_hog_hardly_sees_light() -> None:
    images = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(hog(0.5 * images + 0.2), hog(images, offset=0.1), atol=1e-12, rtol=0)
    assert (hog(torch.full((1, 16, 16), 0.7)) == 0).all()
    with pytest.raises(ValueError, match="floating-point"):
        hog(torch.zeros(1, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no cell"):
        hog(torch.zeros(1, 7, 16))
    with pytest.raises(ValueError, match="shape"):
        hog(torch.zeros(16, 16))
    with pytest.raises(ValueError, match="offset"):
        hog(torch.zeros(1, 16, 16), offset=0.0)


@pytest.mark.slow
def test_olivetti_error_of_the_closed_forms() -> None:
    """5/5 protocol, 20 splits: HOG + shrinkage LDA + cosine 1.10 ± 0.82 %, and 12.5 % for raw pixels."""
    root = os.environ.get("DATA_ROOT")
    if not root or not (Path(root) / "scikit_learn_data" / "olivetti_py3.pkz").exists():
        pytest.skip("DATA_ROOT has no Olivetti faces")
    from sklearn.datasets import fetch_olivetti_faces

    faces = fetch_olivetti_faces(data_home=f"{root}/scikit_learn_data", download_if_missing=False)
    images, labels = torch.from_numpy(faces.images).double(), torch.from_numpy(faces.target).long()
    features = hog(images)
    errors: dict[str, list[float]] = {"hog": [], "raw": []}
    for split in range(20):
        random = np.random.default_rng(split)
        train = torch.from_numpy(np.concatenate([10 * person + random.permutation(10)[:5] for person in range(40)]))
        test = torch.ones(400, dtype=torch.bool).index_fill(0, train, False)
        basis = principal(features[train])
        coordinates = encode(features, basis, len(basis.eigenvalues))
        discriminant = fit_discriminant(coordinates[train], labels[train])
        answers = {
            "hog": nearest_class_mean(coordinates[test], discriminant),
            "raw": nearest_neighbour(images[test].flatten(1), images[train].flatten(1), labels[train]),
        }
        for name, answer in answers.items():
            errors[name].append(100 * float((answer != labels[test]).double().mean()))
    assert statistics.fmean(errors["hog"]) == pytest.approx(1.1, abs=0.05)
    assert statistics.pstdev(errors["hog"]) == pytest.approx(0.82, abs=0.05)
    assert statistics.fmean(errors["raw"]) == pytest.approx(12.5, abs=0.05)
