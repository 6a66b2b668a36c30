"""Convolution arithmetic against torch, scipy and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from torch.nn import functional as F

from theory.convolution import (
    convolution_input_gradient,
    convolution_matrix,
    convolution_multiply_adds,
    convolution_parameters,
    dense_multiply_adds,
    dense_parameters,
    fft_convolution,
    flip,
    output_size,
    same_padding,
)
from theory.pooling import shift_commutator


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def admissible(limit: int) -> list[tuple[int, int, int, int]]:
    """All (n, f, p, s) with n ≤ limit, f ≤ n, p < f (more padding only adds windows of zeros) and s ≤ n."""
    sizes = range(1, limit + 1)
    return [(n, f, p, s) for n in sizes for f in range(1, n + 1) for p in range(f) for s in range(1, n + 1)]


def test_output_size_equals_torchs_for_every_size_up_to_32() -> None:
    cases = admissible(32)
    images = {n: torch.zeros(1, 1, n) for n in range(1, 33)}
    assert len(cases) == sum(n * n * (n + 1) // 2 for n in range(1, 33)) == 145_112
    mismatches = 0
    for n, f, p, s in cases:
        due = output_size(n, f, s, p)
        mismatches += torch.conv1d(images[n], images[f], None, s, p).shape[-1] != due
        if 2 * p <= f:  # torch pools with no more padding than half a window
            mismatches += torch.max_pool1d(images[n], f, s, p).shape[-1] != due
    assert mismatches == 0


def test_output_size_with_dilation_and_on_both_axes() -> None:
    kernel = torch.zeros(1, 1, 3, 4)
    for height in range(9, 15):
        for stride in (1, 2, 3):
            for dilation in (1, 2, 4):
                for padding in (0, 1, 5):
                    if dilation * 3 + 1 > height + 1 + 2 * padding:
                        continue
                    image = torch.zeros(1, 1, height, height + 1)
                    shape = F.conv2d(image, kernel, stride=stride, padding=padding, dilation=dilation).shape[-2:]
                    assert shape == (
                        output_size(height, 3, stride, padding, dilation),
                        output_size(height + 1, 4, stride, padding, dilation),
                    )


@pytest.mark.parametrize(
    "arguments", [(0, 1), (3, 0), (3, 1, 0), (3, 1, 1, -1), (3, 1, 1, 0, 0), (3, 4), (3, 6, 1, 1), (3, 3, 1, 0, 2)]
)
def test_output_size_refuses_what_torch_refuses(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"output_size needs|does not fit"):
        output_size(*arguments)


def test_same_padding_keeps_the_size_and_refuses_even_kernels() -> None:
    for kernel in (1, 3, 5, 7):
        for dilation in (1, 2, 3):
            assert output_size(20, kernel, 1, same_padding(kernel, dilation), dilation) == 20
    assert output_size(20, 2, 1, same_padding(2, 2), 2) == 20
    with pytest.raises(ValueError, match="odd kernel"):
        same_padding(4)


def test_the_phone_photo() -> None:
    # 4032×3024 pixels in three colours are the inputs; the explosion is in the weights of a dense layer on them.
    inputs = 4032 * 3024 * 3
    assert inputs == 36_578_304
    assert dense_parameters(inputs, 1000) == 36_578_305_000
    assert dense_multiply_adds(inputs, 1000) == 36_578_304_000
    assert convolution_parameters(3, 64, 3) == 1792


@pytest.mark.parametrize(("groups", "bias", "kernel"), [(1, True, 3), (1, False, (3, 5)), (2, True, (1, 7))])
def test_parameter_counts_equal_torchs(groups: int, bias: bool, kernel: int | tuple[int, int]) -> None:
    convolution = torch.nn.Conv2d(6, 8, kernel, bias=bias, groups=groups)
    count = sum(parameter.numel() for parameter in convolution.parameters())
    assert convolution_parameters(6, 8, kernel, bias=bias, groups=groups) == count
    dense = torch.nn.Linear(7, 5, bias=bias)
    assert dense_parameters(7, 5, bias=bias) == sum(parameter.numel() for parameter in dense.parameters())
    with pytest.raises(ValueError, match="groups"):
        convolution_parameters(6, 8, 3, groups=3)


def test_multiply_adds_equal_the_flops_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        F.conv2d(torch.zeros(1, 4, 9, 11), torch.zeros(6, 2, 3, 5), stride=2, padding=1, groups=2)
    output = (output_size(9, 3, 2, 1), output_size(11, 5, 2, 1))
    assert counter.get_total_flops() == 2 * convolution_multiply_adds(4, 6, (3, 5), output, groups=2)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 2), (2, 0), (2, 1), (3, 2)])
def test_a_convolution_is_a_sparse_matrix(stride: int, padding: int) -> None:
    image, kernel = normal(9, 12), normal(3, 4, seed=1)
    matrix = convolution_matrix(kernel.numpy(), 9, 12, stride, padding)
    due = F.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)
    assert matrix.shape == (due.numel(), image.numel())
    difference = matrix @ image.numpy().ravel() - due.numpy().ravel()
    assert np.abs(difference).max() < 1e-12
    # The backward pass is the transposed matrix.
    gradient = matrix.T @ np.ones(due.numel())
    image.requires_grad_()
    F.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding).sum().backward()
    assert np.abs(gradient - image.grad.numpy().ravel()).max() < 1e-12


def test_the_matrix_is_toeplitz_in_one_dimension() -> None:
    # A kernel of three entries on a row of pixels: constant diagonals, all others empty.
    matrix = convolution_matrix(np.array([[1.0, 2.0, 3.0]]), 1, 6).toarray()
    np.testing.assert_array_equal(matrix, sum(k * np.eye(4, 6, offset) for offset, k in enumerate((1.0, 2.0, 3.0))))


def test_cross_correlation_with_the_flipped_kernel_is_convolution() -> None:
    image, kernel = normal(10, 13), normal(3, 4, seed=1)
    due = scipy.signal.convolve2d(image.numpy(), kernel.numpy(), mode="valid")
    flipped = F.conv2d(image[None, None], flip(kernel)[None, None])[0, 0].numpy()
    assert np.abs(flipped - due).max() < 1e-12
    # Without the flip it is another function, unless the kernel is symmetric.
    assert np.abs(F.conv2d(image[None, None], kernel[None, None])[0, 0].numpy() - due).max() > 0.1


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("size", [(8, 9), (11, 10)])
def test_the_backward_pass_is_a_full_convolution(stride: int, padding: int, size: tuple[int, int]) -> None:
    image, weight = normal(2, 3, *size), normal(4, 3, 3, 4, seed=1)
    image.requires_grad_()
    output = F.conv2d(image, weight, stride=stride, padding=padding)
    gradient = normal(*output.shape, seed=2)
    output.backward(gradient)
    ours = convolution_input_gradient(gradient, weight, size, stride, padding)
    assert (ours - image.grad).abs().max() < 1e-12


def test_the_backward_pass_by_scipys_full_convolution() -> None:
    gradient, kernel = normal(5, 6), normal(3, 3, seed=1)
    ours = convolution_input_gradient(gradient[None, None], kernel[None, None], (7, 8))[0, 0]
    assert np.abs(ours.numpy() - scipy.signal.convolve2d(gradient.numpy(), kernel.numpy(), mode="full")).max() < 1e-12
    with pytest.raises(ValueError, match="gives an output of"):
        convolution_input_gradient(gradient[None, None], kernel[None, None], (8, 8))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("size", [(3, 3), (5, 4), (16, 17)])
def test_direct_and_fft_convolution_agree(dtype: torch.dtype, tolerance: float, size: tuple[int, int]) -> None:
    images, kernel = normal(2, 16, 17).to(dtype), normal(*size, seed=1).to(dtype)
    direct = F.conv2d(images.unsqueeze(1), kernel[None, None]).squeeze(1)
    difference = (fft_convolution(images, kernel) - direct).abs().max() / direct.abs().max()
    assert difference < tolerance


def test_circular_convolution_commutes_with_circular_shifts() -> None:
    convolution = torch.nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", dtype=torch.float64)
    zero_padded = torch.nn.Conv2d(2, 3, 3, padding=1, dtype=torch.float64)
    with torch.no_grad():
        for shift in (1, 2, 5):
            assert shift_commutator(convolution, normal(2, 2, 8, 9), shift, shift) < 1e-14
        # Padding with zeros marks the border: the shift is seen.
        assert shift_commutator(zero_padded, normal(2, 2, 8, 9), 1, 1) > 1e-3
        # A stride of two sees shifts by two alone.
        strided = torch.nn.Conv2d(2, 3, 3, stride=2, padding=1, padding_mode="circular", dtype=torch.float64)
        assert shift_commutator(strided, normal(2, 2, 8, 8), 4, 2) < 1e-14
