"""Unused hooks are passed over; used ones are not wrapped in a profiler that measures nothing.

Lightning calls every hook of the task and of every callback for each batch: six of them in a training step, each with a
profiler context and a name built for it. A hook that is None is passed over. ``python -m bench overhead`` measures what
a step costs beside a bare loop.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.profilers import PassThroughProfiler

# What Lightning calls for each batch.
TRAIN_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
BATCH_HOOKS = (
    *TRAIN_HOOKS,
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_test_batch_start",
    "on_test_batch_end",
)

CallbackClass = TypeVar("CallbackClass", bound=type[Callback])


def lean(callback: CallbackClass) -> CallbackClass:
    """Class decorator: the batch hooks that ``callback`` does not define become None."""
    for hook in BATCH_HOOKS:
        if getattr(callback, hook) is getattr(Callback, hook):
            setattr(callback, hook, None)
    return callback


def skip_unused(task: LightningModule) -> None:
    """The hooks around a training step that ``task`` leaves as Lightning defines them, empty, become None in it.

    Those of an evaluation stay: Lightning reads their signatures.
    """
    for hook in TRAIN_HOOKS:
        if hook not in vars(task) and getattr(type(task), hook) is getattr(LightningModule, hook):
            setattr(task, hook, None)


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, with one context for all calls instead of a generator for each."""

    _nothing: Any = nullcontext()

    def profile(self, action_name: str) -> Any:
        """A context that does nothing."""
        return self._nothing
