"""Statements about coordinates for pictures: principal components, other bases, autoencoders, low rank."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from claims.sources import read_mnist
from models.coding.linear import LinearAutoencoder, lbfgs
from models.coding.reference import HALF_WIDTH, MNIST_PCA_30
from theory.compression import cosine_basis, cosine_transform, psnr, truncate
from theory.linear_autoencoder import covariance_loss
from theory.principal import (
    diagonalise,
    encode,
    kept_energy,
    least_error,
    mean_and_covariance,
    principal,
    projection_errors,
    scaled,
)


def digits() -> Tensor:
    """The 1,797 bundled digits as float64 vectors in 0..1, shape (N, 64)."""
    from sklearn.datasets import load_digits

    return torch.from_numpy(load_digits().data) / 16


def correlated(count: int, size: int, seed: int) -> Tensor:
    """Gaussian samples whose coordinates depend on each other, shape (N, D)."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) @ mixing


def trained(
    covariance: Tensor, k: int, seed: int, *, tied: bool = False, iterations: int = 100, polish: int = 0
) -> LinearAutoencoder:
    """A linear autoencoder from random weights: L-BFGS on the exact loss, then steps of exact alternation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LinearAutoencoder((1, 1, len(covariance)), k, tied)
    model.fit_moments(covariance.new_zeros(len(covariance)), covariance)
    optimiser = lbfgs(model, iterations)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = model.loss()
        loss.backward()
        return loss

    optimiser.step(closure)
    if polish:
        model.polish(polish)
    return model.requires_grad_(False)


def final_loss(model: LinearAutoencoder) -> float:
    """The exact loss at the weights reached."""
    return float(model.loss())


@claim(
    "000-02",
    "raw image information is mostly linearly dependent; process it in a basis whose dimensions are independent",
    IMPRECISE,
    "pixels are correlated, rarely dependent; principal components decorrelate them, independence needs more",
    "Pearson 1901, Hotelling 1933; Comon 1994 for independence",
)
def decorrelation() -> Numbers:
    pixels = digits()
    basis = principal(pixels)
    _, covariance = mean_and_covariance(pixels)
    varying = int((pixels.var(0) > 0).sum())
    # Linear dependence would be a rank below the number of pixels that vary at all.
    yield equals("dimensions spanned by the digits, of their pixels that vary", len(basis.eigenvalues), varying)
    # Uᵀ C U = diag(λ)
    turned = basis.directions.T @ covariance @ basis.directions
    apart = (covariance - torch.cov(pixels.T, correction=0)).abs().max() / covariance.trace()
    yield equals("covariance less torch's, largest entry / trace", apart, 0, 1e-12)
    off = (turned - turned.diag().diag()).abs().max() / covariance.trace()
    yield at_most("largest covariance of two coordinates / trace", off, 1e-12)
    before = (covariance - covariance.diag().diag()).abs().max() / covariance.trace()
    yield at_least("the same of two pixels", before, 1e-3)
    # Uncorrelated is not independent: of independent coordinates the squares would be uncorrelated too.
    squares = torch.corrcoef(encode(pixels, basis, 10).square().T)
    noise = 1 / math.sqrt(len(pixels))
    yield at_least(
        "correlation of two squared coordinates, in standard errors of independence",
        (squares - torch.eye(10, dtype=torch.float64)).abs().max() / noise,
        5,
        counterexample=True,
    )


@claim(
    "000-33",
    "the best basis is the one with the fewest nonzero coefficients",
    IMPRECISE,
    "with k fixed coordinates PCA keeps the most energy of all orthonormal bases; a cosine basis need not beat pixels",
    "Eckart and Young 1936, Ky Fan 1949; DeVore 1998 for choosing the terms per picture",
)
def energy() -> Numbers:
    pixels = digits()
    _, covariance = mean_and_covariance(pixels)
    best = kept_energy(covariance, diagonal_basis(covariance))
    cosines = torch.kron(cosine_basis(8), cosine_basis(8)).T
    generator = torch.Generator().manual_seed(0)
    turned, _ = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64))
    identity = torch.eye(64, dtype=torch.float64)
    singular = np.linalg.svd((pixels - pixels.mean(0)).numpy(), compute_uv=False)
    due = np.cumsum(singular**2) / len(pixels)
    apart = np.abs(best.numpy() / due - 1).max()
    yield equals(
        "energy of k PCA coordinates / Σ of NumPy's first k squared singular values − 1, worst", apart, 0, 1e-12
    )
    alone = np.cumsum(np.sort(pixels.numpy().var(0))[::-1])
    apart = np.abs(kept_energy(covariance, identity).numpy() / alone - 1).max()
    yield equals("energy of k pixels / sum of NumPy's k largest variances − 1, worst", apart, 0, 1e-12)
    for name, basis in {"cosines": cosines, "pixels": identity, "random": turned}.items():
        skewed = (basis.T @ basis - identity).abs().max()
        yield equals(f"{name}: largest entry of UᵀU − I, an orthonormal basis", skewed, 0, 1e-12)
        # Σ_{i≤k} λ_i ≥ Σ_{i≤k} uᵢᵀCuᵢ for every k
        excess = (kept_energy(covariance, basis) - best).max() / covariance.trace()
        yield at_most(f"energy of {name} beyond that of PCA, worst k, / total", excess, 0, 1e-12)
    # Pixels at the border hardly vary: with nearly all coordinates the cosines, which spread them, are behind.
    fixed, spread = kept_energy(covariance, identity), kept_energy(covariance, cosines)
    behind = (fixed > spread + 1e-9 * covariance.trace()).sum()
    yield at_least("numbers k, of 64, at which k pixels keep more than k cosines", behind, 1, counterexample=True)
    # Sparser for one picture, with terms of its own choice: a single pixel is one coefficient in pixels, 64 in cosines.
    spike = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    spike[0, 0, 3, 4] = 1
    nonzero = (cosine_transform(spike).abs() > 1e-12).sum()
    yield equals("nonzero cosines of one lit pixel", nonzero, 64, counterexample=True)


def diagonal_basis(covariance: Tensor) -> Tensor:
    """All eigenvectors as columns, also those of eigenvalue 0, shape (D, D)."""
    return torch.linalg.eigh(covariance).eigenvectors


@claim(
    "000-34",
    "layers that narrow, trained by back-propagation, learn coefficients and basis together",
    IMPRECISE,
    "a linear bottleneck of k units learns the subspace of the first k principal components from almost every start, "
    "if λₖ > λₖ₊₁; a start at one of the other critical points stays there",
    "Bourlard and Kamp 1988, Baldi and Hornik 1989; Bah et al. 2022 for almost every start",
)
def bottleneck() -> Numbers:
    mean, covariance = mean_and_covariance(digits())
    basis = diagonalise(mean, covariance)
    least = least_error(basis.eigenvalues, 8)
    models = [trained(covariance, 8, seed, iterations=40, polish=250) for seed in range(5)]
    # gap = (L - Σ_{i>k} λ_i) / Σ_{i>k} λ_i
    worst = max(abs(final_loss(model) / least - 1) for model in models)
    yield equals("relative gap to Σ_{i>8} λ_i, worst of 5 starts", worst, 0, 1e-8)
    # The projector on the learned subspace is that of PCA: W₂W₁ → UₖUₖᵀ
    due = basis.directions[:, :8] @ basis.directions[:, :8].T
    apart = max(float((model.decoder @ model.encoder - due).abs().max()) for model in models)
    yield at_most("largest entry of W₂W₁ − UₖUₖᵀ, worst of 5 starts", apart, 1e-4)
    unpolished = trained(covariance, 8, 0, iterations=700)
    yield at_most("relative gap of 700 iterations of L-BFGS alone", final_loss(unpolished) / least - 1, 1e-6)
    yield at_least("λ₈ / λ₉, above 1", basis.eigenvalues[7] / basis.eigenvalues[8], 1.01)
    zero = covariance.new_zeros(8, 64), covariance.new_zeros(64, 8)
    slopes = torch.func.grad(covariance_loss, argnums=(0, 1))(*zero, covariance)
    yield equals("start W₁ = W₂ = 0: largest gradient", max(slope.abs().max() for slope in slopes), 0)
    yield equals("its loss, tr C", covariance_loss(*zero, covariance), covariance.trace(), 1e-12)
    level = torch.diag(torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64))
    first, second = (trained(level, 2, seed, polish=100) for seed in range(2))
    worst = max(final_loss(first), final_loss(second))
    yield equals("λ = 2, 1, 1 and k = 2: larger loss of two starts", worst, 1, 1e-9)
    between = first.decoder @ first.encoder - second.decoder @ second.encoder
    yield at_least("largest difference of their W₂W₁: no one subspace", between.abs().max(), 0.1)


@claim(
    "002-08",
    "low-rank approximation compresses a picture",
    RIGHT,
    "keeping k singular values loses ‖A − A_k‖² = Σ_{i>k} σ_i², and no matrix of rank k loses less",
    "Eckart and Young 1936, Mirsky 1960",
)
def low_rank() -> Numbers:
    picture = correlated(40, 30, 0)
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    values = torch.linalg.svdvals(picture)
    left = [picture - truncate(picture, k) for k in range(31)]
    tails = [values[k:].square().sum().sqrt() for k in range(31)]
    # ‖A − A_k‖_F = √Σ_{i>k} σ_i²,  ‖A − A_k‖₂ = σ_{k+1}
    frobenius = max(abs(torch.linalg.matrix_norm(part) - tail) for part, tail in zip(left, tails, strict=True))
    spectral = max(abs(torch.linalg.matrix_norm(left[k], 2) - values[k]) for k in range(30))
    yield equals("largest defect of ‖A − A_k‖_F / ‖A‖_F", frobenius / tails[0], 0, 1e-13)
    yield equals("largest defect of ‖A − A_k‖₂ / ‖A‖₂", spectral / values[0], 0, 1e-13)
    # A = U V is fitted by the linear autoencoder of the rows: their second moments are AᵀA, the floor Σ_{i>k} σ_i².
    found = final_loss(trained(picture.T @ picture, 5, 0, polish=600))
    yield equals("relative gap of a trained factorisation of rank 5", found / float(tails[5] ** 2) - 1, 0, 1e-6)
    quality = psnr(float(left[5].square().sum()), 1200)
    yield equals("PSNR of rank 5 in dB", quality, 10 * math.log10(1200 / float(tails[5] ** 2)), 1e-12)


@claim(
    "002-09",
    "principal components reduce the dimension",
    RIGHT,
    "k coordinates of largest variance leave the squared error Σ_{i>k} λ_i; on MNIST 30 leave 13.87 on test pictures",
    "Hotelling 1933; 13.87 in Hinton and Salakhutdinov 2006",
    long=True,
    needs="mnist",
)
def reduction() -> Numbers:
    (train, _), (test, _) = read_mnist(train=True), read_mnist(train=False)
    basis = principal(train)
    found = projection_errors(test, basis, 30).mean()
    yield equals("error of 30 numbers per test picture; as published", found, MNIST_PCA_30, HALF_WIDTH / MNIST_PCA_30)
    peer = PCA(30, svd_solver="covariance_eigh").fit(scaled(train).numpy())
    pixels = scaled(test).numpy()
    residual = pixels - peer.inverse_transform(peer.transform(pixels))
    yield equals("the same; scikit-learn", found, (residual**2).sum(1).mean(), 1e-9)
    kept = projection_errors(train, basis, 30).mean()
    yield equals("the same on training pictures, by Σ_{i>30} λ_i", kept, least_error(basis.eigenvalues, 30), 1e-10)
    total = (scaled(train) - basis.mean).square().sum(1).mean()
    yield equals("variance of all pixels, by Σ λ_i", total, basis.eigenvalues.sum(), 1e-10)


@claim(
    "003-25",
    "an autoencoder makes its output equal its input; with the least error the code keeps the most",
    RIGHT,
    "the least error of a linear code of k numbers is that of PCA, for any data and any k",
    "Bourlard and Kamp 1988, Baldi and Hornik 1989",
)
def least_reconstruction() -> Numbers:
    data = correlated(300, 12, 1) + 5  # a mean that matters
    mean, covariance = mean_and_covariance(data)
    basis = diagonalise(mean, covariance)
    for k in (1, 4, 11):
        model = trained(covariance, k, k, polish=600)
        model.fit_moments(mean, covariance)
        # The loss of the data themselves, not of their covariance
        error = (model(data.view(-1, 1, 1, 12)).view(-1, 12) - data).square().sum(1).mean()
        gap = float(error) / least_error(basis.eigenvalues, k) - 1
        yield equals(f"relative gap to PCA, {k} number{'s' * (k > 1)} for 12", gap, 0, 1e-6)


@claim(
    "003-30",
    "an autoencoder has W₁ ≠ W₂, a Boltzmann machine shares W",
    IMPRECISE,
    "autoencoders may be tied, and tying a linear one costs nothing: W₂ = W₁ᵀ holds at an optimum, PCA",
    "Baldi and Hornik 1989; Vincent et al. 2010 for tied autoencoders",
)
def tied() -> Numbers:
    covariance = mean_and_covariance(digits())[1]
    untied, tied = trained(covariance, 6, 0, polish=300), trained(covariance, 6, 0, tied=True, polish=300)
    yield equals("least loss, tied / untied", final_loss(tied) / final_loss(untied), 1, 1e-6)
    # At PCA the rows of W₁ are orthonormal and W₂ is their transpose.
    gram = tied.encoder @ tied.encoder.T
    yield equals("largest entry of W₁W₁ᵀ − I, tied", (gram - torch.eye(6, dtype=torch.float64)).abs().max(), 0, 1e-10)
    yield equals("parameters, untied / tied", sum(p.numel() for p in untied.parameters()) / tied.encoder.numel(), 2)
