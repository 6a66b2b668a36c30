"""One live line while training, or one plain line an epoch when stdout is no terminal.

Redrawing a bar at every step costs more than a small network's step; four times a second is enough for an eye.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from trainer.fit.timing import Timing

REDRAW_SECONDS = 0.25
_SHOWN = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


def epoch_line(epoch: int, epochs: int | None, metrics: dict[str, Any], monitor: str | None) -> str:
    """What is said about an epoch.

    Args:
        epoch: Epoch, from 0.
        epochs: Number of epochs, None when there is no limit.
        metrics: What was logged.
        monitor: Tag of the metric the best checkpoint is chosen by, shown too.

    Returns:
        E.g. ``epoch 3/10  train/loss 0.312  val/accuracy 0.9100  1,234 samples/s  2.1 s``.
    """
    tags = [*_SHOWN, *([monitor] if monitor and monitor not in _SHOWN else [])]
    parts = [f"epoch {epoch + 1}" + (f"/{epochs}" if epochs else "")]
    parts += [f"{tag} {float(metrics[tag]):.4g}" for tag in tags if tag in metrics]
    if "sys/images_per_s" in metrics:
        parts.append(f"{float(metrics['sys/images_per_s']):,.0f} samples/s")
    if "time/epoch_s" in metrics:
        parts.append(f"{float(metrics['time/epoch_s']):.1f} s")
    return "  ".join(parts)


def loss_of(outputs: Any) -> float | None:
    """Loss that a training step returned, if it returned one."""
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
    return float(loss.detach()) if isinstance(loss, Tensor) and loss.numel() == 1 else None


class EpochProgress(Callback):
    """Shows epoch, batch, loss and samples per second, and the epoch's metrics at its end.

    Args:
        timing: Counts the samples.
        monitor: Tag of the metric the best checkpoint is chosen by.
        terminal: Whether to draw a bar; None asks stdout.
    """

    def __init__(self, timing: Timing, monitor: str | None = None, terminal: bool | None = None) -> None:
        self.timing = timing
        self.monitor = monitor
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._drawn = 0.0
        self._ended: int | None = None  # an epoch whose line is still to be said
        self._validated = False  # in the epoch that is running

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        if self.terminal and trainer.is_global_zero:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed}/{task.total}  {task.fields[state]}"),
                TimeRemainingColumn(),
                console=Console(),
                auto_refresh=False,
                transient=True,
            )
            batches = trainer.num_training_batches
            self._task = self._bar.add_task(
                f"epoch {trainer.current_epoch + 1}", total=None if math.isinf(batches) else batches, state=""
            )
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say the line of the epoch before, whose metrics are complete only now."""
        self._say(trainer)
        self._validated = False
        if self._bar is not None:
            self._bar.update(self._task, description=f"epoch {trainer.current_epoch + 1}", completed=0, state="")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Redraw when it is time."""
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            loss = loss_of(outputs)
            state = f"{self.timing.images_per_s():,.0f} samples/s" + ("" if loss is None else f"  loss {loss:.4g}")
            self._bar.update(self._task, completed=batch_idx + 1, state=state)
            self._bar.refresh()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """This epoch has figures of its own."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The task logs its own metrics after this; keep the line for later."""
        self._ended = trainer.current_epoch

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch's line."""
        self._say(trainer)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._close()

    def _say(self, trainer: Trainer) -> None:
        if self._ended is None or not trainer.is_global_zero:
            return
        epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        metrics = trainer.callback_metrics  # Lightning keeps the figures of the last validation, however old
        metrics = {tag: value for tag, value in metrics.items() if self._validated or not tag.startswith("val/")}
        line = epoch_line(self._ended, epochs, metrics, self.monitor)
        self._ended = None
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
