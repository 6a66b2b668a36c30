"""Closed forms that the face network must beat, on the same splits: eigenfaces, discriminants of pixels and of HOG.

All are those of ``theory``, in float64: principal components of the training pictures (all but one, or 40 for
eigenfaces), then the nearest neighbour or a shrinkage discriminant with the nearest class mean by cosine.

Letters: N pictures, D features, n training pictures, M queries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from theory.eigenfaces import fit_principal_components, nearest_neighbour, project
from theory.hog import hog
from theory.lda import cosine_scores, discriminate, fit_discriminant, nearest_class_mean

EIGENFACES, PIXELS, HOG = "eigenfaces-40", "LDA on pixels", "HOG + LDA"


def baseline_features(images: Tensor) -> dict[str, Tensor]:
    """What each baseline sees.

    Args:
        images: uint8, shape (N, 1, H, W).

    Returns:
        Features by name of the baseline, float64, shape (N, at most N).
    """
    pictures = images.double() / 255
    pixels = shorten(pictures.flatten(1))
    return {EIGENFACES: pixels, PIXELS: pixels, HOG: shorten(hog(pictures, cell=min(8, *images.shape[-2:])))}


def shorten(features: Tensor) -> Tensor:
    """Rotate N vectors into the N dimensions they span: no angle or distance changes, nothing is learnt.

    With Xᵀ = QR, the rows of Rᵀ have the inner products of those of X. All baselines here depend on these alone, and
    each split decomposes 200×400 numbers instead of 200×4096.

    Args:
        features: Shape (N, D).

    Returns:
        Shape (N, min(N, D)).
    """
    return torch.linalg.qr(features.T, mode="r").R.T if features.shape[1] > features.shape[0] else features


def identification_errors(features: dict[str, Tensor], people: Tensor, train: Tensor, test: Tensor) -> dict[str, float]:
    """Error of each baseline on one split.

    Args:
        features: From ``baseline_features``.
        people: Shape (N,).
        train: Indices, shape (n,).
        test: Indices, shape (M,).

    Returns:
        Share of wrong names in 0..1, by baseline.
    """
    errors = {}
    for name, values in features.items():
        known, asked, labels = values[train], values[test], people[train]
        principal = fit_principal_components(known, _components(name, known))
        known, asked = project(known, principal), project(asked, principal)
        if name == EIGENFACES:
            answers = nearest_neighbour(asked, known, labels)
        else:
            answers = nearest_class_mean(asked, fit_discriminant(known, labels))
        errors[name] = float((answers != people[test]).double().mean())
    return errors


def verification_cosines(features: dict[str, Tensor], people: Tensor, train: Tensor) -> dict[str, Tensor]:
    """Cosines between all pictures as each baseline sees them after learning from the training people.

    Args:
        features: From ``baseline_features``.
        people: Shape (N,).
        train: Indices, shape (n,).

    Returns:
        Cosines in -1..1, shape (N, N), by baseline.
    """
    cosines = {}
    for name, values in features.items():
        principal = fit_principal_components(values[train], _components(name, values[train]))
        embedded = project(values, principal)
        if name != EIGENFACES:
            embedded = discriminate(embedded, fit_discriminant(embedded[train], people[train]))
        cosines[name] = cosine_scores(embedded, embedded)
    return cosines


def _components(name: str, known: Tensor) -> int | None:
    most = min(len(known) - 1, known.shape[1])
    return min(40, most) if name == EIGENFACES else most


def by_person(indices: Tensor, people: Tensor) -> Tensor:
    """Arrange pictures by person.

    Args:
        indices: Pictures of equally many a person, shape (K k,), K people with k pictures each.
        people: Person of each picture of the set, shape (N,).

    Returns:
        Indices, shape (K, k), people ascending.
    """
    ordered = indices[torch.argsort(people[indices], stable=True)]
    return ordered.view(len(people[indices].unique()), -1)
