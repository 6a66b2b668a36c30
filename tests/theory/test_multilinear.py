"""The truncated HOSVD lies between the floor and √3 times the floor, and is exact at full rank."""

import torch

from theory.multilinear import fold, multilinear_floor, truncated_hosvd, unfold


def test_unfolding_and_its_error() -> None:
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(4, 5, 6, generator=generator, dtype=torch.float64)
    assert unfold(tensor, 1).shape == (5, 24)
    torch.testing.assert_close(unfold(tensor, 1)[2], tensor[:, 2].flatten())
    assert all(torch.equal(fold(unfold(tensor, mode), mode, tensor.shape), tensor) for mode in range(3))
    torch.testing.assert_close(truncated_hosvd(tensor, (4, 5, 6)), tensor)
    ranks = (2, 2, 3)
    shorter = truncated_hosvd(tensor, ranks)
    assert [int(torch.linalg.matrix_rank(unfold(shorter, mode))) for mode in range(3)] == list(ranks)
    ratio = (tensor - shorter).norm() / multilinear_floor(tensor, ranks)
    assert 1 <= ratio <= 3**0.5


def test_a_matrix_meets_eckart_and_youngs_floor() -> None:
    matrix = torch.randn(6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    floor = torch.linalg.svdvals(matrix)[2:].norm()
    torch.testing.assert_close(multilinear_floor(matrix, (2, 2)), floor)
    torch.testing.assert_close((matrix - truncated_hosvd(matrix, (2, 2))).norm(), floor)
