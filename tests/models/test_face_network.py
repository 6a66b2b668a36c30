"""The face network: its closed-form layer against explicit inverses, its front, and what training does to it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.faces.front import HistogramFront, make_view, view_grid
from models.faces.head import best_view, build_gallery, identification_logits, verification_logits, whitened_cosines
from models.faces.net import FaceNet, hold_out_people, hold_out_pictures, pair_loss
from tests.models.face_pictures import SIZE, make_data, make_faces, make_task, make_trainer, write_faces
from theory.hog import hog
from theory.lda import cosine_scores, generalised_eigenvectors

# Of Lightning, about itself, and that the loaders need no workers.
pytestmark = pytest.mark.filterwarnings("ignore:.*(LeafSpec|num_workers|callbacks used to create the checkpoint).*")


def random_support(
    splits: int = 2, people: int = 4, each: int = 3, features: int = 30
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    support = torch.randn(splits, people * each, features, generator=generator, dtype=torch.float64)
    queries = torch.randn(splits, 2, 5, features, generator=generator, dtype=torch.float64)
    return support, queries, torch.tensor([0.2, 0.6], dtype=torch.float64)


def explicit_covariance(support: Tensor, people: int, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Centred class means (K, D) and Σ (D, D) of one split, as the docstring of the head writes them."""
    each = len(support) // people
    centred = support - support.mean(0)
    means = centred.unflatten(0, (people, each)).mean(1)
    residuals = centred - means.repeat_interleave(each, 0)
    scatter = residuals.T @ residuals / len(support)
    level = scatter.trace() / (len(support) - 1)
    return means, (1 - shrinkage) * scatter + shrinkage * level * torch.eye(support.shape[1], dtype=support.dtype)


def test_cosines_equal_those_of_the_explicit_inverse() -> None:
    support, queries, shrinkage = random_support()
    gallery = build_gallery(support, 4, shrinkage)
    centred = queries[:, 0] - gallery.centre
    ours = whitened_cosines(centred, gallery.means, gallery)
    for split in range(2):
        means, covariance = explicit_covariance(support[split], 4, float(shrinkage[split]))
        root = torch.linalg.cholesky(torch.linalg.inv(covariance))
        due = cosine_scores(centred[split] @ root, means @ root)
        torch.testing.assert_close(ours[split], due, atol=1e-10, rtol=0)


def test_answers_are_those_of_fishers_discriminant_and_nearest_mean() -> None:
    """The K - 1 discriminant directions hold all of Σ⁻¹ that matters for the name."""
    support, queries, shrinkage = random_support()
    logits = identification_logits(queries[:, :1], build_gallery(support, 4, shrinkage), 20.0)
    for split in range(2):
        means, covariance = explicit_covariance(support[split], 4, float(shrinkage[split]))
        _, vectors = generalised_eigenvectors(means.T @ means, covariance)
        centred = queries[split, 0] - support[split].mean(0)
        due = cosine_scores(centred @ vectors[:, :3], means @ vectors[:, :3])
        assert torch.equal(logits[split].argsort(1), due.argsort(1))


def test_gradient_runs_through_the_fit() -> None:
    support, queries, shrinkage = random_support(features=5)
    support.requires_grad_()
    shrinkage.requires_grad_()

    def logits(support: Tensor, shrinkage: Tensor) -> Tensor:
        return identification_logits(queries, build_gallery(support, 4, shrinkage), 3.0)

    assert torch.autograd.gradcheck(logits, (support, shrinkage))


def test_identical_pictures_do_not_break_the_factor() -> None:
    support = torch.ones(1, 8, 10).cumsum(2)
    logits = identification_logits(torch.rand(1, 1, 2, 10), build_gallery(support, 2, torch.tensor([0.1])), 20.0)
    assert torch.isfinite(logits).all()


def test_comparison_is_symmetric_and_highest_with_itself() -> None:
    support, queries, shrinkage = random_support()
    logits = verification_logits(queries[:, :1], build_gallery(support, 4, shrinkage), 20.0)
    torch.testing.assert_close(logits, logits.transpose(1, 2))
    torch.testing.assert_close(logits.diagonal(dim1=1, dim2=2), torch.full((2, 5), 20.0, dtype=torch.float64))
    assert (logits <= 20 + 1e-9).all()


def test_best_view_lies_between_mean_and_maximum() -> None:
    cosines = torch.rand(4, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(best_view(cosines[:1], 20.0, 0), 20 * cosines[0])
    torch.testing.assert_close(best_view(cosines, 1e4, 0) / 1e4, cosines.amax(0), atol=2e-4, rtol=0)
    torch.testing.assert_close(best_view(cosines, 1e-4, 0) / 1e-4, cosines.mean(0), atol=1e-4, rtol=0)


def test_front_is_the_root_of_hog() -> None:
    images = make_faces()[:3]
    front = HistogramFront([SIZE, SIZE], [8, 6])
    described = front(images)
    assert described.shape == (3, 9 + 16, 9)
    assert front.num_cells == 25
    torch.testing.assert_close(described[:, :9].flatten(1).square(), hog(images.float() / 255, 8), atol=1e-6, rtol=1e-5)
    due = hog(images.float() / 255, 6, offset=0.05 * 36 / 64)
    torch.testing.assert_close(described[:, 9:].flatten(1).square(), due, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(front.views(images, [(1.0, 0.0, 0.0)])[0], described)


def test_view_shifts_by_whole_pixels_and_scales_about_the_centre() -> None:
    images = torch.rand(2, 1, 20, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(make_view(images, 1.0, 0.2, 0.1)[..., :-2, :-1], images[..., 2:, 1:])
    ramp = torch.arange(20, dtype=torch.float64).expand(1, 1, 20, 20)
    torch.testing.assert_close(make_view(ramp, 0.5, 0, 0)[0, 0, 0], 9.5 + (torch.arange(20) - 9.5).double() / 2)


@pytest.mark.parametrize(("shift", "scale", "count"), [(0, 0, 1), (0.1, 0, 9), (0, 0.1, 3), (0.1, 0.1, 27)])
def test_views_begin_with_the_picture_itself(shift: float, scale: float, count: int) -> None:
    grid = view_grid(shift, scale)
    assert len(set(grid)) == len(grid) == count
    assert grid[0] == (1.0, 0.0, 0.0)


def test_splits_do_not_influence_each_other() -> None:
    generator = torch.Generator().manual_seed(4)
    network = FaceNet([SIZE, SIZE], 2, [8])
    with torch.no_grad():
        network.log_gain.normal_(generator=generator)
    support, queries = torch.rand(2, 12, 9, 9, generator=generator), torch.rand(2, 3, 4, 9, 9, generator=generator)
    together = network(support, queries, 4)
    for split in range(2):
        part = slice(split, split + 1)
        torch.testing.assert_close(network(support[part], queries[part], 4, part), together[part], atol=1e-4, rtol=1e-4)
    together[0].square().sum().backward()
    assert network.log_gain.grad is not None
    assert (network.log_gain.grad[0] != 0).any()
    assert (network.log_gain.grad[1] == 0).all()


def test_untrained_network_has_no_gain_and_the_given_shrinkage() -> None:
    network = FaceNet([SIZE, SIZE], 3, [8], shrinkage=0.25)
    torch.testing.assert_close(network.shrinkage(), torch.full((3,), 0.25))
    described = torch.rand(3, 2, 9, 9)
    assert torch.equal(network.features(described), described.flatten(-2))
    assert (network.distance_from_closed_form() == 0).all()


def test_holding_out_takes_every_picture_once() -> None:
    pictures = torch.arange(2 * 5 * 4).view(2, 5, 4)
    order = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(5)).argsort(-1)
    known, asked = hold_out_pictures(pictures, order)
    assert torch.equal(torch.cat([known, asked], 1).sort(1).values, pictures.flatten(1))
    assert torch.equal(asked // 4, pictures[:, :, 0] // 4)  # one of each person, in their order
    assert torch.equal(known // 4, (pictures[:, :, 0] // 4).repeat_interleave(3, 1))
    people = torch.rand(2, 5, generator=torch.Generator().manual_seed(6)).argsort(-1)
    known, asked = hold_out_people(pictures, people, 2)
    assert torch.equal(torch.cat([known, asked], 1).sort(1).values, pictures.flatten(1))
    assert not set((known // 4)[0].tolist()) & set((asked // 4)[0].tolist())


def test_pair_loss_weighs_both_kinds_alike() -> None:
    people = torch.tensor([0, 0, 1, 2])
    logits = torch.zeros(1, 4, 4)
    assert float(pair_loss(logits, people, torch.zeros(1))) == pytest.approx(math.log(2))
    logits[0, 0, 1] = 3.0  # the only pair of one person
    due = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert float(pair_loss(logits, people, torch.ones(1))) == pytest.approx(due, rel=1e-6)


def test_training_turns_away_from_cells_that_say_nothing(tmp_path: Path) -> None:
    data = make_data(write_faces(tmp_path, make_faces(0.2, half=True)), steps=30)
    task = make_task(data, cells=[6], pull=0.0, shift=0.0, scale=0.0)
    make_trainer(max_epochs=1).fit(task, data)
    gain = task.network.log_gain.detach().view(3, 4, 4)
    assert (gain[..., :2].mean((1, 2)) > gain[..., 2:].mean((1, 2)) + 0.3).all()


def test_every_parameter_gets_a_gradient(faces_root: Path) -> None:
    for protocol in ("identification", "verification"):
        data = make_data(faces_root, protocol)
        task = make_task(data)
        task.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
        loss = task.training_step(data.batch(), 0)
        loss.backward()
        for name, parameter in task.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert (parameter.grad != 0).any(), name
