"""Figures of an epoch are those of all processes, whether a task asked for that or not.

Several processes share the pictures of an epoch, and Lightning gives each the mean of its own share, unless a task logs
with ``sync_dist=True``: the run would report a half of the validation pictures, and the processes would disagree on the
best epoch. With it Lightning divides the numbers of samples by the number of processes in whole numbers, which weighs
shares of unequal size wrongly. Here the sums of all processes are added up before they are divided.

What every process has computed alike, such as the accuracy of outputs gathered before, is its own mean. What is logged
with ``rank_zero_only=True``, or a ``torchmetrics.Metric``, which adds itself up, is left alone.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.trainer.connectors.logger_connector.result import _METRICS, _ResultCollection, _ResultMetric
from torch import Tensor

SUMS = ("value", "cumulated_batch_size")  # what Lightning adds up: Σ value · samples, and Σ samples
Sums = dict[str, Tensor]


def num_processes() -> int:
    """How many processes share the work; 1 outside of a group."""
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if grouped else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return torch.distributed.get_rank() if num_processes() > 1 else 0


def from_all(mine: Any) -> list[Any]:
    """What each process gives, in the order of their ranks; all must call it at the same point."""
    if num_processes() == 1:
        return [mine]
    given: list[Any] = [None] * num_processes()
    torch.distributed.all_gather_object(given, mine)
    return given


def sums_of(result: _ResultMetric) -> Sums:
    """What a process has added up for one key, on the CPU."""
    return {name: getattr(result, name).detach().cpu() for name in SUMS if hasattr(result, name)}


def added(parts: list[Sums], reduction: str) -> Sums:
    """The sums of several processes as one; of ``max`` and ``min`` the largest and the smallest value."""
    how = {"max": torch.amax, "min": torch.amin}.get(reduction, torch.sum)
    return {name: how(torch.stack([part[name] for part in parts]), 0) for name in parts[0]}


class JoinedResults(_ResultCollection):
    """What a task has logged; at the end of an epoch, over all processes."""

    def metrics(self, on_step: bool) -> _METRICS:
        """Values by tag."""
        if not on_step and num_processes() > 1:
            self._join()
        return super().metrics(on_step)

    def _join(self) -> None:
        """Computes what is still to be computed; a process need not have logged every key of the others."""
        due = {
            key: result
            for key, result in self.valid_items()
            if result.is_tensor and result.meta.on_epoch and result._computed is None
        }
        alone = [key for key, result in due.items() if result.meta.sync.rank_zero_only or result.meta.sync.group]
        for key in alone:
            due.pop(key).compute()
        if not due:
            return
        mine = {key: {name: total.double() for name, total in sums_of(result).items()} for key, result in due.items()}
        shares = from_all(mine)
        for key, result in due.items():
            sums = added([share[key] for share in shares if key in share], result.meta.reduce_fx.__name__)
            result._computed = (sums["value"] / sums.get("cumulated_batch_size", 1)).to(result.value)
