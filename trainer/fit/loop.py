"""The loop over the batches of an epoch: Lightning's, with the steps of an ordinary training taken in one piece.

Lightning asks at every step who wants each of twenty hooks, under which profiler, on which device, with how many
arguments, and whether it is time to validate: half a millisecond, a tenth of the step of a small network. Here that is
asked once an epoch. The hooks are called in the same order with the same arguments, the counters that a checkpoint
keeps move at the same moments, and the weights are the same to the last bit; what is not ordinary goes through
Lightning's own code. A callback or a hook that is put in place in the midst of an epoch counts from the next one on.
``python -m bench overhead`` measures what a step costs beside a bare loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher, _profile_nothing
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.loops.utilities import _is_max_limit_reached
from torch import Tensor

from trainer.fit.around import Around, is_ordinary


class EpochLoop(_TrainingEpochLoop):
    """Takes the place of Lightning's loop over the batches of an epoch."""

    _around: Around | None = None
    between: tuple[Callable[[Trainer], None], ...] = ()

    @classmethod
    def install(cls, trainer: Trainer, between: Iterable[Callable[[Trainer], None]] = ()) -> None:
        """Puts it into ``trainer``, before its first run.

        Args:
            trainer: Whose loop it becomes.
            between: What is called after each batch, when all hooks of that batch have been: a checkpoint that is saved
                there holds what they did, and resumes at the next batch.
        """
        theirs = trainer.fit_loop.epoch_loop
        trainer.fit_loop.epoch_loop = loop = cls(trainer, theirs.min_steps, theirs.max_steps)
        loop.between = tuple(between)

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Looks up what is called around the steps of this epoch."""
        super().on_run_start(data_fetcher)
        self._around = None
        if is_ordinary(self.trainer, self) and isinstance(data_fetcher, _PrefetchDataFetcher):
            self._around = Around(self.trainer, data_fetcher)
            data_fetcher._start_profiler = data_fetcher._stop_profiler = _profile_nothing

    def run(self, data_fetcher: _DataFetcher) -> None:
        """All steps of an epoch; what was looked up for it, loaders and their workers, is let go afterwards."""
        try:
            super().run(data_fetcher)
        finally:
            self._around = None

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One step, and what is called between two.

        Raises:
            StopIteration: When the data or the task end the epoch.
        """
        progress = self.batch_progress
        ready = progress.total.ready
        self._step(data_fetcher)
        if progress.total.ready == ready:
            return  # after a resume: what is left of a validation comes first
        # Lightning takes a checkpoint for one between two batches when the last of them is not yet completed.
        for counted in (progress.total, progress.current):
            counted.completed -= 1
        for call in self.between:
            call(self.trainer)
        for counted in (progress.total, progress.current):
            counted.completed += 1

    def _step(self, data_fetcher: _DataFetcher) -> None:
        around, progress, results = self._around, self.batch_progress, self._results
        if around is None or self.restarting or self.trainer.accumulate_grad_batches != 1:
            return super().advance(data_fetcher)
        if self.val_loop.restarting:
            self.val_loop.restarting = False
        batch = around.fetch()
        progress.is_last_batch = data_fetcher.done
        batch = around.move(batch)
        progress.increment_ready()
        number, outputs = self.batch_idx, None
        log = self.trainer._logger_connector
        log._first_loop_iter = log._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        if batch is None:
            self._warning_cache.warn("the training data gave None for a batch: nothing is learned from it")
        elif around.call("on_train_batch_start", batch, number) == -1 and around.may_leave:
            progress.increment_by(0, is_last_batch=True)
            progress.increment_processed()
            self._reschedule(around, number)
            raise StopIteration
        else:
            progress.increment_started()
            outputs = self._learn(around, batch, number)
        progress.increment_processed()
        self._reschedule(around, number)
        around.call("on_train_batch_end", outputs, batch, number)
        logged = any(not result.has_reset for result in results.values())
        if logged:
            log.on_batch_end()
        results.batch = results.batch_size = None
        progress.increment_completed()
        if logged:
            log.update_train_step_metrics()

    def _learn(self, around: Around, batch: Any, number: int) -> dict[str, Any]:
        """Loss, gradients and a step of the optimiser. Returns: what the task gave."""
        if not around.task.automatic_optimization:
            return self.manual_optimization.run(OrderedDict(batch=batch, batch_idx=number))
        counted = self.automatic_optimization.optim_progress.optimizer.step
        counted.increment_ready()
        closure = Closure(self, around, batch, number)
        optimizer: Any = self.trainer.optimizers[0]
        optimizer.step(closure)
        counted.increment_completed()
        result = closure.result
        return {} if result is None or result.closure_loss is None else result.asdict()

    def _reschedule(self, around: Around, number: int) -> None:
        """Steps the schedules of the rate that no figure decides about."""
        if not around.task.automatic_optimization:
            return
        for schedule in around.schedules:
            if (number + 1) % schedule.frequency == 0:
                self.scheduler_progress.increment_ready()
                around.run("lr_scheduler_step", around.task.lr_scheduler_step, schedule.scheduler, None)
                self.scheduler_progress.increment_completed()
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validates where it is time; in the midst of an epoch it seldom is."""
        around, trainer = self._around, self.trainer
        if (
            around is None
            or around.looks_between
            or self.batch_progress.is_last_batch
            or self.batch_idx + 1 >= trainer.num_training_batches
            or self._last_of_all()
            or trainer.should_stop
            or trainer.received_sigterm
            or trainer.accumulate_grad_batches != 1
        ):
            return super().on_advance_end(data_fetcher)
        self._batches_that_stepped += 1

    def _last_of_all(self) -> bool:
        """Whether no step follows, as far as steps and epochs were given; a stop that was asked for counts too."""
        trainer, fit = self.trainer, self.trainer.fit_loop
        if _is_max_limit_reached(self.global_step, self.max_steps) or (trainer.should_stop and fit._can_stop_early):
            return True
        return self._num_ready_batches_reached() and _is_max_limit_reached(
            trainer.current_epoch + 1, fit.max_epochs or -1
        )

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        """Validates after the last step too, whatever the interval: else nothing would have judged these weights."""
        return super()._should_check_val_fx(data_fetcher) or (self.trainer.enable_validation and self._last_of_all())


class Closure:
    """Computes loss and gradients of one batch; the optimiser calls it, most of them once.

    Args:
        loop: Whose step it is.
        around: What is called in it.
        batch: On the device.
        number: Of the batch in its epoch.
    """

    def __init__(self, loop: EpochLoop, around: Around, batch: Any, number: int) -> None:
        self.loop, self.around, self.batch, self.number = loop, around, batch, number
        self.result: ClosureResult | None = None

    def __call__(self) -> Tensor | None:
        """Leaves the gradients in the weights. Returns: the loss, without its graph."""
        around, task, trainer = self.around, self.around.task, self.loop.trainer
        optimizer, counted = trainer.optimizers[0], self.loop.automatic_optimization.optim_progress.optimizer.zero_grad
        with torch.enable_grad():
            with around.precision():
                words = (self.batch, self.number) if around.takes_number else (self.batch,)
                given = around.run("training_step", task.training_step, *words)
            # Lightning divides by the number of batches of a step, which is 1 here.
            plain = isinstance(given, Tensor)
            self.result = ClosureResult(given) if plain else ClosureResult.from_training_step_output(given)
            loss = self.result.closure_loss
            counted.increment_ready()
            around.call("on_before_zero_grad", optimizer)
            counted.increment_started()
            around.run("optimizer_zero_grad", task.optimizer_zero_grad, trainer.current_epoch, self.number, optimizer)
            counted.increment_completed()
            if loss is None:
                self.loop._warning_cache.warn("training_step gave no loss: no gradients are computed for such a batch")
            else:
                around.call("on_before_backward", loss)
                around.run("backward", task.backward, loss)
                around.call("on_after_backward")
        around.call("on_before_optimizer_step", optimizer)
        if around.clips or trainer.gradient_clip_val:
            around.run(
                "configure_gradient_clipping",
                task.configure_gradient_clipping,
                optimizer,
                gradient_clip_val=trainer.gradient_clip_val,
                gradient_clip_algorithm=trainer.gradient_clip_algorithm,
            )
        return self.result.loss
