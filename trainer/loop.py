"""The loop over the batches of an epoch: Lightning's, with the steps of an ordinary training taken in one piece.

Lightning asks at every step who wants each of twenty hooks, under which profiler, on which device, with how many
arguments, and whether it is time to validate: half a millisecond, a tenth of the step of a small network. Here that is
asked once an epoch. The hooks are called in the same order with the same arguments, the counters that a checkpoint
keeps move at the same moments, and the weights are the same to the last bit; what is not ordinary goes through
Lightning's own code. ``python -m bench overhead`` measures what a step costs beside a bare loop.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.profilers import PassThroughProfiler
from torch import Tensor

from trainer.around import Around, is_ordinary


def _nothing() -> None:
    """For where something may be called and nothing is to be done."""


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, with one context for all calls instead of a generator for each."""

    _nothing: Any = nullcontext()

    def profile(self, action_name: str) -> Any:
        """A context that does nothing."""
        return self._nothing


class EpochLoop(_TrainingEpochLoop):
    """Takes the place of Lightning's loop over the batches of an epoch."""

    _around: Around | None = None

    @classmethod
    def install(cls, trainer: Trainer) -> None:
        """Puts it into ``trainer``, before its first run."""
        theirs = trainer.fit_loop.epoch_loop
        trainer.fit_loop.epoch_loop = cls(trainer, theirs.min_steps, theirs.max_steps)

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Looks up what is called around the steps of this epoch."""
        super().on_run_start(data_fetcher)
        self._around = None
        if is_ordinary(self.trainer, self) and isinstance(data_fetcher, _PrefetchDataFetcher):
            self._around = Around(self.trainer, data_fetcher)
            data_fetcher._start_profiler = data_fetcher._stop_profiler = _nothing

    @property
    def done(self) -> bool:
        """Whether the epoch is over; in the midst of one it seldom is."""
        in_the_midst = self._around is not None and not self.batch_progress.is_last_batch and self.max_steps == -1
        if in_the_midst and not (self.restarting or self.trainer.should_stop):
            return self.batch_progress.current.ready >= self.trainer.num_training_batches
        return super().done

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One step.

        Raises:
            StopIteration: When the data or the task end the epoch.
        """
        around, progress, results = self._around, self.batch_progress, self._results
        if around is None or self.restarting:
            return super().advance(data_fetcher)
        batch = around.fetch()
        progress.is_last_batch = data_fetcher.done
        batch = around.move(batch)
        progress.increment_ready()
        number = self.batch_idx
        log = self.trainer._logger_connector
        log._first_loop_iter = log._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        if around.call("on_train_batch_start", batch, number) == -1 and around.may_leave:
            progress.increment_by(0, is_last_batch=True)
            progress.increment_processed()
            for interval in ("step", "epoch"):
                self.update_lr_schedulers(interval, update_plateau_schedulers=False)
            raise StopIteration
        progress.increment_started()
        outputs = self._learn(around, batch, number)
        progress.increment_processed()
        around.call("on_train_batch_end", outputs, batch, number)
        if any(not result.has_reset for result in results.values()):  # a value was logged
            log.on_batch_end()
            log.update_train_step_metrics()
        results.batch = results.batch_size = None
        progress.increment_completed()

    def _learn(self, around: Around, batch: Any, number: int) -> dict[str, Any]:
        """Loss, gradients, a step of the optimiser and of the schedules. Returns: what the task gave."""
        task = around.task
        if not task.automatic_optimization:
            return self.manual_optimization.run(OrderedDict(batch=batch, batch_idx=number))
        optimizer, counted = self.trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer
        counted.step.increment_ready()
        with around.precision():
            given = around.step(batch, number)
        # Lightning divides by the number of batches of a step, which is 1 here.
        result = ClosureResult(given) if isinstance(given, Tensor) else ClosureResult.from_training_step_output(given)
        loss = result.closure_loss
        if loss is None:
            self._warning_cache.warn("training_step gave no loss: no gradients are computed for such a batch")
        counted.zero_grad.increment_ready()
        around.call("on_before_zero_grad", optimizer)
        counted.zero_grad.increment_started()
        task.optimizer_zero_grad(self.trainer.current_epoch, number, optimizer)
        counted.zero_grad.increment_completed()
        if loss is not None:
            around.call("on_before_backward", loss)
            task.backward(loss)
            around.call("on_after_backward")
        around.call("on_before_optimizer_step", optimizer)
        if around.clips:
            by, how = self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm
            task.configure_gradient_clipping(optimizer, gradient_clip_val=by, gradient_clip_algorithm=how)
        optimizer.step()
        counted.step.increment_completed()
        for schedule in around.schedules:
            if (number + 1) % schedule.frequency == 0:
                self.scheduler_progress.increment_ready()
                task.lr_scheduler_step(schedule.scheduler, None)
                self.scheduler_progress.increment_completed()
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        return {} if loss is None else result.asdict()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validates where it is time; in the midst of an epoch it seldom is."""
        around, trainer = self._around, self.trainer
        if (
            around is None
            or around.looks_between
            or self.batch_progress.is_last_batch
            or self.batch_idx + 1 >= trainer.num_training_batches
            or self._skip_next_val
            or trainer.should_stop
            or trainer.received_sigterm
        ):
            return super().on_advance_end(data_fetcher)
        self._batches_that_stepped += 1
