"""Augmentation of a whole batch at once: shifts, small affine maps, elastic deformation, flips and erased squares.

A label does not change when the picture is moved or bent a little; training on moved pictures tells the network so.
Each transformation is a pure function of pictures and explicit parameters; ``Augmentation`` draws these from one
``torch.Generator``, so that the same generator state gives the same pictures. All work runs on the pictures' device.

    shift     whole pixels: one gather, uint8 stays uint8
    affine    y = x(A p + t): rotation, scale, shear, shift by fractions of a pixel, one bilinear sampling
    elastic   y = x(A p + t + u(p)) with u a smooth Gaussian random field

Source: Simard, Steinkraus, Platt (2003), Best practices for convolutional neural networks, section 2 (affine, elastic);
DeVries, Taylor (2017), Improved regularization of convolutional neural networks with cutout (erased squares).

Letters: N batch, C channels, H height, W width, K points of the coarse noise. Lengths in pixels, angles in degrees.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["none", "shift", "affine", "elastic"]
Padding = Literal["zeros", "border"]


def shift_images(images: Tensor, offsets: Tensor, reach: int, padding: Padding = "zeros") -> Tensor:
    """Move each picture by whole pixels.

    Args:
        images: Pictures of any type, shape (N, C, H, W).
        offsets: How far each moves (down, right), integers in ± ``reach``, shape (N, 2).
        reach: The furthest that one may move.
        padding: What comes in at the edge: "zeros", or "border" for a repeated edge pixel.

    Returns:
        Moved pictures of the same type and shape.
    """
    num, _, height, width = images.shape
    # From each padded picture the H×W window at its corner; ``unfold`` is a view, so only the windows are copied.
    windows = _pad(images, reach, padding).unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 1 + 2 reach, …, H, W)
    corners = reach - offsets
    return windows[torch.arange(num, device=images.device), :, corners[:, 0], corners[:, 1]]  # (N, C, H, W)


def _pad(images: Tensor, reach: int, padding: Padding) -> Tensor:
    """Pictures with ``reach`` more pixels on each side, shape (N, C, H + 2 reach, W + 2 reach)."""
    if padding == "zeros":
        return F.pad(images, (reach,) * 4)
    # F.pad cannot replicate uint8; clamped indices can.
    rows, columns = (
        torch.arange(-reach, size + reach, device=images.device).clamp_(0, size - 1) for size in images.shape[-2:]
    )
    return images.index_select(-2, rows).index_select(-1, columns)


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


@lru_cache(maxsize=32)
def _pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Rows x, y, 1 of every pixel, in pixels from the centre, shape (3, H·W)."""
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    return torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width, device=device)])


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
    points = torch.arange(-3, math.ceil(length / smoothness) + 4, device=device) * smoothness  # (K,), 3σ past each end
    pixels = torch.arange(length, device=device, dtype=torch.float32)
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
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return (strength * down) @ noise @ across.T  # (N, 2, H, W)


def flip_images(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen pictures left to right; ``chosen`` is Boolean, shape (N,)."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def erase_squares(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Set a square of each picture to 0; a part that lies outside the picture erases nothing.

    Args:
        images: Pictures, shape (N, C, H, W).
        centres: Row and column of each square's centre (of the lower right of the middle four for an even side),
            integers, shape (N, 2).
        side: Pixels along a side.

    Returns:
        Pictures of the same type and shape.
    """
    inside = []
    for axis, size in enumerate(images.shape[-2:]):
        distance = torch.arange(size, device=images.device) - centres[:, axis, None] + side // 2  # (N, size)
        inside.append((distance >= 0) & (distance < side))
    return images.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0)


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation of a batch; called with the pictures and a generator on their device.

    Args:
        kind: "none", "shift" (whole pixels), "affine", or "elastic" (affine and a smooth deformation).
        max_shift: Largest shift in pixels, each axis uniform in ± this; whole for "shift".
        degrees: Largest rotation of affine and elastic, in degrees.
        scale: Largest relative change of size of affine and elastic; 0.1 is ±10 %.
        shear: Largest shear of affine and elastic, in degrees.
        strength: Standard deviation of the elastic displacement, in pixels.
        smoothness: Distance in pixels over which the elastic displacement stays similar.
        flip: Probability of mirroring left to right, in 0..1.
        erase: Side of the erased square, in pixels; 0 erases nothing.
        padding: What comes in from outside: "zeros" or "border".
    """

    kind: Kind = "none"
    max_shift: float = 1
    degrees: float = 10.0
    scale: float = 0.1
    shear: float = 5.0
    strength: float = 1.0
    smoothness: float = 4.0
    flip: float = 0.0
    erase: int = 0
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        """Refuse options out of range.

        Raises:
            ValueError: Naming the option, the value given and those allowed.
        """
        for name in ("max_shift", "degrees", "shear", "strength", "erase"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.kind == "shift" and self.max_shift != int(self.max_shift):
            raise ValueError(f"max_shift must be a whole number of pixels for aug 'shift', got {self.max_shift}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale must be in [0, 1), got {self.scale}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip must be in [0, 1], got {self.flip}")
        if not 0 < self.smoothness <= 1e6:
            raise ValueError(f"smoothness must be above 0 and at most 1e6, got {self.smoothness}")
        if self.degrees > 180:
            raise ValueError(f"degrees must be at most 180, got {self.degrees}")
        if self.shear >= 90:
            raise ValueError(f"shear must be below 90, got {self.shear}")
        if self.kind not in ("none", "shift", "affine", "elastic"):
            raise ValueError(f"aug must be 'none', 'shift', 'affine' or 'elastic', got {self.kind!r}")

    def check_size(self, height: int, width: int) -> None:
        """Refuse what would leave nothing of a picture of this size in pixels.

        Raises:
            ValueError: Naming the option, the value given and those allowed.
        """
        side, pictures = min(height, width), f"the side of these {height}×{width} pictures"
        if self.erase > side:
            raise ValueError(f"erase must be at most {side}, {pictures}, got {self.erase}")
        for name in ("max_shift",) * (self.kind != "none") + ("strength",) * (self.kind == "elastic"):
            if getattr(self, name) >= side:
                raise ValueError(f"{name} must be below {side}, {pictures}, got {getattr(self, name)}")

    def calmed(self) -> "Augmentation":
        """This one without what alters a picture: shifts by a pixel at most, and mirroring as before."""
        reach = min(int(self.max_shift), 1)
        return replace(self, kind="none" if self.kind == "none" else "shift", max_shift=reach, erase=0)

    @property
    def is_identity(self) -> bool:
        """Whether nothing would be done."""
        return self.kind == "none" and self.flip == 0 and self.erase == 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The augmented batch: uint8 after "none" and "shift", float32 in 0..1 after "affine" and "elastic"."""
        num, _, height, width = images.shape
        device = images.device
        if self.kind == "shift" and self.max_shift > 0:
            reach = int(self.max_shift)
            offsets = reach - torch.randint(0, 2 * reach + 1, (num, 2), generator=generator, device=device)
            images = shift_images(images, offsets, reach, self.padding)
        if self.kind in ("affine", "elastic"):
            draw = torch.rand((5, num), generator=generator, device=device) * 2 - 1  # (5, N) in [-1, 1)
            shift = draw[3:].T * self.max_shift  # (N, 2)
            matrices = affine_matrices(draw[0] * self.degrees, 1 + draw[1] * self.scale, draw[2] * self.shear, shift)
            field = None
            if self.kind == "elastic":
                field = elastic_field(num, height, width, self.strength, self.smoothness, generator)
            images = warp_images(images, matrices, field, self.padding)
        if self.flip > 0:
            images = flip_images(images, torch.rand(num, generator=generator, device=device) < self.flip)
        if self.erase > 0:
            sides = torch.tensor([height, width], device=device)
            centres = (torch.rand((num, 2), generator=generator, device=device) * sides).long()  # (N, 2)
            images = erase_squares(images, centres, self.erase)
        return images
