"""What a deep belief network says of test pictures with one layer, two, and so on: the variational bound.

log Z of each top machine is counted where it can be, and fenced in by annealing elsewhere.

Letters: N pictures, C chains, V visible units.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.energy.judgement import countable, few
from models.energy.machine import coin
from models.energy.stack import DBN
from theory.ais import LogZ, backward_log_z, base_logits, forward_log_z
from theory.dbn import variational_bound
from theory.rbm import log_partition

DRAWS = 10  # upward passes a picture over which the bound is averaged


@dataclass(frozen=True)
class Depth:
    """The bound of the lowest layers of a network.

    Attributes:
        units: Units of the top layer.
        bound: Mean over the test pictures of the bound on log p(v), nats; for one layer it is the likelihood itself.
        log_z: The estimate of log Z in it; None when it was counted.
        gap: Backward minus forward estimate of log Z; 0 when counted.
    """

    units: int
    bound: float
    log_z: LogZ | None = None
    gap: float = 0.0

    @property
    def error(self) -> float:
        """Standard error of log Z in the bound, in nats: 0 when counted, nan where it is unknown."""
        return 0.0 if self.log_z is None else self.log_z.error

    @property
    def how(self) -> str:
        """How log Z was found, and how well."""
        if self.log_z is None:
            return "counted"
        error = f"log Z of unknown error, {few(self.log_z)}" if math.isnan(self.error) else f"log Z ± {self.error:.2f}"
        return f"{error}, backward − forward {self.gap:+.2f}"


@torch.no_grad()
def bounds(stack: DBN, v: Tensor, start: Tensor, steps: int, sweeps: int) -> list[Depth]:
    """The bound after each layer.

    Args:
        stack: The network.
        v: Test pictures, shape (N, V).
        start: Training pictures, shape (C, V): they give the base of annealing and start its backward chains.
        steps: Temperatures of annealing.
        sweeps: Sweeps after which the backward chains count as samples.

    Returns:
        One entry a layer. log Z is counted where it can be, else the larger of two estimates, which flatters less.
    """
    found = []
    machines = stack.terms()
    for layer, top in enumerate(machines):
        estimate, gap = None, 0.0
        if countable(*top.weight.shape):
            log_z = float(log_partition(*top))
        else:
            seen = stack.up(start, layer)  # (C, units below)
            base = base_logits(seen.mean(0), len(seen))
            forward = forward_log_z(*top, base, steps=steps, chains=len(seen))
            machine = stack.machine(layer)
            samples, _, _ = machine.gibbs(coin(machine.hidden_given_visible(seen)), sweeps)
            backward = backward_log_z(samples, *top, base, steps=steps)
            estimate = max(forward, backward, key=lambda way: way.value)
            log_z, gap = estimate.value, backward.value - forward.value
        draws = DRAWS if layer else 1  # one machine draws nothing
        parts = [variational_bound(part, machines[: layer + 1], log_z) for part in v.split(2000) for _ in range(draws)]
        found.append(Depth(len(top.hidden_bias), float(torch.cat(parts).double().mean()), estimate, gap))
    return found
