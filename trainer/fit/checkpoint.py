"""Which checkpoints are kept: ``best.ckpt`` and ``last.ckpt``, each by a callback of its own, under fixed names.

One callback for both loses work: while the metric gets worse, its "last" stays at the best epoch. Both files are
written at the end of a training epoch, after validation, when weights, optimiser, loaders and metrics agree.
A checkpoint on an epoch's last batch would resume without that epoch's validation, so none is written there; what is
written inside an epoch is written between two batches, after all hooks of the first (`trainer.fit.loop`).
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from trainer.errors import UserError
from trainer.fit.joined import from_all
from trainer.folder import RunFolder
from trainer.notice import notice
from trainer.safe_file import SafeCheckpointIO, load_checkpoint, remove_litter

__all__ = ["BestCheckpoint", "CutEpoch", "HouseRecord", "LastCheckpoint", "SafeCheckpointIO", "load_checkpoint"]

Mode = Literal["max", "min"]


def between_steps(trainer: Trainer) -> bool:
    """Whether a checkpoint after this batch resumes exactly.

    Not inside an accumulation of gradients, which no checkpoint holds, and not on an epoch's last batch.
    """
    loop = trainer.fit_loop.epoch_loop
    return not trainer.fit_loop._should_accumulate() and not loop._num_ready_batches_reached()


def check_monitor(monitor: str, logged: dict[str, Any]) -> None:
    """Refuse a metric that nobody logs.

    Raises:
        UserError: With the nearest name and all names there are.
    """
    if monitor not in logged:
        near = difflib.get_close_matches(monitor, logged, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise UserError(f"no metric {monitor!r} to choose the best by{hint}; logged: {', '.join(sorted(logged))}")


class HouseRecord(Callback):
    """Puts the key ``house`` into every checkpoint: model, data, recipe, versions; and the precision in force.

    Lightning takes another precision than the one asked for where a device does not have it.

    Args:
        house: Plain values only.
    """

    def __init__(self, house: dict[str, Any]) -> None:
        self.house = house

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the key."""
        checkpoint["house"] = {**self.house, "precision": str(trainer.precision)}


class CutEpoch(Callback):
    """Counts an epoch in which steps or time ran out as one that has not ended, so that a resume takes up its rest."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Lightning has counted it as processed."""
        loops = checkpoint.get("loops", {}).get("fit_loop", {})
        batches = loops.get("epoch_loop.batch_progress", {}).get("current", {}).get("ready", 0)
        epoch = loops.get("epoch_progress", {})
        if 0 < batches < trainer.num_training_batches and epoch["current"]["processed"] == epoch["current"]["ready"]:
            for counted in epoch.values():
                counted["processed"] -= 1


def written(checkpoint: LastCheckpoint | BestCheckpoint | None) -> Path | None:
    """The file that a callback wrote, if there is one; None too when checkpoints are off."""
    return checkpoint.path if checkpoint is not None and checkpoint.path.is_file() else None


class LastCheckpoint(Checkpoint):
    """Keeps the newest state in ``last.ckpt``.

    Args:
        run: Where it goes.
        every: Also write when so many batches of an epoch have passed since the last time; None for its end only.
    """

    def __init__(self, run: RunFolder, every: int | None = None) -> None:
        self.run = run
        self.path = run.last
        self.every = every
        self._saved_at = 0  # batches of the epoch that the newest file knows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove what a killed process left behind."""
        if stage == "fit" and trainer.is_global_zero:
            for path in [*remove_litter(self.run.path), *remove_litter(self.path.parent)]:
                notice(f"removed {path}, left by an interrupted save")

    def save(self, trainer: Trainer) -> Path:
        """Write the present state; gives the path."""
        trainer.save_checkpoint(self.path, weights_only=False)
        return self.path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so when no epoch is long enough; a run that goes on inside one has its first batches in the file."""
        self._saved_at = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        batches = trainer.num_training_batches
        if self.every is not None and self.every >= batches:
            many = f"{batches} batch{'es' * (batches != 1)}"
            notice(f"note: --checkpoint.every_n_batches {self.every}: an epoch has {many}, and is saved at its end")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from here; Lightning's own counter still stands at the end of the epoch before."""
        self._saved_at = 0

    def between_batches(self, trainer: Trainer) -> None:
        """Write inside the epoch when it is time; counted in batches, since a task may step by hand."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if self.every is not None and done - self._saved_at >= self.every and between_steps(trainer):
            self._saved_at = done
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the epoch's end, after its validation."""
        self.save(trainer)


class BestCheckpoint(Checkpoint):
    """Keeps the state with the best value of a metric in ``best.ckpt``.

    The weights that are kept are those that were measured, at the end of an epoch or, where a validation comes inside
    it, there; a resume from such a file repeats the validation. NaN is never the best. Of equals the newest, which has
    trained longer, is the best; and where the task logs how far chance alone may carry the value,
    such as ``val/accuracy_high`` beside ``val/accuracy``, equal is what the validation set cannot tell from the best: a
    hundred pictures would else choose a lucky epoch in the middle of a schedule.

    Args:
        run: Where it goes.
        monitor: Tag of the metric, e.g. ``val/accuracy``.
        mode: Whether the largest (``max``) or the smallest (``min``) value is the best.
    """

    def __init__(self, run: RunFolder, monitor: str, mode: Mode) -> None:
        if mode not in ("max", "min"):
            raise UserError(f"mode must be 'max' or 'min', got {mode!r}")
        self.path = run.best
        self.monitor = monitor
        self.mode = mode
        self.score: float | None = None
        self.epoch: int | None = None
        self._measured = False  # at the end of this epoch

    def better(self, value: float, reach: float | None = None) -> bool:
        """Whether an epoch is to be kept as the best so far.

        Args:
            value: Of the metric.
            reach: Its end of the confidence interval towards better values; None where none is known.
        """
        if math.isnan(value) or self.score is None:
            return not math.isnan(value)
        reach = value if reach is None else reach
        return reach >= self.score if self.mode == "max" else reach <= self.score

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a resume, a best file that is gone must not stop a new one from being written."""
        if self.score is not None and not self.path.exists():
            notice(f"{self.path} is gone: the best is chosen anew from here on")
            self.score = self.epoch = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A metric of validation is there now; if not, its name is wrong. Inside an epoch it is judged at once."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if self.monitor.startswith("val/"):
            check_monitor(self.monitor, trainer.callback_metrics)
        self._measured = trainer.fit_loop.epoch_loop._num_ready_batches_reached()
        if not self._measured and not self.monitor.startswith("train/") and not trainer.fit_loop._should_accumulate():
            self._judge(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write when the epoch was the best one, or could be."""
        if self._measured or self.monitor.startswith("train/"):
            self._measured = False
            self._judge(trainer)

    def _judge(self, trainer: Trainer) -> None:
        check_monitor(self.monitor, trainer.callback_metrics)
        value = float(torch.as_tensor(trainer.callback_metrics[self.monitor]))
        end = trainer.callback_metrics.get(f"{self.monitor}_{'high' if self.mode == 'max' else 'low'}")
        if from_all(self.better(value, None if end is None else float(end)))[0]:  # all processes save, or none
            better = max if self.mode == "max" else min
            self.score = value if self.score is None else better(self.score, value)
            self.epoch = trainer.current_epoch
            trainer.save_checkpoint(self.path, weights_only=False)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, and the epoch that is kept."""
        return {"monitor": self.monitor, "score": self.score, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the stored value, if it is of the same metric."""
        if state_dict["monitor"] == self.monitor:
            self.score, self.epoch = state_dict["score"], state_dict["epoch"]
