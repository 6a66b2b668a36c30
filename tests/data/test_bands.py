"""A folder of pictures of any number of channels: resampled each like a grey picture, counted, cached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from data.batches.views import Views, cut_on_cpu, cut_on_device
from data.files.collect import Collection
from data.files.modes import MOST_CHANNELS
from data.files.preprocess import INTERPOLATIONS, prepare, preprocess, preprocessing, resample
from data.files.scan import read_cache, scan
from data.files.store import PixelStore
from tests.data.pictures import Make, decode, encoded, folder, noise, planes, write
from tests.models.band_folder import save_frames


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_each_channel_is_resampled_as_a_grey_picture_is(channels: int, interpolation: str) -> None:
    pixels = np.ascontiguousarray(planes(channels, 61, 83).transpose(1, 2, 0))
    for height, width in ((20, 31), (90, 100)):
        together = resample(pixels, height, width, interpolation)
        each = [resample(pixels[..., i : i + 1].copy(), height, width, interpolation) for i in range(channels)]
        assert together.shape == (height, width, channels)
        assert torch.equal(together, torch.cat(each, dim=2))
    settings = preprocessing(image_size=(16, 24), channels=channels, interpolation=interpolation)
    grey = preprocessing(image_size=(16, 24), channels=1, interpolation=interpolation)
    each = [prepare(pixels[..., i : i + 1].copy(), grey) for i in range(channels)]
    assert torch.equal(prepare(pixels, settings), torch.cat(each))


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_each_channel_of_a_view_is_that_of_a_grey_picture(channels: int) -> None:
    store = torch.from_numpy(planes(3 * channels, 20, 20)).view(3, channels, 20, 20).permute(0, 2, 3, 1).contiguous()
    rows = torch.tensor([2, 0, 1])
    boxes = torch.tensor([[0, 0, 20, 20], [3, 5, 17, 12], [19, 19, 20, 20]])
    rest = boxes, torch.tensor([True, False, True]), 16, 12
    for cut in (cut_on_cpu, cut_on_device):
        views = cut(store, rows, *rest)
        assert views.shape == (3, channels, 16, 12)
        each = [cut(store[..., i : i + 1].contiguous(), rows, *rest) for i in range(channels)]
        torch.testing.assert_close(views, torch.cat(each, dim=1), rtol=0, atol=0 if cut is cut_on_cpu else 1e-6)


def test_policies_of_colour_are_refused_for_what_has_none(make: Make, tmp_path: Path) -> None:
    for kind in ("trivial", "rand"):
        with pytest.raises(ValueError, match=f"aug {kind} changes colours, and 5 channels are none: allowed are light"):
            make(tmp_path / "not there", channels=5, aug=kind)
        with pytest.raises(ValueError, match=f"aug {kind} changes colours"):
            Views(torch.zeros((1, 4, 4, 2), dtype=torch.uint8), torch.ones(1), (2, 2), kind, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [0, -1, MOST_CHANNELS + 1, 2.5, "x", None, True])
def test_other_numbers_of_channels_are_refused_by_name(channels: object, make: Make, tmp_path: Path) -> None:
    message = rf"^channels must be a whole number in 1\.\.32, got {channels}$"
    with pytest.raises(ValueError, match=message):
        make(tmp_path, channels=channels)
    with pytest.raises(ValueError, match=message):
        decode(encoded(Image.new("L", (8, 6))), channels=channels)


def test_ink_is_grey_or_colour() -> None:
    with pytest.raises(ValueError, match="channels of a drawing in ink must be 1 or 3, got 5"):
        preprocessing("ink", (28, 28), 5)


def stacks(root: Path, channels: int = 5) -> Path:
    for name, first in (("a", 0), ("b", 10)):
        for index in range(6):
            save_frames(root / name / f"{index}.tif", planes(channels, seed=first + index))
    return root


@pytest.mark.parametrize("aug", ["none", "light"])
def test_training_validation_and_prediction_see_the_same(make: Make, tmp_path: Path, aug: str) -> None:
    data = make(stacks(tmp_path / "stacks"), channels=5, aug=aug)
    data.setup()
    assert data.summary()["shape"] == "5×16×16"
    facts = data.facts()
    assert facts["in_channels"] == len(facts["mean"]) == len(facts["std"]) == 5
    (images, _), *_ = data.train_dataloader()
    assert images.shape[1:] == (5, 16, 16)
    settings = data.preprocessing()
    assert settings["channels"] == 5
    for part in ("train", "val"):
        for pixels, path in zip(data.plain(part), data.paths(part), strict=True):
            assert torch.equal(pixels, preprocess(path, preprocessing(**settings)))


def test_mixed_numbers_of_channels_leave_out_what_does_not_fit(make: Make, tmp_path: Path) -> None:
    root = stacks(tmp_path / "stacks")
    odd = [write(root / "a/colour.png"), save_frames(root / "b/four.tif", planes(4))]
    data = make(root, channels=5)
    data.setup()
    assert dict(data.bad) == {
        str(odd[0]): "has 3 channels, 5 are wanted (--data.channels)",
        str(odd[1]): "has 4 channels, 5 are wanted (--data.channels)",
    }
    assert len(data.entries) == 12
    with pytest.raises(ValueError, match=r"2 bad files, with --data\.on_bad error(.|\n)*four\.tif: has 4 channels"):
        make(root, channels=5, on_bad="error").setup()


def test_where_no_file_fits_the_error_says_what_they_have(make: Make, tmp_path: Path) -> None:
    root = folder(tmp_path / "photos", {"a": 3, "b": 2})
    with pytest.raises(
        ValueError, match=r"bad: .*a/0\.png: has 3 channels, 5 are wanted .* \(and 4 more\), all for this"
    ):
        make(root, channels=5).setup()
    save_frames(root / "b/0.png", planes(4))
    with pytest.raises(ValueError, match=r"\(and 4 more\), of them 3: has 3 channels, .*; 1: has 4 channels"):
        make(root, channels=5).setup()


def test_what_was_learnt_for_some_channels_is_not_believed_for_others(make: Make, tmp_path: Path) -> None:
    root = stacks(tmp_path / "stacks")
    with pytest.raises(ValueError, match="has 5 channels, 4 are wanted"):
        make(root, channels=4).setup()
    make(root, channels=5).setup()
    with pytest.raises(ValueError, match="has 5 channels, 4 are wanted"):
        make(root, channels=4).setup()
    data = make(root, channels=3)  # the first frame, as before
    data.setup()
    assert torch.equal(data.plain("val")[:, 0], data.plain("val")[:, 2])
    grey = make(root, channels=1)
    grey.setup()
    assert data.collection.decoded > 0
    cache = data.collection.cache_file
    assert len(read_cache(cache, data.settings["max_pixels"], 1)) == 12, "grey and colour share what they learnt"
    assert read_cache(cache, data.settings["max_pixels"], 5) == {}


@pytest.mark.parametrize(("channels", "told"), [(3, True), (1, True), (5, False)])
def test_frames_that_are_not_read_are_told(channels: int, told: bool, make: Make, tmp_path: Path) -> None:
    root = stacks(tmp_path / "stacks")
    data = make(root, channels=channels)
    data.setup()
    told_of = "12 TIFFs have several frames, of which the first alone is read; --data.channels 5 reads all"
    assert (told_of in data.warnings) is told
    if channels == 3:  # advice that cannot be followed is not given: not all files are stacks, or frames have colours
        photo = write(root / "a" / "photo.png")
        mixed = make(root, channels=channels)
        mixed.setup()
        assert "12 TIFFs have several frames, of which the first alone is read" in mixed.warnings
        photo.unlink()
        frame = Image.new("RGB", (40, 30))
        frame.save(root / "a" / "colours.tif", save_all=True, append_images=[frame])
        other = make(root, channels=channels)
        other.setup()
        assert "13 TIFFs have several frames, of which the first alone is read" in other.warnings
    plain = make(folder(tmp_path / "photos", {"a": 3, "b": 3}), channels=3)
    plain.setup()
    assert not any("frames" in line for line in plain.warnings)


def test_stacks_are_decoded_once_and_found_in_the_cache(make: Make, tmp_path: Path) -> None:
    root = stacks(tmp_path / "stacks")
    first, second = make(root, channels=5, aug="none"), make(root, channels=5, aug="none")
    pixels = first.plain("train")
    assert first.collection.decoded == 12
    assert torch.equal(second.plain("train"), pixels)
    assert second.collection.decoded == 0


def test_the_settings_of_colour_and_grey_name_nothing_of_other_channels() -> None:
    """Only these names go into the key of their arrays."""
    assert list(preprocessing()) == [
        "kind", "image_size", "channels", "background", "max_pixels", "interpolation", "reduce_jpeg", "crop",
    ]  # fmt: skip
    assert PixelStore(Path("x"), preprocessing(), 8).shape("plain") == (3, 224, 224)


def test_a_scan_of_many_channels_tells_modes_and_sizes(tmp_path: Path) -> None:
    path = str(save_frames(tmp_path / "x.tif", planes(5).astype(np.uint16) * 257))
    (found,) = scan([path], max_pixels=10_000, channels=5)
    assert (found.mode, found.width, found.height, found.cause) == ("I;16×5", 32, 24, None)
    collection = Collection(
        [path], PixelStore(tmp_path, preprocessing(image_size=(8, 8), channels=5), 8), tmp_path / "s"
    )
    assert collection.scan(["plain"])[0].cause is None


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_keep_their_bytes(channels: int) -> None:
    pixels = np.ascontiguousarray(noise(61, 83)[..., :channels])
    together = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    expected = F.interpolate(together, (20, 31), mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    assert torch.equal(resample(pixels, 20, 31, "bicubic"), expected)
    picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
    lanczos = np.asarray(picture.resize((31, 20), Image.Resampling.LANCZOS)).reshape(20, 31, channels)
    assert np.array_equal(resample(pixels, 20, 31, "lanczos"), lanczos)
