"""Means over an epoch that a stop in its midst does not cut short.

Lightning adds up what a task logs with ``on_epoch=True`` and keeps the sums in no checkpoint: the mean of a resumed
epoch would be that of its rest. Here they go into the checkpoint, and are taken up when their tag is next logged, or at
the epoch's end if it is not. A ``torchmetrics.Metric`` keeps its own state, if it is made ``persistent()``.
"""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.connectors.logger_connector.result import _METRICS, _Metadata, _ResultMetric, _Sync

from trainer.fit.joined import JoinedResults, Sums, added, from_all, rank, sums_of

AT_THE_END = "on_train_epoch_end"  # where what is logged is no sum, but said once
HOW = ("fx", "name", "prog_bar", "logger", "on_step", "add_dataloader_idx", "dataloader_idx")  # as it was logged


class Earlier(TypedDict):
    """What the part of an epoch before a stop has added up for one tag, as primitives and tensors."""

    sums: Sums
    how: dict[str, Any]
    reduction: str
    over_processes: bool


class EpochSums(JoinedResults):
    """The results of training, with those of the epoch's earlier part after a resume.

    Args:
        trainer: Knows the epoch.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__(training=True)
        self.trainer = trainer
        self._epoch = -1  # of the earlier part
        self._earlier: dict[str, Earlier] = {}
        self._over: set[str] = set()  # keys of which this process has logged nothing

    def update_metrics(self, key: str, value: Any, batch_size: int) -> None:
        """Add a value to the sum of its key."""
        if self._earlier and key in self._waiting():
            self._add(key, self._earlier.pop(key))
        super().update_metrics(key, value, batch_size)

    def metrics(self, on_step: bool) -> _METRICS:
        """Values by tag; at the end of an epoch also of tags that were logged in its earlier part only."""
        if not on_step and self._earlier:
            for key, earlier in self._waiting().items():
                meta = _Metadata(**earlier["how"], reduce_fx=earlier["reduction"])  # type: ignore[arg-type]
                meta.sync = _Sync(self.trainer.strategy.reduce, earlier["over_processes"])
                self[key] = _ResultMetric(meta, is_tensor=True)
                self._add(key, earlier)
                self[key]._update_count = 1  # or torchmetrics takes it for empty
                self._over.add(key)
            self._earlier = {}
        return super().metrics(on_step)

    def reset(self, metrics: bool | None = None, fx: str | None = None) -> None:
        """Begin the sums anew; the next to log a tag says again how."""
        for key in self._over:
            del self[key]
        self._over = set()
        super().reset(metrics, fx)

    def _waiting(self) -> dict[str, Earlier]:
        return self._earlier if self._epoch == self.trainer.current_epoch else {}

    def _add(self, key: str, earlier: Earlier) -> None:
        for name, total in earlier["sums"].items():
            setattr(self[key], name, total.to(getattr(self[key], name).device))

    def kept(self) -> dict[str, Any]:
        """The epoch and its sums by key, those of all processes, for a checkpoint."""
        sums = {
            key: Earlier(
                sums=sums_of(result),
                how={name: getattr(result.meta, name) for name in HOW},
                reduction=result.meta.reduce_fx.__name__,
                over_processes=result.meta.sync.should,
            )
            for key, result in self.items()
            if result.is_tensor and result.meta.on_epoch and not result.has_reset and result.meta.fx != AT_THE_END
        }
        shares: list[dict[str, Earlier]] = from_all({**self._waiting(), **sums})
        joint = {key: earlier for share in reversed(shares) for key, earlier in share.items()}
        for key, earlier in joint.items():
            parts = [share[key]["sums"] for share in shares if key in share]
            joint[key] = {**earlier, "sums": added(parts, earlier["reduction"])}
        return {"epoch": self.trainer.current_epoch, "sums": joint}

    def take(self, kept: dict[str, Any]) -> None:
        """Go on with the sums of a checkpoint, if its epoch goes on: they are of all processes, and one adds them."""
        self._epoch, self._earlier = kept.get("epoch", -1), dict(kept.get("sums", {}))
        for key, earlier in self._earlier.items() if rank() else ():
            if earlier["reduction"] in ("mean", "sum"):
                none = {name: torch.zeros_like(total) for name, total in earlier["sums"].items()}
                self._earlier[key] = {**earlier, "sums": none}


class KeepSums(Callback):
    """Puts `EpochSums` into the loop and what they hold into the checkpoints; evaluation joins its processes too."""

    def __init__(self) -> None:
        self._taken: dict[str, Any] = {}
        self._sums: EpochSums | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before anything is logged."""
        for loop in (trainer.fit_loop.epoch_loop.val_loop, trainer.validate_loop, trainer.test_loop):
            if not isinstance(loop._results, JoinedResults):
                loop._results = JoinedResults(training=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before anything is logged."""
        self._sums = trainer.fit_loop.epoch_loop._results = EpochSums(trainer)
        self._sums.take(self._taken)

    def state_dict(self) -> dict[str, Any]:
        """The sums of this epoch."""
        return {} if self._sums is None else self._sums.kept()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those of the epoch that goes on."""
        self._taken = state_dict
