"""Augmentation of a whole batch at once: moved, bent, thicker or thinner, mirrored, with a square erased.

A label does not change when the picture is moved or bent a little; training on moved pictures tells the network so.
Each transformation is a pure function of pictures and explicit parameters; ``Augmentation`` draws these from one
``torch.Generator``, so that the same generator state gives the same pictures. All work runs on the pictures' device.

    shift     whole pixels: one gather, uint8 stays uint8
    affine    y = x(A p + t): rotation, scale, shear, shift by fractions of a pixel, one bilinear sampling
    elastic   y = x(A p + t + u(p)) with u a smooth Gaussian random field; both by `data.batches.warp`
    thickness what is bright grows or shrinks by up to a pixel

Source: Simard, Steinkraus, Platt (2003), Best practices for convolutional neural networks, section 2 (affine, elastic);
Serra (1982), Image analysis and mathematical morphology, chapter 12 (grey dilation and erosion);
DeVries, Taylor (2017), Improved regularization of convolutional neural networks with cutout (erased squares).

Letters: N batch, C channels, H height, W width. Lengths in pixels, angles in degrees.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from data.batches.warp import Padding, affine_matrices, elastic_field, stretched, warp_images

Kind = Literal["none", "shift", "affine", "elastic"]


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


def thicken_strokes(images: Tensor, amounts: Tensor) -> Tensor:
    """What is bright grows by a share of a pixel to every side, or shrinks by it.

    A pixel goes that share of the way to the brightest (growing) or darkest (shrinking) of itself and its eight
    neighbours. Of a stroke brighter than its ground; a dark one on a bright ground shrinks where this one grows.

    Args:
        images: Pictures, float, shape (N, C, H, W).
        amounts: Share of a pixel in [-1, 1], positive to grow, shape (N,).

    Returns:
        Pictures of the same type and shape.
    """
    amounts = amounts.to(images.dtype)[:, None, None, None]
    sign = torch.where(amounts < 0, -1.0, 1.0).to(images.dtype)  # -max(-x) is the smallest
    return torch.lerp(images, _brightest_nearby(images * sign).mul_(sign), amounts.abs())


def _brightest_nearby(images: Tensor) -> Tensor:
    """The maximum over 3×3 pixels, as far as these lie in the picture; first along rows, then along columns."""
    for dim, length in ((-1, images.shape[-1]), (-2, images.shape[-2])):
        found = images.clone()
        for here, there in ((0, 1), (1, 0)):
            place = found.narrow(dim, here, length - 1)
            torch.maximum(place, images.narrow(dim, there, length - 1), out=place)
        images = found
    return images


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


def _random(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers in [0, 1) on the generator's device; float32 also where Lightning makes another type the usual one."""
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)


def _uniform(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers in [-1, 1), as `_random` gives them."""
    return _random(shape, generator) * 2 - 1


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation of a batch; called with the pictures and a generator on their device.

    Args:
        kind: "none", "shift" (whole pixels), "affine", or "elastic" (affine and a smooth deformation).
        max_shift: Largest shift in pixels, each axis uniform in ± this; whole for "shift".
        degrees: Largest rotation of affine and elastic, in degrees.
        scale: Largest relative change of size of affine and elastic; 0.1 is ±10 %.
        shear: Largest shear of affine and elastic, in degrees.
        stretch: Largest share by which affine and elastic widen a picture and make it as much lower, or the other way
            round; 0.1 is from 1.1 wide and 1/1.1 high to the reverse.
        thickness: Largest share of a pixel by which affine and elastic let what is bright grow or shrink, in 0..1.
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
    stretch: float = 0.0
    thickness: float = 0.0
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
        for name in ("flip", "stretch", "thickness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
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
            draw = _uniform((5, num), generator)
            shift = draw[3:].T * self.max_shift  # (N, 2)
            matrices = affine_matrices(draw[0] * self.degrees, 1 + draw[1] * self.scale, draw[2] * self.shear, shift)
            if self.stretch > 0:
                matrices = stretched(matrices, (1 + self.stretch) ** _uniform(num, generator))
            field = None
            if self.kind == "elastic":
                field = elastic_field(num, height, width, self.strength, self.smoothness, generator)
            images = warp_images(images, matrices, field, self.padding)
            if self.thickness > 0:
                images = thicken_strokes(images, self.thickness * _uniform(num, generator))
        if self.flip > 0:
            images = flip_images(images, _random(num, generator) < self.flip)
        if self.erase > 0:
            sides = torch.tensor([height, width], device=device)
            centres = (_random((num, 2), generator) * sides).long()  # (N, 2)
            images = erase_squares(images, centres, self.erase)
        return images
