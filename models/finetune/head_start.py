"""The best linear head on fixed features, in full passes that cost milliseconds; its strength by cross-validation.

With the body fixed, training the head is a convex problem: the regularised multinomial logistic loss of features z_i

    F(W, b) = sum_i a_i [ log sum_k exp(w_k.z_i + b_k) - w_{y_i}.z_i - b_{y_i} ] + strength / 2 * |W|^2,   sum_i a_i = 1

has one minimum, which L-BFGS reaches to many digits; no learning rate, no epochs. Only the strength is free. It is
chosen by the held-out loss of stratified folds of the training pictures, which tear nothing apart that belongs together
(`models.finetune.folds`); validation and test pictures play no part.

How strong a pull serves can be told from fewer pictures: of more than N_0 (1,000, or 10 for each class where that is
more) the folds take N_0, class by class in proportion. A pull is a belief about W before any picture was seen, worth
strength * N in the sum over N pictures; so what N_0 chose is used times N_0 / N for all of them.

F does not change when features are rotated (W turns with them), and W lies in the span of the centred features. So the
features are replaced by their coordinates in that span, at most N - 1 of them, and all folds are solved at once.

V augmented views of each picture may stand beside it; then each has the share 1 / (V + 1) of the picture's importance.
The strength is still chosen on the pictures themselves, so that no fold judges a picture by views of it.

Source:
    Hastie, Tibshirani, Friedman (2009), The elements of statistical learning, sections 4.4, 7.10 and 18.3.5 (the span).
    Liu, Nocedal (1989), On the limited memory BFGS method.
"""
# N feature vectors, D features, R coordinates, K classes, M folds

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.classification.targets import class_weights
from models.finetune.folds import choosing, stratified_folds

STRENGTHS = [10.0 ** (exponent / 2) for exponent in range(0, -13, -1)]  # strong to weak: each starts at the one before
PATIENCE = 3  # weaker strengths tried after the best one
NUM_FOLDS = 5  # M; fewer when there are fewer pictures
MOST_WORK = 10**9  # N * D * K * M above which one fold in M must do


class HeadFit(NamedTuple):
    """A fitted head.

    Attributes:
        weight: Shape (K, D), float32, for the features as they were given.
        bias: Shape (K,).
        strength: The chosen one, on features whose mean squared distance from their mean is 1.
        losses: Held-out loss in nats of each of `STRENGTHS` that was tried.
        accuracy: Held-out accuracy at the chosen strength, of training pictures that its fold did not see; the mean
            over the classes where these count alike.
        judged: How many pictures these are.
        alone: How many others were held out and judged nothing: no picture of their class was learnt from.
        part: Which part of the features it reads, where there was a choice.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    losses: list[float]
    accuracy: float
    judged: int
    alone: int
    part: int = 0


def minimise(z: Tensor, labels: Tensor, importance: Tensor, strength: float, start: Tensor) -> Tensor:
    """Minimum of F for several sets of importances at once; the problems are separate, the passes are shared.

    Args:
        z: Features and a last column of 1 for the bias, shape (N, R + 1).
        labels: Shape (N,).
        importance: a, of columns that sum to 1, shape (N, M).
        strength: Above 0.
        start: Where to begin, shape (R + 1, M, K).

    Returns:
        W and b, shape (R + 1, M, K).
    """
    solution = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [solution], max_iter=300, tolerance_grad=1e-6, tolerance_change=1e-10, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    right = labels[:, None, None].expand(-1, importance.shape[1], 1)  # (N, M, 1)
    transposed = z.T.contiguous()

    def closure() -> Tensor:
        point = solution.detach()
        logs = logits(z, point).log_softmax(-1)  # (N, M, K)
        losses = -logs.gather(-1, right)[..., 0]  # (N, M)
        slope = logs.exp().scatter_add_(-1, right, -torch.ones_like(losses)[..., None]) * importance[..., None]
        gradient = logits(transposed, slope)  # (R + 1, M, K)
        gradient[:-1] += strength * point[:-1]
        solution.grad = gradient
        return (importance * losses).sum() + strength / 2 * point[:-1].square().sum()

    optimiser.step(closure)
    return solution.detach()


def logits(z: Tensor, solution: Tensor) -> Tensor:
    """All problems in one product: (N, R + 1) and (R + 1, M, K) give (N, M, K)."""
    return (z @ solution.flatten(1)).unflatten(1, solution.shape[1:])


class Choice(NamedTuple):
    """How the strengths did on the held-out pictures; see `HeadFit`.

    Attributes:
        best: Index in `STRENGTHS`.
        losses: Of each that was tried.
        accuracy: At the best one.
        judged: Pictures held out by a fold, of classes that its head knows.
        alone: The others that were held out.
        solution: W and b of the best one, the mean over the folds, shape (R + 1, 1, K).
    """

    best: int
    losses: list[float]
    accuracy: float
    judged: int
    alone: int
    solution: Tensor


def choose_strength(
    z: Tensor, labels: Tensor, importance: Tensor, folds: Tensor, num_classes: int, tried: Callable[[int], None]
) -> Choice:
    """The strength with the smallest held-out loss; each begins at the solution of the stronger one before it.

    Args:
        z: Shape (N, R + 1), see `coordinates`.
        labels: Shape (N,).
        importance: Shape (N,); sums to 1.
        folds: Fold of each row, shape (N,).
        num_classes: K.
        tried: Called with the number of strengths tried so far.

    Returns:
        The choice.
    """
    num_folds = int(folds.max()) + 1
    work = len(labels) * z.shape[1] * num_classes * num_folds
    held_out = folds[:, None] == torch.arange(num_folds if work <= MOST_WORK else 1, device=z.device)  # (N, M)
    inside = importance[:, None] * ~held_out
    inside /= inside.sum(0)
    judged = held_out & known_classes(labels, inside, num_classes)
    outside = importance[:, None] * judged
    outside /= outside.sum()

    losses: list[float] = []
    rights: list[float] = []
    solutions = [z.new_zeros(z.shape[1], held_out.shape[1], num_classes)]
    right = labels[:, None, None].expand(-1, held_out.shape[1], 1)  # (N, M, 1)
    for strength in STRENGTHS:
        if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses):
            break
        solution = minimise(z, labels, inside, strength, solutions[-1])
        solutions.append(solution)
        logs = logits(z, solution).log_softmax(-1)  # (N, M, K)
        own = logs.gather(-1, right)[..., 0]  # (N, M)
        losses.append(float(-(outside * own).sum()))
        rights.append(float((outside * (logs.argmax(-1) == labels[:, None])).sum()))
        tried(len(losses))
    best = min(range(len(losses)), key=losses.__getitem__)
    count = int(judged.sum())
    return Choice(
        best, losses, rights[best], count, int(held_out.sum()) - count, solutions[best + 1].mean(1, keepdim=True)
    )


def known_classes(labels: Tensor, inside: Tensor, num_classes: int) -> Tensor:
    """Which head has learnt from a picture of the class of which picture: no other can be right on it.

    A weak pull is only the more certain there, so that with balanced classes one picture would choose the strength.

    Args:
        labels: Shape (N,).
        inside: Importances that each head learns from, shape (N, M).
        num_classes: K.

    Returns:
        Boolean, shape (N, M); all True where no head could judge any picture.
    """
    learnt = inside.new_zeros(num_classes, inside.shape[1]).index_add_(0, labels, inside)[labels] > 0
    return learnt if bool((learnt & (inside == 0)).any()) else torch.ones_like(learnt)


def fit_head(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    balance: bool = False,
    tried: Callable[[int], None] = lambda count: None,
    views: tuple[Tensor, Tensor, int] | None = None,
    units: Tensor | None = None,
) -> HeadFit:
    """The head with the smallest regularised loss, at the strength with the smallest held-out loss.

    Args:
        features: Shape (N, D), on the device that is to compute.
        labels: Shape (N,).
        num_classes: K.
        balance: Whether all classes count alike.
        tried: Called with the number of strengths tried so far.
        views: Features of augmented views, shape (V', D), their labels (V',), and V, the views of each picture.
        units: What each picture belongs to, shape (N,), on the CPU; None where nothing is together.

    Returns:
        The head, on the CPU.

    Raises:
        ValueError: If there are fewer than 2 pictures.
    """
    device, labels, count = features.device, labels.cpu(), len(labels)
    if count < 2:
        raise ValueError(f"a head needs at least 2 pictures, got {count}")
    rows = choosing(labels, num_classes, units)
    size = int(rows.sum())
    folds = stratified_folds(labels[rows], NUM_FOLDS, None if units is None else units[rows]).to(device)
    importance = importances(labels, num_classes, balance)
    seen, named, shares = features, labels, importance
    if views is not None:
        seen, named = torch.cat([features, views[0]]), torch.cat([labels, views[1].cpu()])
        shares = torch.cat([importance, views[2] * importances(views[1].cpu(), num_classes, balance)]) / (views[2] + 1)
    labels, importance, rows = labels.to(device), importance.to(device), rows.to(device)

    z, centre, basis = coordinates(seen)
    part = z if size == len(seen) else coordinates(features[rows])[0]
    weights = importance[rows] / importance[rows].sum()
    choice = choose_strength(part, labels[rows], weights, folds, num_classes, tried)
    strength = STRENGTHS[choice.best] * size / count
    start = choice.solution if size == len(seen) else z.new_zeros(z.shape[1], 1, num_classes)
    whole = minimise(z, named.to(device), shares.to(device)[:, None], strength, start)
    weight = (basis @ whole[:-1, 0]).T  # (K, D)
    bias = whole[-1, 0] - weight @ centre
    bias -= bias.mean()
    return HeadFit(
        weight=weight.float().cpu(),
        bias=bias.float().cpu(),
        strength=strength,
        losses=choice.losses,
        accuracy=choice.accuracy,
        judged=choice.judged,
        alone=choice.alone,
    )


def importances(labels: Tensor, num_classes: int, balance: bool) -> Tensor:
    """a, float64, shape (N,): sums to 1; each class has the same share of it with ``balance``, else each picture."""
    found = class_weights(labels, num_classes)[labels].double() if balance else torch.ones(len(labels)).double()
    return found / found.sum()


def fit_best_head(
    features: Tensor,
    parts: list[slice],
    labels: Tensor,
    num_classes: int,
    balance: bool,
    tried: Callable[[int], None] = lambda count: None,
    views: tuple[Tensor, Tensor, int] | None = None,
    units: Tensor | None = None,
) -> HeadFit:
    """The head on that part of the features which has the smallest held-out loss; it does not read the others.

    Args:
        features: Shape (N, D).
        parts: Columns to choose from, at least one.
        labels: Shape (N,).
        num_classes: K.
        balance: Whether all classes count alike.
        tried: Called with the number of strengths tried so far, part by part.
        views: As for `fit_head`.
        units: As for `fit_head`.

    Returns:
        The head, with zeros for the columns it does not read.
    """
    fits = [
        fit_head(
            features[:, part], labels, num_classes, balance, tried,
            None if views is None else (views[0][:, part], *views[1:]), units,
        )
        for part in parts
    ]  # fmt: skip
    best = min(range(len(parts)), key=lambda index: min(fits[index].losses))
    weight = torch.zeros(num_classes, features.shape[1])
    weight[:, parts[best]] = fits[best].weight
    return fits[best]._replace(weight=weight, part=best)


def coordinates(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates of features in their own span, and the way back.

    Args:
        features: Shape (N, D).

    Returns:
        z with a last column of 1, shape (N, R + 1); the mean, shape (D,); the basis over a scale, shape (D, R):
        z[:, :-1] = (features - mean) @ basis, and the mean of |z|^2 is 1.
    """
    x = features.double()
    centre = x.mean(0)
    x = x - centre
    scale = x.square().sum(1).mean().sqrt().clamp_min(1e-12)
    if len(x) <= x.shape[1]:
        gram = x @ x.T  # (N, N)
        values, vectors = torch.linalg.eigh(gram)
        kept = values > values.max().clamp_min(1e-300) * 1e-12
        basis = x.T @ (vectors[:, kept] / values[kept].sqrt())  # (D, R), orthonormal
    else:
        basis = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    basis = basis / scale
    z = x @ basis
    return torch.cat([z, z.new_ones(len(z), 1)], 1), centre, basis
