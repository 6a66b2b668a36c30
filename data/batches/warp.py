"""Where each pixel of a deformed picture is read: an affine map, and a smooth random field on top of it.

    y = x(A p + t + u(p)),   p in pixels from the picture's centre, between pixels bilinearly

All pictures of a batch at once, on their device; every function is pure.

Source: Simard, Steinkraus, Platt (2003), Best practices for convolutional neural networks, section 2.

Letters: N batch, C channels, H height, W width, K points of the coarse noise. Lengths in pixels, angles in degrees.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["zeros", "border"]


def affine_matrices(angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    """Maps from a pixel of the result to the place it is read from, in pixels from the picture's centre.

    The picture is sheared, scaled, turned and then shifted; the place read is the inverse map,

        A = (1/s) · [[1, -tan k], [0, 1]] · [[cos a, sin a], [-sin a, cos a]],   t = -A · shift.

    Args:
        angle: a, turn in degrees, positive from the x axis (right) to the y axis (down), shape (N,).
        scale: s, 1 keeps the size, 1.1 enlarges by a tenth, shape (N,).
        shear: k, degrees by which vertical lines lean, shape (N,).
        shift: (right, down) in pixels, shape (N, 2).

    Returns:
        [A | t], shape (N, 2, 3).
    """
    cos, sin, lean = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle)), torch.tan(torch.deg2rad(shear))
    top = torch.stack([cos + lean * sin, sin - lean * cos], dim=1)  # (N, 2)
    linear = torch.stack([top, torch.stack([-sin, cos], dim=1)], dim=1) / scale[:, None, None]  # (N, 2, 2)
    return torch.cat([linear, -linear @ shift[:, :, None]], dim=2)  # (N, 2, 3)


def stretched(matrices: Tensor, factors: Tensor) -> Tensor:
    """The maps of pictures that are first made wider by a factor f, and lower by the same.

    Args:
        matrices: [A | t], shape (N, 2, 3).
        factors: f, positive, shape (N,).

    Returns:
        diag(1/f, f) · [A | t], shape (N, 2, 3).
    """
    return matrices * torch.stack([1 / factors, factors], dim=1)[:, :, None]


@lru_cache(maxsize=32)
def _pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Rows x, y, 1 of every pixel, in pixels from the centre, shape (3, H·W)."""
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    return torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones_like(x).repeat(height)])


def warp_images(images: Tensor, matrices: Tensor, field: Tensor | None = None, padding: Padding = "zeros") -> Tensor:
    """Read every pixel of the result at A p + t + u(p), between pixels bilinearly.

    Args:
        images: Pictures, uint8 in 0..255 or float32 in 0..1, shape (N, C, H, W).
        matrices: [A | t] in pixels, shape (N, 2, 3).
        field: u, displacement (right, down) in pixels, shape (N, 2, H, W).
        padding: What lies outside: "zeros", or "border" for the nearest edge pixel.

    Returns:
        Pictures as float32 in 0..1, shape (N, C, H, W).
    """
    num, _, height, width = images.shape
    pictures = images.float().mul_(1 / 255) if images.dtype == torch.uint8 else images
    places = matrices.reshape(num * 2, 3) @ _pixel_grid(height, width, images.device)  # (2N, H·W) pixels from centre
    places = places.view(num, 2, height, width)
    if field is not None:
        places += field
    # grid_sample counts from -1 at the left edge of the first pixel to 1 at the right edge of the last.
    places[:, 0] *= 2 / width
    places[:, 1] *= 2 / height
    return F.grid_sample(pictures, places.permute(0, 2, 3, 1), padding_mode=padding, align_corners=False)


@lru_cache(maxsize=32)
def smoothing_matrix(length: int, smoothness: float, device: torch.device) -> Tensor:
    """Gaussian weights from coarse noise points, one every ``smoothness`` pixels, to the pixels of a line.

    Rows have length 1, so that unit white noise on the points gives unit variance at every pixel; the correlation of
    two pixels at distance d is close to exp(-d² / 4σ²).

    Args:
        length: Pixels of the line.
        smoothness: σ, standard deviation of the Gaussian in pixels, positive.
        device: Where the matrix lies.

    Returns:
        Weights, shape (length, K) with K about length / σ + 6.
    """

    def numbers(first: int, end: int) -> Tensor:
        return torch.arange(first, end, device=device, dtype=torch.float32)

    points = numbers(-3, math.ceil(length / smoothness) + 4) * smoothness  # (K,), 3σ past each end
    pixels = numbers(0, length)
    weights = torch.exp(-0.5 * ((pixels[:, None] - points) / smoothness) ** 2)  # (length, K)
    return F.normalize(weights, dim=1)


def elastic_field(
    num: int, height: int, width: int, strength: float, smoothness: float, generator: torch.Generator
) -> Tensor:
    """Smooth random displacements: every component at every pixel is N(0, strength²), neighbours move together.

    Simard's uniform noise scaled by α = 34 and smoothed by σ = 4 has a standard deviation of
    α / sqrt(3) / sqrt(4πσ²) = 1.4 pixels. Noise on points 1σ apart, instead of on every pixel, gives the same field
    for 1/σ² of the random numbers.

    Args:
        num: N, number of fields.
        height: H.
        width: W.
        strength: Standard deviation of a displacement, in pixels.
        smoothness: σ of the Gaussian, in pixels.
        generator: Source of the noise; the field lies on its device.

    Returns:
        Displacements (right, down) in pixels, shape (N, 2, H, W).
    """
    down = smoothing_matrix(height, smoothness, generator.device)  # (H, K)
    across = smoothing_matrix(width, smoothness, generator.device)  # (W, K)
    shape = (num, 2, down.shape[1], across.shape[1])
    noise = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return (strength * down) @ noise @ across.T  # (N, 2, H, W)
