"""Resume so exactly that, on a CPU, the weights equal those of a run that was never stopped, bit for bit.

Three parts are needed. Lightning stores optimiser, schedulers and progress; a loader whose order depends on
(seed, epoch) stores its position; and `trainer.fit.step_seed` makes dropout, mixing and sampling a function of
(seed, epoch, batch), so that nothing depends on how many random numbers were drawn before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trainer.device import precision_name
from trainer.errors import UserError, expand
from trainer.fit.pending import validation_pending
from trainer.folder import CHECKPOINTS, RunFolder
from trainer.notice import notice
from trainer.run.provenance import other_code
from trainer.safe_file import load_checkpoint, read_size

# Settings of the data that say where and how fast it is read, not which pictures come when.
_PLACES = frozenset({"root", "path", "csv", "cache_dir", "num_workers"})

# Settings of the Trainer that decide what a step does, which steps there are, and which of them are judged on what;
# how long it trains may change.
_STEPS = ("precision", "limit_train_batches", "overfit_batches", "accumulate_grad_batches", "gradient_clip_val",
          "gradient_clip_algorithm", "deterministic", "limit_val_batches", "val_check_interval",
          "check_val_every_n_epoch")  # fmt: skip

_UNSAID: dict[str, Any] = {
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "val_check_interval": 1.0,
    "gradient_clip_val": 0,
    "deterministic": False,
}  # fmt: skip (what None stands for)

_SHARES = frozenset(
    f"trainer.{name}" for name in ("limit_train_batches", "limit_val_batches", "val_check_interval", "overfit_batches")
)

_OF_PIXELS = ("mean", "std")  # facts that other training pictures change, whatever the options are


def logged_step(checkpoint: dict[str, Any]) -> int:
    """First step of the loggers after a resume from this checkpoint: what was logged from there on is repeated.

    Lightning's loggers count batches that stepped, which is not ``global_step`` when a task steps by hand.
    """
    progress = checkpoint.get("loops", {}).get("fit_loop", {})
    steps = progress.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", checkpoint.get("global_step", 0))
    current = progress.get("epoch_loop.batch_progress", {}).get("current", {})
    # Inside an epoch, and before a validation, Lightning saves before it counts the batch.
    uncounted = current.get("processed", 0) > current.get("completed", 0) or validation_pending(checkpoint)
    return int(steps) + int(uncounted)


def find_resume(
    what: str | os.PathLike[str],
    root: str | os.PathLike[str] = "runs",
    model: str | None = None,
    data: str | None = None,
    epochs: int | None = None,
) -> tuple[RunFolder, Path]:
    """The run to go on with, and the checkpoint to start from.

    Args:
        what: A run folder or its checkpoints folder (then ``last.ckpt``), a checkpoint file, or ``auto``: the newest
            run below ``root`` that is not finished and whose checkpoint can be read, which is said when it is not the
            newest of all.
        root: Folder of all runs, for ``auto``.
        model: Limits ``auto`` to runs of that model.
        data: Limits ``auto`` to runs on that data.
        epochs: Epochs asked for: a run that has fewer is not finished. None for those of each run.

    Returns:
        The reopened run folder and a checkpoint that was read without error.

    Raises:
        UserError: If there is none, or the one asked for cannot be read; the message names the file and its size.
    """
    if str(what) == "auto":
        return _newest(Path(root), f"{model or '*'}-{data or '*'}", epochs)
    if "://" in str(what):
        raise UserError(f"--resume takes a run folder or a file on this machine, got {what}")
    place = expand(what)
    if place.is_file():
        load_checkpoint(place)
        return RunFolder.reopen(place), place
    run = RunFolder.reopen(place)
    try:
        load_checkpoint(run.last)
    except UserError as error:
        raise UserError(f"cannot resume: {error}{_alternative(run)}") from error
    return run, run.last


def _alternative(run: RunFolder) -> str:
    return f". There is also {run.best} ({read_size(run.best)})" if run.best.is_file() else ""


def _newest(root: Path, pattern: str, epochs: int | None) -> tuple[RunFolder, Path]:
    """The last, else the best checkpoint of the newest run that is not finished and has a readable one."""
    folders = sorted(root.glob(f"{pattern}/*/{CHECKPOINTS}"), key=lambda folder: folder.parent.name, reverse=True)
    problems, finished = [], []
    for folder in folders:
        run = RunFolder(folder.parent)
        if epochs is None and run.finished:
            finished.append(run.path)
            continue
        for path in (run.last, run.best):
            try:
                checkpoint = load_checkpoint(path)
            except UserError as error:
                problems.append(str(error))
                continue
            if nothing_left(checkpoint, epochs, run):
                finished.append(run.path)
                break
            if finished:
                notice(f"resuming {run.path}: what is newer is finished")
            if problems:
                notice(f"resuming from {path}, because {'; '.join(problems)}")
            return RunFolder.reopen(run.path), path
    if finished:
        problems.append(f"no run in {root / pattern} is unfinished; more --epochs would go on with {finished[0]}")
    raise UserError(f"nothing to resume: {'; '.join(problems) or f'no run in {root / pattern}'}")


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Whole epochs that a checkpoint was trained for."""
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    return int(progress.get("processed", 0))


def length_of(trainer: Mapping[str, Any]) -> str:
    """How long settings of the Trainer let a run be, ``4 epochs`` or ``30 steps``."""
    steps, epochs = trainer.get("max_steps") or -1, trainer.get("max_epochs")
    return f"{steps} steps" if steps > 0 else f"{epochs} epoch{'s' * (epochs != 1)}"


def stages(checkpoint: dict[str, Any], trainer: Mapping[str, Any]) -> list[str]:
    """The length that a run was begun for, and each that it went on to."""
    house, now = checkpoint.get("house", {}), length_of(trainer)
    earlier = house.get("stages") or [length_of(house.get("recipe", {}).get("trainer") or trainer)]
    return [*earlier] if earlier[-1] == now else [*earlier, now]


def nothing_left(checkpoint: dict[str, Any], max_epochs: int | None, run: RunFolder) -> bool:
    """Whether a run has all the epochs asked for, and was tested.

    A run that was stopped before its test may still take it, and one that was extended a second test.
    """
    done = epochs_done(checkpoint)
    if max_epochs is None or max_epochs < 1:
        return False
    return done > max_epochs or (done == max_epochs and run.finished)


def check_unfinished(checkpoint: dict[str, Any], trainer: Mapping[str, Any], run: RunFolder) -> None:
    """Refuse to go on with a run that has nothing left to train and was tested.

    Args:
        checkpoint: As :func:`load_checkpoint` gives it.
        trainer: Settings of the Trainer: the epochs, or steps, asked for.
        run: Its folder.

    Raises:
        UserError: Naming the number of epochs, or steps, that the run has.
    """
    max_epochs, max_steps = trainer.get("max_epochs"), trainer.get("max_steps") or -1
    steps = int(checkpoint.get("global_step", 0))
    if 0 < max_steps <= steps and run.finished:
        raise UserError(
            f"{run.path} has {steps} step{'s' * (steps != 1)} and was tested: "
            f"--trainer.max_steps N goes on if N is more, here it is {max_steps}"
        )
    if nothing_left(checkpoint, max_epochs, run):
        done = epochs_done(checkpoint)
        tested = " and was tested" if run.finished else ""
        raise UserError(
            f"{run.path} has {done} epoch{'s' * (done != 1)}{tested}: "
            f"--epochs N goes on if N is more, here it is {max_epochs}"
        )


def check_compatible(
    checkpoint: dict[str, Any],
    hyper_parameters: dict[str, Any],
    house: dict[str, Any] | None = None,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Refuse to go on with other settings than those the checkpoint was trained with.

    The optimiser's state would silently override some of them, others would not fit the weights, and another split
    would train on pictures that were held out.

    Args:
        checkpoint: As :func:`load_checkpoint` gives it.
        hyper_parameters: Those of the task about to resume; what this version no longer knows is not compared, so that
            files of older versions load.
        house: The key ``house`` about to be written: its ``model``, its ``data`` with their settings and pictures, its
            seed and what its Trainer makes of a step are compared.
        defaults: From `trainer.command.options.option_defaults`: what an option stood at that the checkpoint's version
            did not have.

    Raises:
        UserError: Naming each difference: what the checkpoint has and what was asked for.
    """
    stored = checkpoint.get("house", {})
    then = {name: stored[name] for name in ("model", "data") if name in stored}
    now: dict[str, Any] = {name: (house or {})[name] for name in then if name in (house or {})}
    then |= {**_steps(stored), **checkpoint.get("hyper_parameters", {})}
    now |= {**_steps(house or {}), **hyper_parameters}
    if "recipe" in stored:
        then |= {name: value for name, value in defaults.items() if name in now and name not in then}
    if then.get("trainer.precision") == "auto" != now.get("trainer.precision"):
        then["trainer.precision"] = stored.get("precision", "auto")  # what it came to
    differing = [name for name in then if name in now and not _same(name, then[name], now[name])]
    telling = [name for name in differing if name not in _OF_PIXELS]
    chosen = [name for name in telling if name not in _facts(checkpoint)]
    options = _options(checkpoint) | {name for name in defaults if "." not in name}
    differences = [
        f"{'model.' * (name in options)}{name} was {then[name]!r}, now {now[name]!r}" for name in chosen or telling
    ]
    parts = _other_pictures(stored.get("pictures", {}), (house or {}).get("pictures", {}))
    if (parts or differing) and not differences:
        named = " and ".join(parts or ["train"])
        raise UserError(
            f"cannot resume: the {named} pictures, or their labels, are others than before. Start a new run for these"
        )
    if differences:
        raise UserError(f"cannot resume with other settings: {'; '.join(differences)}. Start a new run for these")
    if changed := other_code(stored.get("versions", {}), (house or {}).get("versions", {})):
        notice(f"note: since this run began: {'; '.join(changed)}; its steps may differ from here on")
    if (house or {}).get("view_scheme", 0) > stored.get("view_scheme", 1):
        notice("warning: an earlier version began this run; its views were drawn otherwise than those from here on")
    before, after = stored.get("preprocessing"), (house or {}).get("preprocessing")
    if before and after and before != after:
        notice("warning: an earlier version began this run; its pictures were prepared otherwise than from here on")


def _options(checkpoint: dict[str, Any]) -> set[str]:
    """Arguments of a task that are options of the command, ``--model.NAME``."""
    return set(checkpoint.get("house", {}).get("recipe", {}).get("model") or {})


def _facts(checkpoint: dict[str, Any]) -> set[str]:
    """Arguments of a task that its data gave, such as its classes: other settings of the data change them too."""
    settings = checkpoint.get("house", {}).get("recipe", {}).get("model")
    return set() if settings is None else set(checkpoint.get("hyper_parameters", {})) - _options(checkpoint)


def _other_pictures(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Parts of the data whose pictures or labels have changed; a checkpoint of an older version tells of none."""
    return [part for part in {**then, **now} if then.get(part) != now.get(part)] if then and now else []


def _steps(house: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide which pictures are trained on, in which order, and what a step does with them."""
    recipe = house.get("recipe", {})
    data, trainer = recipe.get("data", {}), recipe.get("trainer", {})
    return {
        **{f"data.{name}": value for name, value in data.items() if name not in _PLACES},
        **{f"trainer.{name}": _meant(name, trainer[name]) for name in _STEPS if name in trainer},
        **({"early_stopping.patience": recipe["patience"]} if "patience" in recipe else {}),
        **({"seed": recipe["seed"]} if "seed" in recipe else {}),
    }


def _meant(name: str, value: Any) -> Any:
    """A setting of the Trainer by what it does: the default where nothing was said, the full name of a precision."""
    if name == "precision" and value not in (None, "auto"):
        return precision_name(str(value))
    return _UNSAID.get(name) if value is None else value


def _same(name: str, then: Any, now: Any) -> bool:
    """Whether two values mean the same; of batches 1 is one and 1.0 all of them."""
    one = name in _SHARES and then == 1
    return _plain(then) == _plain(now) and (not one or isinstance(then, float) == isinstance(now, float))


def _plain(value: Any) -> Any:
    """Tuples as lists: YAML and checkpoints do not tell them apart."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
