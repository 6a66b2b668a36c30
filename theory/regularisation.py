"""Four ways against overfitting, and for a linear model what each of them is, exactly.

Full-batch gradient descent on half the mean squared error of x w, from w = 0, with step eta. Let C = X^T X / n,
c = X^T y / n. Every switch only changes the matrix: the *mean* iterate (over masks and noise) is

    w_t = (I - (I - eta A)^t) A^-1 c,        A = C + penalty
    weight decay lambda                      penalty = lambda I                         ridge
    Gaussian noise of variance s^2 on x      penalty = s^2 I                            Tikhonov
    dropout, keep probability p (inverted)   penalty = (1 - p) / p diag(C)              ridge scaled by feature
    noise, then dropout                      penalty = (s^2 I + (1 - p) diag(C)) / p
    early stopping                           filter 1 - (1 - eta lambda_i)^t on each eigenvector of A

because the gradient is linear in w and each step's mask is independent of w.

Source:
    Hoerl, Kennard (1970); Bishop (1995), Training with noise is equivalent to Tikhonov regularization;
    Srivastava et al. (2014), Dropout, section 9.1; Wager, Wang, Liang (2013); Yao, Rosasco, Caponnetto (2007), On early
    stopping in gradient descent learning.
"""

# n samples, d features, m test points, M masks

from __future__ import annotations

import torch
from torch import Tensor

from theory.rbm import binary_states

RANK = 1e-10  # below this share of the largest a direction is taken as missing


def ridge(x: Tensor, y: Tensor, penalty: float | Tensor) -> Tensor:
    """Ridge: argmin ||y - x w||^2 + penalty ||w||^2, shape (d, ...).

    Args:
        x: Features, shape (n, d).
        y: Responses, shape (n,) or (n, R).
        penalty: At least 0; a number, or one for each feature, shape (d,).
    """
    penalties = torch.as_tensor(penalty, dtype=x.dtype, device=x.device).expand(x.shape[1])
    stacked = torch.cat([x, torch.diag(penalties.sqrt())])  # least squares without squaring the condition
    target = torch.cat([y, y.new_zeros(x.shape[1], *y.shape[1:])])
    return least_squares(stacked, target)


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """The shortest of the solutions of min ||y - x w||, shape (d, ...).

    There are several where features depend on each other. Whether they do is asked of features of one size: the unit
    that one is measured in must not make it count as missing.
    """
    sizes = x.abs().amax(0) if len(x) else x.new_zeros(x.shape[1])
    units = sizes.masked_fill(sizes == 0, 1.0)
    scaled = x / units
    if len(x) >= x.shape[1] and int(torch.linalg.matrix_rank(scaled)) == x.shape[1]:
        return torch.linalg.pinv(scaled) @ y / units.reshape(-1, *[1] * (y.ndim - 1))
    return torch.linalg.pinv(x) @ y


def lasso(x: Tensor, y: Tensor, penalty: float, tolerance: float = 1e-12, max_sweeps: int = 10_000) -> Tensor:
    """Lasso: argmin ||y - x w||^2 / 2 + penalty ||w||_1 by coordinate descent, shape (d,); 0 for a column of zeros.

    Args:
        x: Features, shape (n, d).
        y: Responses, shape (n,).
        penalty: At least 0.
        tolerance: Stop when no coefficient moves the fit further than this share of ||y||.
        max_sweeps: Passes over the coefficients at most.

    Source:
        Tibshirani (1996); Friedman, Hastie, Hoefling, Tibshirani (2007), Pathwise coordinate optimization.
    """
    gram, moment = x.T @ x, x.T @ y
    w = torch.zeros_like(moment)
    used = gram.diagonal().nonzero()[:, 0].tolist()
    lengths, enough = gram.diagonal().sqrt(), tolerance * float(torch.linalg.vector_norm(y))
    for _ in range(max_sweeps):
        before = w.clone()
        for j in used:
            pull = moment[j] - gram[j] @ w + gram[j, j] * w[j]
            w[j] = pull.sign() * (pull.abs() - penalty).clamp_min(0) / gram[j, j]
        if float(((w - before).abs() * lengths).max()) <= enough:
            break
    return w


def spectral_filter(eigenvalues: Tensor, lr: float, steps: int) -> Tensor:
    """1 - (1 - lr lambda)^t: the share of each least-squares component that t steps of gradient descent reach."""
    rates = lr * eigenvalues
    # Where the power is near 1 the difference would cancel: -expm1(t log1p(-lr lambda)) keeps all digits.
    slow = -torch.expm1(steps * torch.log1p(-rates.clamp_max(0.5)))
    return torch.where(rates < 0.5, slow, 1 - (1 - rates) ** steps)


def descent_iterate(matrix: Tensor, moment: Tensor, lr: float, steps: int) -> Tensor:
    """The t-th iterate of w <- w - lr (A w - c) from 0, without iterating: (I - (I - lr A)^t) A^-1 c.

    Args:
        matrix: A, symmetric positive semidefinite, shape (d, d).
        moment: c, shape (d,) or (d, R).
        lr: Step; the iteration converges for 0 < lr < 2 / lambda_max(A).
        steps: t, at least 0.
    """
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    eigenvalues = eigenvalues.clamp_min(0)
    # (1 - (1 - lr l)^t) / l tends to lr t as l tends to 0; below 1e-12 the limit is exact to rounding.
    small = eigenvalues * lr * max(steps, 1) < 1e-12
    gain = torch.where(small, lr * steps, spectral_filter(eigenvalues, lr, steps) / eigenvalues.masked_fill(small, 1.0))
    return torch.einsum("ij,j,j...->i...", vectors, gain, torch.einsum("ij,i...->j...", vectors, moment))


def penalty_diagonal(gram: Tensor, weight_decay: float = 0.0, noise: float = 0.0, keep: float = 1.0) -> Tensor:
    """Diagonal of the penalty that the switches amount to, shape (d,).

    Args:
        gram: C = X^T X / n, shape (d, d).
        weight_decay: lambda, at least 0.
        noise: Standard deviation of Gaussian noise on the features, added before any is dropped.
        keep: Probability with which dropout keeps a feature, in (0, 1]; what is kept is divided by it.
    """
    return weight_decay + noise**2 / keep + (1 - keep) / keep * gram.diagonal()


def dropout_loss_enumerated(x: Tensor, y: Tensor, w: Tensor, keep: float) -> Tensor:
    """E ||y - (x * mask) w||^2 as a sum over all masks, each feature kept with probability ``keep``; at most 12.

    Raises:
        ValueError: If there are more features.
    """
    if x.shape[1] > 12:
        raise ValueError(f"masks are enumerated for at most 12 features, got {x.shape[1]}")
    masks = binary_states(x.shape[1], dtype=x.dtype, device=x.device)  # (M, d)
    kept = masks.sum(1)
    probability = keep**kept * (1 - keep) ** (x.shape[1] - kept)
    residual = y[:, None] - x @ (masks * w).T  # (n, M)
    return probability @ residual.square().sum(0)


def dropout_loss(x: Tensor, y: Tensor, w: Tensor, keep: float) -> Tensor:
    """The same in closed form: ||y - p x w||^2 + p (1 - p) sum_j w_j^2 ||x_j||^2."""
    penalty = keep * (1 - keep) * (w.square() * x.square().sum(0)).sum()
    return (y - keep * x @ w).square().sum() + penalty


def linear_risk(smoother: Tensor, target: Tensor, target_test: Tensor, noise_variance: float) -> Tensor:
    """Expected squared error of a linear method on new points: noise + bias^2 + variance.

    Args:
        smoother: Prediction = smoother @ y, shape (m, n).
        target: f at the training points, shape (n,); y = f + noise.
        target_test: f at the test points, shape (m,).
        noise_variance: sigma^2.

    Returns:
        The mean over the test points of E (y' - prediction)^2, y' a new response; a scalar.
    """
    bias = smoother @ target - target_test
    return noise_variance + bias.square().mean() + noise_variance * smoother.square().sum(1).mean()


def linear_training_error(smoother: Tensor, target: Tensor, noise_variance: float) -> Tensor:
    """Expected mean squared error on the training points themselves, where the noise is seen: scalar.

    Args:
        smoother: Prediction at the training points = smoother @ y, shape (n, n).
        target: f at the training points, shape (n,).
        noise_variance: sigma^2.
    """
    residual = torch.eye(len(target), dtype=smoother.dtype, device=smoother.device) - smoother
    return (residual @ target).square().mean() + noise_variance * residual.square().sum(1).mean()


def leave_one_out_errors(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Prediction errors of ridge at each point left out, from one fit: residual_i / (1 - h_ii), shape (n,).

    Of no more points than features residual and 1 - h_ii both vanish with the penalty, as points are fitted exactly.
    There, with K = X X^T + penalty I, their ratio is (K^-1 y)_i / (K^-1)_ii.

    Args:
        x: Features, shape (n, d).
        y: Responses, shape (n,).
        penalty: At least 0.

    Raises:
        ValueError: If a point alone decides a coefficient, so that without it there is no prediction for it.

    Source:
        Allen (1974), PRESS; Golub, Heath, Wahba (1979), Generalized cross-validation.
    """
    identity = torch.eye(len(x), dtype=x.dtype, device=x.device)
    if len(x) <= x.shape[1]:
        _, triangle = torch.linalg.qr(torch.cat([x.T, penalty**0.5 * identity]))  # K = T^T T
        sizes = triangle.diagonal().abs()
        if float(sizes.min()) <= RANK * float(sizes.max()):
            raise ValueError("without a penalty the points must be linearly independent where they are fitted exactly")
        half = torch.linalg.solve_triangular(triangle.mT, identity, upper=False)  # K^-1 = half^T half
        return (half.T @ (half @ y)) / half.square().sum(0)
    hat = x @ ridge(x, identity, penalty)  # (n, n)
    left = 1 - hat.diagonal()
    if float(left.min()) < RANK:
        raise ValueError(f"point {int(left.argmin())} alone decides a coefficient: left out, it has no prediction")
    return (y - hat @ y) / left
