"""Separating planes against enumeration and geometry; Cover's count against enumeration by linear programming."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from theory import separability
from theory.separability import cover_count, cover_probability, separating_plane


def boolean(n: int) -> np.ndarray:
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1


def test_xor_and_xnor_are_the_only_inseparable_functions_of_two_bits() -> None:
    corners = boolean(2)
    inseparable = [table for table in range(16) if not separating_plane(corners, boolean(4)[table]).separable]
    assert inseparable == [0b0110, 0b1001]


def test_104_functions_of_three_bits_are_separable() -> None:
    corners = boolean(3)
    assert sum(separating_plane(corners, signs).separable for signs in boolean(8)) == 104  # OEIS A000609


@pytest.mark.parametrize(("n", "d"), [(4, 2), (6, 3), (5, 1), (3, 5)])
def test_cover_counts_what_linear_programming_finds(n: int, d: int) -> None:
    points = np.random.default_rng(1).standard_normal((n, d))
    found = sum(separating_plane(points, signs, bias=False).separable for signs in boolean(n))
    assert found == cover_count(n, d)


def test_a_bias_is_one_more_dimension() -> None:
    points = np.random.default_rng(2).standard_normal((6, 2))
    assert sum(separating_plane(points, signs).separable for signs in boolean(6)) == cover_count(6, 3)


def test_half_of_all_labellings_at_twice_the_dimension() -> None:
    for d in (1, 2, 7, 100):
        assert cover_probability(2 * d, d) == Fraction(1, 2)
        assert cover_probability(d, d) == 1


def test_the_plane_separates_and_slack_is_zero() -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((200, 3)) * [1, 1000, 1e-3] + [5, -7, 0]
    labels = points @ [1, 0.001, 100.0] > 5
    plane = separating_plane(points, labels)
    assert plane.separable
    assert plane.slack == pytest.approx(0, abs=1e-6)
    assert (((points @ plane.normal + plane.offset) > 0) == labels).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("bias", [True, False])
def test_points_of_any_size_are_separated(scale: float, bias: bool) -> None:
    corners = boolean(2)
    for table in range(16):
        due = separating_plane(corners, boolean(4)[table], bias=bias)
        plane = separating_plane(corners * scale, boolean(4)[table], bias=bias)
        assert plane.separable == due.separable
        assert plane.slack == pytest.approx(due.slack)
        np.testing.assert_allclose(plane.normal * scale, due.normal, rtol=1e-9, atol=1e-12)
    mixed = separating_plane(corners * [scale, 1], [0, 0, 0, 1])
    assert mixed.separable


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-6])
def test_a_narrow_gap_is_found(gap: float) -> None:
    assert separating_plane([[0.0], [gap], [1.0]], [0, 1, 1]).separable


def test_meeting_hulls_are_refused_by_a_positive_slack() -> None:
    """One blue point in the middle of a red triangle: its distance to 1 is at least the optimum's share."""
    points = np.array([[0, 0], [2, 0], [1, 2], [1, 0.5]])
    plane = separating_plane(points, [0, 0, 0, 1])
    assert not plane.separable
    assert plane.slack > 0.5


def test_a_point_in_both_classes_is_not_separable() -> None:
    assert not separating_plane([[0.0], [0.0], [1.0]], [0, 1, 1]).separable


def test_one_class_alone_is_separable() -> None:
    assert separating_plane([[0.0, 1.0], [2.0, 3.0]], [1, 1]).separable


def test_mistakes_are_named() -> None:
    mistakes: list[tuple[Any, Any]] = [
        ([[1.0, np.nan]], [0]), ([1.0, 2.0], [0, 1]), ([[1.0], [2.0]], [0]), (np.zeros((0, 2)), [])
    ]  # fmt: skip
    for points, labels in mistakes:
        with pytest.raises(ValueError, match="points must be finite"):
            separating_plane(points, labels)
    with pytest.raises(ValueError, match="at least 1"):
        cover_count(0, 2)


def test_the_dual_programme_gives_the_plane_where_the_simplex_method_breaks_down(monkeypatch: Any) -> None:
    rng = np.random.default_rng(4)
    points = rng.standard_normal((60, 3))
    labels = points @ [1, 2, 3] + rng.standard_normal(60) > 0
    direct = separating_plane(points, labels)
    solve = separability.linprog

    def breaks_down(goal: Any, **options: Any) -> Any:
        return SimpleNamespace(status=4) if "A_ub" in options else solve(goal, **options)

    monkeypatch.setattr(separability, "linprog", breaks_down)
    plane = separating_plane(points, labels)
    assert not plane.separable
    assert plane.slack == pytest.approx(direct.slack, rel=1e-9)
    np.testing.assert_allclose(plane.normal, direct.normal, rtol=1e-9)
    assert plane.offset == pytest.approx(direct.offset, rel=1e-9)
    assert separating_plane(points, points @ [1, 2, 3] > 0).separable
