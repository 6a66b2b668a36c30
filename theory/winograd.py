"""Winograd's convolution F(2×2, 3×3): four outputs of a 3×3 window from 16 products instead of 36.

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,     d a tile of 4×4 pixels, g the kernel, Y 2×2 outputs

Source:
    Winograd (1980), Arithmetic complexity of computations; Lavin, Gray (2016), Fast algorithms for convolutional neural
    networks, section 4.1.
"""

# N pictures, H height, W width

from __future__ import annotations

import torch
from torch import Tensor

_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # Bᵀ
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))  # Aᵀ


def winograd_convolution(images: Tensor, kernel: Tensor) -> Tensor:
    """Cross-correlation with a 3×3 kernel, without padding.

    Args:
        images: Shape (N, H, W), H and W even and at least 4.
        kernel: Shape (3, 3).

    Returns:
        Shape (N, H - 2, W - 2); in float64 where both are whole numbers, as the halves of G are none.

    Raises:
        ValueError: If a shape is another one.
    """
    fitting = images.ndim == 3 and all(side >= 4 and side % 2 == 0 for side in images.shape[1:])
    if not fitting or kernel.shape != (3, 3):
        raise ValueError(
            "images must be (N, H, W) with H and W even and at least 4, and the kernel (3, 3), "
            f"got {tuple(images.shape)} and {tuple(kernel.shape)}"
        )
    both = torch.result_type(images, kernel)
    images, kernel = (given.to(both if both.is_floating_point else torch.float64) for given in (images, kernel))
    inputs, weights, outputs = (images.new_tensor(matrix) for matrix in (_INPUT, _KERNEL, _OUTPUT))
    tiles = images.unfold(1, 4, 2).unfold(2, 4, 2)  # (N, (H-2)/2, (W-2)/2, 4, 4)
    product = (weights @ kernel @ weights.T) * (inputs @ tiles @ inputs.T)
    patches = outputs @ product @ outputs.T  # (N, P, Q, 2, 2)
    return patches.transpose(2, 3).reshape(len(images), images.shape[1] - 2, images.shape[2] - 2)
