"""The loop over the batches of an epoch: Lightning's, with the steps of an ordinary training taken in one piece.

Lightning asks at every step who wants each of twenty hooks, under which profiler, on which device, with how many
arguments, and whether it is time to validate: half a millisecond, a tenth of the step of a small network. Here that is
asked once an epoch. The hooks are called in the same order with the same arguments, the counters that a checkpoint
keeps move at the same moments, and the weights are the same to the last bit; what is not ordinary goes through
Lightning's own code. ``python -m bench overhead`` measures what a step costs beside a bare loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from trainer.precision import TrainingMixed

# What Lightning calls around a step, of every callback and of the task.
HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


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
        ordinary = is_ordinary(self.trainer, self) and not isinstance(data_fetcher, _DataLoaderIterDataFetcher)
        self._around = Around(self.trainer) if ordinary else None

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One step.

        Raises:
            StopIteration: When the task ends the epoch.
        """
        around, progress, results = self._around, self.batch_progress, self._results
        if around is None or self.restarting:
            return super().advance(data_fetcher)
        batch, _, _ = next(data_fetcher)
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
        with self.trainer.precision_plugin.train_step_context():
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


class Around:
    """What is done around the steps of one epoch.

    Args:
        trainer: In its fit.
    """

    def __init__(self, trainer: Any) -> None:
        task = trainer.lightning_module
        self.task: LightningModule = task
        self._named = vars(task)
        self._takes_number = is_param_in_hook_signature(task.training_step, "batch_idx", min_args=2)
        self._hooks: dict[str, list[Callable[..., Any]]] = {
            name: [
                *(partial(getattr(each, name), trainer, task) for each in trainer.callbacks if is_own(each, name)),
                *([getattr(task, name)] if is_own(task, name) else []),
            ]
            for name in HOOKS
        }
        owners = {name: trainer._data_connector._datahook_selector.get_instance(name) for name in TRANSFER}
        self._device = trainer.strategy.root_device
        self._transfer = owners["transfer_batch_to_device"].transfer_batch_to_device
        before, after = owners["on_before_batch_transfer"], owners["on_after_batch_transfer"]
        self._before = before.on_before_batch_transfer if is_own(before, "on_before_batch_transfer") else None
        self._after = after.on_after_batch_transfer if is_own(after, "on_after_batch_transfer") else None
        self.may_leave = is_own(task, "on_train_batch_start")
        self.clips = bool(trainer.gradient_clip_val) or is_own(task, "configure_gradient_clipping")
        each_step = [config for config in trainer.lr_scheduler_configs if config.interval == "step"]
        self.schedules = [config for config in each_step if not config.reduce_on_plateau]
        # Whether between two steps it may be time to validate, or for a schedule that wants to see a figure.
        self.looks_between = (
            any(config.reduce_on_plateau for config in each_step)
            or trainer.check_val_every_n_epoch is None
            or trainer._val_check_time_interval is not None
            or trainer.val_check_batch < trainer.num_training_batches
        )

    def call(self, name: str, *words: Any) -> Any:
        """Calls a hook of all that have it. Returns: the last one's answer; the task comes after the callbacks."""
        hooks, answer = self._hooks[name], None
        if hooks:
            # Lightning's log asks for the name. Setting an attribute of a module is slow: it might be a weight.
            self._named["_current_fx_name"] = name
            for hook in hooks:
                answer = hook(*words)
            self._named["_current_fx_name"] = None
        return answer

    def step(self, batch: Any, number: int) -> Any:
        """What the task's training step gives for a batch."""
        self._named["_current_fx_name"] = "training_step"
        given = self.task.training_step(batch, number) if self._takes_number else self.task.training_step(batch)
        self._named["_current_fx_name"] = None
        return given

    def move(self, batch: Any) -> Any:
        """The batch, on the device."""
        batch = batch if self._before is None else self._before(batch, 0)
        batch = self._transfer(batch, self._device, 0)
        return batch if self._after is None else self._after(batch, 0)


def is_own(owner: Any, name: str) -> bool:
    """Whether a method of Lightning's is written anew in ``owner`` or its class; None stands for nothing."""
    base = next(kind for kind in (Callback, LightningModule, LightningDataModule) if isinstance(owner, kind))
    anew = name in vars(owner) or getattr(type(owner), name) is not getattr(base, name)
    return anew and callable(getattr(owner, name))


def is_ordinary(trainer: Any, loop: _TrainingEpochLoop) -> bool:
    """Whether the steps are those that `EpochLoop` takes: one device, one batch a step, nothing scaled or profiled."""
    task, precision = trainer.lightning_module, trainer.precision_plugin
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(precision) in (Precision, MixedPrecision, TrainingMixed)
        and getattr(precision, "scaler", None) is None
        and isinstance(trainer.profiler, PassThroughProfiler)
        and trainer.accumulate_grad_batches == 1
        and not loop.automatic_optimization._skip_backward
        and not is_own(task, "optimizer_step")
    )
