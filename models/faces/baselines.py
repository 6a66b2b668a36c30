"""Closed forms that the face network must beat, on the same splits: eigenfaces, discriminants of pixels and of HOG.

All are those of ``theory``, in float64: principal coordinates from the training pictures (as many as these span, or 40
for eigenfaces), then the nearest neighbour or a shrinkage discriminant with the nearest class mean by cosine.

Letters: N pictures, D features, n training pictures, M queries, k coordinates.

Source: Turk, Pentland (1991), Eigenfaces for recognition, Journal of Cognitive Neuroscience 3(1); see also ``theory``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from theory.hog import hog
from theory.lda import cosine_scores, discriminate, fit_discriminant, nearest_class_mean
from theory.neighbours import nearest_neighbour
from theory.principal import encode, principal

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
        coordinates = principal_coordinates(name, values, train)
        known, asked, labels = coordinates[train], coordinates[test], people[train]
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
        embedded = principal_coordinates(name, values, train)
        if name != EIGENFACES:
            embedded = discriminate(embedded, fit_discriminant(embedded[train], people[train]))
        cosines[name] = cosine_scores(embedded, embedded)
    return cosines


def principal_coordinates(name: str, values: Tensor, train: Tensor) -> Tensor:
    """Features (N, D) of one baseline in the principal directions of the training pictures (n,), shape (N, k)."""
    basis = principal(values[train])
    return encode(values, basis, 40 if name == EIGENFACES else len(basis.eigenvalues))


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
