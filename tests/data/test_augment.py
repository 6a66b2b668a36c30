"""Augmentation against scipy in float64, closed forms and the pictures' own symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from data.batches.augment import Augmentation, erase_squares, flip_images, shift_images, thicken_strokes
from data.batches.warp import _pixel_grid, smoothing_matrix, warp_images
from data.digits import Digits
from tests.data.random_pictures import matrices, random_bytes


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


@pytest.mark.parametrize("shape", [(2, 3, 7, 9), (2, 1, 1, 4)])
def test_strokes_grow_by_dilation_and_shrink_by_erosion(shape: tuple[int, ...]) -> None:
    images = random_bytes(*shape).double() / 255
    for amount in (1.0, 0.3, 0.0, -0.3, -1.0):
        extreme = (ndimage.grey_dilation if amount > 0 else ndimage.grey_erosion)(
            images.numpy(), size=(1, 1, 3, 3), mode="nearest"
        )
        due = (1 - abs(amount)) * images.numpy() + abs(amount) * extreme
        result = thicken_strokes(images, torch.tensor([amount, 0.0]))
        np.testing.assert_allclose(result[0].numpy(), due[0], atol=1e-7)  # amounts are float32
        assert torch.equal(result[1], images[1])


def test_a_bright_stroke_grows_as_a_dark_one_shrinks() -> None:
    images, amounts = random_bytes(5, 1, 8, 8).double() / 255, torch.linspace(-1, 1, 5)
    torch.testing.assert_close(thicken_strokes(1 - images, amounts), 1 - thicken_strokes(images, -amounts))


@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_pictures_are_stretched_as_far_as_asked(kind) -> None:
    """A round blob becomes as much wider as it gets lower: its deviations are f and 1/f times what they were."""
    across = torch.arange(41) - 20.0
    blob = torch.exp(-(across[:, None] ** 2 + across**2) / (2 * 4.0**2)).expand(2000, 1, 41, 41)
    still = Augmentation(kind, max_shift=0, degrees=0, scale=0, shear=0, strength=0, stretch=0.25)
    seen = still(blob, torch.Generator().manual_seed(0))[:, 0]
    width, height = ((seen.sum(axis) @ across**2 / seen.sum((1, 2))).sqrt() / 4 for axis in (1, 2))
    torch.testing.assert_close(width * height, torch.ones(2000), atol=0.02, rtol=0)
    logs = width.log() / math.log(1.25)  # uniform in ±1
    assert -1.05 < float(logs.min()) < -0.95 < 0.95 < float(logs.max()) < 1.05
    assert float(logs.mean()) == pytest.approx(0, abs=4.5 / math.sqrt(3 * 2000))
    assert float(logs.var()) == pytest.approx(1 / 3, rel=0.1)


def test_thickness_is_uniform_and_leaves_the_other_draws() -> None:
    """A grey wedge between black and white tells how far each picture went."""
    wedge = torch.tensor([0.0, 0.5, 1.0]).expand(4000, 1, 1, 3)
    options = {"kind": "affine", "max_shift": 0, "degrees": 0, "scale": 0, "shear": 0}
    seen = Augmentation(**options, thickness=0.6)(wedge, torch.Generator().manual_seed(0))[:, 0, 0, 1]
    went = (seen - 0.5) / 0.5
    assert -0.6 <= float(went.min()) < -0.58 < 0.58 < float(went.max()) <= 0.6
    assert float(went.mean()) == pytest.approx(0, abs=4.5 * 0.6 / math.sqrt(3 * 4000))
    pictures = random_bytes(20, 1, 9, 9)
    thick, plain = (
        Augmentation("elastic", thickness=thickness)(pictures, torch.Generator().manual_seed(3))
        for thickness in (1e-9, 0)
    )
    torch.testing.assert_close(thick, plain)


KINDS = [
    {"kind": "shift"},
    {"kind": "affine"},
    {"kind": "elastic"},
    {"kind": "affine", "stretch": 0.3},
    {"kind": "elastic", "thickness": 0.8, "stretch": 0.1},
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
        ({"stretch": -0.1}, r"stretch must be in \[0, 1\], got -0.1"),
        ({"thickness": 1.01}, r"thickness must be in \[0, 1\], got 1.01"),
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


@pytest.mark.parametrize("usual", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_the_usual_type_of_torch_changes_no_picture(kind, usual: torch.dtype) -> None:
    """Lightning makes the type of its precision the usual one while a network learns in bf16-true."""
    images = random_bytes(3, 1, 12, 9, seed=0)
    augment = Augmentation(kind, max_shift=2, stretch=0.1, thickness=0.5, flip=0.5, erase=3)
    due = augment(images, torch.Generator().manual_seed(0))
    _pixel_grid.cache_clear()
    smoothing_matrix.cache_clear()
    torch.set_default_dtype(usual)
    try:
        found = augment(images, torch.Generator().manual_seed(0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == due.dtype == torch.float32
    assert torch.equal(found, due)
