"""Winograd's convolution against torch's."""

import pytest
import torch
from torch.nn import functional as F

from theory.winograd import winograd_convolution


@pytest.mark.parametrize(("height", "width"), [(4, 4), (6, 10), (28, 28)])
def test_it_is_the_direct_one(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, height, width, generator=generator, dtype=torch.float64)
    kernel = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    due = F.conv2d(images[:, None], kernel[None, None])[:, 0]
    torch.testing.assert_close(winograd_convolution(images, kernel), due, atol=1e-13, rtol=0)


def test_bytes_are_not_truncated() -> None:
    images = torch.randint(0, 256, (2, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    kernel = torch.tensor([[1, 2, 3], [0, 1, 0], [-1, 0, 5]])
    due = F.conv2d(images[:, None].double(), kernel[None, None].double())[:, 0]
    torch.testing.assert_close(winograd_convolution(images, kernel), due, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("images", "kernel"), [((1, 5, 6), (3, 3)), ((1, 2, 4), (3, 3)), ((4, 4), (3, 3)), ((1, 4, 4), (5, 5))]
)
def test_other_shapes_are_refused(images: tuple, kernel: tuple) -> None:
    with pytest.raises(ValueError, match="even and at least 4"):
        winograd_convolution(torch.zeros(images), torch.zeros(kernel))
