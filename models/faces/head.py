"""The head of the face network: linear discriminant analysis as a layer, differentiable, with many splits at once.

Let r_i = z_i - m_{y_i} be what is left of a known (*support*) picture's features when its person's mean is taken away,
and S = RᵀR / n their scatter. Shrunk towards a multiple of the identity,

    Σ = (1 - s) S + s t I,    t = tr S / (n - 1),        <u, v> = uᵀ Σ⁻¹ v.

(At most n - K eigenvalues of S are positive, a mean having been taken away for each person; their mean is t times
(n - 1) / (n - K). As s is trained, the factor moves only where it starts.)

A query is compared with each person's mean by the cosine in this inner product: features that vary within people count
less. That is Fisher's discriminant followed by the nearest mean. There are far more features D than pictures n, so the
inverse is never formed; by Woodbury's identity, up to a common factor,

    uᵀ Σ⁻¹ v ∝ uᵀ v - (Ru)ᵀ (RRᵀ + λ I)⁻¹ (Rv),        λ = n s t / (1 - s),

which needs one Cholesky factor of an n×n matrix and can be differentiated with respect to the features and s. A
network can so be trained *through* the closed form, as in R2-D2, where the layer is ridge regression.

Letters: S splits, n support pictures of K people with k = n / K each, D features, M queries, P and Q any vectors.

Sources:
    Fisher (1936); Ledoit, Wolf (2004); see ``theory.lda``.
    Bertinetto, Henriques, Torr, Vedaldi (2019), Meta-learning with differentiable closed-form solvers, ICLR.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Gallery(NamedTuple):
    """The people a query is compared with.

    centre (S, 1, D) and means (S, K, D) of the support features, the means being centred; residuals R (S, n, D);
    factor L (S, n, n) with LLᵀ = RRᵀ + λI.
    """

    centre: Tensor
    means: Tensor
    residuals: Tensor
    factor: Tensor


def build_gallery(support: Tensor, num_people: int, shrinkage: Tensor) -> Gallery:
    """Fit the discriminant to support pictures.

    Args:
        support: Features, sorted by person with equally many pictures each, shape (S, n, D).
        num_people: K.
        shrinkage: s in (0, 1), shape (S,).

    Returns:
        What ``whitened_products`` needs.
    """
    count = support.shape[1]
    assert count % num_people == 0, (count, num_people)
    assert count > num_people, (count, num_people)
    centre = support.mean(dim=1, keepdim=True)  # (S, 1, D)
    by_person = (support - centre).unflatten(1, (num_people, -1))  # (S, K, k, D)
    means = by_person.mean(dim=2)  # (S, K, D)
    residuals = (by_person - means.unsqueeze(2)).flatten(1, 2)  # (S, n, D)
    gram = residuals @ residuals.transpose(1, 2)  # (S, n, n)
    level = gram.diagonal(dim1=1, dim2=2).sum(1) / (count * (count - 1))  # t
    ridge = count * level * shrinkage / (1 - shrinkage)  # λ
    # Identical pictures leave no residual; the smallest number that is safe keeps the factor defined.
    ridge = ridge.clamp_min(1e-6)
    eye = torch.eye(count, dtype=support.dtype, device=support.device)
    return Gallery(centre, means, residuals, torch.linalg.cholesky(gram + ridge[:, None, None] * eye))


def half_whitened(vectors: Tensor, gallery: Gallery) -> Tensor:
    """L⁻¹Rv, whose inner products are what Σ⁻¹ takes away from those of the features.

    Args:
        vectors: Centred features, shape (S, P, D).
        gallery: From ``build_gallery``.

    Returns:
        Shape (S, n, P).
    """
    return torch.linalg.solve_triangular(gallery.factor, gallery.residuals @ vectors.transpose(1, 2), upper=False)


def whitened_cosines(left: Tensor, right: Tensor, gallery: Gallery) -> Tensor:
    """Cosine between vectors in the inner product uᵀΣ⁻¹v.

    Args:
        left: Centred features, shape (S, P, D).
        right: Centred features, shape (S, Q, D).
        gallery: From ``build_gallery``.

    Returns:
        Cosines in -1..1, shape (S, P, Q).
    """
    half_left, half_right = half_whitened(left, gallery), half_whitened(right, gallery)  # (S, n, P), (S, n, Q)
    products = left @ right.transpose(1, 2) - half_left.transpose(1, 2) @ half_right  # (S, P, Q)
    lengths = [
        (vectors.square().sum(dim=2) - half.square().sum(dim=1)).clamp_min(1e-9).sqrt()
        for vectors, half in ((left, half_left), (right, half_right))
    ]
    return products / (lengths[0].unsqueeze(2) * lengths[1].unsqueeze(1))


def best_view(cosines: Tensor, sharpness: float, dim: int) -> Tensor:
    """Soft maximum over the views, log of the mean of exp(βc): β c for one view, β max c for large β.

    Args:
        cosines: Any shape, with the views along ``dim``.
        sharpness: β, above 0.
        dim: The axis of the views.

    Returns:
        Logits, without that axis.
    """
    return torch.logsumexp(sharpness * cosines, dim=dim) - math.log(cosines.shape[dim])


def identification_logits(queries: Tensor, gallery: Gallery, sharpness: float) -> Tensor:
    """Which of the gallery's people is it?

    Args:
        queries: Features of V views of M queries, shape (S, V, M, D).
        gallery: From ``build_gallery``.
        sharpness: β of ``best_view``, usually 20.

    Returns:
        Logits, shape (S, M, K).
    """
    centred = queries - gallery.centre.unsqueeze(1)
    cosines = whitened_cosines(centred.flatten(1, 2), gallery.means, gallery)  # (S, VM, K)
    return best_view(cosines.unflatten(1, queries.shape[1:3]), sharpness, dim=1)


def verification_logits(queries: Tensor, gallery: Gallery, sharpness: float) -> Tensor:
    """Are two queries of the same person? Views of one against the unchanged other, and the other way round.

    Args:
        queries: Features of V views of M queries, the unchanged ones first, shape (S, V, M, D).
        gallery: Other people, from whom Σ is known.
        sharpness: β of ``best_view``.

    Returns:
        Symmetric logits in -β..β, shape (S, M, M).
    """
    centred = queries - gallery.centre.unsqueeze(1)
    cosines = whitened_cosines(centred.flatten(1, 2), centred[:, 0], gallery)  # (S, VM, M)
    logits = best_view(cosines.unflatten(1, queries.shape[1:3]), sharpness, dim=1)  # (S, M, M)
    return (logits + logits.transpose(1, 2)) / 2
