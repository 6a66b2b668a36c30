"""Puts the trainer together, and runs it with the right exit status.

Lightning does the loop, but for its ordinary steps (`trainer.fit.loop`). What is added: safe checkpoints, exact resume,
signals, guards, timing, a log that survives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from dashboard.layout import Layout
from trainer.device import check_device, full_float32, resolve_precision
from trainer.errors import SIGINT_EXIT, RunFailed, UserError
from trainer.fit.around import NoProfiler
from trainer.fit.checkpoint import (
    BestCheckpoint,
    CutEpoch,
    HouseRecord,
    LastCheckpoint,
    Mode,
    SafeCheckpointIO,
    written,
)
from trainer.fit.guard import FiniteGuard, LoaderGuard, check_training_batches
from trainer.fit.histograms import Histograms
from trainer.fit.inexact import Inexact
from trainer.fit.loop import EpochLoop
from trainer.fit.pending import RepeatValidation
from trainer.fit.precision import judge_in_full
from trainer.fit.progress import EpochProgress
from trainer.fit.signals import Signals, StopOnSignal
from trainer.fit.step_seed import StepSeed
from trainer.fit.sums import KeepSums
from trainer.fit.taught import LossGuard
from trainer.fit.theory_lines import TheoryLines
from trainer.fit.timing import Timing
from trainer.folder import RunFolder
from trainer.notice import notice, quieten
from trainer.run.accumulation import Accumulation
from trainer.run.logger import RunLogger
from trainer.run.way_on import goes_on

LOG_EVERY = 50


class LogInterval(Callback):
    """Logs at least once an epoch, at most every 50 steps: with fewer batches Lightning's default shows nothing."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The number of batches is known now."""
        interval = int(max(1, min(LOG_EVERY, trainer.num_training_batches)))
        trainer.log_every_n_steps = interval  # type: ignore[attr-defined]


def make_trainer(
    run: RunFolder,
    trainer_options: dict[str, Any],
    *,
    seed: int,
    monitor: str | None,
    mode: Mode = "max",
    layout: Layout | None = None,
    hparams: dict[str, Any],
    house: dict[str, Any],
    early_stopping_patience: int | None = None,
    resume_step: int | None = None,
    save_every: int | None = None,
    histograms: bool = False,
) -> Trainer:
    """A Lightning trainer that writes into ``run``.

    Args:
        run: The run folder.
        trainer_options: Options of ``lightning.pytorch.Trainer``; ``callbacks`` are added to ours, ``precision`` may
            be ``auto``, ``enable_checkpointing=False`` leaves both checkpoints out, ``logger=False`` the log.
        seed: The run's seed.
        monitor: Tag of the metric that ``best.ckpt`` is chosen by; None keeps ``last.ckpt`` only.
        mode: ``max`` or ``min``: which value of the metric is the best.
        layout: Layout of TensorBoard's Custom Scalars tab.
        hparams: Settings for TensorBoard's HPARAMS table.
        house: Plain values that every checkpoint carries under the key ``house``.
        early_stopping_patience: Stop after so many epochs without a better metric; None trains to the end.
        resume_step: ``logged_step(checkpoint)`` when resuming, None at the first start.
        save_every: Also write ``last.ckpt`` after every so many batches of an epoch; None for its end only.
        histograms: Show weights and gradients after some of the epochs.

    Raises:
        UserError: If an option is unknown or refused by Lightning, or the device is absent.
    """
    quieten()
    options = dict(trainer_options)
    if early_stopping_patience is not None and monitor is None:
        raise UserError("early stopping needs a metric to watch, and there is none")
    checkpoints = bool(options.pop("enable_checkpointing", True))
    log = options.pop("logger", True) is not False
    own_interval = options.get("log_every_n_steps") is None
    options["log_every_n_steps"] = LOG_EVERY if own_interval else options["log_every_n_steps"]
    plugins = [SafeCheckpointIO(), *_listed(options.pop("plugins", None))]
    accelerator = options.get("accelerator") or "auto"
    if isinstance(accelerator, str):
        accelerator = options["accelerator"] = check_device(accelerator)
        full_float32()
        options["precision"] = resolve_precision(str(options.get("precision") or "auto"), accelerator)

    # Lightning would take every GPU of the machine, and cut each batch into as many parts.
    options["devices"] = 1 if options.get("devices") in (None, "auto") else options["devices"]
    options["profiler"] = options.get("profiler") or NoProfiler()

    last = LastCheckpoint(run, save_every) if checkpoints else None
    stopper = StopOnSignal(Signals(), last)
    callbacks: list[Callback] = [
        StepSeed(seed),
        *_watchers(run, monitor, patient=early_stopping_patience is not None),
        HouseRecord(house),
        CutEpoch(),
        RepeatValidation(),
        TheoryLines(),
        *([Histograms()] if histograms else []),
        *([LogInterval()] if own_interval else []),
        *_listed(options.pop("callbacks", None)),
        stopper,
    ]
    if early_stopping_patience is not None and monitor is not None:
        callbacks.append(EarlyStopping(monitor, patience=early_stopping_patience, mode=mode, check_finite=False))
    if last is not None:
        callbacks += [*([BestCheckpoint(run, monitor, mode)] if monitor else []), last]
    try:
        trainer = Trainer(
            **{"num_sanity_val_steps": 0, "enable_model_summary": False, "enable_progress_bar": False, **options},
            default_root_dir=str(run.path),
            logger=RunLogger(run, hparams, layout, resume_step) if log else False,
            callbacks=callbacks,
            plugins=plugins,
            enable_checkpointing=checkpoints,
        )
        EpochLoop.install(trainer, [stopper.between_batches, *([last.between_batches] if last else [])])
        return judge_in_full(trainer)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer options: {' '.join(str(error).split())}") from error


def _watchers(run: RunFolder, monitor: str | None, patient: bool) -> list[Callback]:
    """What guards the sums, the losses and the loaders of a run, and tells of its epochs."""
    timing = Timing()
    return [
        Inexact(),
        KeepSums(),
        FiniteGuard(run),
        LossGuard(),
        Accumulation(),
        LoaderGuard(monitor, patient=patient),
        timing,
        EpochProgress(timing, monitor),
    ]


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _find(trainer: Trainer, kind: type[Any]) -> Any:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)


def fit(
    trainer: Trainer,
    task: LightningModule,
    datamodule: LightningDataModule | None,
    ckpt_path: Path | str | None = None,
) -> None:
    """Train; return when all is well.

    Args:
        trainer: From :func:`make_trainer`.
        task: The task.
        datamodule: Its data.
        ckpt_path: Checkpoint to go on from, as ``find_resume`` gives it.

    Raises:
        RunFailed: With exit status 1 (not finite, disk full), 129 (SIGHUP), 130 (SIGINT) or 143 (SIGTERM).
        UserError: If there is nothing to train or validate on, or the metric's name is wrong.
    """
    stopper: StopOnSignal = _find(trainer, StopOnSignal)
    path = None if ckpt_path is None else str(ckpt_path)
    last: LastCheckpoint | None = _find(trainer, LastCheckpoint)
    with stopper.signals.installed(written(last)) as signals:
        try:
            trainer.fit(task, datamodule=datamodule, ckpt_path=path, weights_only=True if path else None)
        except (KeyboardInterrupt, SystemExit) as error:
            causes = error, error.__context__  # Lightning makes an exit of an interrupt
            interrupted = any(isinstance(cause, KeyboardInterrupt) for cause in causes)
            what = f"stopped by {'KeyboardInterrupt' if interrupted else 'SystemExit'} in the code of the task"
            way = goes_on(saved.parent.parent) if (saved := written(last)) else "nothing was saved"
            raise RunFailed(f"{what}: {way}", SIGINT_EXIT if interrupted else 1) from error
        check_training_batches(trainer)
        saved = written(last)
        if last is not None and saved is None and trainer.current_epoch:
            raise RunFailed(f"training ended, but {last.path} does not exist")
        if stopper.asked(trainer):
            signals.stop(saved)


def test(
    trainer: Trainer,
    task: LightningModule,
    datamodule: LightningDataModule | None,
    which: Literal["best", "last"] = "best",  # noqa: PT028
    validate: bool = False,  # noqa: PT028
) -> dict[str, float]:
    """Test with the weights of a checkpoint; give the metrics, those of its validation as ``best/val_…``.

    Args:
        trainer: The one that was fitted.
        task: The task.
        datamodule: Its data.
        which: ``best`` falls back to ``last`` when no best was kept, and says so.
        validate: First validate with the same weights: what is fitted to them afterwards, such as a temperature, must
            not see the test. The log, whose curves are those of training, does not get these figures.

    Raises:
        RunFailed: With exit status 129, 130 or 143 after a signal.
    """
    stopper: StopOnSignal = _find(trainer, StopOnSignal)
    last = written(_find(trainer, LastCheckpoint))
    path = written(_find(trainer, BestCheckpoint)) if which == "best" else None
    path = path or last
    if path is not None and path.stem != which:
        notice(f"no {which}.ckpt was kept: testing {path}")
    checkpoint: dict[str, Any] = {
        "ckpt_path": None if path is None else str(path),
        "weights_only": True if path else None,
    }
    validated: list[Mapping[str, float]] = []
    with stopper.signals.installed(last):
        if validate:
            loggers, trainer.loggers = trainer.loggers, []
            try:
                validated = trainer.validate(task, datamodule=datamodule, verbose=False, **checkpoint)
            finally:
                trainer.loggers = loggers
            checkpoint = {}  # the weights are loaded
        tested = trainer.test(task, datamodule=datamodule, verbose=False, **checkpoint)
    of_kept = {f"best/{tag.replace('/', '_')}": value for tag, value in _joined(validated) if tag.startswith("val/")}
    return {**of_kept, **dict(_joined(tested))}


def _joined(results: Iterable[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    """Tags and figures of all loaders."""
    return ((tag, float(value)) for result in results for tag, value in result.items())
