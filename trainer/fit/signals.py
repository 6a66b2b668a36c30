"""SIGTERM, SIGINT and SIGHUP: save, say so, end with 143, 130 or 129. A second SIGINT ends the process at once.

A handler only notes the signal; the save happens between two batches, where the state is whole. During validation the
save is marked so that the resumed run repeats that validation from its first batch. Lightning 2.6.6 ends with status 0
after a SIGTERM, without a checkpoint, and a scheduler takes that for success.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from trainer.errors import SIGINT_EXIT, RunFailed
from trainer.fit.checkpoint import LastCheckpoint, between_steps, written
from trainer.interrupt import (
    HANGUP,
    STATUS,
    again_soon,
    handlers_kept,
    heed_as_worker,
    heeded,
    leave_closed_terminal,
    must_wait,
)
from trainer.notice import notice_of_signal
from trainer.run.way_on import goes_on


class Stopped(BaseException):
    """Ends the run at whatever line the signal came; it passes every ``except Exception``.

    Lightning takes a KeyboardInterrupt, which would pass them too, for its own.

    Args:
        failure: What `Signals.installed` makes of it.
    """

    def __init__(self, failure: RunFailed) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Signals:
    """Notes the first signal; while no batch is trained there is nothing new to save, and it raises at once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.kept: Path | None = None  # a checkpoint from before the signal
        self.can_wait = False  # whether somebody looks at ``received`` soon
        self._process = os.getpid()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of all of them."""
        received = signal.Signals(number)
        if os.getpid() != self._process:
            return heed_as_worker(number)
        if self.received is not None:
            if received == signal.SIGINT:
                notice_of_signal("second interrupt: stopping at once, nothing more is saved")
                os._exit(SIGINT_EXIT)
            return
        if not self.can_wait and must_wait(frame):
            return again_soon(number)
        if received == HANGUP:
            leave_closed_terminal()
        self.received = received
        if not self.can_wait:
            raise Stopped(self._failure(self.kept, "nothing had been trained yet"))
        notice_of_signal(f"{received.name} received: saving after this batch")

    def install(self) -> None:
        """Take the signals over; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in heeded():
                signal.signal(number, self.handle)

    def stop(self, saved: Path | None) -> NoReturn:
        """Leave the run.

        Args:
            saved: The checkpoint that holds the state.

        Raises:
            RunFailed: Always, with the exit status of the signal.
        """
        raise self._failure(saved, "there was nothing new to save")

    def _failure(self, saved: Path | None, nothing: str) -> RunFailed:
        assert self.received is not None
        what = nothing
        if saved:
            what = f"the state is in {saved}; {goes_on(saved.parent.parent)}"
        return RunFailed(f"stopped by {self.received.name}: {what}", STATUS[self.received])

    @contextlib.contextmanager
    def installed(self, kept: Path | None) -> Iterator[Signals]:
        """Take the signals over for a while, then give them back to their former handlers.

        Args:
            kept: A checkpoint that is there.

        Raises:
            RunFailed: With the exit status of a signal for which nobody waited.
        """
        self.received, self.can_wait = None, False
        self.kept = kept
        with handlers_kept():
            self.install()
            try:
                yield self
            except Stopped as stopped:
                raise stopped.failure from None


class StopOnSignal(Callback):
    """Looks at the noted signal between batches, saves and leaves.

    A signal may reach one of several processes only; they ask each other, so that all stop after the same batch.

    Args:
        signals: Where the handler notes.
        last: Writes ``last.ckpt``; None when checkpoints are off.
    """

    def __init__(self, signals: Signals, last: LastCheckpoint | None) -> None:
        self.signals = signals
        self.last = last

    def asked(self, trainer: Trainer) -> bool:
        """Whether any of the processes was told to stop; each calls this at the same points."""
        if trainer.world_size > 1:
            mine = torch.tensor(int(self.signals.received or 0), device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(mine, reduce_op="max"))
            if not number:
                return False  # one that came while they asked is seen by all at the next batch
            self.signals.received = signal.Signals(number)
        return self.signals.received is not None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has put handlers of its own in front by now; take over again.

        What happens before the first epoch, such as the fit of a head, can take minutes and is not saved: a signal ends
        it at once. A run that was resumed inside an epoch sees no start of one.
        """
        self.signals.install()
        self.signals.can_wait = trainer.fit_loop.epoch_loop.batch_progress.total.ready > 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nobody looks any more; what was saved is there."""
        self.signals.kept = written(self.last)
        self.signals.can_wait = False

    def between_batches(self, trainer: Trainer) -> None:
        """Inside an epoch; its last batch is followed by a validation or by the end of the epoch."""
        if between_steps(trainer) and self.asked(trainer):
            self._save_and_stop(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before a validation that would take long; one of its own brings Lightning's handlers back to the front."""
        if trainer.state.fn != "fit":
            self.signals.install()
        self._stop_in_validation(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has put its handlers in front again."""
        self.signals.install()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Inside a validation."""
        self._stop_in_validation(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the end of an epoch, whose metrics are logged and whose checkpoint is written."""
        self.signals.can_wait = True
        if self.asked(trainer):
            self.signals.stop(written(self.last))

    def _stop_in_validation(self, trainer: Trainer) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self.asked(trainer):
            self._save_and_stop(trainer)

    def _save_and_stop(self, trainer: Trainer) -> NoReturn:
        self.signals.stop(self.last.save(trainer) if self.last else None)
