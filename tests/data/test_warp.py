"""Affine maps and smooth fields against scipy in float64 and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from data.batches.warp import affine_matrices, elastic_field, smoothing_matrix, stretched, warp_images
from tests.data.random_pictures import matrices, random_bytes

CPU = torch.device("cpu")


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


@given(
    st.floats(-180, 180), st.floats(0.2, 3), st.floats(-45, 45), st.floats(-9, 9), st.floats(-9, 9), st.floats(0.5, 2)
)
@settings(max_examples=40)
def test_matrices_invert_stretch_shear_scale_turn_shift(
    angle: float, scale: float, shear: float, x: float, y: float, wider: float
) -> None:
    a, lean = math.radians(angle), math.tan(math.radians(shear))
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    forward = np.eye(3)
    forward[:2, :2] = turn @ (scale * np.array([[1, lean], [0, 1]])) @ np.diag([wider, 1 / wider])
    forward[:2, 2] = x, y
    maps = stretched(matrices(angle, scale, shear, (x, y)), torch.tensor([wider]))
    back = np.vstack([maps[0].double().numpy(), [0, 0, 1]])
    np.testing.assert_allclose(back @ forward, np.eye(3), atol=4e-5 * (1 + 12 / scale))


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
