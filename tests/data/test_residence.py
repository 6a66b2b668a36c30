"""Where the pictures of a folder lie: on the device when there is room, in memory, or in a file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import data.run
from data.files.store import PixelStore
from data.folder import Folder
from data.run import resident
from tests.data.pictures import folder

ELSEWHERE = torch.device("meta")  # a device that every machine has and that holds nothing


@pytest.mark.parametrize(("free", "moves"), [(None, True), (3334, True), (3333, False), (0, False)])
def test_pictures_move_when_they_take_at_most_a_share_of_what_is_free(
    free: int | None, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data.run, "free_memory", lambda device: free)
    pixels = torch.zeros(10, 100, dtype=torch.uint8)
    assert resident(pixels, ELSEWHERE).device == (ELSEWHERE if moves else torch.device("cpu"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder(tmp_path / "photos", {"cat": 10, "dog": 5})


def build(photos: Path, monkeypatch: pytest.MonkeyPatch, free: int, **options: Any) -> Folder:
    monkeypatch.setattr(data.run, "free_memory", lambda device: free)
    monkeypatch.setattr("data.folder.run_device", lambda module: ELSEWHERE)
    return Folder(str(photos), image_size=16, batch_size=4, cache_dir=str(photos.parent / "cache"), **options)


@pytest.mark.parametrize("aug", ["none", "light"])
def test_a_folder_that_is_too_large_for_the_device_is_served_from_memory(
    photos: Path, monkeypatch: pytest.MonkeyPatch, aug: str
) -> None:
    roomy = build(photos, monkeypatch, 10**9, aug=aug)
    assert roomy.train_dataloader().images.device == ELSEWHERE
    assert roomy.val_dataloader().images.device == ELSEWHERE  # type: ignore[union-attr]
    tight = build(photos, monkeypatch, 1000, aug=aug)
    plain = Folder(str(photos), image_size=16, batch_size=4, aug=aug, cache_dir=str(photos.parent / "cache"))
    monkeypatch.setattr("torch.Tensor.pin_memory", lambda self: self)
    for ours, theirs in zip(tight.train_dataloader(), plain.train_dataloader(), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    assert tight.val_dataloader().images.device.type == "cpu"  # type: ignore[union-attr]


def test_a_task_that_learns_from_plain_pictures_makes_no_views(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Folder(str(photos), image_size=16, batch_size=4, aug="light", cache_dir=str(photos.parent / "cache"))
    made.draws_views = False
    made.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=ELSEWHERE))  # type: ignore[assignment]
    monkeypatch.setattr("data.folder.Views", None)
    loader = made.train_dataloader()
    assert made.collection.decoded == len(made.entries), "each file once"
    whole, labels = made.plain("train"), made.labels("train")
    shown = torch.cat([images for images, _ in loader])
    named = torch.cat([targets for _, targets in loader])
    assert shown.shape == whole.shape
    for image, label in zip(shown, named, strict=True):
        (row,) = (whole == image).flatten(1).all(1).nonzero().flatten().tolist()
        assert labels[row] == label


def test_a_part_of_a_mapped_array_stays_a_file_that_nobody_sees(tmp_path: Path) -> None:
    store = PixelStore(tmp_path, {"channels": 3, "image_size": [4, 4]}, 5, limit=100)
    pixels = torch.randint(0, 256, (700, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(699, 0, -2)
    chosen = store.select("plain", pixels, rows)
    assert torch.equal(chosen, pixels[rows])
    assert not list(tmp_path.iterdir())
    maps = Path("/proc/self/maps")
    if maps.is_file():
        assert str(tmp_path) in maps.read_text()
    few = PixelStore(tmp_path, store.settings, 5, limit=10**6).select("plain", pixels, rows)
    assert torch.equal(few, chosen)
