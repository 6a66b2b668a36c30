"""Tensors of order 3, such as a colour picture: unfoldings, the truncated HOSVD and what its error is bounded by.

Source:
    De Lathauwer, De Moor, Vandewalle (2000), A multilinear singular value decomposition, property 10.
"""

from __future__ import annotations

import torch
from torch import Tensor


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """The matrix whose rows run along axis ``mode``, shape (n_mode, product of the others)."""
    return tensor.movedim(mode, 0).flatten(1)


def fold(matrix: Tensor, mode: int, shape: torch.Size) -> Tensor:
    """Undoes ``unfold`` for a tensor of the given shape."""
    rest = [size for axis, size in enumerate(shape) if axis != mode]
    return matrix.reshape(shape[mode], *rest).movedim(0, mode)


def truncated_hosvd(tensor: Tensor, ranks: tuple[int, ...]) -> Tensor:
    """Projects every axis onto the leading left singular vectors of its unfolding.

    Args:
        tensor: Any order.
        ranks: How many vectors to keep on each axis.

    Returns:
        A tensor of the same shape and multilinear rank at most ``ranks``.
    """
    result = tensor
    for mode, rank in enumerate(ranks):
        left = torch.linalg.svd(unfold(tensor, mode), full_matrices=False)[0][:, :rank]
        result = fold(left @ (left.T @ unfold(result, mode)), mode, tensor.shape)
    return result


def multilinear_floor(tensor: Tensor, ranks: tuple[int, ...]) -> Tensor:
    """An error below which no tensor of multilinear rank ``ranks`` comes: the largest tail of an unfolding's spectrum.

    Each unfolding of such a tensor is a matrix of at most that rank, so Eckart and Young's floor holds for it.
    """
    tails = [torch.linalg.svdvals(unfold(tensor, mode))[rank:].square().sum() for mode, rank in enumerate(ranks)]
    return torch.stack(tails).max().sqrt()
