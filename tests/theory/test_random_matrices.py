"""Random matrices against their moments, simulation and numpy."""

import numpy as np
import pytest

from theory.random_matrices import (
    bulk_edges,
    power_iteration,
    sample_eigenvalues,
    spike,
    stable_rank,
)


def test_stable_rank_of_known_matrices() -> None:
    assert stable_rank(np.eye(7)) == pytest.approx(7)
    assert stable_rank(np.outer([1, 2, 3], [4, 5])) == pytest.approx(1)
    assert stable_rank(np.diag([2.0, 1.0, 1.0])) == pytest.approx(1.5)
    a = np.random.default_rng(0).standard_normal((5, 8))
    assert stable_rank(a) == pytest.approx(np.linalg.norm(a) ** 2 / np.linalg.norm(a, 2) ** 2)
    with pytest.raises(ValueError, match="no stable rank"):
        stable_rank(np.zeros((2, 2)))


def test_noise_fills_the_bulk() -> None:
    values, _ = sample_eigenvalues(3000, 300, np.random.default_rng(1), variance=2.0)
    low, high = bulk_edges(0.1, 2.0)
    assert values[0] == pytest.approx(low, rel=0.03)
    assert values[-1] == pytest.approx(high, rel=0.03)
    # The moments of Marchenko and Pastur's law: mean σ², second moment σ⁴ (1 + γ).
    assert values.mean() == pytest.approx(2.0, rel=0.01)
    assert np.square(values).mean() == pytest.approx(4 * 1.1, rel=0.02)


def test_spikes_above_the_threshold_are_seen_where_theory_says() -> None:
    found = [sample_eigenvalues(2000, 400, np.random.default_rng(seed), strength=3.0) for seed in range(8)]
    due = spike(3.0, 0.2)
    assert np.mean([values[-1] for values, _ in found]) == pytest.approx(due.eigenvalue, rel=0.02)
    assert np.mean([cosine for _, cosine in found]) == pytest.approx(due.cosine, rel=0.01)


def test_a_weak_spike_is_lost_and_the_formula_is_continuous() -> None:
    edge = 1 + 0.25**0.5
    assert spike(1.2, 0.25) == (pytest.approx(bulk_edges(0.25)[1]), 0.0)
    above = spike(edge + 1e-9, 0.25)
    assert above.eigenvalue == pytest.approx(bulk_edges(0.25)[1])
    assert above.cosine == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("second", [0.5, 0.8, -0.9])
def test_power_iteration_converges_at_the_ratio_of_the_eigenvalues(second: float) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))
    matrix = q @ np.diag([1.0, second, 0.2, 0.1, 0.0]) @ q.T
    run = power_iteration(matrix, np.ones(5), 150)
    assert run.rate() == pytest.approx(abs(second), rel=1e-3)
    assert run.rayleigh[-1] == pytest.approx(1, abs=1e-9)


def test_power_iteration_ends_in_the_eigenspace_of_a_double_eigenvalue() -> None:
    q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))
    run = power_iteration(q @ np.diag([1.0, 1.0, 0.7, 0.2, 0.0]) @ q.T, np.arange(1.0, 6.0), 150)
    assert run.distance[-1] < 1e-12
    assert run.rate() == pytest.approx(0.7, rel=1e-3)
    plane = q[:, :2] @ (q[:, :2].T @ np.arange(1.0, 6.0))
    np.testing.assert_allclose(run.vector, plane / np.linalg.norm(plane), atol=1e-12)


def test_power_iteration_has_no_distance_to_a_direction_that_turns() -> None:
    turn = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert np.isnan(power_iteration(turn, [1.0, 0.0, 1.0], 20).distance).all()
    jordan = power_iteration([[1.0, 1.0], [0.0, 1.0]], [0.0, 1.0], 400)  # v_k is (k, 1): closer as 1 / k
    assert jordan.distance[-1] == pytest.approx(1 / np.hypot(1, 400), rel=1e-6)


def test_a_start_at_the_eigenvector_shows_no_rate() -> None:
    assert np.isnan(power_iteration(np.diag([1.0, 0.5]), [1.0, 0.0], 20).rate())
    with pytest.raises(ValueError, match="takes the start to 0 in 2 steps"):
        power_iteration([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [0, 1, 0], 5)
    # 1e-6, 5e-7, ..., 1.25e-7 and 6.25e-8: of the steps above 1e-7 two are in the last half
    assert power_iteration(np.diag([1.0, 0.5]), [1.0, 2e-6], 20).rate() == pytest.approx(0.5, rel=1e-6)


def test_edges_refuse_what_is_no_ratio() -> None:
    for ratio, variance in ((0.0, 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="above 0"):
            bulk_edges(ratio, variance)
