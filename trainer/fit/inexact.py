"""What a resume cannot repeat exactly, or not at all: it is said when training starts, or refused."""

from __future__ import annotations

from lightning.fabric.utilities.types import _Stateful
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import OneCycleLR

from trainer.errors import UserError
from trainer.notice import notice

LENGTHS = ("total_steps", "total_iters", "T_max")  # where torch's schedules keep how long they are


class Inexact(Callback):
    """Looks before the first step."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Loaders and schedules are there, and have their state again."""
        check_exactness(trainer)
        if trainer.ckpt_path is not None:
            check_schedules(trainer)


def check_exactness(trainer: Trainer) -> None:
    """Say of which parts no checkpoint knows the state."""
    combined = trainer.fit_loop._combined_loader
    for loader in combined.flattened if combined is not None else []:
        if not isinstance(loader, _Stateful):
            notice(
                f"warning: {type(loader).__name__} does not say where it stands, so a stopped run is not resumed "
                "exactly: its batches come in another order (the loaders of data/batches/loader.py do say)"
            )
    if any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs):
        # Lightning steps it after the checkpoint of the epoch's end, with a metric that no checkpoint holds.
        notice("warning: ReduceLROnPlateau is not resumed exactly: it misses the epoch that the checkpoint ended")


def check_schedules(trainer: Trainer) -> None:
    """Say which restored schedule ends before the training does; refuse the one that cannot be asked any further.

    A schedule of torch brings its length back from the checkpoint, one that is a function of the step (``LambdaLR``, as
    in this project) takes that of the run as it is now.

    Raises:
        UserError: Naming the schedule, its length and the steps that there will be.
    """
    for config in trainer.lr_scheduler_configs:
        kind = type(config.scheduler).__name__
        length = next((getattr(config.scheduler, name) for name in LENGTHS if hasattr(config.scheduler, name)), None)
        by_step = config.interval == "step"
        planned = (trainer.estimated_stepping_batches if by_step else trainer.max_epochs or 0) // config.frequency
        if length is None or not length < planned < float("inf"):
            continue
        unit = "steps" if by_step else "epochs"
        if isinstance(config.scheduler, OneCycleLR):
            raise UserError(f"cannot resume to {planned:g} {unit}: the schedule OneCycleLR ends after {length}")
        notice(f"note: the schedule {kind} was made for {length} {unit} of the {planned:g} that there will be")
