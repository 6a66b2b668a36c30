"""Numbers that no run can use, whatever the model and the data: refused before anything is built.

A not-a-number passes every comparison of the kind "refuse what is below 0"; a step limit of 0 trains nothing and would
print a table of results. Both are found here once, for every option of every class.
"""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.command.words import nearest
from trainer.device import PRECISION_NAMES, PRECISIONS, check_device, resolve_precision
from trainer.errors import UserError
from trainer.folder import MADE

LARGEST = 3.4e38  # of single precision, in which networks are trained
LONGEST = 2**63 - 1  # of the whole numbers that tensors count with

# What options of the Trainer take, in words.
_SHARE, _PERHAPS = (
    "a share above 0 to 1, or a number of batches from 1",
    "a share from 0 to 1, or a number of batches from 0",
)
ALLOWED = {
    "trainer.max_epochs": "a whole number from 1",
    "trainer.min_epochs": "a whole number from 0 to the number of epochs",
    "trainer.max_steps": "a whole number of steps from 1, or -1 for no limit",
    "trainer.min_steps": "a whole number of steps from 0",
    "trainer.limit_train_batches": _SHARE,
    "trainer.limit_test_batches": _SHARE,
    "trainer.limit_val_batches": _PERHAPS,
    "trainer.overfit_batches": _PERHAPS,
    "trainer.val_check_interval": _SHARE,
    "trainer.check_val_every_n_epoch": "a whole number of epochs from 1",
    "trainer.log_every_n_steps": "a whole number of steps from 1",
    "trainer.accumulate_grad_batches": "a whole number of batches from 1",
    "trainer.gradient_clip_val": "0 or more",
    "trainer.num_nodes": "1: a run is on one machine",
    "trainer.max_time": "a time above 0 in the form DD:HH:MM:SS",
    "trainer.precision": f"auto, {', '.join(PRECISIONS)}",
    "early_stopping.patience": "a whole number of epochs from 1",
    "checkpoint.every_n_batches": "a whole number of batches from 1",
}


def numbers(value: Any) -> Iterator[float]:
    """Every number in a value: itself, or those in its lists and mappings; booleans are none."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def check_number(where: str, value: Any) -> None:
    """Refuses what is not finite, or too large for a tensor.

    Args:
        where: The option, with its file if it has one.
        value: Of any kind.

    Raises:
        UserError: Naming both.
    """
    for number in numbers(value):
        if isinstance(number, int):
            if abs(number) > LONGEST:
                given = f"one of {len(str(abs(number)))} digits"
                raise UserError(f"{where}: expected a whole number of at most 2^63 - 1 in size, got {given}")
        elif not math.isfinite(number):
            raise UserError(f"{where}: expected a finite number, got {number}")
        elif abs(number) > LARGEST:
            raise UserError(f"{where}: expected a number of at most {LARGEST:g} in size, got {number:g}")


def share_or_count(value: Any) -> bool:
    """Whether it is a share above 0 up to 1, or a whole number from 1."""
    return 0 < value <= 1 if isinstance(value, float) else value >= 1


def none_or_some(value: Any) -> bool:
    """Whether it is 0, a share up to 1, or a whole number."""
    return value == 0 or share_or_count(value)


def is_duration(value: Any) -> bool:
    """Whether it is a time above 0 as Lightning reads it: DD:HH:MM:SS, or a mapping of units to numbers."""
    if isinstance(value, str):
        parts = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", value.strip())
        units = ("days", "hours", "minutes", "seconds")
        value = {} if parts is None else dict(zip(units, map(int, parts.groups()), strict=True))
    if isinstance(value, Mapping):
        try:
            value = datetime.timedelta(**value)
        except (TypeError, OverflowError):  # an unknown unit, or more days than there are
            return False
    return isinstance(value, datetime.timedelta) and value > datetime.timedelta()


def check_devices(where: str, devices: Any, device: str) -> int:
    """How many processes a run will be of; refuses devices that this machine does not have.

    Args:
        where: The option, with its file if it has one.
        devices: As the Trainer takes them.
        device: ``auto``, ``cpu``, ``cuda`` (or ``gpu``) or ``mps``.

    Raises:
        UserError: Naming the value and those allowed.
    """
    from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    kind = check_device(device)
    accelerator: Any = {"cuda": CUDAAccelerator, "mps": MPSAccelerator}.get(kind, CPUAccelerator)
    most = max(8, os.cpu_count() or 1) if kind == "cpu" else accelerator.auto_device_count()  # eight, to try it out
    try:
        parsed = 1 if devices in (None, "auto") else accelerator.parse_devices(devices)
    except (MisconfigurationException, TypeError, ValueError):
        parsed = None
    if not parsed or (isinstance(parsed, int) and parsed > most):
        there = "processes from 1" if kind == "cpu" else "devices from 1"
        or_list = "" if kind == "cpu" else ", or a list of their numbers"
        raise UserError(f"{where}: expected auto, or a number of {there} to {most}{or_list}, got {devices}")
    return parsed if isinstance(parsed, int) else len(parsed)


def check_launcher() -> None:
    """Refuses to be one of several processes that another program has started: each would make a run of its own.

    Raises:
        UserError: Saying how a run gets several processes.
    """
    size = os.environ.get("WORLD_SIZE", "1").strip()
    several = int(size) if size.isdecimal() else 1
    if several > 1 and MADE not in os.environ:
        raise UserError(
            f"WORLD_SIZE={several} says that a launcher such as torchrun has started {several} processes: "
            f"a run starts its own, by --trainer.devices {several} --trainer.strategy ddp"
        )


def check_strategy(where: str, strategy: Any) -> None:
    """Refuses a name that Lightning has for no way to share a run among processes.

    Raises:
        UserError: Naming the value, and one that is meant perhaps.
    """
    from lightning.pytorch.strategies import StrategyRegistry

    names = ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy.lower() not in names:
        hint = nearest(strategy.lower(), names) or "; auto, ddp and fsdp are usual"
        raise UserError(f"{where}: there is no strategy {strategy!r}{hint}")


def check_trainer(trainer: Mapping[str, Any], where: Mapping[str, str]) -> int:
    """How many processes a run will be of; refuses what would do nothing, or break off inside Lightning.

    Args:
        trainer: Arguments of the Trainer.
        where: The option and its file, for those that are not spelt ``--trainer.NAME``.

    Raises:
        UserError: Naming the option, the value and those allowed.
    """
    epochs = None if trainer.get("max_epochs") == -1 else trainer.get("max_epochs")  # -1: max_steps says when to stop
    from_one = lambda value: value >= 1
    rules = {
        "limit_train_batches": share_or_count,
        "limit_test_batches": share_or_count,
        "limit_val_batches": none_or_some,
        "overfit_batches": none_or_some,
        "val_check_interval": lambda value: isinstance(value, str) or share_or_count(value),
        "max_steps": lambda value: value == -1 or value >= 1,
        "min_epochs": lambda value: 0 <= value <= (epochs or value),
        "min_steps": lambda value: value >= 0,
        "check_val_every_n_epoch": from_one,
        "log_every_n_steps": from_one,
        "accumulate_grad_batches": from_one,
        "gradient_clip_val": lambda value: value >= 0,
        "num_nodes": lambda value: value == 1,
        "max_time": is_duration,
        "precision": lambda value: value in ("auto", *PRECISION_NAMES),
    }
    for name, fits in rules.items():
        value = trainer.get(name)
        if value is not None and not fits(value):
            raise UserError(
                f"{where.get(name, f'--trainer.{name}')}: expected {ALLOWED[f'trainer.{name}']}, got {value}"
            )
    if trainer.get("gradient_clip_algorithm") and not trainer.get("gradient_clip_val"):
        option = where.get("gradient_clip_algorithm", "--trainer.gradient_clip_algorithm")
        raise UserError(f"{option} is without effect: it needs --trainer.gradient_clip_val")
    check_strategy(where.get("strategy", "--trainer.strategy"), trainer.get("strategy"))
    device = check_device(str(trainer.get("accelerator") or "auto"))
    resolve_precision(str(trainer.get("precision") or "auto"), device)
    return check_devices(where.get("devices", "--trainer.devices"), trainer.get("devices"), device)
