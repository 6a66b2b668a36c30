"""The linear autoencoder, trained on the exact loss: its limit is PCA, from almost any start.

The expected squared error of x → W₂W₁x depends on the data through their covariance alone, so a step needs no pictures
(`theory.linear_autoencoder`). Two ways down, both from random weights:

    L-BFGS        a general optimiser that knows nothing of eigenvectors
    alternation   the exact minimum over the decoder, then over the encoder: linear convergence at the rate
                  (f_{k+1} / f_k)² a step, f = λ² / (λ + σ²) for noise σ, since it is subspace iteration

L-BFGS comes near and then slows down, at a condition number that the gap of two neighbouring eigenvalues sets; the
alternation polishes. All in float64.

Letters: D pixels, K size of the code.

Source:
    Baldi, Hornik (1989). Liu, Nocedal (1989), On the limited memory BFGS method for large scale optimization.
"""

import torch
from torch import Tensor, nn

from theory.linear_autoencoder import alternate, covariance_loss, tie

MEMORY = 20  # pairs of steps and gradient differences that L-BFGS keeps


class LinearAutoencoder(nn.Module):
    """x̂ = m + W₂W₁(x - m), with W₂ = W₁ᵀ when tied.

    Args:
        image_shape: (C, H, W).
        code: K.
        tied: One matrix for both directions.
        noise: σ of the noise added to the input in training.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, image_shape: tuple[int, int, int], code: int, tied: bool = False, noise: float = 0.0) -> None:
        super().__init__()
        size = image_shape[0] * image_shape[1] * image_shape[2]
        self.image_shape, self.noise = image_shape, noise
        start = torch.randn(2, code, size, dtype=torch.float64) / size**0.5
        self.encoder = nn.Parameter(start[0])  # (K, D)
        self.own_decoder = None if tied else nn.Parameter(start[1].T.contiguous())  # (D, K)
        self.register_buffer("mean", torch.zeros(image_shape, dtype=torch.float64))
        # Known again from the pictures: a checkpoint need not carry D² numbers.
        self.register_buffer("covariance", torch.zeros(size, size, dtype=torch.float64), persistent=False)

    @property
    def decoder(self) -> Tensor:
        """W₂, shape (D, K)."""
        return self.encoder.T if self.own_decoder is None else self.own_decoder

    @torch.no_grad()
    def fit_moments(self, mean: Tensor, covariance: Tensor) -> None:
        """Takes over what it learns from: the mean (D,) in 0..1 and covariance (D, D) of the training pictures."""
        self.mean.copy_(mean.view(self.image_shape))
        self.covariance.copy_(covariance)

    def loss(self) -> Tensor:
        """The exact expected squared error on the training pictures, a scalar."""
        return covariance_loss(self.encoder, self.decoder, self.covariance, self.noise)

    @torch.no_grad()
    def polish(self, steps: int) -> None:
        """Steps of exact alternating minimisation, at least 1; tied weights take the best form in the same subspace."""
        encoder, decoder = self.encoder.data, self.decoder
        for _ in range(steps):
            encoder, decoder = alternate(encoder, self.covariance, self.noise)
        if self.own_decoder is not None:
            self.encoder.copy_(encoder)
            self.own_decoder.copy_(decoder)
        else:
            self.encoder.copy_(tie(decoder, self.covariance, self.noise))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, K) of pictures in 0..1, (N, C, H, W)."""
        return (x - self.mean).flatten(1).double() @ self.encoder.T

    def decode(self, code: Tensor) -> Tensor:
        """Pictures (N, C, H, W) of codes (N, K)."""
        return (code.double() @ self.decoder.T).view(-1, *self.image_shape) + self.mean

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions of pictures in 0..1, both (N, C, H, W)."""
        return self.decode(self.encode(x))


def lbfgs(model: LinearAutoencoder, iterations: int) -> torch.optim.LBFGS:
    """L-BFGS with a strong-Wolfe line search over the weights, ``iterations`` of them a step."""
    return torch.optim.LBFGS(
        model.parameters(),
        max_iter=iterations,
        history_size=MEMORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
