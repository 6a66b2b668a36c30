"""Two kinds of unsupervised learning: clusters by k-means, and a density by expectation maximisation.

k-means lowers sum_i ||x_i - centre||^2 by assigning and averaging in turn; it ends in a local optimum, so it is
restarted. For a few points the optimum over all assignments can be counted out. EM raises the likelihood of a mixture
of Gaussians at every step.

Source:
    Lloyd (1982), Least squares quantization in PCM; Dempster, Laird, Rubin (1977), theorem 1.
"""

# n points, d dimensions, k clusters

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor


def within_cost(x: Tensor, assignment: Tensor, k: int) -> Tensor:
    """Sum of squared distances to the cluster means. Args: points (n, d), clusters (n,) in 0..k-1."""
    member = torch.nn.functional.one_hot(assignment, k).to(x.dtype)  # (n, k)
    means = (member.T @ x) / member.sum(0).clamp_min(1)[:, None]
    return (x - means[assignment]).square().sum()


def k_means(x: Tensor, k: int, restarts: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The best of several runs of Lloyd's algorithm from random points as centres.

    A run ends where no point changes its cluster, or where the cost does not fall any more: within rounding, points
    may go to and fro between two clusters for ever.

    Args:
        x: Points, shape (n, d).
        k: Clusters, 1 to n.
        restarts: Runs, at least 1.
        generator: Of the starts; on the CPU, or where the points are.

    Returns:
        Cluster of each point, shape (n,), and the cost.
    """
    if not 1 <= k <= len(x) or restarts < 1:
        raise ValueError(f"k must be in 1..{len(x)} and restarts at least 1, got {k} and {restarts}")
    best, lowest = torch.zeros(len(x), dtype=torch.int64, device=x.device), x.new_tensor(math.inf)
    for _ in range(restarts):
        centres = x[torch.randperm(len(x), generator=generator, device=generator.device)[:k]]
        assignment = torch.full((len(x),), -1, device=x.device)
        cost = x.new_tensor(math.inf)
        while True:
            # Differences first: ||x||^2 - 2 x.c + ||c||^2 would cancel far from 0.
            nearest = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
            now = within_cost(x, nearest, k)
            if torch.equal(nearest, assignment) or not now < cost:
                break
            assignment, cost = nearest, now
            filled = assignment.unique()  # an empty cluster keeps its centre
            centres = centres.clone()
            centres[filled] = torch.stack([x[assignment == cluster].mean(0) for cluster in filled])
        if cost < lowest:
            best, lowest = assignment, cost
    return best, lowest


def best_partition_cost(x: Tensor, k: int) -> Tensor:
    """The lowest cost over all assignments of at most 12 points, by enumeration.

    Raises:
        ValueError: If there are more points.
    """
    if len(x) > 12:
        raise ValueError(f"assignments are enumerated for at most 12 points, got {len(x)}")
    x = x - x.mean(0)  # far from 0 the difference below would cancel
    # Clusters have no names: the first point is in cluster 0.
    rows = [(0, *rest) for rest in itertools.product(range(k), repeat=len(x) - 1)]
    codes = torch.tensor(rows, device=x.device)  # (k^(n-1), n)
    member = torch.nn.functional.one_hot(codes, k).to(x.dtype)  # (A, n, k)
    sums, counts = member.mT @ x, member.sum(1).clamp_min(1)
    # sum of ||x||^2 minus n_c ||mean_c||^2
    return x.square().sum() - (sums.square().sum(2) / counts).sum(1).max()


def mixture_em(x: Tensor, means: Tensor, steps: int) -> Tensor:
    """Log-likelihoods along EM for a mixture of Gaussians on the line, from equal weights and variances.

    Args:
        x: Points, shape (n,).
        means: Starting means, shape (k,).
        steps: EM steps.

    Returns:
        Log-likelihood in nats before each step and after the last, shape (steps + 1,).

    Raises:
        ValueError: If a component shrinks to one place, where the likelihood has no bound, or is left without points.

    Source:
        Bishop (2006), Pattern recognition and machine learning, section 9.2.1 for the collapse.
    """
    weights, variances = torch.full_like(means, 1 / len(means)), torch.full_like(means, float(x.var()))
    values = []
    for step in range(steps + 1):
        for component, (weight, variance) in enumerate(zip(weights.tolist(), variances.tolist(), strict=True)):
            if not (weight > 0 and variance > 0):
                what = (
                    "is left without points" if weight == 0 else "has shrunk to one place: the likelihood is unbounded"
                )
                raise ValueError(f"component {component} {what} (step {step})")
        density = -(x[:, None] - means).square() / (2 * variances) - (2 * math.pi * variances).log() / 2
        joint = weights.log() + density  # (n, k)
        values.append(joint.logsumexp(1).sum())
        if step < steps:
            share = joint.softmax(1)
            total = share.sum(0)
            weights, means = total / len(x), (share * x[:, None]).sum(0) / total
            variances = (share * (x[:, None] - means).square()).sum(0) / total
    return torch.stack(values)
