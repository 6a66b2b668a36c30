"""Double descent of minimum-norm least squares: not only its mean, the whole law of its risk, for every n and p.

y = x beta + noise, n samples of p isotropic Gaussian features, ||beta|| = r, noise of variance sigma^2. The excess risk
||estimate - beta||^2 is, in law,

    p <= n:   sigma^2 p / (n - p + 1)  F(p, n - p + 1)
    p >  n:   r^2 Beta((p - n) / 2, n / 2)  +  sigma^2 n / (p - n + 1)  F(n, p - n + 1),   the two independent

Proof. For p <= n the error given X is N(0, sigma^2 W^-1), W = X^T X Wishart, so its square is sigma^2 z^T W^-1 z with
z independent of W: Hotelling's statistic. For p > n the part of beta outside the row space is lost; that space is
uniform, so its share of ||beta||^2 is a Beta variable; it is independent of X X^T, which is Wishart of n with p
degrees, and the noise gives Hotelling's statistic again. The means are the known curve, infinite for |n - p| <= 1:

    p < n - 1:  sigma^2 p / (n - p - 1)        p > n + 1:  r^2 (1 - n / p) + sigma^2 n / (p - n - 1)

Source:
    Hotelling (1931), The generalization of Student's ratio. Belkin, Hsu, Xu (2020), Two models of double descent for
    weak features; Hastie, Montanari, Rosset, Tibshirani (2022), Surprises in high-dimensional ridgeless least squares.
"""

# R draws, n samples, p features

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from torch import Tensor

NODES = 128  # of the quadrature
TAIL = 1e-16  # probability left out at either end


def _check(n: int, p: int, r: float, sigma: float) -> None:
    if n < 1 or p < 1:
        raise ValueError(f"n and p must be at least 1, got n = {n}, p = {p}")
    if not (r >= 0 and sigma >= 0 and r + sigma > 0):
        raise ValueError(f"r and sigma must be at least 0 and not both 0, got r = {r}, sigma = {sigma}")


def mean_excess_risk(n: int, p: int, r: float = 1.0, sigma: float = 1.0) -> float:
    """Exact mean of the excess risk; infinite for |n - p| <= 1 when there is noise.

    Args:
        n: Samples.
        p: Features.
        r: Norm of the true coefficients.
        sigma: Standard deviation of the noise.
    """
    _check(n, p, r, sigma)
    few, many = min(n, p), max(n, p)
    lost = r**2 * (1 - n / p) if p > n else 0.0
    if sigma == 0:
        return lost
    return lost + (sigma**2 * few / (many - few - 1) if many - few > 1 else math.inf)


def excess_risk_cdf(risk: ArrayLike, n: int, p: int, r: float = 1.0, sigma: float = 1.0) -> NDArray[np.float64]:
    """P(excess risk <= risk), by the law above; with both terms by Gauss-Legendre quadrature over the Beta variable.

    Args:
        risk: Any shape.
        n: Samples.
        p: Features.
        r: Norm of the true coefficients.
        sigma: Standard deviation of the noise, above 0.

    Returns:
        Probabilities of the same shape.
    """
    _check(n, p, r, sigma)
    if sigma == 0:
        raise ValueError("the law needs noise: sigma must be above 0, got 0")
    values = np.asarray(risk, dtype=float)
    few, gap = min(n, p), abs(n - p)
    scale = sigma**2 * few / (gap + 1)
    if p <= n or r == 0:
        return np.asarray(stats.f.cdf(values / scale, few, gap + 1))
    return _with_lost_part(values, n, p, r, scale)


def _with_lost_part(values: NDArray[np.float64], n: int, p: int, r: float, scale: float) -> NDArray[np.float64]:
    """P(r^2 b + scale F <= value) for p > n, by quadrature over b = sin^2 a.

    Only where both the density of b and the inner probability change: the Beta density is narrow where n and p are
    large, and with little noise the inner probability is nearly a step. Below that range it is 1, above it 0. It rises
    just below the range's upper end, where a square draws the nodes together.
    """
    gap = p - n
    lost, noise = stats.beta(gap / 2, n / 2), stats.f(n, gap + 1)
    low, high = float(lost.ppf(TAIL)), float(lost.isf(TAIL))
    sure = (values - scale * float(noise.isf(TAIL))) / r**2
    begin = np.arcsin(np.sqrt(np.clip(sure, low, high)))[..., None]
    end = np.arcsin(np.sqrt(np.clip((values - scale * float(noise.ppf(TAIL))) / r**2, low, high)))[..., None]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    place = (nodes + 1) / 2
    angle = begin + (end - begin) * (1 - (1 - place) ** 2)
    # In the angle the density is finite at both ends, also for one sample.
    constant = math.log(2) - float(special.betaln(gap / 2, n / 2))
    density = np.exp(special.xlogy(gap - 1, np.sin(angle)) + special.xlogy(n - 1, np.cos(angle)) + constant)
    inner = noise.cdf((values[..., None] - r**2 * np.sin(angle) ** 2) / scale)
    between = (inner * density * (end - begin) * (1 - place) * weights).sum(-1)
    return np.asarray(lost.cdf(np.minimum(sure, high)) + between)


def excess_risk_quantile(
    probability: ArrayLike, n: int, p: int, r: float = 1.0, sigma: float = 1.0
) -> NDArray[np.float64]:
    """The excess risk that is not exceeded with a probability; 0.5 for the median. Args as of `excess_risk_cdf`.

    Raises:
        ValueError: If a probability lies outside [0, 1).
    """
    _check(n, p, r, sigma)

    def quantile(share: float) -> float:
        if not 0 <= share < 1:
            raise ValueError(f"a probability must be in [0, 1), got {share:g}")
        scale = sigma**2 * min(n, p) / (abs(n - p) + 1)
        noise = scale * float(stats.f.ppf(share, min(n, p), abs(n - p) + 1))
        if p <= n or r == 0:
            return noise
        high = r**2 + 2 * noise + scale  # not below the quantile: the lost part is at most r^2
        below = lambda value: float(excess_risk_cdf(value, n, p, r, sigma)) - share
        if below(high) <= 0:  # nearer to 1 than the quadrature is exact
            return high
        return float(optimize.brentq(below, 0.0, high, xtol=1e-13, rtol=1e-12))

    return np.vectorize(quantile, otypes=[float])(np.asarray(probability, dtype=float))


def draw_excess_risk(
    n: int, p: int, draws: int, generator: torch.Generator, r: float = 1.0, sigma: float = 1.0
) -> Tensor:
    """Excess risks of minimum-norm least squares, fitted to ``draws`` independent samples at once; shape (R,).

    Nothing of the law is used: designs and noise are drawn, and each system is solved.

    Args:
        n: Samples.
        p: Features.
        draws: R.
        generator: Its device is the one that computes.
        r: Norm of the true coefficients.
        sigma: Standard deviation of the noise.
    """
    _check(n, p, r, sigma)
    options = {"generator": generator, "dtype": torch.float64, "device": generator.device}
    design = torch.randn(draws, n, p, **options)  # type: ignore[call-overload]
    noise = sigma * torch.randn(draws, n, 1, **options)  # type: ignore[call-overload]
    beta = torch.full((p, 1), r / math.sqrt(p), dtype=torch.float64, device=generator.device)
    y = design @ beta + noise
    if p <= n:
        q, triangle = torch.linalg.qr(design)  # X = Q T
        estimate = torch.linalg.solve_triangular(triangle, q.mT @ y, upper=True)
    else:
        q, triangle = torch.linalg.qr(design.mT)  # X^T = Q T, so the smallest solution is Q T^-T y
        estimate = q @ torch.linalg.solve_triangular(triangle.mT, y, upper=False)
    return (estimate - beta).square().sum((1, 2))


def fits_law(risks: ArrayLike, n: int, p: int, r: float = 1.0, sigma: float = 1.0, bins: int = 20) -> float:
    """Pearson's test that draws follow the law: p-value of chi^2 over bins that the law makes equally probable.

    Unlike the mean, which has no variance near the peak, counts in bins can be tested for every n and p.

    Args:
        risks: Draws, shape (R,), at least 5 a bin.
        n: Samples.
        p: Features.
        r: Norm of the true coefficients.
        sigma: Standard deviation of the noise.
        bins: Number of bins, at least 2.
    """
    values = np.asarray(risks, dtype=float)
    if bins < 2 or values.size < 5 * bins:
        raise ValueError(f"the test needs at least 2 bins and 5 draws a bin, got {values.size} draws, {bins} bins")
    places = excess_risk_cdf(values, n, p, r, sigma)
    counts, _ = np.histogram(places.clip(0, 1), bins, range=(0.0, 1.0))
    return float(stats.chisquare(counts).pvalue)
