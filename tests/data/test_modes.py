"""All channels of a picture file as they are: which count, how they are read, and which files are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data.files.decode import PictureError, read_picture
from data.files.modes import MOST_CHANNELS
from tests.data.pictures import decode, encoded, planes


def pages(*images: Image.Image, **options: object) -> bytes:
    return encoded(images[0], "TIFF", save_all=True, append_images=list(images[1:]), **options)


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
    content = encoded(Image.fromarray(planes(4).transpose(1, 2, 0).copy(), "RGBA"), "TIFF")
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
        each = [decode(encoded(Image.fromarray(plane), "TIFF"), channels=1) for plane in values]
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
        (encoded(COLOUR.convert("RGBX"), "TIFF"), 4,
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
