"""Statements about fitting too little and too much, and what helps."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from models.capacity.learners import Polynomials
from models.capacity.results import Sweep
from theory.double_descent import draw_excess_risk, excess_risk_quantile, fits_law, mean_excess_risk
from theory.evidence import legendre
from theory.no_free_lunch import Learner, error_counts, nearest_neighbours
from theory.regularisation import (
    descent_iterate,
    dropout_loss,
    dropout_loss_enumerated,
    least_squares,
    leave_one_out_errors,
    penalty_diagonal,
    ridge,
    spectral_filter,
)

DRAWS = 4000
DEGREES = (1, 5, 12)  # of the polynomials that are stacked


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _risk(n: int, p: int, generator: torch.Generator) -> tuple[float, Tensor]:
    """Standard scores of the mean excess risk, and the draws."""
    risks = draw_excess_risk(n, p, DRAWS, generator)
    return float((risks.mean() - mean_excess_risk(n, p)) / (risks.std() / DRAWS**0.5)), risks


@claim(
    "000-21",
    "a more complex model needs more samples",
    IMPRECISE,
    "in the worst case only: past p = n the risk of the smallest interpolating solution falls again",
    "Belkin, Hsu, Xu 2020; Hastie et al. 2022",
)
def double_descent() -> Numbers:
    n, generator = 30, _generator(3)
    for p in (10, 20, 26, 29, 30, 31, 34, 45, 90):
        score, risks = _risk(n, p, generator)
        if abs(p - n) > 5:  # nearer the peak the mean has no standard error
            yield equals(f"p = {p}: (mean of {DRAWS} − exact) in standard errors", score, 0, 3)
        yield at_least(f"p = {p}: p of the χ² test of the exact law", fits_law(risks.numpy(), n, p), 0.01)
    medians = {p: float(excess_risk_quantile(0.5, n, p)) for p in (26, 30, 90)}
    yield at_least("median at p = n over median at p = 26", medians[30] / medians[26], 10)
    more = float(draw_excess_risk(n, 90, 1000, generator).median())
    yield at_most("median of 90 features, below that of 26", more, medians[26], counterexample=True)


@claim(
    "002-16",
    "training and generalisation error must both be small and near each other",
    RIGHT,
    "for least squares on p isotropic Gaussian features, p < n − 1, the price is known: excess risk σ²p/(n − p − 1); "
    "uniform convergence is sufficient, not necessary",
    "Nagarajan, Kolter 2019",
)
def price_of_features() -> Numbers:
    generator = _generator(1)
    for n, p in ((30, 5), (30, 15), (60, 20)):
        score, _ = _risk(n, p, generator)
        yield equals(f"n = {n}, p = {p}: (excess risk − σ²p/(n−p−1)) in standard errors", score, 0, 3)


@claim(
    "002-20",
    "the larger the training set, the harder it is to overfit",
    IMPRECISE,
    "of least squares without regularisation (of the smallest norm) the test error can rise with n: it peaks where n "
    "reaches p",
    "Nakkiran et al. 2020",
)
def more_samples_hurt() -> Numbers:
    p, generator = 30, _generator(2)
    medians = {n: float(draw_excess_risk(n, p, DRAWS, generator).median()) for n in (10, 20, 30, 40, 90)}
    yield equals("n of the largest median risk, p = 30", max(medians, key=lambda n: medians[n]), p)
    yield at_least("median risk of 30 samples over that of 10", medians[30] / medians[10], 10, counterexample=True)
    for n in (20, 30, 40):
        due = float(excess_risk_quantile(0.5, n, p))
        yield equals(f"n = {n}: median of {DRAWS} draws", medians[n], due, 0.1)


def _networks(points: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """A network of 8 hidden units for each labelling, trained by 60 steps of gradient descent."""
    count, generator = len(labels), _generator()
    first = torch.randn(count, 4, 8, generator=generator).requires_grad_()
    second = torch.randn(count, 8, generator=generator).requires_grad_()
    answer = lambda x: torch.einsum("lth,lh->lt", torch.tanh((2.0 * x - 1) @ first), second)
    optimizer = torch.optim.Adam([first, second], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(answer(points.float()), labels.float()).mul(count).backward()
        optimizer.step()
    return (answer(asked.float()) > 0).long().detach()


def _trees(points: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """A decision tree for each labelling, grown to the end."""
    from sklearn.tree import DecisionTreeClassifier

    grown = (DecisionTreeClassifier(random_state=0).fit(points.numpy(), row.numpy()) for row in labels)
    return torch.from_numpy(np.stack([tree.predict(asked.numpy()) for tree in grown]))


@claim(
    "002-17",
    "no free lunch: to speak of a best algorithm is empty",
    IMPRECISE,
    "averaged over all targets every learner errs on half of the unseen points; the targets of this world are not all",
    "Wolpert 1996",
)
def no_free_lunch() -> Numbers:
    training = [0, 1, 2, 4, 7, 8, 11, 14]
    learners: dict[str, Learner] = {
        "nearest neighbour": nearest_neighbours(1),
        "decision tree": _trees,
        "network": _networks,
    }
    for name, learner in learners.items():
        errors = error_counts(learner, training)
        yield equals(f"{name}: error on unseen points over all 2^16 targets", errors.double().mean() / 8, 0.5)
    parity = int(sum(1 << point for point in range(16) if point.bit_count() % 2))
    best = error_counts(nearest_neighbours(1), training)
    yield at_most("nearest neighbour, constant targets: error", (best[0] + best[-1]) / 16, 0, counterexample=True)
    yield at_least("the same, parity: error", best[parity] / 8, 0.5)


@claim(
    "002-19",
    "underfitting: larger, longer; overfitting: regularise, stop early, drop out, augment",
    RIGHT,
    "for linear models each is exact: a spectral filter, a scaled ridge, Tikhonov",
    "Yao, Rosasco, Caponnetto 2007; Srivastava et al. 2014; Wager et al. 2013; Bishop 1995",
)
def regularisers() -> Numbers:
    x = torch.randn(20, 10, generator=_generator(), dtype=torch.float64)
    y, w = (torch.randn(size, generator=_generator(size), dtype=torch.float64) for size in (20, 10))
    gram, moment = x.T @ x / 20, x.T @ y / 20
    eigenvalues, vectors = torch.linalg.eigh(gram)
    lr, steps, iterate = float(1 / eigenvalues[-1]), 57, torch.zeros(10, dtype=torch.float64)
    for _ in range(steps):
        iterate = iterate - lr * (gram @ iterate - moment)
    share = (vectors.T @ iterate) / (vectors.T @ least_squares(x, y))
    defect = (share - spectral_filter(eigenvalues, lr, steps)).abs().max()
    yield equals("early stopping: share of each component − (1 − (1−ηλ)ᵗ)", defect, 0, 1e-10)
    for keep in (0.5, 0.8):
        exact = dropout_loss_enumerated(x, y, w, keep)
        yield equals(
            f"dropout, keep {keep}: all 1024 masks / closed form", exact / dropout_loss(x, y, w, keep), 1, 1e-10
        )
    # Noise of ±s on every entry of one row has the second moment of Gaussian noise, and its 2^10 signs can be counted.
    signs = 2 * ((torch.arange(1024)[:, None] >> torch.arange(10)) & 1).double() - 1
    noisy = sum((target - (row + 0.3 * signs) @ w).square().mean() for row, target in zip(x, y, strict=True))
    tikhonov = (y - x @ w).square().sum() + 20 * 0.3**2 * w.square().sum()
    yield equals("input noise: mean over all signs / Tikhonov", noisy / tikhonov, 1, 1e-10)
    decayed = descent_iterate(gram + 0.1 * torch.eye(10, dtype=torch.float64), moment, lr / 2, 10_000)
    yield equals("weight decay to the end − ridge", (decayed - ridge(x, y, 0.1 * 20)).abs().max(), 0, 1e-10)
    points = torch.linspace(-1, 1, 30, dtype=torch.float64)
    model = Polynomials(6, 3, lr=1.0, weight_decay=0.01, dropout=0.0, noise=0.0)
    responses = torch.randn(30, 3, generator=_generator(5), dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(25):
        optimizer.zero_grad()
        model.objective(points, responses).backward()
        optimizer.step()
    reached = Sweep.filter_of(model, points, responses)
    due = spectral_filter(torch.linalg.eigvalsh(model.matrix(points, 6)), float(model.steps(points)[-1]), 25)
    yield equals("the same of torch's SGD on polynomials, with decay", (reached - due).abs().max(), 0, 1e-10)
    # Inverted dropout divides what it keeps by p: the mean over its masks is the loss of x / p under plain dropout.
    exact, plain = dropout_loss_enumerated(x / 0.8, y, w, 0.8) / 20, (y - x @ w).square().mean()
    penalty = (penalty_diagonal(gram, keep=0.8) * w.square()).sum()
    what = "inverted dropout, keep 0.8: all 1024 masks − loss without / Σ (1−p)/p · wⱼ² · mean square of feature j"
    yield equals(what, (exact - plain) / (0.25 * w.square() * x.square().mean(0)).sum(), 1, 1e-10)
    yield equals("the same − loss without / the penalty that a sweep descends on", (exact - plain) / penalty, 1, 1e-10)


@claim(
    "004-13",
    "hyperparameters are set before learning; least squares needs none",
    RIGHT,
    "they are chosen by validation; for ridge, leaving each point out needs one fit (PRESS)",
    "Allen 1974",
)
def leave_one_out() -> Numbers:
    x = legendre(torch.linspace(-1, 1, 25, dtype=torch.float64), 8)
    y = torch.sin(3 * x[:, 1]) + 0.3 * torch.randn(25, generator=_generator(), dtype=torch.float64)
    grid = torch.logspace(-3, 2, 11, dtype=torch.float64).tolist()
    costs: list[tuple[float, float]] = []
    worst = 0.0
    for penalty in grid:
        closed = leave_one_out_errors(x, y, penalty)
        others = [[j for j in range(25) if j != i] for i in range(25)]
        explicit = torch.stack([y[i] - x[i] @ ridge(x[rest], y[rest], penalty) for i, rest in enumerate(others)])
        worst = max(worst, float((closed - explicit).abs().max()))
        costs.append((float(closed.square().sum()), float(explicit.square().sum())))
    yield equals("explicit leave-one-out − PRESS", worst, 0, 1e-10)
    best = [int(np.argmin([cost[i] for cost in costs])) for i in (0, 1)]
    yield equals("penalty chosen by PRESS", grid[best[0]], grid[best[1]])
    inner = 0 < best[0] < len(grid) - 1
    yield equals("and it lies inside the grid", inner, True)


def _held_out(x: Tensor, y: Tensor, folds: Tensor) -> Tensor:
    """Predictions of ridge polynomials for each fold, fitted to the other folds, shape (N, 3)."""
    predictions = torch.empty(len(x), len(DEGREES), dtype=x.dtype)
    for fold in folds.unique():
        test = folds == fold
        for column, degree in enumerate(DEGREES):
            features = legendre(x, degree)
            predictions[test, column] = features[test] @ ridge(features[~test], y[~test], 0.1)
    return predictions


def _weights(predictions: Tensor, y: Tensor) -> Tensor:
    """Non-negative weights of the least squared error on these predictions, shape (3,)."""
    from scipy.optimize import nnls

    return torch.from_numpy(nnls(predictions.numpy(), y.numpy())[0])


def _noisy_sine(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places, values and numbers of five folds."""
    x = 2 * torch.rand(count, generator=_generator(2 * seed), dtype=torch.float64) - 1
    noise = torch.randn(count, generator=_generator(2 * seed + 1), dtype=torch.float64)
    return x, torch.sin(4 * x) + 0.3 * noise, torch.arange(count) % 5


def _nested_ratio(x: Tensor, y: Tensor, folds: Tensor) -> float:
    """Squared error of the stack / of the best single model, on folds that neither weights nor models have seen."""
    outer, stack = _held_out(x, y, folds), torch.empty_like(y)
    for fold in folds.unique():
        test = folds == fold
        # level one without this fold: each of the other four predicted from three
        inner = _held_out(x[~test], y[~test], folds[~test])
        stack[test] = outer[test] @ _weights(inner, y[~test])
    return float((stack - y).square().sum() / (outer - y[:, None]).square().sum(0).min())


@claim(
    "004-20",
    "stacking is stacked generalisation",
    RIGHT,
    "non-negative weights fitted to held-out predictions are no worse on these than the best single model, since all "
    "weight on it is allowed; on points that the weights have not seen they can be worse, by less the more points",
    "Wolpert 1992; Breiman 1996; van der Laan, Polley and Hubbard 2007",
)
def stacking() -> Numbers:
    x, y, folds = _noisy_sine(60, 0)
    held_out = _held_out(x, y, folds)
    weights = _weights(held_out, y)
    error = (held_out @ weights - y).square().sum()
    best = (held_out - y[:, None]).square().sum(0).min()
    shares = torch.cartesian_prod(*[torch.linspace(0, 1.2, 61, dtype=torch.float64)] * 3)  # all weights, 0.02 apart
    tried = (shares @ held_out.T - y).square().sum(1).min()
    what = "squared error on the predictions the weights are fitted to, over the least of 226,981 weights tried"
    yield equals(what, error / tried, 1, 1e-3)
    yield at_most("over that of the best single model: the weights gain", error / best, 0.99)
    yield at_least("models that the stack uses", int((weights > 0).sum()), 2)
    yield at_least("weights from inner folds: error on the outer folds / best", _nested_ratio(x, y, folds), 1)
    few, many = (np.array([_nested_ratio(*_noisy_sine(count, seed)) for seed in range(20)]) for count in (60, 600))
    yield at_least("in how many of 20 such data sets the stack is worse", (few > 1).sum(), 1)
    yield at_most("mean ratio of 20 sets of 600 points; of 60 points", many.mean(), few.mean())
