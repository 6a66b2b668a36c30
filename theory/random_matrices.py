"""Singular values and eigenvalues: what a matrix does to space, and what noise alone looks like.

    A = U Σ Vᵀ: rotate or reflect by Vᵀ, scale by Σ, rotate or reflect by U.
    rank = number of σ_i > 0,  stable rank = Σ σ_i² / σ_1²

Power iteration v ← A v / ‖A v‖ turns to the dominant eigenvector if |λ_1| > |λ_2|; the angle shrinks by |λ_2 / λ_1|.

The sample covariance S = XᵀX / n of noise of variance σ² in p dimensions, γ = p/n, is far from σ² I: it has rank
min(n, p), and those of its eigenvalues that are not 0 fill [σ² (1 - √γ)², σ² (1 + √γ)²] (Marchenko and Pastur). A true
direction of variance ℓ σ² leaves that bulk upwards only if ℓ > 1 + √γ, and downwards, where γ < 1, only if ℓ < 1 - √γ;
then at σ² ℓ (1 + γ / (ℓ - 1)), upwards with the squared cosine (1 - γ/(ℓ-1)²) / (1 + γ/(ℓ-1)) to the truth (Baik, Ben
Arous, Péché).

Sources:
    von Mises, Pollaczek-Geiringer (1929), Praktische Verfahren der Gleichungsauflösung.
    Marchenko, Pastur (1967); Baik, Ben Arous, Péché (2005); Baik, Silverstein (2006), theorem 1.1;
    Paul (2007), theorem 4.
    Rudelson, Vershynin (2007), Sampling from large matrices, for the stable rank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


def stable_rank(matrix: ArrayLike) -> float:
    """‖A‖_F² / ‖A‖₂², between 1 and the rank; small noise hardly moves it. Args: matrix, not zero, shape (m, n)."""
    values = np.linalg.svd(np.asarray(matrix, dtype=np.float64), compute_uv=False)
    if not values.any():
        raise ValueError("the zero matrix has no stable rank")
    return float(np.square(values / values[0]).sum())


class Spike(NamedTuple):
    """Where one direction of raised variance is seen.

    Attributes:
        eigenvalue: Limit of the largest eigenvalue of the sample covariance.
        cosine: Limit of |cos| between its eigenvector and the truth; 0 where it is lost in the bulk.
    """

    eigenvalue: float
    cosine: float


def bulk_edges(ratio: float, variance: float = 1.0) -> tuple[float, float]:
    """Smallest and largest eigenvalue of pure noise that is not 0, σ² (1 ∓ √γ)². Args: ratio γ = p/n; variance σ²."""
    if ratio <= 0 or variance <= 0:
        raise ValueError(f"ratio and variance must be above 0, got {ratio} and {variance}")
    low, high = (variance * (1 + sign * ratio**0.5) ** 2 for sign in (-1, 1))
    return low, high


def spike(strength: float, ratio: float, variance: float = 1.0) -> Spike:
    """The largest eigenvalue and its eigenvector when one direction has the variance ``strength`` · σ².

    Args:
        strength: ℓ, above 0; 1 is no spike.
        ratio: γ = p/n, above 0.
        variance: σ² of all other directions.
    """
    if strength <= 1 + ratio**0.5:
        return Spike(bulk_edges(ratio, variance)[1], 0.0)
    excess = ratio / (strength - 1)
    return Spike(variance * strength * (1 + excess), float(np.sqrt((1 - excess / (strength - 1)) / (1 + excess))))


def sample_eigenvalues(
    samples: int, dimension: int, rng: np.random.Generator, variance: float = 1.0, strength: float = 1.0
) -> tuple[NDArray[np.float64], float]:
    """Eigenvalues of the covariance of Gaussian samples, increasing, and |cos| of the last eigenvector to the spike.

    Args:
        samples: n.
        dimension: p.
        rng: Draws the samples.
        variance: σ².
        strength: ℓ; the first coordinate has variance ℓ σ².
    """
    x = rng.standard_normal((samples, dimension)) * np.sqrt(variance)
    x[:, 0] *= np.sqrt(strength)
    values, vectors = np.linalg.eigh(x.T @ x / samples)
    return values, float(abs(vectors[0, -1]))


class Power(NamedTuple):
    """A run of power iteration.

    Attributes:
        vector: Last unit vector, shape (d,).
        rayleigh: vᵀAv after each step, shape (steps,).
        distance: Sine of the angle to the dominant eigenspace after each step, shape (steps,).
    """

    vector: NDArray[np.float64]
    rayleigh: NDArray[np.float64]
    distance: NDArray[np.float64]

    def rate(self, floor: float = 1e-7) -> float:
        """Factor a step of the sine, fitted to the last half of the steps above ``floor``, where rounding rules.

        NaN where fewer than two steps are left for it, as after a start that is the eigenvector.
        """
        above = self.distance[self.distance > floor]
        tail = np.log(above[len(above) // 2 :])
        if len(tail) < 2:
            return float("nan")
        return float(np.exp(np.polyfit(np.arange(len(tail)), tail, 1)[0]))


def dominant_eigenspace(a: NDArray[np.float64], equal: float = 1e-10) -> NDArray[np.float64] | None:
    """Orthonormal basis of the eigenvectors of the eigenvalue of largest modulus, shape (d, m); None of a complex one.

    Args:
        a: Square.
        equal: Relative difference up to which two eigenvalues, or two moduli, count as equal.
    """
    values, vectors = np.linalg.eig(a)
    largest = np.abs(values).max()
    top = max(values[np.abs(values) >= (1 - equal) * largest], key=np.real)
    if abs(top.imag) > equal * largest:
        return None
    u, sizes, _ = np.linalg.svd(np.real(vectors[:, np.abs(values - top) <= equal * largest]), full_matrices=False)
    basis: NDArray[np.float64] = u[:, sizes > 1e-8 * sizes[0]]  # of a defective matrix eigenvectors coincide
    return basis


def power_iteration(matrix: ArrayLike, start: ArrayLike, steps: int) -> Power:
    """Repeats v ← A v / ‖A v‖.

    Args:
        matrix: Square; the distance is to the eigenvectors of its eigenvalue of largest modulus, of λ and −λ to those
            of the positive one. It is NaN where that eigenvalue is complex: the vector turns for ever.
        start: First vector, not 0.
        steps: At least 1.

    Raises:
        ValueError: If the matrix takes the vector to 0, which has no direction.
    """
    a, v = np.asarray(matrix, dtype=np.float64), np.asarray(start, dtype=np.float64)
    top = dominant_eigenspace(a)
    rayleigh: list[float] = []
    distance: list[float] = []
    for _ in range(steps):
        v = a @ v
        if not v.any():
            raise ValueError(f"the matrix takes the start to 0 in {len(rayleigh) + 1} steps")
        v = v / np.linalg.norm(v)
        rayleigh.append(float(v @ a @ v))
        distance.append(float("nan") if top is None else float(np.linalg.norm(v - top @ (v @ top))))
    return Power(v, np.array(rayleigh), np.array(distance))
