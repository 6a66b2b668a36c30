"""Whether a likelihood has a maximum: directions along which it never falls.

A concave log-likelihood has a maximum iff it falls somewhere along every direction d of the coefficients that changes
it. Along d it never falls iff no sample ever loses by it:

    bernoulli, softmax   (d_y − d_c)·x ≥ 0 for the class y of each sample and every other class c: d separates them
    poisson              d·x = 0 where the count is above 0, d·x ≤ 0 where it is 0
    gaussian             d·x = 0 everywhere: there is always a maximum

Write a·d ≥ 0 for these R gains. They can be scaled to any sum, so that the linear programme

    maximise Σ a·d   subject to   a·d ≥ 0,   Σ a·d ≤ R

has the value R with such a direction and 0 without one: nothing between has to be told from 0. Coefficients that lose
nowhere and gain at every sample are such a direction themselves, and no programme is needed.

Where features depend on each other a maximum is not unique, which is another matter: along that direction all gains
are 0.

Sources:
    Albert, Anderson (1984), On the existence of maximum likelihood estimates in logistic regression models.
    Santos Silva, Tenreyro (2010), On the existence of the maximum likelihood estimates in Poisson regression.
"""

# N samples, D features, K natural parameters, R gains

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from theory.exponential_family import Family

DEPENDENT = 1e-12  # least singular value of columns of length 1 beside the largest: below, rounding may have made it
SURE = 1e-9  # of the largest natural parameter: a smaller margin rounding may have made


def rank(x: Tensor) -> int:
    """How many columns of x, shape (N, D), are independent of each other to rounding, whatever their units are."""
    triangle = torch.linalg.qr(x, mode="r").R  # its singular values are those of x
    lengths = triangle.norm(dim=0)
    sizes = torch.linalg.svdvals(triangle / lengths.where(lengths > 0, 1))
    return int((sizes > DEPENDENT * sizes[0]).sum())


def separated(family: Family, x: Tensor, y: Tensor) -> bool:
    """Whether the likelihood grows without end along a direction, to the 1e-7 that the linear programme works to.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        x: Features, float64, shape (N, D).
        y: Responses, shape (N, K): numbers, 0 or 1, counts, or one-hot rows without the reference class.
    """
    if family == "gaussian":
        return False
    features, responses = x.detach().cpu().numpy(), y.detach().cpu().numpy()
    lengths = np.linalg.norm(features, axis=0)
    features = features / np.where(lengths > 0, lengths, 1) * np.sqrt(len(features))
    gains = _of_counts(features, responses[:, 0]) if family == "poisson" else _of_classes(features, responses)
    count = gains.shape[0]
    if not gains.size:
        return False
    found = linprog(
        -gains.sum(0),
        A_ub=vstack([-gains, csr_array(gains.sum(0)[None])], format="csr"),
        b_ub=np.append(np.zeros(count), count),
        bounds=(None, None),
        method="highs",
    )
    assert found.status == 0, found.message  # d = 0 is feasible, and the sum at most R
    return bool(-found.fun > count / 2)


def gains_everywhere(family: Family, x: Tensor, y: Tensor, theta: Tensor) -> bool:
    """Whether theta, shape (D, K), gives each sample's class the largest natural parameter. Args as of `separated`."""
    if family not in ("bernoulli", "softmax"):
        return False
    eta = F.pad(x @ theta, (1, 0))  # (N, K + 1)
    seen = torch.cat([1 - y.sum(1, keepdim=True), y], 1).bool()
    margin = (eta[seen] - eta.masked_fill(seen, -math.inf).amax(1)).amin()
    return bool(margin > SURE * eta.abs().amax())


def no_maximum(family: Family, samples: int) -> str:
    """What is said where `separated` or `gains_everywhere` holds."""
    why = (
        "counts above 0 lie in a plane, those of 0 on one side of it"
        if family == "poisson"
        else "classes can be separated"
    )
    return (
        f"{family} has no finite maximum of the likelihood on these {samples} samples: {why}; more samples, a weaker "
        "signal or a prior help"
    )


def _of_counts(x: NDArray[np.float64], y: NDArray[np.float64]) -> csr_array:
    """−x of the samples that count 0, along the directions that change no other sample, shape (R, at most D)."""
    others, width = x[y > 0], x.shape[1]
    _, sizes, rows = np.linalg.svd(np.concatenate([others, np.zeros((width, width))]), full_matrices=False)
    free = rows[sizes <= DEPENDENT * max(float(sizes[0]), 1.0)]
    return csr_array(-x[y == 0] @ free.T)


def _of_classes(x: NDArray[np.float64], y: NDArray[np.float64]) -> csr_array:
    """X at the coefficients of a sample's class and −x at those of another, shape (N K, K D); class 0 has none."""
    samples, outputs = y.shape
    own = (y @ np.arange(1, outputs + 1)).astype(int)
    signs = np.zeros((samples, outputs + 1, outputs + 1))  # sample, other class, coefficients of which class
    signs[np.arange(samples), :, own] = 1
    signs -= np.eye(outputs + 1)
    other = np.arange(outputs + 1) != own[:, None]
    sample, _ = np.nonzero(other)
    blocks = [signs[other][:, k, None] * x[sample] for k in range(1, outputs + 1)]
    return hstack([csr_array(block) for block in blocks], format="csr")
