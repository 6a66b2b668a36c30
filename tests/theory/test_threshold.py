"""Threshold units against enumeration, against scikit-learn's separating planes, and against Novikoff's theorem."""

import numpy as np
import pytest

from theory.gates import GATES, truth_table
from theory.threshold import (
    UNITS,
    as_labels,
    best_agreement,
    classes,
    corners,
    count_separable,
    extended,
    fires,
    most_rows,
    novikoff_bound,
    rosenblatt,
    tables_with_weights,
    widest_margin,
)

XOR = as_labels(0b0110, 2)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("name", list(GATES))
def test_what_a_unit_reaches_on_a_gate_is_what_enumeration_finds(name: str, n: int) -> None:
    assert most_rows(name, n) == best_agreement(truth_table(name, n), n)


def test_a_majority_with_some_inputs_negated_is_the_best_unit_for_the_parity_of_five() -> None:
    inputs, table = corners(5), as_labels(truth_table("xor", 5), 5) > 0
    found = max(
        int((((inputs @ np.where(np.arange(5) < k, -1, 1)) > t) == table).sum()) for k in range(6) for t in range(-6, 6)
    )
    assert found == most_rows("xor", 5) == 16 + 6


def test_the_preset_units_compute_their_tables() -> None:
    both = corners(2)
    for name, due in (("and", [0, 0, 0, 1]), ("or", [0, 1, 1, 1])):
        weights, threshold = UNITS[name]
        assert fires(both, np.array(weights), threshold).tolist() == [bool(value) for value in due]
    weights, threshold = UNITS["not"]
    assert fires(corners(1), np.array(weights), threshold).tolist() == [True, False]


@pytest.mark.parametrize(("n", "due"), [(1, 4), (2, 14), (3, 104), (4, 1882)])
def test_two_counts_of_threshold_functions_agree(n: int, due: int) -> None:
    assert count_separable(n) == due
    assert len(tables_with_weights(n)) == due


def test_classes_are_orbits() -> None:
    # n = 2: constants (1 each), x and y and their negations, "and" with negations (4), "or" (4), xor, xnor.
    _, sizes = np.unique(classes(2), return_counts=True)
    assert sorted(sizes.tolist()) == [1, 1, 2, 4, 4, 4]


def test_the_margin_is_that_of_a_hard_margin_support_vector_machine() -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    for _ in range(5):
        points = rng.normal(size=(30, 3))
        labels = np.sign(points @ rng.normal(size=3) + 0.3)
        # Extended points and their mirror images: the best plane then passes through the origin, without a bias.
        both = np.vstack([extended(points), -extended(points)])
        machine = SVC(kernel="linear", C=1e9, tol=1e-9).fit(both, np.append(labels, -labels))
        due = 1 / np.linalg.norm(machine.coef_)
        assert widest_margin(points, labels) == pytest.approx(due, rel=1e-3)
    assert widest_margin(corners(2), XOR) == 0
    assert novikoff_bound(corners(2), XOR) == float("inf")


def test_the_margin_of_two_points_is_half_their_distance() -> None:
    # x̃ = (−1, 1) and (1, 1) with labels −1, 1: y x̃ = (1, −1), (1, 1), nearest plane normal (1, 0), γ = 1.
    assert widest_margin(np.array([[-1.0], [1.0]]), np.array([-1.0, 1.0])) == pytest.approx(1)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("far", [0.0, 1.0])
def test_a_narrow_margin_is_half_the_distance_of_the_hulls(gap: float, far: float) -> None:
    # Extended: (0, 0, 1), (gap, 0, 1) and (gap, far, 1). The best plane bisects the angle of the first two; the third
    # is as far from it as the second.
    inputs, labels = np.array([[0.0, 0.0], [gap, 0.0], [gap, far]]), np.array([-1.0, 1.0, 1.0])
    angle = np.arctan(gap)
    due = np.sin(angle / 2)  # of the nearest, of length 1
    found = widest_margin(inputs, labels)
    assert found == pytest.approx(due, rel=max(1e-3, 2 * gap))
    assert novikoff_bound(inputs, labels) == pytest.approx((1 + gap**2 + far**2) / found**2)


def test_rosenblatts_rule_separates_within_novikoffs_bound() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.normal(size=(40, 2))
        labels = np.sign(points @ rng.normal(size=2) + 0.2 * rng.normal())
        plane, mistakes = rosenblatt(points, labels, passes=100_000)
        assert (labels * (extended(points) @ plane) > 0).all()
        assert mistakes <= novikoff_bound(points, labels)


def test_rosenblatts_rule_never_ends_on_xor() -> None:
    plane, mistakes = rosenblatt(corners(2), XOR, passes=200)
    assert mistakes >= 200
    assert (XOR * (extended(corners(2)) @ plane) <= 0).any()


@pytest.mark.parametrize(("table", "n", "due"), [(0b0110, 2, 3), (0b1001, 2, 3), (0b1000, 2, 4), (0b10010110, 3, 6)])
def test_the_best_unit_on_a_table(table: int, n: int, due: int) -> None:
    assert best_agreement(table, n) == due
