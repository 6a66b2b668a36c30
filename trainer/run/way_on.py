"""How a run that was interrupted goes on: said by everything that ends one early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.errors import RunFailed
from trainer.files import as_word
from trainer.folder import RunFolder
from trainer.interrupt import Interrupted


@contextmanager
def resumable(run: RunFolder) -> Iterator[None]:
    """What interrupts the run here says how it goes on.

    Raises:
        RunFailed: With the exit status of the signal.
    """
    try:
        yield
    except Interrupted as stop:
        drawn = "; figures may be missing" if run.finished else ""
        raise RunFailed(f"{stop}: {way_on(run)}{drawn}", stop.exit_code) from stop


def way_on(run: RunFolder) -> str:
    """How an interrupted run is taken up again, or where its result lies when there is one."""
    if run.finished:
        return f"the result is in {run.metrics}"
    return goes_on(run.path) if run.last.is_file() else f"{run.path} holds no checkpoint yet"


def goes_on(run: Path) -> str:
    """The command that takes a run with a checkpoint up again."""
    return f"python train.py --resume {as_word(run)} goes on"
