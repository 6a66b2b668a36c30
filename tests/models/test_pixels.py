"""Pixels of a loader, whoever made it and wherever it stands."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from data.batches.loader import TensorLoader
from models.pixels import first_pictures, normalise, pictures_of

IMAGES, LABELS = torch.arange(6.0).view(6, 1, 1, 1) / 6, torch.arange(6)


def test_any_loader_of_pictures_will_do() -> None:
    loader: DataLoader[tuple[torch.Tensor, ...]] = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)
    assert torch.equal(pictures_of(loader), IMAGES)
    assert torch.equal(pictures_of(loader, 5), IMAGES[:5])
    assert torch.equal(pictures_of(TensorLoader(IMAGES, LABELS, 4), 3), IMAGES[:3])
    assert torch.equal(first_pictures(loader), IMAGES[:4])


def test_the_first_pictures_of_a_set_listed_class_by_class_are_mixed_on_demand() -> None:
    labels = torch.arange(100) // 50
    images = labels.view(-1, 1, 1, 1).float()
    first = pictures_of(TensorLoader(images, labels, 4), 40, mixed=True)
    assert 0.3 < float(first.mean()) < 0.7
    every = pictures_of(TensorLoader(images, labels, 4), mixed=True)
    assert torch.equal(every[:40], first), "the same order each time"
    assert int(every.sum()) == 50, "each once"
    assert torch.equal(pictures_of(TensorLoader(images, labels, 4), 40), images[:40])
    shuffled = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    loader = TensorLoader(images[shuffled], labels[shuffled], 4)
    assert torch.equal(pictures_of(loader, mixed=True), images[shuffled]), "these are mixed as they come"


def test_a_loader_in_the_middle_of_its_first_epoch_shows_the_pictures_that_came_first() -> None:
    loader = TensorLoader(IMAGES, LABELS, 2)
    loader.load_state_dict({"epoch": 0, "batch": 2})
    assert torch.equal(first_pictures(loader), IMAGES[:2])
    assert torch.equal(next(iter(loader))[0], IMAGES[4:])


@pytest.mark.parametrize("given", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_pictures_are_normalised_in_the_type_of_the_mean(
    given: torch.dtype, wanted: torch.dtype, order: torch.memory_format
) -> None:
    bytes_ = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    images = (bytes_ if given == torch.uint8 else (bytes_ / 255).to(given)).contiguous(memory_format=order)
    mean, std = torch.tensor([0.2, 0.3, 0.4]).to(wanted), torch.tensor([0.5, 0.25, 0.125]).to(wanted)
    found = normalise(images, mean, std)
    assert found.dtype == wanted
    due = ((bytes_ / 255).double() - mean.double().view(3, 1, 1)) / std.double().view(3, 1, 1)
    coarse = torch.bfloat16 in (given, wanted)
    torch.testing.assert_close(found.double(), due, atol=0.05 if coarse else 1e-6, rtol=0)
