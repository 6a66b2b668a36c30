"""Convolution counted and written out: sizes, parameters, operations, and the matrix that it is.

A convolutional layer is a dense layer in which each unit sees only a window and all units share the window's weights.
Written as a matrix it is sparse and Toeplitz; its parameters do not grow with the picture. What the frameworks call
convolution is cross-correlation, which lacks the flip of the kernel:

    cross-correlation  y[i, j] = Σ_uv k[u, v] x[i s + u - p, j s + v - p]
    convolution        y[i, j] = Σ_uv k[u, v] x[i - u, j - v]

Since the kernel is learnt, the flip changes nothing but the name.

Symbols: n input size, m output size, f kernel size, p padding on each side, s stride, d dilation; H, W input height and
width, P, Q output height and width, F, G kernel height and width.

Source:
    Dumoulin, Visin (2016), A guide to convolution arithmetic for deep learning, arXiv:1603.07285, chapters 2 and 4.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

Pair = int | tuple[int, int]


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Number of positions of a window, m = ⌊(n + 2p - d(f - 1) - 1) / s⌋ + 1; without dilation ⌊(n + 2p - f) / s⌋ + 1.

    Args:
        size: n, at least 1.
        kernel: f, at least 1.
        stride: s, at least 1.
        padding: p on each side, at least 0.
        dilation: d, distance of neighbouring kernel entries, at least 1.

    Returns:
        m, at least 1.

    Raises:
        ValueError: If an argument is out of its range or the window is larger than the padded input.

    Source:
        Dumoulin, Visin (2016), relationships 6 and 15.
    """
    if min(size, kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            "output_size needs size, kernel, stride, dilation >= 1 and padding >= 0, "
            f"not {size}, {kernel}, {stride}, {dilation}, {padding}"
        )
    extent = dilation * (kernel - 1) + 1
    if extent > size + 2 * padding:
        raise ValueError(f"a window of {extent} does not fit into {size} + 2·{padding} = {size + 2 * padding}")
    return (size + 2 * padding - extent) // stride + 1


def same_padding(kernel: int, dilation: int = 1) -> int:
    """Padding on each side that keeps the size at stride 1, p = d (f - 1) / 2.

    Args:
        kernel: f, at least 1.
        dilation: d, at least 1.

    Returns:
        p.

    Raises:
        ValueError: If d (f - 1) is odd: no equal padding on both sides keeps the size.
    """
    if min(kernel, dilation) < 1:
        raise ValueError(f"same_padding needs kernel and dilation >= 1, not {kernel}, {dilation}")
    total = dilation * (kernel - 1)
    if total % 2:
        raise ValueError(f"kernel={kernel} with dilation={dilation} has no symmetric 'same' padding; use an odd kernel")
    return total // 2


def convolution_parameters(
    in_channels: int, out_channels: int, kernel: Pair, *, bias: bool = True, groups: int = 1
) -> int:
    """Parameters of a convolution, C_out (C_in F G / groups + 1): the picture's size does not occur.

    Args:
        in_channels: C_in, divisible by ``groups``.
        out_channels: C_out, divisible by ``groups``.
        kernel: Kernel size, one number or (F, G).
        bias: One more parameter for each output channel.
        groups: Blocks of channels that do not see each other.

    Returns:
        Number of parameters.

    Raises:
        ValueError: If the channels do not divide into the groups.
    """
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ValueError(f"channels {in_channels} and {out_channels} do not divide into {groups} groups")
    height, width = _pair(kernel)
    return out_channels * (in_channels // groups * height * width + bias)


def dense_parameters(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """Parameters of a dense layer, n (m + 1): every unit is joined to every input.

    Args:
        in_features: m.
        out_features: n.
        bias: One more parameter for each unit.

    Returns:
        Number of parameters.
    """
    return out_features * (in_features + bias)


def convolution_multiply_adds(
    in_channels: int, out_channels: int, kernel: Pair, output: Pair, *, groups: int = 1
) -> int:
    """Multiply-adds of a direct convolution of one picture, P Q C_out C_in F G / groups; padding counts as input.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel: Kernel size, one number or (F, G).
        output: Output size, one number or (P, Q).
        groups: Blocks of channels that do not see each other.

    Returns:
        Number of multiply-adds (a multiply-add is two floating-point operations).
    """
    height, width = _pair(output)
    return height * width * convolution_parameters(in_channels, out_channels, kernel, bias=False, groups=groups)


def dense_multiply_adds(in_features: int, out_features: int) -> int:
    """Multiply-adds of a dense layer for one sample, n m: as many as it has weights.

    Args:
        in_features: m.
        out_features: n.

    Returns:
        Number of multiply-adds.
    """
    return in_features * out_features


def convolution_matrix(
    kernel: NDArray[np.floating], height: int, width: int, stride: int = 1, padding: int = 0
) -> scipy.sparse.csr_array:
    """The sparse matrix M with M @ x.ravel() = (cross-correlation of x with the kernel).ravel().

    Row (i, j) holds the kernel's entry (u, v) in the column of pixel (i s + u - p, j s + v - p); what falls into the
    padding is dropped. At stride 1 the entries are constant along diagonals (doubly block Toeplitz). All rows share the
    same F·G numbers: that is the sharing of weights.

    Args:
        kernel: Shape (F, G).
        height: H of the input.
        width: W of the input.
        stride: s, at least 1.
        padding: p, zeros on each side.

    Returns:
        Sparse matrix of shape (P * Q, H * W).

    Raises:
        ValueError: If the kernel is not a matrix or does not fit.
    """
    if kernel.ndim != 2:
        raise ValueError(f"convolution_matrix takes a kernel of shape (F, G), not {kernel.shape}")
    rows_out = output_size(height, kernel.shape[0], stride, padding)
    columns_out = output_size(width, kernel.shape[1], stride, padding)
    # One entry for each output pixel (i, j) and each kernel entry (u, v).
    i, j, u, v = np.indices((rows_out, columns_out, *kernel.shape)).reshape(4, -1)
    y, x = i * stride + u - padding, j * stride + v - padding
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    entries = (kernel[u, v][inside], ((i * columns_out + j)[inside], (y * width + x)[inside]))
    return scipy.sparse.csr_array(entries, shape=(rows_out * columns_out, height * width))


def flip(kernel: Tensor) -> Tensor:
    """The kernel rotated by 180°: cross-correlation with it is convolution with the original.

    Args:
        kernel: Shape (..., F, G).

    Returns:
        Same shape, k[F - 1 - u, G - 1 - v].
    """
    return kernel.flip(-2, -1)


def convolution_input_gradient(
    output_gradient: Tensor, weight: Tensor, input_size: tuple[int, int], stride: int = 1, padding: int = 0
) -> Tensor:
    """Gradient of a convolution with respect to its input: a full convolution with the rotated kernel.

    With g = ∂L/∂y, ∂L/∂x[a] = Σ_u k[u] g[(a + p - u) / s] over the u that s divides. So spread g out with s - 1 zeros
    between its entries, pad it by f - 1 ("full"), and cross-correlate with the rotated kernel whose input and output
    channels have changed places. The padding of the forward pass is cut off again. In matrices: Mᵀ g.

    Args:
        output_gradient: g, shape (N, C_out, P, Q).
        weight: Kernels of the forward pass, shape (C_out, C_in, F, G).
        input_size: (H, W) of the forward pass; the stride may have ignored its last rows.
        stride: s of the forward pass.
        padding: p of the forward pass.

    Returns:
        ∂L/∂x, shape (N, C_in, H, W).

    Raises:
        ValueError: If P, Q do not belong to this input size.

    Source:
        Dumoulin, Visin (2016), sections 4.1 and 4.6, relationship 14.
    """
    num, channels, rows, columns = output_gradient.shape
    kernel_height, kernel_width = weight.shape[-2:]
    due = tuple(
        output_size(n, f, stride, padding) for n, f in zip(input_size, (kernel_height, kernel_width), strict=True)
    )
    if (rows, columns) != due:
        raise ValueError(f"an input of {input_size} gives an output of {due}, not {(rows, columns)}")
    # Padded input of the forward pass: all positions that a window can touch, and those that the stride left out.
    height, width = (size + 2 * padding for size in input_size)
    spread = output_gradient.new_zeros(num, channels, height + kernel_height - 1, width + kernel_width - 1)
    bottom, right = kernel_height - 1 + (rows - 1) * stride, kernel_width - 1 + (columns - 1) * stride
    spread[..., kernel_height - 1 : bottom + 1 : stride, kernel_width - 1 : right + 1 : stride] = output_gradient
    rotated = flip(weight).transpose(0, 1)  # (C_in, C_out, F, G)
    gradient = torch.nn.functional.conv2d(spread, rotated)  # (N, C_in, H + 2p, W + 2p)
    return gradient[..., padding : height - padding, padding : width - padding]


def fft_convolution(images: Tensor, kernel: Tensor) -> Tensor:
    """Cross-correlation by the convolution theorem: transform, multiply, transform back.

    Circular convolution is a product of spectra; zeros appended to H + F - 1 keep the ends apart. The cost is
    O(H W log H W) whatever the kernel's size.

    Args:
        images: Shape (..., H, W).
        kernel: Shape (F, G), not larger than the images.

    Returns:
        Cross-correlation without padding, shape (..., H - F + 1, W - G + 1).
    """
    sizes = [n + f - 1 for n, f in zip(images.shape[-2:], kernel.shape, strict=True)]
    spectrum = torch.fft.rfft2(images, s=sizes) * torch.fft.rfft2(flip(kernel), s=sizes)
    full = torch.fft.irfft2(spectrum, s=sizes)  # (..., H + F - 1, W + G - 1)
    return full[..., kernel.shape[0] - 1 : images.shape[-2], kernel.shape[1] - 1 : images.shape[-1]]


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
