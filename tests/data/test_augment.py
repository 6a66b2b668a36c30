"""Augmentation against scipy in float64, closed forms and the pictures' own symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from data.augment import (
    Augmentation,
    affine_matrices,
    elastic_field,
    erase_squares,
    flip_images,
    shift_images,
    smoothing_matrix,
    warp_images,
)
from data.digits import Digits

CPU = torch.device("cpu")


def random_bytes(num: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num, channels, height, width), generator=generator, dtype=torch.uint8)


def matrices(angle: float = 0, scale: float = 1, shear: float = 0, shift: tuple[float, float] = (0, 0)) -> Tensor:
    numbers = (torch.tensor([float(value)]) for value in (angle, scale, shear))
    return affine_matrices(*numbers, torch.tensor([shift], dtype=torch.float32))


def scipy_warp(picture: np.ndarray, matrix: np.ndarray, field: np.ndarray, mode: str) -> np.ndarray:
    """The definition in float64: read pixel p at A p + t + u(p), coordinates from the centre."""
    height, width = picture.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    points = np.stack([x - centre_x, y - centre_y, np.ones_like(x)])
    place = np.einsum("ij,jhw->ihw", matrix, points) + field
    return ndimage.map_coordinates(picture, [place[1] + centre_y, place[0] + centre_x], order=1, mode=mode)


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
def test_warp_equals_scipy(padding, mode: str) -> None:
    images = random_bytes(3, 2, 9, 14)
    generator = torch.Generator().manual_seed(1)
    draw = torch.rand((5, 3), generator=generator) * 2 - 1
    maps = affine_matrices(draw[0] * 40, 1 + draw[1] * 0.3, draw[2] * 20, draw[3:].T * 3)
    field = elastic_field(3, 9, 14, 1.5, 3.0, generator)
    result = warp_images(images, maps, field, padding)
    assert result.dtype == torch.float32
    for n in range(3):
        for channel in range(2):
            picture = images[n, channel].double().numpy() / 255
            due = scipy_warp(picture, maps[n].double().numpy(), field[n].double().numpy(), mode)
            np.testing.assert_allclose(result[n, channel].numpy(), due, atol=3e-5)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@settings(max_examples=25)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_shift_equals_the_affine_map_and_scipy(padding, down: int, right: int) -> None:
    images = random_bytes(2, 3, 5, 7)
    moved = shift_images(images, torch.tensor([[down, right], [0, 0]]), 9, padding)
    assert moved.dtype == torch.uint8
    assert torch.equal(moved[1], images[1])
    mode = "constant" if padding == "zeros" else "nearest"
    due = ndimage.shift(images[0].numpy(), (0, down, right), order=0, mode=mode)
    np.testing.assert_array_equal(moved[0].numpy(), due)
    warped = warp_images(images[:1], matrices(shift=(right, down)), padding=padding)
    torch.testing.assert_close(warped, moved[:1] / 255, atol=1e-5, rtol=0)


def test_no_map_is_the_same_picture() -> None:
    images = random_bytes(2, 1, 8, 5)
    torch.testing.assert_close(warp_images(images, matrices().repeat(2, 1, 1)), images / 255, atol=1e-6, rtol=0)


def test_rotation_by_a_right_angle_is_rot90() -> None:
    images = random_bytes(1, 1, 7, 7)
    # From x (right) to y (down) is clockwise on the screen; rot90 turns counter-clockwise.
    torch.testing.assert_close(
        warp_images(images, matrices(angle=90)), torch.rot90(images / 255, -1, (2, 3)), atol=1e-5, rtol=0
    )


def test_doubling_reads_half_way() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 1, 3] = 1  # (right, up) by 1 of the centre goes to 2 of it
    assert float(warp_images(image, matrices(scale=2))[0, 0, 0, 4]) == pytest.approx(1)


@given(st.floats(-180, 180), st.floats(0.2, 3), st.floats(-45, 45), st.floats(-9, 9), st.floats(-9, 9))
@settings(max_examples=40)
def test_matrices_invert_shear_scale_turn_shift(angle: float, scale: float, shear: float, x: float, y: float) -> None:
    a, lean = math.radians(angle), math.tan(math.radians(shear))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    forward = np.eye(3)
    forward[:2, :2] = turn @ (scale * np.array([[1, lean], [0, 1]]))
    forward[:2, 2] = x, y
    back = np.vstack([matrices(angle, scale, shear, (x, y))[0].double().numpy(), [0, 0, 1]])
    np.testing.assert_allclose(back @ forward, np.eye(3), atol=2e-5 * (1 + 12 / scale))


@pytest.mark.parametrize(("length", "smoothness"), [(28, 4.0), (8, 2.0), (64, 8.0), (25, 3.3)])
def test_field_has_unit_variance_and_gaussian_correlation(length: int, smoothness: float) -> None:
    weights = smoothing_matrix(length, smoothness, CPU).double()
    covariance = weights @ weights.T  # of the field along a line, from white noise: exact, no sampling
    distance = torch.arange(length)[:, None] - torch.arange(length)
    due = torch.exp(-(distance.double() ** 2) / (4 * smoothness**2))
    torch.testing.assert_close(covariance.diagonal(), torch.ones(length, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(covariance, due, atol=2e-3, rtol=0)


def test_field_strength_is_in_pixels() -> None:
    field = elastic_field(4000, 6, 9, 1.7, 2.0, torch.Generator().manual_seed(0))
    assert field.shape == (4000, 2, 6, 9)
    # The deviation of 4,000 draws is known to 1 / sqrt(8000) = 1.1 %; 108 of them stay within 4.5 of those.
    torch.testing.assert_close(field.std(dim=0), torch.full((2, 6, 9), 1.7), rtol=0.05, atol=0)
    assert field.mean(dim=0).abs().max() < 4.5 * 1.7 / math.sqrt(4000)
    across = (field[:, 0] * field[:, 1]).mean(dim=0) / 1.7**2  # right and down are independent
    assert across.abs().max() < 4.5 / math.sqrt(4000)


def test_simard_strength() -> None:
    """The docstring's 1.4 pixels: uniform noise in ±1, a Gaussian of 4 pixels, times 34."""
    kernel = np.zeros((61, 61))
    kernel[30, 30] = 1
    kernel = ndimage.gaussian_filter(kernel, 4.0, truncate=7)
    assert 34 * math.sqrt((kernel**2).sum() / 3) == pytest.approx(1.384, abs=2e-3)


def test_flip_mirrors_the_chosen() -> None:
    images = random_bytes(3, 2, 4, 5)
    flipped = flip_images(images, torch.tensor([True, False, True]))
    np.testing.assert_array_equal(flipped[0].numpy(), images[0].numpy()[..., ::-1])
    assert torch.equal(flipped[1], images[1])


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_erase_takes_a_square_and_no_more(side: int) -> None:
    images = torch.ones(2, 2, 9, 11, dtype=torch.uint8)
    result = erase_squares(images, torch.tensor([[4, 6], [0, 0]]), side)
    start = slice(4 - side // 2, 4 - side // 2 + side), slice(6 - side // 2, 6 - side // 2 + side)
    assert int((1 - result[0, 0]).sum()) == side * side
    assert not result[0, :, *start].any()
    assert int((1 - result[1, 0]).sum()) == (side - side // 2) ** 2  # a corner keeps what lies inside


def test_random_shifts_are_uniform() -> None:
    num, reach = 25_000, 2
    images = torch.zeros(num, 1, 5, 5, dtype=torch.uint8)
    images[:, :, 2, 2] = 1
    counts = Augmentation("shift", max_shift=reach)(images, torch.Generator().manual_seed(0)).long().sum(dim=(0, 1))
    assert int(counts.sum()) == num
    chi_square = float(((counts - num / 25) ** 2 / (num / 25)).sum())
    assert 5 < chi_square < 56  # 24 degrees of freedom: a chance of 2 in 10,000 above


def test_flip_probability() -> None:
    images = torch.tensor([0, 1], dtype=torch.uint8).view(1, 1, 1, 2).repeat(10_000, 1, 1, 1)
    share = Augmentation(flip=0.3)(images, torch.Generator().manual_seed(0))[:, 0, 0, 0].float().mean()
    assert float(share) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 10_000))


KINDS = [
    {"kind": "shift"},
    {"kind": "affine"},
    {"kind": "elastic"},
    {"flip": 0.5},
    {"erase": 2},
    {"kind": "elastic", "flip": 0.5, "erase": 3, "padding": "border"},
]


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (5, 3, 7, 10)])
def test_the_generator_decides(options: dict, shape: tuple[int, ...]) -> None:
    images = random_bytes(*shape)
    before = images.clone()
    augmentation = Augmentation(**options)
    runs = []
    for seed in (0, 0, *range(1, 9)):
        torch.manual_seed(seed + 50)  # the global generator has no say
        runs.append(augmentation(images, torch.Generator().manual_seed(seed)))
    assert torch.equal(images, before)
    assert torch.equal(runs[0], runs[1])
    assert any(not torch.equal(runs[0], run) for run in runs[2:])
    for run in runs:
        assert run.shape == images.shape
        if augmentation.kind in ("affine", "elastic"):
            assert run.dtype == torch.float32
            assert 0 <= float(run.min()) <= float(run.max()) <= 1 + 1e-6
        else:
            assert run.dtype == torch.uint8


@pytest.mark.parametrize("kind", ["affine", "elastic", "shift"])
def test_zero_strength_changes_nothing(kind) -> None:
    images = random_bytes(4, 1, 6, 6)
    still = Augmentation(kind, max_shift=0, degrees=0, scale=0, shear=0, strength=0)
    result = still(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(result.float() / (255 if kind == "shift" else 1), images / 255, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "calm"),
    [
        ({}, {}),
        ({"kind": "elastic", "max_shift": 2.5, "erase": 3}, {"kind": "shift", "max_shift": 1}),
        ({"kind": "affine", "max_shift": 0.5, "flip": 0.5}, {"kind": "shift", "max_shift": 0, "flip": 0.5}),
        (
            {"kind": "shift", "max_shift": 3, "padding": "border"},
            {"kind": "shift", "max_shift": 1, "padding": "border"},
        ),
    ],
)
def test_calmed_only_shifts(options: dict, calm: dict) -> None:
    images, draw = random_bytes(50, 1, 9, 9), torch.Generator()
    seen = Augmentation(**options).calmed()(images, draw.manual_seed(0))
    assert torch.equal(seen, Augmentation(**calm)(images, draw.manual_seed(0)))


def test_identity_is_known() -> None:
    assert Augmentation().is_identity
    assert not any(Augmentation(**options).is_identity for options in KINDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_shift": -1}, "max_shift must be 0 or more, got -1"),
        ({"kind": "shift", "max_shift": 1.5}, "max_shift must be a whole number of pixels for aug 'shift', got 1.5"),
        ({"degrees": -0.5}, "degrees must be 0 or more, got -0.5"),
        ({"scale": 1.0}, r"scale must be in \[0, 1\), got 1.0"),
        ({"flip": 1.5}, r"flip must be in \[0, 1\], got 1.5"),
        ({"smoothness": 0.0}, "smoothness must be above 0 and at most 1e6, got 0.0"),
        ({"degrees": 1e12}, "degrees must be at most 180, got 1000000000000.0"),
        ({"shear": 90.0}, "shear must be below 90, got 90.0"),
        ({"kind": "twist"}, "aug must be 'none', 'shift', 'affine' or 'elastic', got 'twist'"),
    ],
)
def test_refuses(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"erase": 9}, "erase must be at most 8, the side of these 8×9 pictures, got 9"),
        ({"kind": "shift", "max_shift": 8}, "max_shift must be below 8, the side of these 8×9 pictures, got 8"),
        ({"kind": "elastic", "strength": 1e6}, "strength must be below 8, the side of these 8×9 pictures, got 10000"),
    ],
)
def test_refuses_what_leaves_nothing_of_a_picture(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**options).check_size(8, 9)
    Augmentation("elastic", max_shift=7, strength=7.5, erase=8).check_size(8, 9)


def test_the_size_of_the_pictures_is_looked_at_before_a_run() -> None:
    with pytest.raises(ValueError, match="erase must be at most 8"):
        Digits(erase=9).setup()
