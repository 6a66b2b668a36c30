"""Random views of stored pictures: windows, mirror images, and the store they are cut from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data.batches.draws import Draws
from data.batches.loader import TensorLoader
from data.batches.views import Kind, Views, cut_on_cpu, cut_on_device, pixel_windows, random_windows
from data.files.preprocess import resample
from data.files.store import PixelStore
from data.folder import Folder
from tests.data.pictures import noise

Make = Callable[..., Folder]


# Views: B views, S side of a stored picture.


def test_windows_lie_inside_have_the_right_area_and_are_never_distorted() -> None:
    generator = torch.Generator().manual_seed(0)
    draw, aspect = torch.rand((4, 4000), generator=generator), torch.logspace(-2, 2, 4000)
    windows = random_windows(draw, aspect, 1.5, 0.35)
    left, top, width, height = windows.unbind(1)
    assert windows.min() >= 0
    assert (left + width).max() <= 1 + 1e-6
    assert (top + height).max() <= 1 + 1e-6
    shape = width / height * aspect  # true proportions of the window
    assert shape.min() >= 1.5 * 3 / 4 - 1e-3
    assert shape.max() <= 1.5 * 4 / 3 + 1e-3
    usual = (aspect > 1.4) & (aspect < 1.6)
    assert (width * height)[usual].max() <= 1
    assert (width * height)[usual].min() >= 0.35 - 1e-6


def test_mean_area_of_windows_is_that_of_a_uniform_draw() -> None:
    draw = torch.rand((4, 20_000), generator=torch.Generator().manual_seed(1))
    windows = random_windows(draw, torch.ones(20_000), 1.0, 0.2)
    # E min(u, r, 1/r) with u uniform in [0.2, 1] and log r uniform in ±log(4/3), by quadrature.
    u, r = np.meshgrid(np.linspace(0.2, 1, 1001), np.exp(np.linspace(-1, 1, 1001) * np.log(4 / 3)))
    expected = np.minimum(u, np.minimum(r, 1 / r)).mean()
    area = (windows[:, 2] * windows[:, 3]).mean()
    assert float(area) == pytest.approx(expected, abs=0.006)


def test_whole_window_is_the_stored_picture_and_flips_are_mirrors() -> None:
    store = torch.from_numpy(noise(12, 12)).repeat(3, 1, 1, 1)
    whole = torch.tensor([[0, 0, 12, 12]] * 3)
    flips = torch.tensor([False, True, False])
    views = cut_on_cpu(store, torch.arange(3), whole, flips, 12, 12)
    assert torch.equal(views[0], store[0].permute(2, 0, 1))
    assert torch.equal(views[1], store[0].permute(2, 0, 1).flip(2))


def test_cpu_and_gpu_path_show_the_same_window() -> None:
    pixels = Image.fromarray(noise(5, 5)).resize((40, 40), Image.Resampling.BICUBIC)
    store = resample(np.array(pixels), 40, 40, "bilinear").repeat(4, 1, 1, 1)
    rows = torch.arange(4)
    boxes = torch.tensor([[0, 0, 40, 40], [3, 5, 20, 30], [10, 0, 33, 12], [39, 39, 40, 40]])
    flips = torch.tensor([False, True, True, False])
    one = cut_on_cpu(store, rows, boxes, flips, 48, 48).float() / 255
    two = cut_on_device(store, rows, boxes, flips, 48, 48)
    # The CPU repeats the window's edge, the GPU reads on beyond it: the outermost pixels may differ.
    inner = (one - two)[:, :, 3:-3, 3:-3].abs()
    assert inner.max() < 0.02
    assert (one - two).abs().mean() < 0.01


def test_a_view_is_cut_in_full_precision_whatever_the_loop_computes_in() -> None:
    store, labels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)

    def augment(rows: Tensor, draws: Draws) -> Tensor:
        windows = torch.tensor([[3, 5, 30, 31]]).expand(len(rows), 4)
        return cut_on_device(store, rows, windows, torch.zeros(len(rows), dtype=torch.bool), 24, 24)

    loader = TensorLoader(torch.arange(4), labels, 4, augment=augment)
    ((plain, _),) = loader
    with torch.autocast("cpu", torch.bfloat16):
        ((views, _),) = loader
    assert torch.equal(views, plain)


def test_threads_give_the_same_views_as_one() -> None:
    store = torch.from_numpy(noise(20, 20)).repeat(9, 1, 1, 1)
    views = Views(store, torch.ones(9), (8, 8), "light", 0.35)
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(views(torch.arange(9), Draws(0, 0, 0, torch.arange(9))))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize("kind", ["light", "trivial", "rand"])
def test_a_picture_has_one_view_an_epoch_whatever_the_batches_and_processes_are(kind: Kind) -> None:
    store = torch.from_numpy(noise(64, 64)).repeat(12, 1, 1, 1)
    views = Views(store, torch.ones(12), (16, 16), kind, 0.35)

    def seen(epoch: int, batch_size: int, world_size: int) -> dict[int, list[int]]:
        found = {}
        for rank in range(world_size):
            loader = TensorLoader(
                torch.arange(12), torch.arange(12), batch_size, shuffle=True, seed=4, augment=views, rank=rank,
                world_size=world_size,
            )  # fmt: skip
            loader.sampler.set_epoch(epoch)
            for images, labels in loader:
                found |= {int(label): image.flatten().tolist() for image, label in zip(images, labels, strict=True)}
        return found

    state = torch.random.get_rng_state()
    alone = seen(epoch=3, batch_size=12, world_size=1)
    assert seen(epoch=3, batch_size=4, world_size=1) == alone
    assert seen(epoch=3, batch_size=4, world_size=2) == alone
    assert torch.equal(torch.random.get_rng_state(), state)
    loader = TensorLoader(torch.arange(12), torch.arange(12), 4, shuffle=True, seed=4, augment=views)
    first = seen(epoch=0, batch_size=12, world_size=1)
    for images, labels in loader.views(1):
        assert not any(
            image.flatten().tolist() == first[int(label)] for image, label in zip(images, labels, strict=True)
        )
    assert len({tuple(view) for view in alone.values()}) == 12, "an oversampled picture is seen in several views"
    assert not any(view == alone[number] for number, view in seen(epoch=4, batch_size=12, world_size=1).items())


def test_a_window_is_at_least_one_pixel() -> None:
    boxes = pixel_windows(torch.tensor([[0.999, 0.0, 0.0001, 1.0], [0.5, 0.5, 0.0, 0.0]]), 10)
    assert boxes.tolist() == [[9, 0, 10, 10], [5, 5, 6, 6]]


def test_store_keeps_the_whole_picture() -> None:
    wide = np.zeros((10, 40, 3), dtype="uint8")
    wide[:, :2], wide[:, -2:] = (255, 0, 0), (0, 0, 255)
    stored = resample(wide, 20, 20, "bilinear")
    assert stored.shape == (20, 20, 3)
    assert stored[10, 0].tolist()[0] > 150  # both ends are still there
    assert stored[10, -1].tolist()[2] > 150


def test_old_arrays_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.files.preprocess import preprocessing

    store = PixelStore(tmp_path, preprocessing(image_size=(8, 8)), 8)
    monkeypatch.setattr("data.files.store._KEPT_BYTES", 1000)
    for index, digest in enumerate(("old", "middle", "new")):
        assert store.save("plain", [digest], store.allocate("plain", 1))
        os.utime(store.file("plain", [digest]), ns=(index, index))
        monkeypatch.setattr("data.files.store._KEPT_BYTES", 1000 if index < 1 else 700)
    assert store.load("plain", ["old"]) is None
    assert store.load("plain", ["new"]) is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_views_are_cut_while_features_are_computed_too(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are computed in inference mode, of which the threads that cut know nothing."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    store = torch.randint(0, 256, (3, 10, 10, 3), dtype=torch.uint8)
    given = torch.arange(3), torch.tensor([[0, 0, 10, 10]] * 3), torch.zeros(3, dtype=torch.bool), 6, 6
    outside = cut_on_cpu(store, *given)
    with torch.inference_mode():
        assert torch.equal(cut_on_cpu(store, *given), outside)
