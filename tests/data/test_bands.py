"""Pictures of any number of channels: read as they are, resampled each like a grey picture, refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from data.collect import Collection
from data.decode import PictureError, read_picture
from data.modes import MOST_CHANNELS
from data.preprocess import INTERPOLATIONS, prepare, preprocess, preprocessing, resample
from data.scan import read_cache, scan
from data.store import PixelStore
from data.views import Views, cut_on_cpu, cut_on_device
from tests.data.pictures import Make, decode, folder, noise, write
from tests.models.band_folder import save_frames


def planes(channels: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Noise, uint8, shape (C, H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str = "TIFF", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def pages(*images: Image.Image, **options: object) -> bytes:
    return encoded(images[0], save_all=True, append_images=list(images[1:]), **options)


@pytest.mark.parametrize("channels", [2, 4, 5, MOST_CHANNELS])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate"])
def test_frames_are_channels_in_their_order(channels: int, compression: str) -> None:
    values = planes(channels)
    picture = read_picture(pages(*map(Image.fromarray, values), compression=compression), channels=channels)
    assert np.array_equal(picture.pixels, values.transpose(1, 2, 0))
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    assert (picture.width, picture.height, picture.mode) == (32, 24, f"L×{channels}")


@pytest.mark.parametrize(("mode", "file_format"), [("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("CMYK", "TIFF"),
                                                   ("RGBA", "WEBP")])  # fmt: skip
def test_bands_of_one_frame_come_as_they_are(mode: str, file_format: str) -> None:
    values = planes(len(mode)).transpose(1, 2, 0)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    content = encoded(Image.fromarray(np.ascontiguousarray(values), mode), file_format, **options)
    got = decode(content, channels=len(mode), background="red")
    assert np.array_equal(got, values), "what lies under transparency is kept"
    assert got.flags.writeable


def test_colours_multiplied_by_their_transparency_are_refused() -> None:
    """Pillow divides by the fourth band, and has no colour where that is 0."""
    content = encoded(Image.fromarray(planes(4).transpose(1, 2, 0).copy(), "RGBA"))
    tag = bytes([82, 1, 3, 0, 1, 0, 0, 0, 2, 0])  # ExtraSamples: transparency beside the colours
    assert content.count(tag) == 1
    with pytest.raises(PictureError, match="has transparency that its colours are multiplied by; 4 are wanted"):
        read_picture(content.replace(tag, tag[:8] + bytes([1, 0])), channels=4)


def test_16_bits_and_floats_are_read_as_those_of_grey_pictures() -> None:
    generator = np.random.default_rng(0)
    deep = generator.integers(0, 65536, (5, 8, 9), dtype=np.uint16)
    shares = generator.random((5, 8, 9), dtype=np.float32)
    for values, mode in ((deep, "I;16×5"), (shares, "F×5")):
        picture = read_picture(pages(*map(Image.fromarray, values)), channels=5)
        each = [decode(encoded(Image.fromarray(plane)), channels=1) for plane in values]
        assert np.array_equal(picture.pixels, np.concatenate(each, axis=2))
        assert picture.mode == mode
    assert np.abs(decode(pages(*map(Image.fromarray, deep)), channels=5) - deep.transpose(1, 2, 0) / 257).max() <= 0.5
    shares[3] *= 2
    with pytest.raises(PictureError, match=r"floating-point values in .*; only 0\.\.1"):
        decode(pages(*map(Image.fromarray, shares)), channels=5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [4, 5])
def test_orientation_is_undone_for_every_channel(orientation: int, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = planes(channels)
    if channels == 4:
        content = encoded(Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)), "RGBA"), "PNG", exif=exif)
    else:
        content = pages(*map(Image.fromarray, values), exif=exif)
    picture = read_picture(content, channels=channels)
    each = [decode(encoded(Image.fromarray(plane), "PNG", exif=exif), channels=1) for plane in values]
    assert np.array_equal(picture.pixels, np.concatenate(each, axis=2))
    assert (picture.height, picture.width) == picture.pixels.shape[:2] == ((24, 32) if orientation < 5 else (32, 24))


GREY, COLOUR = Image.new("L", (8, 6)), Image.new("RGB", (8, 6))
PALETTE = GREY.convert("P")
ONE_FRAME_5 = (
    b"II*\0\x08\0\0\0\x0a\0" + b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, kind, value in ((256, 4, 2), (257, 4, 2), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 140),
                                 (277, 3, 5), (278, 4, 2), (279, 4, 20), (284, 3, 1))
    ) + bytes(32)
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "channels", "cause"),
    [
        (encoded(COLOUR, "JPEG"), 5, "has 3 channels, 5 are wanted (--data.channels)"),
        (encoded(GREY, "PNG"), 2, "has 1 channel, 2 are wanted (--data.channels)"),
        (encoded(COLOUR, "PNG"), 4, "has 3 channels, 4 are wanted (--data.channels)"),
        (pages(*[GREY] * 6), 5, "has 6 channels, 5 are wanted (--data.channels)"),
        (pages(*[GREY] * 4), 5, "has 4 channels, 5 are wanted (--data.channels)"),
        (pages(*[COLOUR] * 2), 6, "has 2 frames of 3 channels, 6 are wanted (--data.channels)"),
        (pages(*[COLOUR.convert("RGBA")] * 2), 4, "has 2 frames of 4 channels, 4 are wanted (--data.channels)"),
        (encoded(PALETTE, "GIF"), 2, "has colours of a palette, which are no channels; 2 are wanted (--data.channels)"),
        (encoded(COLOUR.convert("RGBX")), 4,
         "has 4 channels in one frame, of which Pillow reads 3; 4 are wanted (--data.channels), each in its own"),
        (pages(GREY, GREY, Image.new("L", (6, 8)), GREY), 4, "has frames of different sizes: 8×6, frame 3 6×8"),
        (pages(GREY, GREY, COLOUR, GREY), 4, "has a frame that is no single band: frame 3 is RGB"),
        (ONE_FRAME_5, 5, f"is no picture that Pillow knows; it begins with {ONE_FRAME_5[:12]!r} (channels of one TIFF "
         "are read when each is a frame)"),
    ],
)  # fmt: skip
def test_a_file_with_other_channels_is_refused_with_what_it_has(content: bytes, channels: int, cause: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode(content, channels=channels, name="x.tif")
    assert str(caught.value) == f"x.tif: {cause}"


def test_an_animation_is_no_picture_of_many_channels() -> None:
    moments = [Image.new("L", (8, 8), shade) for shade in (0, 60, 120)]
    content = encoded(moments[0], "PNG", save_all=True, append_images=moments[1:])
    with pytest.raises(PictureError, match="has 3 frames of 1 channel, 2 are wanted"):
        decode(content, channels=2)


def test_frames_count_as_often_as_they_are_before_a_pixel_is_decoded() -> None:
    content = pages(*[GREY] * 5)
    assert decode(content, channels=5, max_pixels=8 * 6 * 5).shape == (6, 8, 5)
    with pytest.raises(PictureError, match="has 5 frames of 8×6 pixels, more than max_pixels = 239"):
        decode(content, channels=5, max_pixels=8 * 6 * 5 - 1)


def test_a_truncated_or_damaged_stack_raises_nothing_else() -> None:
    sound, random, refused = (
        pages(*map(Image.fromarray, planes(5)), compression="tiff_lzw"),
        np.random.default_rng(0),
        0,
    )
    for case in range(200):
        content = bytearray(sound)
        for _ in range(case % 5):
            content[random.integers(len(content))] = random.integers(256)
        if case % 3 == 0:
            del content[random.integers(8, len(content)) :]
        try:
            assert decode(bytes(content), channels=5, max_pixels=100_000).shape[2] == 5
        except PictureError:
            refused += 1
    assert refused > 50


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
        decode(encoded(GREY), channels=channels)


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


def test_stacks_are_decoded_once_and_found_in_the_cache(make: Make, tmp_path: Path) -> None:
    root = stacks(tmp_path / "stacks")
    first, second = make(root, channels=5, aug="none"), make(root, channels=5, aug="none")
    pixels = first.plain("train")
    assert first.collection.decoded == 12
    assert torch.equal(second.plain("train"), pixels)
    assert second.collection.decoded == 0


def test_the_settings_of_colour_and_grey_name_the_same_files_as_before() -> None:
    """Their arrays stay where earlier versions put them: only these names go into the key."""
    assert list(preprocessing()) == [
        "kind", "image_size", "channels", "background", "max_pixels", "interpolation", "crop",
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
