"""Models of growing capacity, all sizes and all replicas of the data trained as one tensor programme.

Polynomials are linear in their coefficients, so gradient descent on them has closed forms for every regulariser
(``theory.regularisation``). Networks of one hidden layer have none; they show the same behaviour.
"""

# K sizes, R replicas, n points, d features of the largest polynomial, H hidden units of the largest network

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from theory.evidence import legendre
from theory.regularisation import penalty_diagonal

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def kept(shape: Sequence[int], keep: float, like: Tensor) -> Tensor:
    """A mask of inverted dropout: 1 / keep with probability keep, else 0."""
    return torch.bernoulli(torch.full(tuple(shape), keep, dtype=like.dtype, device=like.device)) / keep


class Polynomials(nn.Module):
    """Polynomials of degree 0..K-1 for every replica, on orthonormal Legendre features.

    Args:
        max_degree: K - 1.
        replicas: R.
        lr: Step as a share of 1 / lambda_max, above 0 and below 2.
        weight_decay: lambda in lambda ||w||^2 / 2.
        dropout: Probability with which a feature of a sample is dropped in a step.
        noise: Standard deviation of the Gaussian noise that each step adds to the features.
    """

    unit = "degree"

    def __init__(
        self, max_degree: int, replicas: int, lr: float, weight_decay: float, dropout: float, noise: float
    ) -> None:
        super().__init__()
        self.sizes = list(range(max_degree + 1))
        self.lr, self.weight_decay, self.keep, self.noise = lr, weight_decay, 1 - dropout, noise
        features = max_degree + 1
        self.weight = nn.Parameter(torch.zeros(features, replicas, features, dtype=torch.float64))
        # Degree k uses the features 0..k.
        self.register_buffer("used", torch.ones(features, features, dtype=torch.float64).tril(), persistent=False)
        self.used: Tensor
        self.known: tuple[Tensor, Tensor] | None = None  # points and their steps

    def forward(self, x: Tensor) -> Tensor:
        """Predictions, shape (K, R, n). Args: points (n,)."""
        return torch.einsum("krd,nd->krn", self.weight * self.used[:, None], legendre(x, self.sizes[-1]))

    def matrix(self, x: Tensor, degree: int) -> Tensor:
        """A = C + penalty, which governs the mean iterate; shape (degree + 1, degree + 1)."""
        features = legendre(x, degree)
        gram = features.T @ features / len(x)
        return gram + torch.diag(penalty_diagonal(gram, self.weight_decay, self.noise, self.keep))

    def steps(self, x: Tensor) -> Tensor:
        """The step of each degree, lr / lambda_max(A); shape (K,). Computed once for the same points."""
        if self.known is None or self.known[0] is not x:
            largest = [torch.linalg.eigvalsh(self.matrix(x, degree))[-1] for degree in self.sizes]
            self.known = (x, self.lr / torch.stack(largest))
        return self.known[1]

    def objective(self, x: Tensor, y: Tensor) -> Tensor:
        """A scalar whose gradient is the step of each polynomial: step times half the penalised mean square.

        Args:
            x: Points, shape (n,).
            y: Responses, shape (n, R).
        """
        features = legendre(x, self.sizes[-1])  # (n, d)
        weight = self.weight * self.used[:, None]
        if self.keep < 1 or self.noise > 0:
            features = features.expand(self.weight.shape[1], -1, -1)  # (R, n, d): each replica draws its own
            if self.noise > 0:
                features = features + self.noise * torch.randn_like(features)
            if self.keep < 1:
                features = features * kept(features.shape, self.keep, features)
            predicted = torch.einsum("krd,rnd->krn", weight, features)
        else:
            predicted = torch.einsum("krd,nd->krn", weight, features)
        half = (predicted - y.T).square().mean(2).sum(1) / 2 + self.weight_decay / 2 * weight.square().sum((1, 2))
        return (self.steps(x) * half).sum()


class Networks(nn.Module):
    """Networks of one hidden tanh layer of several widths for every replica.

    Args:
        max_width: The largest of `WIDTHS` that is used.
        replicas: R.
        weight_decay: lambda in lambda ||w||^2 / 2 on the weights, not on biases.
        dropout: Probability with which a hidden unit is dropped for a sample in a step.
        noise: Standard deviation of the Gaussian noise that each step adds to x.
    """

    unit = "hidden units"

    def __init__(self, max_width: int, replicas: int, weight_decay: float, dropout: float, noise: float) -> None:
        super().__init__()
        self.sizes = [width for width in WIDTHS if width <= max_width]
        self.weight_decay, self.keep, self.noise = weight_decay, 1 - dropout, noise
        shape = (len(self.sizes), replicas, self.sizes[-1])
        self.slope = nn.Parameter(3 * torch.randn(shape))
        self.shift = nn.Parameter(3 * torch.rand(shape) * torch.randn(shape).sign())
        self.weight = nn.Parameter(torch.randn(shape) / torch.tensor(self.sizes).sqrt()[:, None, None])
        self.bias = nn.Parameter(torch.zeros(shape[:2]))
        used = torch.arange(self.sizes[-1]) < torch.tensor(self.sizes)[:, None]
        self.register_buffer("used", used.float()[:, None, None], persistent=False)  # (K, 1, 1, H)
        self.used: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Predictions, shape (K, R, n). Args: points (n,), or noisy ones of each replica (R, n)."""
        hidden = torch.tanh(self.slope[:, :, None] * x.float()[..., None] + self.shift[:, :, None]) * self.used
        if self.training and self.keep < 1:
            hidden = hidden * kept(hidden.shape, self.keep, hidden)
        return (hidden * self.weight[:, :, None]).sum(3) + self.bias[:, :, None]

    def objective(self, x: Tensor, y: Tensor) -> Tensor:
        """Half the penalised mean square, summed over networks, which do not influence each other."""
        if self.noise > 0:
            x = x + self.noise * torch.randn(y.shape[1], len(x), dtype=x.dtype, device=x.device)
        fit = (self(x) - y.T.float()).square().mean(2).sum() / 2
        used = self.used[:, 0]
        return fit + self.weight_decay / 2 * ((self.slope * used).square() + (self.weight * used).square()).sum()
