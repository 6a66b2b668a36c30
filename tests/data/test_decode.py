from __future__ import annotations

import io
import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import data.files.decode
from data.files.decode import MAX_PIXELS, PictureError, background_colour, read_bytes, read_picture
from tests.data.pictures import decode, encoded, noise


def test_png_is_returned_exactly() -> None:
    pixels = noise()
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), "PNG")), pixels)


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(noise()).save(path)
    assert np.array_equal(decode(path), decode(path.read_bytes()))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_equals_its_8_bit_twin(file_format: str) -> None:
    grey = noise()[..., 0]
    if file_format == "PPM":  # Pillow's writer is not asked: the file is written by hand, big-endian
        content = b"P5 48 64 65535\n" + (grey.astype(">u2") * 257).tobytes()
    else:
        content = encoded(Image.fromarray(grey.astype("uint16") * 257), file_format)
    assert np.array_equal(decode(content, channels=1)[..., 0], grey)  # v · 257 / 65535 = v / 255 exactly
    assert np.array_equal(decode(content), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_every_exif_orientation_gives_the_upright_picture(orientation: int, file_format: str) -> None:
    pixels = noise()
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    # The method that undoes 6 (turn right by 90 degrees) is the one that stores an 8, and the other way round.
    stored = Image.fromarray(pixels)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(stored, file_format, exif=exif, **options)
    picture = read_picture(content)
    assert np.array_equal(picture.pixels, pixels)
    assert (picture.width, picture.height) == (48, 64)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))  # Pillow's own idea of upright
    assert np.array_equal(picture.pixels, np.asarray(expected.convert("RGB")))


def test_size_of_a_turned_draft_scaled_jpeg_is_that_of_the_full_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("RGB", (640, 320)), "JPEG", exif=exif)
    picture = read_picture(content, short_side=100)
    assert (picture.width, picture.height) == (320, 640)
    assert picture.pixels.shape == (320, 160, 3)  # half: a quarter would leave 80 < 100


def test_draft_never_goes_below_the_side_asked_for_and_keeps_the_picture() -> None:
    image = Image.fromarray(noise(6, 8)).resize((800, 600), Image.Resampling.BICUBIC)
    content = encoded(image, "JPEG", quality=95)
    full, small = decode(content), decode(content, short_side=140)
    assert full.shape == (600, 800, 3)
    assert small.shape == (150, 200, 3)
    reference = np.asarray(Image.fromarray(full).resize((200, 150), Image.Resampling.BOX), dtype=float)
    assert np.abs(small.astype(float) - reference).mean() < 2


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_colour_jpegs_have_the_bytes_that_pillow_gives(subsampling: str, progressive: bool, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(noise(7, 9)).resize((83, 61), Image.Resampling.BICUBIC)
    content = encoded(image, "JPEG", quality=85, subsampling=subsampling, progressive=progressive, exif=exif)
    assert data.files.decode._plain_jpeg(content) is not None
    picture = read_picture(content)
    assert np.array_equal(picture.pixels, by_pillow(content))
    assert picture.pixels.flags.c_contiguous
    assert (picture.height, picture.width) == picture.pixels.shape[:2] == ((61, 83) if orientation < 5 else (83, 61))


@pytest.mark.parametrize(
    ("kind", "value"), [(2, b"6\0\0\0"), (3, struct.pack("<HH", 9, 0)), (7, b"6   "), (11, struct.pack("<f", 6.7))]
)
def test_an_orientation_that_is_none_of_the_eight_turns_nothing(kind: int, value: bytes) -> None:
    count = {2: 2, 7: 4}.get(kind, 1)
    entry = struct.pack("<HHHI", 1, 0x0112, kind, count) + value
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + entry + bytes(4)
    content = encoded(Image.fromarray(noise()), "JPEG", exif=exif)
    assert decode(content).shape == (64, 48, 3)
    assert np.array_equal(decode(content), by_pillow(content))


def test_damaged_jpegs_are_refused_or_read_as_pillow_does() -> None:
    image = Image.fromarray(noise(7, 9)).resize((83, 61), Image.Resampling.BICUBIC)
    sound = encoded(image, "JPEG", quality=85)
    random, refused, other = np.random.default_rng(0), 0, 0
    for case in range(300):
        content = bytearray(sound)
        for _ in range(case % 4):
            content[random.integers(2, len(content))] = random.integers(256)
        if case % 3 == 0:
            del content[random.integers(2, len(content)) :]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = by_pillow(bytes(content))
        except (OSError, SyntaxError, ValueError):
            refused += 1
            with pytest.raises(PictureError):
                decode(bytes(content))
        else:
            other += not np.array_equal(expected, decode(bytes(sound)))
            assert np.array_equal(decode(bytes(content)), expected), case
    assert refused > 50
    assert other > 50  # pictures whose damage shows


def test_modes_against_pillow() -> None:
    pixels = noise()
    grey = Image.fromarray(pixels[..., 0])
    for image, file_format in (
        (Image.fromarray(pixels).convert("CMYK"), "TIFF"),
        (grey, "PNG"),
        (grey.convert("1"), "PNG"),
    ):
        content = encoded(image, file_format)
        expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert np.array_equal(decode(content), expected), image.mode


@pytest.mark.parametrize("background", ["white", "black", "#336699"])
def test_alpha_is_composited_on_the_background(background: str) -> None:
    pixels = noise()
    alpha = noise(seed=1)[..., 0]
    got = decode(encoded(Image.fromarray(np.dstack([pixels, alpha])), "PNG"), background=background)
    share = alpha[..., None] / 255
    expected = pixels * share + np.array(background_colour(background)) * (1 - share)
    assert np.abs(got - expected).max() <= 1


def test_transparent_palette_grey_and_rgb_colours_show_the_background() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 1), 1)
    assert decode(encoded(palette, "PNG", transparency=0), background="red")[0, 0].tolist() == [255, 0, 0]
    assert decode(encoded(palette, "PNG", transparency=0), background="red")[1, 1].tolist() == [200, 100, 50]
    assert decode(encoded(Image.new("LA", (2, 2), (9, 0)), "PNG"), background="blue")[0, 0].tolist() == [0, 0, 255]
    assert decode(encoded(Image.new("L", (2, 2), 7), "PNG", transparency=7), channels=1)[0, 0].tolist() == [255]


def test_float_in_0_1_is_scaled_and_other_ranges_are_refused() -> None:
    values = np.random.default_rng(0).random((8, 8)).astype("float32")
    got = decode(encoded(Image.fromarray(values), "TIFF"), channels=1)[..., 0]
    assert np.abs(got - values * 255).max() <= 0.5
    for bad in (values * 255, values - 0.5, np.where(values > 0.5, np.nan, values)):
        with pytest.raises(PictureError, match=r"^x\.tif: has floating-point values in .*0\.\.1"):
            decode(encoded(Image.fromarray(bad.astype("float32")), "TIFF"), name="x.tif")


def test_32_bit_integers_are_refused() -> None:
    content = encoded(Image.fromarray(np.arange(64, dtype="int32").reshape(8, 8) * 100_000), "TIFF")
    with pytest.raises(PictureError, match=r"32-bit integers in 0\.\.6\.3e\+06"):
        decode(content)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for file_format in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if file_format == "WEBP" else {}
        content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
        assert decode(content)[0, 0].tolist() == [255, 0, 0], file_format


def test_too_many_pixels_are_refused_before_decoding() -> None:
    content = encoded(Image.new("L", (300, 200)), "PNG")
    assert decode(content, max_pixels=60_000).shape == (200, 300, 3)
    # The pixels are cut off: only the header can have been looked at.
    with pytest.raises(PictureError, match=r"^b\.png: has 300×200 pixels, more than max_pixels = 59,999$"):
        decode(content[:60], max_pixels=59_999, name="b.png")
    with pytest.raises(PictureError, match="has 60,000 pixels, more than max_pixels = 1,000"):
        decode(content, max_pixels=1_000)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError) as caught:
        decode(path)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_files_of_every_format_are_refused_by_name(file_format: str) -> None:
    content = encoded(Image.fromarray(noise(200, 200)), file_format)
    for length in (30, len(content) // 2):
        with pytest.raises(PictureError, match=r"^t\.img: "):
            decode(content[:length], name="t.img")


def test_random_damage_never_raises_anything_else() -> None:
    random = np.random.default_rng(0)
    contents = [encoded(Image.fromarray(noise(16, 16)), name) for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")]
    refused = 0
    for _ in range(300):
        content = bytearray(contents[int(random.integers(len(contents)))])
        for position in random.integers(0, len(content), 4):
            content[position] = int(random.integers(256))
        try:
            pixels = decode(bytes(content), max_pixels=100_000)
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
        except PictureError:
            refused += 1
    assert refused > 20


def test_odd_paths_are_refused_by_name_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name, cause in (
        ("pipe.jpg", "is no regular file"),
        ("gone.jpg", "is a link to a file that does not exist"),
        ("missing.jpg", "no such file"),
        ("loop.jpg", "symbolic links"),
        (".", "is a folder"),
    ):
        with pytest.raises(PictureError, match=cause):
            read_bytes(tmp_path / name)


def test_wrong_options_are_named() -> None:
    content = encoded(Image.new("L", (2, 2)), "PNG")
    with pytest.raises(ValueError, match=r"background must be a colour such as .* got 'whyte'"):
        decode(content, background="whyte")
    with pytest.raises(ValueError, match=r"channels must be a whole number in 1\.\.32, got 33"):
        decode(content, channels=33)


def test_pillow_settings_come_back_after_threads() -> None:
    before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    contents = [encoded(Image.fromarray(noise(seed=seed)), "PNG") for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda content: decode(content).shape, contents * 8))
    assert set(sizes) == {(64, 48, 3)}
    assert before == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters
    assert MAX_PIXELS == 2 * 89_478_485
