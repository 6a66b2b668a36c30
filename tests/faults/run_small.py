"""A small training with the exit statuses of the front door, as a process that fault tests disturb."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import nn

from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer.build import fit
from trainer.errors import RunFailed, UserError
from trainer.fit.resume import find_resume, load_checkpoint, logged_step


class Announce(Callback):
    """Prints each step, and makes it slow.

    Args:
        seconds: Sleep in each step.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        print(f"step {trainer.global_step}", flush=True)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:  # a signal cuts one sleep short
            time.sleep(0.01)


class AnnounceValidation(Callback):
    """Prints each validation batch, and makes it slow."""

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        print(f"validation batch {batch_idx}", flush=True)
        time.sleep(0.2)


class WideTask(SmallTask):
    """A checkpoint of 16 MB, so that a save takes long enough to be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.ballast = nn.Parameter(torch.zeros(2000, 2000), requires_grad=False)


def main(arguments: Sequence[str]) -> int:
    """Train; give the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--slow-validation", action="store_true")
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--every", type=int)
    parser.add_argument("--no-checkpoints", action="store_true")
    parser.add_argument("--log-each", action="store_true")
    parser.add_argument("--resume")
    options = parser.parse_args(arguments)
    try:
        path, step = None, None
        if options.resume:
            run, path = find_resume(options.resume, options.root)
            step = logged_step(load_checkpoint(path))
        else:
            run = new_run(options.root)
        callbacks: list[Callback] = [Announce(options.sleep)]
        if options.slow_validation:
            callbacks.append(AnnounceValidation())
        trainer_options: dict[str, Any] = {"callbacks": callbacks, "enable_checkpointing": not options.no_checkpoints}
        if options.log_each:
            trainer_options["log_every_n_steps"] = 1
        trainer = small_trainer(
            run,
            options.epochs,
            options=trainer_options,
            resume_step=step,
            save_every=options.every,
        )
        fit(trainer, WideTask() if options.wide else small_task(), SmallData(), path)
    except (UserError, RunFailed) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    print(f"run: {run.path}", flush=True)
    return 0
