"""Every learner errs on half of what it has not seen; k-means and EM against enumeration."""

import math
import warnings

import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture

from theory.clustering import best_partition_cost, k_means, mixture_em, within_cost
from theory.no_free_lunch import TARGETS, error_counts, nearest_neighbours


def oracle_of_parity(points: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """Knows the answer of one target and ignores the labels."""
    return (asked.sum(1) % 2).expand(len(labels), -1)


@pytest.mark.parametrize("training", [[0], [3, 5, 9, 14], list(range(12))])
@pytest.mark.parametrize("learner", [nearest_neighbours(1), nearest_neighbours(3), oracle_of_parity])
def test_errors_are_binomial_for_every_learner(learner: object, training: list[int]) -> None:
    if len(training) == 1 and learner is not oracle_of_parity:
        learner = nearest_neighbours(1)
    errors = error_counts(learner, training)  # type: ignore[arg-type]
    unseen = 16 - len(training)
    counts = torch.bincount(errors, minlength=unseen + 1).tolist()
    assert counts == [math.comb(unseen, k) * 2 ** len(training) for k in range(unseen + 1)]


def test_the_oracle_knows_parity() -> None:
    parity = sum(1 << point for point in range(16) if point.bit_count() % 2)
    errors = error_counts(oracle_of_parity, [0, 1, 2])
    assert len(errors) == TARGETS
    assert int(errors[parity]) == 0
    assert int(errors[TARGETS - 1 - parity]) == 13


@pytest.mark.parametrize("training", [[], [1, 1], [16], list(range(16))])
def test_wrong_training_points_are_refused(training: list[int]) -> None:
    with pytest.raises(ValueError, match=r"1 to 15 different numbers in 0\.\.15"):
        error_counts(oracle_of_parity, training)


@pytest.mark.parametrize("k", [0, 4])
def test_more_neighbours_than_points_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be in 1\.\.3, the number of training points, got {k}"):
        error_counts(nearest_neighbours(k), [0, 1, 2])


def test_k_means_finds_the_optimum_of_few_points() -> None:
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assignment, cost = k_means(x, 3, 50, torch.Generator().manual_seed(1))
    assert float(cost) == pytest.approx(float(best_partition_cost(x, 3)), rel=1e-12)
    assert float(within_cost(x, assignment, 3)) == float(cost)
    one = (x - x.mean(0)).square().sum()
    assert float(best_partition_cost(x, 1)) == pytest.approx(float(one), rel=1e-12)
    with pytest.raises(ValueError, match="at most 12 points, got 13"):
        best_partition_cost(torch.zeros(13, 1), 2)


@pytest.mark.parametrize(("dtype", "shift"), [(torch.float32, 1e3), (torch.float32, 1e4), (torch.float64, 1e9)])
def test_k_means_ends_and_is_exact_far_from_zero(dtype: torch.dtype, shift: float) -> None:
    x = (torch.randn(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + shift).to(dtype)
    _, cost = k_means(x, 8, 5, torch.Generator().manual_seed(0))
    near = x.double() - shift  # exact: the same points
    _, due = k_means(near, 8, 5, torch.Generator().manual_seed(0))
    assert float(cost) == pytest.approx(float(due), rel=0.03)  # another local optimum may be met


def test_the_best_partition_is_exact_far_from_zero() -> None:
    x = torch.randn(8, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1e8
    assert float(best_partition_cost(x, 2)) == pytest.approx(float(best_partition_cost(x - 1e8, 2)), rel=1e-7)


@pytest.mark.parametrize(
    ("points", "means", "said"),
    [
        ([0.0, 0.1, -0.1, 0.05, 9.0], [0.0, 9.0], "component 1 has shrunk to one place: the likelihood is unbounded"),
        ([0.0, 0.1, 0.2, 0.3], [0.1, 1e9], r"component 1 is left without points \(step 1\)"),
        ([2.0, 2.0, 2.0], [1.0, 2.0], r"component 0 has shrunk to one place.*\(step 0\)"),
        ([2.0], [2.0], r"component 0 has shrunk to one place.*\(step 0\)"),
    ],
)
def test_a_component_that_collapses_is_refused(points: list[float], means: list[float], said: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of the variance of one point
        with pytest.raises(ValueError, match=said):
            mixture_em(torch.tensor(points).double(), torch.tensor(means).double(), 200)


def test_em_is_that_of_scikit_learn_and_never_falls() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.cat([torch.randn(60, generator=generator), 3 + torch.randn(40, generator=generator) / 2]).double()
    values = mixture_em(x, torch.tensor([0.0, 1.0], dtype=torch.float64), 300)
    assert float(values.diff().min()) > -1e-10
    theirs = GaussianMixture(2, means_init=[[0.0], [1.0]], tol=1e-14, max_iter=2000, reg_covar=0).fit(
        x[:, None].numpy()
    )
    assert float(values[-1]) == pytest.approx(theirs.score(x[:, None].numpy()) * 100, abs=1e-4)
    start = stats.norm(0, x.std().item()).pdf(x) / 2 + stats.norm(1, x.std().item()).pdf(x) / 2
    assert float(values[0]) == pytest.approx(float(torch.from_numpy(start).log().sum()), rel=1e-12)
