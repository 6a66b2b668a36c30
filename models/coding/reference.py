"""What an autoencoder is set beside: principal components of the same pictures at the same size of the code.

On the training pictures PCA is the floor of every linear code (Eckart-Young); on test pictures it is the error of the
same directions on pictures they were not made for. On MNIST both are published numbers, so PCA also tests the whole
way from the file to the error: a pixel read wrongly moves it.

Source:
    Hinton, Salakhutdinov (2006), Reducing the dimensionality of data with neural networks: PCA 13.87 and a deep
    autoencoder 3.00, squared error per test image with 30 numbers, 784-1000-500-250-30.
"""

import hashlib
from functools import cached_property

import torch
from torch import Tensor

from theory.principal import (
    Principal,
    diagonalise,
    mean_and_covariance,
    merge_moments,
    principal,
    projection_errors,
)

# MD5 of the test pictures' file, t10k-images-idx3-ubyte, and its head: four big-endian numbers before the pixels.
MNIST_TEST = "2646ac647ad5339dbf082846283269ea"
MNIST_HEAD = b"".join(number.to_bytes(4, "big") for number in (0x803, 10_000, 28, 28))
MNIST_PCA_30, HALF_WIDTH = 13.87, 0.005  # fitted to all 60,000; as printed, to two decimals
MNIST_DEEP_30 = 3.00
MOST_VALUES = 8192  # of a picture, for a D×D covariance: 512 MB


def is_mnist(test: Tensor) -> bool:
    """Whether these are the published test pictures, pixel by pixel and in order. Args: uint8, (N, 1, H, W)."""
    if test.dtype != torch.uint8 or test.shape != (10_000, 1, 28, 28):
        return False
    return hashlib.md5(MNIST_HEAD + test.cpu().numpy().tobytes(), usedforsecurity=False).hexdigest() == MNIST_TEST


class Reference:
    """Moments and principal components of the training pictures, each computed when it is first asked for.

    Args:
        train: Training pictures, uint8 in 0..255 or float in 0..1, shape (N, C, H, W).
        held_out: Validation pictures, or None without any.
    """

    def __init__(self, train: Tensor, held_out: Tensor | None = None) -> None:
        self.train, self.held_out = train, held_out

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of the training pictures, float64."""
        return mean_and_covariance(self.train)

    @cached_property
    def basis(self) -> Principal:
        """Their principal components."""
        if len(self.train) > self.train[:1].numel():
            return diagonalise(*self.moments)
        return principal(self.train)

    @property
    def mean(self) -> Tensor:
        """Mean picture in 0..1, float64, shape (D,)."""
        return self.basis.mean

    def known_answer(self, test: Tensor) -> float | None:
        """Error of PCA with 30 numbers, fitted to the 60,000 pictures, on MNIST's test; None on any other pictures."""
        held_out = 0 if self.held_out is None else len(self.held_out)
        if len(self.train) + held_out != 60_000 or not is_mnist(test):
            return None
        basis = self.basis
        if self.held_out is not None and held_out:
            others = mean_and_covariance(self.held_out)
            basis = diagonalise(*merge_moments(len(self.train), self.moments, held_out, others))
        return float(projection_errors(test, basis, 30).mean())
