"""Draws the figures of a finished run. One that cannot be drawn costs a line on stderr, never the result.

Each missing figure is also a Python warning, `FigureMissing`: where warnings are errors, as in the tests or with
``python -W error``, the run ends there with status 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Protocol

from lightning.pytorch import Trainer

from trainer.errors import one_line
from trainer.folder import RunFolder
from trainer.notice import notice
from trainer.run.crash import keep_traceback


class Drawing(Protocol):
    """What a task draws; see `trainer.contract.Task`."""

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Name and matplotlib figure of everything worth drawing."""

    def show(self, writer: Any, step: int) -> list[str]:
        """Writes what TensorBoard has pages of its own for; returns what could not be shown."""


class FigureMissing(UserWarning):
    """A figure could not be drawn, or not be saved."""


def draw(task: Drawing, folder: RunFolder, trainer: Trainer) -> list[str]:
    """Saves every figure of the task as PNG and shows the same pixels in TensorBoard; returns the file names.

    A figure that raises is named on stderr, with the cause, and left out. Where it is the task's generator that
    raises, those that would have come after it are lost too.
    """
    from dashboard.style import save

    writer = getattr(trainer.logger, "experiment", None)
    names: list[str] = []
    try:
        for name, figure in task.figures():
            try:
                pixels = save(figure, folder.figures / f"{name}.png")  # (H, W, C)
                names.append(f"{name}.png")
                if writer is not None:
                    writer.add_image(f"figures/{name}", pixels, trainer.global_step, dataformats="HWC")
            except Exception as error:
                _missing(folder, f"the figure {name!r}", error)
    except FigureMissing:
        raise
    except Exception as error:
        after = names[-1].removesuffix(".png") if names else ""
        _missing(folder, f"what comes after the figure {after!r}" if after else "the first figure", error)
    try:
        problems = task.show(writer, trainer.global_step) if writer is not None else []
    except Exception as error:
        _missing(folder, "what TensorBoard has pages of its own for", error)
    else:
        for problem in problems:
            notice(problem)
    return names


def _missing(folder: RunFolder, what: str, error: Exception) -> None:
    text = f"{what} could not be drawn: {one_line(error)}; the traceback is in {keep_traceback(folder, error)}"
    with warnings.catch_warnings(record=True):  # it is said once, by the notice
        warnings.warn(text, FigureMissing, stacklevel=3)
    notice(f"warning: {text}")
