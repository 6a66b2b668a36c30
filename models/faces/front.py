"""The fixed front of the face network: oriented gradients pooled in cells of several sizes, for several views.

The first layer of a network trained on pictures learns oriented edge filters, the next ones pool them. With five
pictures a person these two layers are better written down than learnt. Each cell's histogram of directions is the one
of ``theory.hog``, and its square root is taken: the dot product of two pictures is then a sum of Bhattacharyya
coefficients, which gives small votes more and large votes less weight (Hellinger's kernel).

A *view* is the picture shifted and enlarged a little. Taking the best view of a query, softly, is pooling over the
group of these maps, as a convolutional network pools over shifts.

Letters: N pictures, H height, W width, V views, C cells of all sizes together, B = 9 directions.

Sources:
    Dalal, Triggs (2005), Histograms of oriented gradients for human detection, CVPR.
    Arandjelović, Zisserman (2012), Three things everyone should know to improve object retrieval, CVPR, section 4.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.pixels import unit_range
from theory.hog import cell_histograms, image_gradient, orientation_votes

BINS = 9


def view_grid(shift: float, scale: float) -> list[tuple[float, float, float]]:
    """The views of a picture: all combinations of three sizes, three shifts down and three to the right.

    Args:
        shift: Shift as a share of the picture's width, 0 to 0.5; 0 leaves the shifts out.
        scale: Change of size, 0 to 0.5: the sizes are 1 - scale, 1, 1 + scale; 0 leaves them out.

    Returns:
        (size of the cut-out, shift down, shift to the right), the unchanged picture first; 1, 3, 9 or 27 views.

    Raises:
        ValueError: If a number is out of its range.
    """
    for name, value in (("shift", shift), ("scale", scale)):
        if not 0 <= value <= 0.5:
            raise ValueError(f"the {name} of the views must be in 0..0.5, got {value}")
    sizes = (1.0, 1 - scale, 1 + scale) if scale else (1.0,)
    moves = (0.0, -shift, shift) if shift else (0.0,)
    return list(product(sizes, moves, moves))


def make_view(images: Tensor, size: float, down: float, right: float) -> Tensor:
    """Cut out a window of the picture and bring it to the picture's size, bilinearly; the border is continued.

    Args:
        images: Shape (N, 1, H, W).
        size: Edge of the window over the picture's; above 1 the face becomes smaller.
        down: Shift of the window as a share of the picture's width.
        right: The same to the right.

    Returns:
        Pictures, shape (N, 1, H, W).
    """
    if (size, down, right) == (1.0, 0.0, 0.0):
        return images
    height, width = images.shape[-2:]
    # The coordinates of affine_grid run from -1 to 1 along each axis: a picture is 2 long.
    matrix = images.new_tensor([[size, 0.0, 2 * right], [0.0, size, 2 * down * width / height]])
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class HistogramFront(nn.Module):
    """Square roots of normalised histograms of gradient directions, in cells of several sizes. Nothing is trained.

    Args:
        image_size: [height, width] of the pictures in pixels.
        cells: Edges of the cells in pixels, each at least 2.
        offset: Keeps the noise of flat cells small, for a cell of 8×8; it grows with the area of the cell.

    Raises:
        ValueError: If a cell does not fit into the picture.
    """

    def __init__(self, image_size: list[int], cells: list[int], offset: float = 0.05) -> None:
        super().__init__()
        if not cells or not all(2 <= cell <= min(image_size) for cell in cells):
            raise ValueError(f"cells must be edges in 2..{min(image_size)} pixels, at least one, got {cells}")
        self.cells, self.offset = list(cells), offset
        self.grids = [(image_size[0] // cell, image_size[1] // cell) for cell in cells]
        self.num_cells = sum(rows * columns for rows, columns in self.grids)

    def forward(self, images: Tensor) -> Tensor:
        """Describe pictures.

        Args:
            images: uint8 in 0..255 or floating point in 0..1, shape (N, 1, H, W).

        Returns:
            Descriptions in 0..1, shape (N, C, B).
        """
        votes = orientation_votes(*image_gradient(unit_range(images)), bins=BINS)  # (N, B, H, W)
        histograms = [cell_histograms(votes, cell, self.offset * (cell / 8) ** 2).flatten(2) for cell in self.cells]
        return torch.cat(histograms, dim=2).transpose(1, 2).sqrt()  # (N, C, B)

    def views(self, images: Tensor, grid: list[tuple[float, float, float]]) -> Tensor:
        """Describe all views of pictures, one view at a time to save memory.

        Args:
            images: As in ``forward``.
            grid: As ``view_grid`` gives it, V views.

        Returns:
            Descriptions, shape (V, N, C, B).
        """
        pixels = unit_range(images)
        return torch.stack([self(make_view(pixels, *view)) for view in grid])
