"""Whether descent runs away: when a path counts as diverged, and whether a learning rate leaves a minimum."""
# n variables

import math

import torch
from torch import Tensor

from theory.descent import Function, Rule, gradient
from theory.landscape import Account

TOO_HIGH, TOO_FAR = 1e9, 1e9  # times 1 + the size at the start


def runs_away(f: Function, point: Tensor, start: Tensor) -> str:
    """Why a path counts as diverged at ``point``, or an empty text."""
    value, first = float(f(point)), float(f(start))
    if not (math.isfinite(value) and bool(torch.isfinite(point).all())):
        return "f is not finite there"
    if abs(value) > TOO_HIGH * (1 + abs(first)):
        return f"f = {value:.3g}"
    if float(point.norm()) > TOO_FAR * (1 + float(start.norm())):
        return f"its distance from 0 is {float(point.norm()):.3g}"
    return ""


def leaves(f: Function, account: Account, rule: Rule, lr: float, momentum: float) -> bool:
    """Whether a rule with this learning rate leaves a minimum, from 200 steps of torch's own optimiser.

    Args:
        f: A quadratic.
        account: Of it.
        rule: How steps are taken.
        lr: Learning rate α.
        momentum: β, where the rule has one.
    """
    assert account.point is not None
    curved = account.directions[:, account.curvature != 0]
    point = (account.point + curved.sum(1)).requires_grad_()
    curvature = account.directions @ torch.diag(account.curvature) @ account.directions.T
    beta = momentum if rule in ("momentum", "nesterov") else 0.0
    optimizer = torch.optim.SGD([point], lr=lr, momentum=beta, nesterov=rule == "nesterov")
    sizes = []
    for _ in range(200):
        optimizer.zero_grad()
        slope = gradient(f, point)
        if rule == "newton":
            slope = torch.linalg.pinv(curvature, hermitian=True) @ slope
        point.grad = slope
        optimizer.step()
        sizes.append(float(account.along(point.detach()).norm()))
        if not math.isfinite(sizes[-1]):  # what has no size compares with nothing
            return True
    return max(sizes[-50:]) > max(sizes[50:100])
