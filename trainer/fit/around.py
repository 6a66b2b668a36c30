"""What is done around a training step, asked once an epoch: hooks, the way of a batch to the device, the precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.combined_loader import CombinedLoader, _MaxSizeCycle
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature

from trainer.fit.precision import TrainingMixed

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


class Around:
    """What is done around the steps of one epoch.

    Args:
        trainer: In its fit.
        fetcher: Of the batches, at the start of an epoch.
    """

    def __init__(self, trainer: Any, fetcher: _PrefetchDataFetcher) -> None:
        task = trainer.lightning_module
        self.task: LightningModule = task
        self._named = vars(task)
        self.takes_number = is_param_in_hook_signature(task.training_step, "batch_idx", min_args=2)
        self._hooks: dict[str, list[Callable[..., Any]]] = {
            name: [
                *(
                    partial(getattr(each, name), trainer, task)
                    for each in trainer.callbacks
                    if is_own(each, name, Callback)
                ),
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
        plugin = trainer.precision_plugin
        self.precision = plugin.autocast_context_manager if isinstance(plugin, MixedPrecision) else nullcontext
        self._fetcher, self._only = fetcher, the_only_loader(fetcher)
        self.may_leave = is_own(task, "on_train_batch_start")
        self.clips = is_own(task, "configure_gradient_clipping") or is_own(task, "clip_gradients")
        each_step = [config for config in trainer.lr_scheduler_configs if config.interval == "step"]
        self.schedules = [config for config in each_step if not config.reduce_on_plateau]
        # Whether between two steps it may be time to validate, or for a schedule that wants to see a figure.
        self.looks_between = (
            any(config.reduce_on_plateau for config in each_step)
            or trainer.check_val_every_n_epoch is None
            or trainer._val_check_time_interval is not None
            or trainer.val_check_batch < trainer.num_training_batches
        )

    def fetch(self) -> Any:
        """The next batch. Raises: StopIteration if there is none."""
        fetcher = self._fetcher
        if self._only is None or fetcher.length is None:
            return next(fetcher)[0]
        try:
            batch = next(self._only)
        except StopIteration:
            fetcher.done = True
            raise
        fetcher.fetched += 1
        fetcher.done = fetcher.fetched >= fetcher.length
        return batch

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

    def run(self, name: str, method: Callable[..., Any], *words: Any, **named: Any) -> Any:
        """What a method of the task gives, under its name."""
        self._named["_current_fx_name"] = name
        given = method(*words, **named)
        self._named["_current_fx_name"] = None
        return given

    def move(self, batch: Any) -> Any:
        """The batch, on the device."""
        batch = batch if self._before is None else self._before(batch, 0)
        batch = self._transfer(batch, self._device, 0)
        return batch if self._after is None else self._after(batch, 0)


def the_only_loader(fetcher: _PrefetchDataFetcher) -> Iterator[Any] | None:
    """The loader's iterator, where there is one loader of known length and nothing was fetched ahead; else None."""
    loaders: Any = fetcher.combined_loader
    cycle = loaders._iterator
    alone = (
        type(loaders) is CombinedLoader and type(cycle) is _MaxSizeCycle and loaders.iterables is loaders.flattened[0]
    )
    return cycle.iterators[0] if alone and not fetcher.batches else None


def is_own(owner: Any, name: str, base: type[Any] = LightningModule) -> bool:
    """Whether a method of ``base`` is written anew in ``owner`` or its class; None stands for nothing."""
    anew = name in vars(owner) or getattr(type(owner), name, None) is not getattr(base, name)
    return anew and callable(getattr(owner, name))


def is_ordinary(trainer: Any, loop: _TrainingEpochLoop) -> bool:
    """Whether `trainer.fit.loop.EpochLoop` takes the steps: one device and batch a step, nothing scaled or profiled."""
    task, precision = trainer.lightning_module, trainer.precision_plugin
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(precision) in (Precision, MixedPrecision, TrainingMixed)
        and getattr(precision, "scaler", None) is None
        and type(trainer.profiler) in (PassThroughProfiler, NoProfiler)
        and trainer.strategy.model is task
        and trainer.accumulate_grad_batches == 1
        and not loop.automatic_optimization._skip_backward
        and not is_own(task, "optimizer_step")
    )
