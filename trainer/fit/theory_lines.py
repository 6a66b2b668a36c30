"""Theory beside the measurement in TensorBoard's charts: a number that training does not change, drawn as a line."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from dashboard.layout import BEFORE_TRAINING
from trainer.contract import offered


def constants(task: object) -> dict[str, float]:
    """The tags of a task's ``overview`` that have a number, see `trainer.contract.Task`."""
    charts: dict[str, dict[str, float | None]] = offered(task, "overview")
    return {tag: value for chart in charts.values() for tag, value in chart.items() if value is not None}


class TheoryLines(Callback):
    """Logs the numbers of a task's ``overview`` before training and after each epoch."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The line begins where the curves do; that of a resumed run has begun."""
        values = constants(pl_module)
        if values and trainer.ckpt_path is None:
            for logger in trainer.loggers:
                logger.log_metrics(values, BEFORE_TRAINING)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One more point."""
        pl_module.log_dict(constants(pl_module))
