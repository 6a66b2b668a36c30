"""What people do: all weights by Adam, or by L-BFGS, here on every row of a family at once.

Source:
    Kingma and Ba (2015), Adam, algorithm 1. Nocedal and Wright (2006), Numerical Optimization, algorithm 7.4 (the two
    loops of L-BFGS) and 3.1 (backtracking).
"""

# P networks, Q parameters a row, H pairs kept

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.approximation.family import Family

PAIRS = 10
SUFFICIENT = 1e-4  # share of the promised fall that a step must bring
MOST_TRIALS = 10
LEAST = 1e-200  # squared length of a gradient; below, steps and what they change multiply to numbers that vanish


class Adam(nn.Module):
    """Adam on all rows, its learning rate falling to 0 along a cosine.

    Args:
        family: The networks.
        lr: Learning rate at the start.
        steps: Steps in which it falls to 0; infinite where it does not fall.
    """

    first: Tensor
    second: Tensor
    count: Tensor

    def __init__(self, family: Family, lr: float, steps: float) -> None:
        super().__init__()
        self.family, self.lr, self.steps = family, lr, steps
        self.register_buffer("first", torch.zeros_like(family.rows.detach()))
        self.register_buffer("second", torch.zeros_like(family.rows.detach()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def step(self, x: Tensor, y: Tensor, times: int = 1) -> Tensor:
        """``times`` steps on all samples; gives the loss before the last, shape (P,)."""
        rows = self.family.rows.data
        loss = rows.new_zeros(len(rows))
        for _ in range(times):
            loss, gradient = self.family.loss_and_gradient(rows, x, y)
            done = int(self.count)
            self.count += 1
            lr = self.lr * (1 + math.cos(math.pi * min(done / self.steps, 1))) / 2
            self.first.lerp_(gradient, 0.1)
            self.second.lerp_(gradient.square(), 0.001)
            size = (self.second / (1 - 0.999 ** (done + 1))).sqrt() + 1e-8
            rows.sub_(lr / (1 - 0.9 ** (done + 1)) * self.first / size)
        return loss


class LBFGS(nn.Module):
    """L-BFGS on all rows, each with its own memory and its own step length. Args: family, the networks."""

    moved: Tensor
    turned: Tensor
    weight: Tensor
    stuck: Tensor

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        rows = family.rows.detach()
        self.register_buffer("moved", rows.new_zeros(PAIRS, *rows.shape))  # s, newest first
        self.register_buffer("turned", rows.new_zeros(PAIRS, *rows.shape))  # t, change of the gradient
        self.register_buffer("weight", rows.new_zeros(PAIRS, len(rows)))  # 1 / s·t; 0 where there is no pair
        self.register_buffer("stuck", rows.new_zeros(len(rows)) > 0)  # not even steepest descent goes down

    def direction(self, gradient: Tensor) -> Tensor:
        """-H g by the two loops, shape (P, Q); a pair of weight 0 changes nothing."""
        q, shares = gradient.clone(), []
        for s, t, weight in zip(self.moved, self.turned, self.weight, strict=True):
            shares.append(weight * (s * q).sum(1))
            q -= shares[-1][:, None] * t
        scale = self.weight[0] * self.turned[0].square().sum(1)
        q = q / torch.where(scale > 0, scale, gradient.norm(dim=1).clamp_min(1.0))[:, None]
        for s, t, weight, share in zip(*(x.flip(0) for x in (self.moved, self.turned, self.weight)), reversed(shares),
                                       strict=True):  # fmt: skip
            q += (share - weight * (t * q).sum(1))[:, None] * s
        return -q

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One iteration; gives the loss after it, shape (P,). A row whose gradient is 0 or not finite stays."""
        rows = self.family.rows.data
        loss, gradient = self.family.loss_and_gradient(rows, x, y)
        size = gradient.square().sum(1)
        rest = ~(size.isfinite() & (size > LEAST))
        gradient = torch.where(rest[:, None], 0.0, gradient)
        direction = self.direction(gradient)
        slope = (direction * gradient).sum(1)
        uphill = slope >= 0
        direction = torch.where(uphill[:, None], -gradient, direction)
        slope = torch.where(uphill, -gradient.square().sum(1), slope)
        length = torch.ones_like(loss)
        found, new_loss, new_gradient = rest, loss, gradient
        taken = rows.clone()
        for _ in range(MOST_TRIALS):
            trial = rows + length[:, None] * direction
            trial_loss, trial_gradient = self.family.loss_and_gradient(trial, x, y)
            good = (trial_loss <= loss + SUFFICIENT * length * slope) & ~found
            good &= trial_gradient.isfinite().all(1)
            taken = torch.where(good[:, None], trial, taken)
            new_loss = torch.where(good, trial_loss, new_loss)
            new_gradient = torch.where(good[:, None], trial_gradient, new_gradient)
            found = found | good
            if bool((found | self.stuck).all()):
                break
            length = torch.where(found, length, length / 2)
        s, t = taken - rows, new_gradient - gradient
        product = (s * t).sum(1)
        useful = product > (1e-10 * t.square().sum(1)).clamp_min(LEAST)
        weight = torch.where(useful, 1 / torch.where(useful, product, 1.0), 0.0)
        # A row that could not move starts with an empty memory; one that had none is at its end.
        self.stuck |= ~found & (self.weight == 0).all(0)
        keep = found[None].to(rows.dtype)
        self.moved.copy_(torch.cat([s[None], self.moved[:-1]]))
        self.turned.copy_(torch.cat([t[None], self.turned[:-1]]))
        self.weight.copy_(torch.cat([weight[None], self.weight[:-1]]) * keep)
        rows.copy_(taken)
        return new_loss
