"""Pixels of a loader, whoever made it and wherever it stands."""

import torch
from torch.utils.data import DataLoader, TensorDataset

from data.loader import TensorLoader
from models.pixels import first_pictures, pictures_of

IMAGES, LABELS = torch.arange(6.0).view(6, 1, 1, 1) / 6, torch.arange(6)


def test_any_loader_of_pictures_will_do() -> None:
    loader: DataLoader[tuple[torch.Tensor, ...]] = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)
    assert torch.equal(pictures_of(loader), IMAGES)
    assert torch.equal(pictures_of(loader, 5), IMAGES[:5])
    assert torch.equal(pictures_of(TensorLoader(IMAGES, LABELS, 4), 3), IMAGES[:3])
    assert torch.equal(first_pictures(loader), IMAGES[:4])


def test_a_loader_in_the_middle_of_its_first_epoch_shows_the_pictures_that_came_first() -> None:
    loader = TensorLoader(IMAGES, LABELS, 2)
    loader.load_state_dict({"epoch": 0, "batch": 2})
    assert torch.equal(first_pictures(loader), IMAGES[:2])
    assert torch.equal(next(iter(loader))[0], IMAGES[4:])
