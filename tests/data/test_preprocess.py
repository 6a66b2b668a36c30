from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from data.files.decode import PictureError
from data.files.ink import deslant, otsu, paper_plane, pen_width, widen
from data.files.preprocess import centre_window, pad, preprocess, preprocessing, preprocessing_of, seen_share
from tests.data.pictures import encoded, noise


def smooth(height: int, width: int) -> Image.Image:
    return Image.fromarray(noise(5, 6)).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("kind", ["resize-crop", "stretch", "pad", "ink"])
def test_settings_are_primitives_that_survive_json(kind: str) -> None:
    settings = preprocessing(kind, (20, 30), 1)
    assert json.loads(json.dumps(settings)) == settings


def test_wrong_settings_are_named() -> None:
    wrong = (
        ({"kind": "squash"}, "kind must be one of resize-crop, stretch, pad, ink, got 'squash'"),
        ({"image_size": (0, 5)}, "image_size must be at least 1×1, got 0×5"),
        ({"channels": 33}, "channels must be a whole number in 1..32, got 33"),
        ({"crop": 0.0}, r"crop must be in \(0, 1\], got 0"),
        ({"interpolation": "cubic"}, "interpolation must be one of .* got 'cubic'"),
        ({"background": "no"}, "background must be a colour"),
        ({"max_pixels": 0}, "max_pixels must be at least 1"),
        ({"box": [1.0]}, "box must be two shares"),
        ({"centre": "left"}, "centre must be mass or box"),
        ({"peak": 0}, r"peak must be in 1\.\.255"),
        ({"pen": 0.9}, r"pen must be in \[0, 0\.5\]"),
    )
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            preprocessing(**options)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = noise(40, 40)
    got = preprocess(encoded(Image.fromarray(pixels)), preprocessing(image_size=(40, 40), crop=1.0))
    assert torch.equal(got, torch.from_numpy(pixels.transpose(2, 0, 1)))


def test_whole_crop_equals_cutting_the_middle_by_hand() -> None:
    pixels = noise(50, 80)
    got = preprocess(encoded(Image.fromarray(pixels)), preprocessing(image_size=(40, 40), crop=0.8))
    assert torch.equal(got, torch.from_numpy(pixels[5:45, 20:60].transpose(2, 0, 1).copy()))


@pytest.mark.parametrize(("height", "width"), [(300, 450), (450, 300), (500, 500), (96, 192)])
def test_resize_crop_agrees_with_torchvisions_two_steps(height: int, width: int) -> None:
    from torchvision.transforms import v2

    image = smooth(height, width)
    got = preprocess(encoded(image), preprocessing(image_size=(56, 56), crop=0.875))
    steps = v2.Compose([v2.Resize(64, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(56), v2.PILToTensor()])
    difference = (got.float() - steps(image).float()).abs()
    # Shapes whose resized side and crop corner are whole: torchvision rounds others, and shifts by up to half a pixel.
    assert difference.mean() < 0.5
    assert difference.max() <= 8


def test_window_has_the_targets_shape_and_centre() -> None:
    # half of the widest window of shape 2:1, which is 1000×500
    assert centre_window(1000, 600, 200, 100, 0.5) == (250, 175, 750, 425)


@pytest.mark.parametrize("shape", [(500, 375), (501, 374), (7, 5), (2, 9), (1, 1), (3000, 10)])
@pytest.mark.parametrize("crop", [0.01, 0.5, 0.875, 1.0])
def test_window_is_in_the_middle_to_the_pixel_and_its_edges_near_where_they_are_due(
    shape: tuple[int, int], crop: float
) -> None:
    width, height = shape
    left, top, right, bottom = centre_window(width, height, 224, 224, crop)
    assert (left + right, top + bottom) == shape
    due = min(shape) * crop
    assert right - left >= 1
    assert bottom - top >= 1
    assert abs(right - left - due) <= max(1, 2 - due)  # half a pixel at each edge; two at least where the side is even
    assert abs(bottom - top - due) <= max(1, 2 - due)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(375, 500), (97, 61), (20, 30), (1300, 1100)])
def test_the_middle_is_resampled_as_by_pillow(interpolation: str, channels: int, size: tuple[int, int]) -> None:
    height, width = size
    image = Image.fromarray(noise(height, width) if channels == 3 else noise(height, width)[..., 0])
    settings = preprocessing(image_size=(64, 96), channels=channels, crop=0.9, interpolation=interpolation)
    got = preprocess(encoded(image), settings).numpy().astype(int)
    box = centre_window(width, height, 96, 64, 0.9)
    cut = image.crop(box)
    expected = np.array(cut.resize((96, 64), getattr(Image.Resampling, interpolation.upper())))
    assert np.abs(got - expected.reshape(64, 96, -1).transpose(2, 0, 1)).max() <= (interpolation != "lanczos")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10, 3000), (3000, 10), (1, 700)])
@pytest.mark.parametrize("kind", ["resize-crop", "stretch", "pad"])
def test_extreme_shapes(height: int, width: int, kind: str) -> None:
    image = Image.new("RGB", (width, height), (10, 200, 30))
    got = preprocess(encoded(image), preprocessing(kind, (32, 48), background="#0ac81e"))
    assert got.shape == (3, 32, 48)
    assert got.dtype == torch.uint8
    assert torch.equal(got, torch.tensor([10, 200, 30], dtype=torch.uint8)[:, None, None].expand(3, 32, 48))


def test_stretch_and_grey() -> None:
    image = smooth(60, 90)
    got = preprocess(encoded(image), preprocessing("stretch", (20, 30), 1))
    expected = np.asarray(image.convert("L").resize((30, 20), Image.Resampling.BICUBIC), dtype=float)
    assert got.shape == (1, 20, 30)
    assert np.abs(got[0].numpy() - expected).max() <= 2


def digit(height: int = 200, width: int = 260) -> np.ndarray:
    """A 7 in ink 0..1 on a wide page, off the middle."""
    ink = np.zeros((height, width))
    ink[30:44, 40:110] = 1
    for row in range(30, 150):
        start = int(104 - (row - 30) * 0.45)
        ink[row, start - 10 : start + 4] = 1
    return ndimage.gaussian_filter(ink, 1.0)


def hand_made(ink: np.ndarray, polarity: str, mode: str, slope: float = 0.0) -> Image.Image:
    light = np.linspace(0, slope, ink.shape[1])[None, :]
    grey = 235 - light - ink * 180 if polarity == "dark on light" else 15 + light + ink * 190
    image = Image.fromarray(grey.round().astype("uint8"))
    if mode == "RGBA":
        rgba = Image.new("RGBA", image.size, (0, 0, 0, 0))
        colour = (20, 20, 90, 255) if polarity == "dark on light" else (255, 255, 240, 255)
        rgba.paste(colour, mask=Image.fromarray((ink * 255).astype("uint8")))
        return rgba
    return image.convert(mode, dither=Image.Dither.NONE)


@pytest.mark.parametrize("polarity", ["dark on light", "light on dark"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1", "RGBA"])
@pytest.mark.parametrize("turns", [1, 3])
def test_ink_of_any_polarity_mode_size_and_place_is_the_same_digit(polarity: str, mode: str, turns: int) -> None:
    settings = preprocessing_of("mnist", (28, 28), 1)
    reference = preprocess(encoded(hand_made(digit(), "dark on light", "L")), settings)[0].float()
    ink = np.pad(digit(), ((15 * turns, 4), (3, 30 * turns)))
    ink = ndimage.zoom(ink, turns, order=1).clip(0, 1)
    got = preprocess(encoded(hand_made(ink, polarity, mode)), settings)[0].float()
    correlation = torch.corrcoef(torch.stack([got.flatten(), reference.flatten()]))[0, 1]
    assert correlation > 0.93


def test_ink_follows_mnists_convention() -> None:
    got = preprocess(encoded(hand_made(digit(), "dark on light", "L")), preprocessing_of("mnist", (28, 28), 1))
    assert got.shape == (1, 28, 28)
    ink = got[0].numpy().astype(float)
    rows, columns = np.flatnonzero(ink.max(1) > 64), np.flatnonzero(ink.max(0) > 64)
    assert np.ptp(rows) + 1 in (19, 20, 21)  # the longer side fills 20 of 28
    assert np.ptp(columns) + 1 < 20  # and proportions are kept
    assert ndimage.center_of_mass(ink) == pytest.approx((13.5, 13.5), abs=0.3)
    assert ink[0].max() == ink[:, 0].max() == 0
    assert ink.max() > 240


def test_ink_of_digits_fills_8_by_8_counts() -> None:
    got = preprocess(encoded(hand_made(digit(), "dark on light", "L")), preprocessing_of("digits", (8, 8), 1))
    assert got.shape == (1, 8, 8)
    assert got.max() <= 240  # a count of 16
    assert got[0].amax(dim=1).min() > 0  # every row has ink, as in the set
    assert int((got[0].amax(dim=0) > 0).sum()) in (5, 6, 7)


def test_uneven_light_does_not_matter() -> None:
    settings = preprocessing_of("mnist", (28, 28), 1)
    flat = preprocess(encoded(hand_made(digit(), "dark on light", "L")), settings).float()
    lit = preprocess(encoded(hand_made(digit(), "dark on light", "L", slope=50)), settings).float()
    assert (flat - lit).abs().mean() < 3


def test_a_thin_pen_is_widened_to_that_of_the_set() -> None:
    settings = preprocessing_of("mnist", (28, 28), 1)
    ink = np.zeros((300, 200))
    ink[40:260, 99:101] = 1
    ink[40:42, 60:140] = 1
    got = preprocess(encoded(hand_made(ink, "dark on light", "L")), settings)[0]
    plain = preprocess(encoded(hand_made(ink, "dark on light", "L")), {**settings, "pen": 0.0})[0]
    assert plain.max() < 128  # a line of 0.01 of the height fades
    assert got.max() > 200


@pytest.mark.parametrize("pen", [0.1, 0.25])
def test_a_bar_is_widened_to_the_share_that_was_asked_for(pen: float) -> None:
    """A bar of 10 × 200 grows on all four sides."""
    wide = widen(np.ones((200, 10), dtype=np.float32), pen)
    rows, columns = (int((wide.max(axis) > 0.5).sum()) for axis in (1, 0))
    assert columns / rows == pytest.approx(pen, rel=0.05)
    assert rows - 200 == columns - 10


def test_what_the_network_was_trained_on_is_left_alone() -> None:
    picture = np.zeros((28, 28), dtype=np.uint8)
    picture[4:24, 11:15] = noise()[:20, :4, 0] | 1
    got = preprocess(encoded(Image.fromarray(picture)), preprocessing_of("mnist", (28, 28), 1))
    assert np.array_equal(got[0].numpy(), picture)


def test_an_empty_page_is_refused_by_name() -> None:
    for value in (0, 128, 255):
        with pytest.raises(PictureError, match=r"^picture: shows no ink"):
            preprocess(encoded(Image.new("L", (90, 70), value)), preprocessing_of("mnist", (28, 28), 1))


def test_ink_can_be_given_to_a_network_of_three_channels() -> None:
    got = preprocess(encoded(hand_made(digit(), "dark on light", "L")), preprocessing_of("mnist", (28, 28), 3))
    assert got.shape == (3, 28, 28)
    assert torch.equal(got[0], got[2])


def test_parts_of_the_ink_against_closed_forms() -> None:
    y, x = np.mgrid[0:40, 0:60]
    grey = (100 + 0.5 * x - 0.25 * y).astype(np.float32)
    assert np.abs(paper_plane(grey) - grey).max() < 1e-2
    strip = np.zeros((80, 20), dtype=bool)
    strip[:, 6:14] = True
    assert pen_width(strip) == pytest.approx(8, rel=0.15)
    values = np.concatenate([np.full(50, 3.0), np.full(50, 9.0)])
    assert 3.0 < otsu(values) < 9.0
    slanted = np.zeros((60, 90), dtype=np.float32)
    for row in range(60):
        slanted[row, 10 + row : 18 + row] = 1
    upright = deslant(slanted)
    assert upright.shape[1] <= 11


@pytest.mark.parametrize(("height", "width"), [(20, 100), (100, 20), (60, 60)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_padded_picture_is_whole_in_its_proportions_on_the_background(height: int, width: int, channels: int) -> None:
    image = smooth(height, width).convert("RGB" if channels == 3 else "L")
    got = preprocess(encoded(image), preprocessing("pad", (50, 50), channels, background="#204060"))
    rows, columns = round(50 * height / max(height, width)), round(50 * width / max(height, width))
    top, left = (50 - rows) // 2, (50 - columns) // 2
    settings = preprocessing("stretch", (rows, columns), channels)
    assert torch.equal(got[:, top : top + rows, left : left + columns], preprocess(encoded(image), settings))
    rest = got.clone().long()
    colour = torch.tensor([32, 64, 96] if channels == 3 else [round(0.299 * 32 + 0.587 * 64 + 0.114 * 96)])
    rest[:, top : top + rows, left : left + columns] = colour[:, None, None]
    assert torch.equal(rest, colour[:, None, None].expand(channels, 50, 50))


def test_channels_that_are_no_colours_are_padded_with_zeros() -> None:
    framed = pad(np.full((10, 20, 5), 9, dtype=np.uint8), 40, 40, "bicubic", "white")
    assert framed.shape == (40, 40, 5)
    assert framed[10:30].unique().tolist() == [9]
    assert framed[:10].unique().tolist() == framed[30:].unique().tolist() == [0]


def test_the_share_that_is_seen() -> None:
    assert seen_share(320, 64, preprocessing(image_size=(96, 96), crop=1.0)) == pytest.approx(0.2)
    assert seen_share(640, 480, preprocessing(image_size=(96, 96), crop=0.9)) == pytest.approx(0.75 * 0.81)
    assert seen_share(100, 50, preprocessing(image_size=(10, 20), crop=1.0)) == 1
    assert seen_share(320, 64, preprocessing("stretch")) == seen_share(320, 64, preprocessing("pad")) == 1
