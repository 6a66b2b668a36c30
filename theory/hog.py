"""Histograms of oriented gradients (HOG): a picture described by its edge directions, without anything learnt.

Every pixel votes for the direction of its gradient with the gradient's length; the votes of a cell of 8×8 pixels make
one histogram of nine directions, which is then divided by its own length. A shift of an edge inside a cell changes
nothing, a change of contrast or brightness (almost) nothing, and that is what makes the description good for faces.

Symbols: N pictures, C channels, H height, W width, R = H // cell rows and K = W // cell columns of cells, B directions.

Source:
    Dalal, Triggs (2005), Histograms of oriented gradients for human detection, CVPR, sections 6.2 and 6.3. Here each
    cell is normalised by itself (their blocks of one cell), which keeps 9 numbers a cell instead of 36.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def image_gradient(images: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of the brightness, g_y = (I[y+1] - I[y-1]) / 2 and the same in x; one-sided on the border.

    In a colour picture each pixel takes the channel whose gradient is longest (Dalal, Triggs, section 6.2).

    Args:
        images: Brightness in 0..1, floating point, shape (N, C, H, W), H and W at least 2.

    Returns:
        (g_y, g_x), brightness per pixel, each of shape (N, H, W).
    """
    vertical, horizontal = torch.gradient(images, dim=(-2, -1))  # (N, C, H, W) each
    strongest = (vertical.square() + horizontal.square()).argmax(dim=1, keepdim=True)  # (N, 1, H, W)
    return vertical.gather(1, strongest).squeeze(1), horizontal.gather(1, strongest).squeeze(1)


def orientation_votes(vertical: Tensor, horizontal: Tensor, bins: int = 9) -> Tensor:
    """Share each gradient's length linearly between the two directions nearest to it.

    Directions are unsigned: a step from dark to bright and one from bright to dark count alike, so they live on a
    circle of length π. Bin b has its centre at (b + 1/2)π / B, and the votes of a pixel add up to the length of its
    gradient.

    Args:
        vertical: g_y, shape (N, H, W).
        horizontal: g_x, shape (N, H, W).
        bins: B, number of directions on the half circle.

    Returns:
        Votes, brightness per pixel, shape (N, B, H, W).
    """
    length = torch.hypot(vertical, horizontal)  # (N, H, W)
    angle = torch.atan2(vertical, horizontal).remainder(math.pi)
    position = angle * (bins / math.pi) - 0.5  # in units of a bin, -1/2..B - 1/2
    lower = position.floor()
    share = position - lower  # of the upper neighbour
    below = lower.long().remainder(bins)  # the half circle closes: bin -1 is bin B - 1
    above = (below + 1).remainder(bins)
    votes = length.new_zeros(length.shape[0], bins, *length.shape[1:])  # (N, B, H, W)
    votes.scatter_add_(1, below.unsqueeze(1), ((1 - share) * length).unsqueeze(1))
    votes.scatter_add_(1, above.unsqueeze(1), (share * length).unsqueeze(1))
    return votes


def cell_histograms(votes: Tensor, cell: int = 8, offset: float = 0.05) -> Tensor:
    """Sum the votes of each cell and divide its histogram by its length: h / (‖h‖₂ + offset).

    Rows and columns that do not fill a cell are left out, half of them on each side.

    Args:
        votes: Votes of each pixel, shape (N, B, H, W), H and W at least ``cell``.
        cell: Edge of a cell in pixels.
        offset: Keeps the noise of a flat cell small, in brightness summed over a cell.

    Returns:
        Histograms in 0..1, shape (N, B, R, K).

    Source:
        Dalal, Triggs (2005), sections 6.3 (cells and bins) and 6.4 (normalisation).
    """
    rows, columns = votes.shape[-2] // cell, votes.shape[-1] // cell
    top, left = (votes.shape[-2] - rows * cell) // 2, (votes.shape[-1] - columns * cell) // 2
    votes = votes[..., top : top + rows * cell, left : left + columns * cell]
    histogram = votes.unflatten(-1, (columns, cell)).unflatten(-3, (rows, cell)).sum(dim=(-3, -1))  # (N, B, R, K)
    return histogram / (histogram.norm(dim=1, keepdim=True) + offset)


def hog(images: Tensor, cell: int = 8, bins: int = 9, offset: float = 0.05) -> Tensor:
    """Histogram of directions of each cell, divided by its length; see ``cell_histograms``.

    Args:
        images: Brightness in 0..1, floating point, shape (N, H, W) or (N, C, H, W).
        cell: Edge of a cell in pixels, usually 8.
        bins: B, number of unsigned directions, usually 9 (20° each).
        offset: Keeps the noise of a flat cell small, in brightness summed over a cell; usually 0.05.

    Returns:
        Features in 0..1, shape (N, R * K * B), ordered by row, column, direction.

    Raises:
        ValueError: If the pictures are not floating point, have another number of axes or do not hold one cell.

    Source:
        Dalal, Triggs (2005), sections 6.3 (cells and bins) and 6.4 (normalisation).
    """
    if not images.is_floating_point():
        raise ValueError(f"hog takes floating-point pictures in 0..1, not {images.dtype}")
    if images.ndim not in (3, 4):
        raise ValueError(f"hog takes pictures of shape (N, H, W) or (N, C, H, W), not {tuple(images.shape)}")
    if cell < 2 or bins < 2 or offset <= 0:
        raise ValueError(
            f"hog needs cell >= 2, bins >= 2 and offset > 0, not cell={cell}, bins={bins}, offset={offset}"
        )
    height, width = images.shape[-2:]
    rows, columns = height // cell, width // cell
    if rows == 0 or columns == 0:
        raise ValueError(f"pictures of {height}×{width} pixels hold no cell of {cell}×{cell}")
    if images.ndim == 3:
        images = images.unsqueeze(1)  # (N, 1, H, W)
    votes = orientation_votes(*image_gradient(images), bins=bins)  # (N, B, H, W)
    return cell_histograms(votes, cell, offset).permute(0, 2, 3, 1).flatten(1)  # (N, R * K * B)
