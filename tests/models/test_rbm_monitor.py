"""What chooses the best epoch of a machine: a figure of its weights alone, against the definition."""

import pytest
import torch
from torch import Tensor

from models.energy.judgement import turned_pixels
from models.rbm import RBMTask
from theory.rbm import free_energy


def pseudo_log_likelihood(task: RBMTask, v: Tensor) -> Tensor:
    """log p(v_i | the others) of each pixel, from the free energies of both pictures, shape (N, V)."""
    v, terms = v.double(), [term.double() for term in task.rbm.terms()]
    rows = []
    for i in range(v.shape[1]):
        turned = v.clone()
        turned[:, i] = 1 - turned[:, i]
        energies = torch.stack([free_energy(v, *terms), free_energy(turned, *terms)])
        rows.append(torch.log_softmax(-energies, 0)[0])
    return torch.stack(rows, 1)


def validated(task: RBMTask, *batches: Tensor) -> float:
    """What an epoch of validation logs."""
    seen: list[float] = []
    task.log = lambda name, value, **_: seen.append(float(value))  # type: ignore[method-assign, assignment, misc]
    task.on_validation_epoch_start()
    for number, batch in enumerate(batches):
        task.validation_step((batch,), number)
    task.on_validation_epoch_end()
    (value,) = seen
    return value


def machine() -> tuple[RBMTask, Tensor]:
    torch.manual_seed(0)
    task = RBMTask(1, [3, 4], hidden=18, scale=1.0, log_z="ais")
    return task, torch.randint(2, (50, 1, 3, 4)).float()


def test_it_is_the_mean_over_all_pixels_whatever_the_batches() -> None:
    task, images = machine()
    due = float(pseudo_log_likelihood(task, images.flatten(1)).sum(1).mean())
    for size in (50, 17):
        assert validated(task, *images.split(size)) == pytest.approx(due, rel=1e-5)
        torch.rand(7)  # the run's random numbers have no part in it


def test_too_many_pixels_are_represented_by_the_same_ones_in_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.energy.judgement.MOST_TERMS", 50 * 18 * 5)
    task, images = machine()
    pixels = turned_pixels(50, 12, 18, 0)
    assert pixels is not None
    assert pixels.shape == (50, 5)
    assert all(len(row.unique()) == 5 for row in pixels)
    values = [validated(task, images) for _ in range(2)]
    assert values[0] == values[1]
    each = pseudo_log_likelihood(task, images.flatten(1))
    some = torch.stack([each.roll(-first, 1)[:, [0, 2, 4, 7, 9]].sum(1) for first in range(12)], 1)  # (N, V) starts
    due, error = float(each.sum(1).mean()), float((12 / 5 * some).std(1).square().mean().sqrt()) / 50**0.5
    assert abs(values[0] - due) < 4.5 * error
    assert validated(task, images) != validated(task, 1 - images)


def test_each_pixel_is_turned_as_often_as_any_other() -> None:
    assert turned_pixels(1000, 784, 80, 0) is None, "all of them"
    pixels = turned_pixels(20_000, 784, 500, 0)
    assert pixels is not None
    assert pixels.shape == (20_000, 6)
    counts = torch.bincount(pixels.flatten(), minlength=784)
    due = 20_000 * 6 / 784
    assert float(((counts - due) / due**0.5).abs().max()) < 4.5
    assert torch.equal(pixels, turned_pixels(20_000, 784, 500, 0))
    assert not torch.equal(pixels, turned_pixels(20_000, 784, 500, 1))
    assert turned_pixels(0, 12, 18, 0) is None
