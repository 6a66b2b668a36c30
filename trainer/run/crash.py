"""Errors while a run trains, tests and reports: one line that says what is kept; the traceback lies in the run folder.

Before the first batch an error of Lightning or a refused value is the user's, and the empty folder goes. Later it is
the run's, and so is at any time what nobody refused: a slip in the code of a model.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from trainer.blame import is_slip, place_of
from trainer.errors import SIGPIPE_EXIT, RunFailed, UserError, lone_sample, one_line, out_of_memory
from trainer.folder import RunFolder
from trainer.program import close_stdout
from trainer.run.way_on import way_on


class Progress:
    """How far a run has come.

    Attributes:
        trainer: None until it is made.
    """

    trainer: Trainer | None = None

    @property
    def learnt(self) -> bool:
        """Whether a batch was trained on to its end, in this process."""
        return self.trainer is not None and self.trainer.fit_loop.epoch_loop.batch_progress.total.completed > 0

    @property
    def begun(self) -> bool:
        """Whether a batch was trained on, or at least taken up, in this process."""
        return self.trainer is not None and self.trainer.fit_loop.epoch_loop.batch_progress.total.ready > 0


@contextmanager
def accounted(run: RunFolder, fresh: bool) -> Iterator[Progress]:
    """Turns what goes wrong in a run into one line.

    Args:
        run: Its folder.
        fresh: Whether this process made the folder: one in which nothing was trained is removed.

    Yields:
        What the caller tells the trainer to.

    Raises:
        UserError: For what is refused before the first batch.
        RunFailed: With status 1 for all else; it says what is kept and, of an error that nobody foresaw, where the
            traceback lies.
    """
    progress = Progress()
    try:
        yield progress
    except RunFailed:
        raise
    except BrokenPipeError as error:
        close_stdout()
        raise RunFailed(f"nobody reads the output any more: {way_on(run)}", SIGPIPE_EXIT) from error
    except OSError as error:
        way = _discard(run, fresh, progress) or way_on(run)
        raise RunFailed(f"{one_line(error)}; {way}") from error
    except UnicodeError as error:  # a ValueError, but nothing that a user gave
        raise crashed(run, error) from error
    except (ValueError, MisconfigurationException) as error:
        if what := lone_sample(error):
            if progress.learnt or not fresh:
                raise RunFailed(f"{what}; {way_on(run)}") from error
            run.discard()
            raise UserError(what) from error
        if not progress.begun and not is_slip(error):
            _discard(run, fresh, progress)
            raise UserError(_refusal(error)) from error
        if isinstance(error, UserError):
            raise
        raise crashed(run, error) from error
    except Exception as error:
        if isinstance(error, MemoryError | RuntimeError) and (what := out_of_memory(error)):
            raise RunFailed(f"{what}; {_discard(run, fresh, progress) or way_on(run)}") from error
        raise crashed(run, error) from error


def _discard(run: RunFolder, fresh: bool, progress: Progress) -> str:
    """Remove a folder that this process made and has not trained in; says so, or gives an empty text."""
    if not fresh or progress.begun or _rank():
        return ""
    run.discard()
    return "nothing had begun"


def _refusal(error: Exception) -> str:
    """What Lightning refuses is an option of the Trainer; our own errors name theirs."""
    if isinstance(error, UserError):
        return str(error)
    text = " ".join(str(error).split())
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return (
        f"trainer options: {text}"
        if frame.f_globals.get("__name__", "").startswith("lightning.")
        else f"{text}{place_of(error)}"
    )


def crashed(run: RunFolder, error: BaseException) -> RunFailed:
    """One line about an error that nobody foresaw."""
    return RunFailed(f"{one_line(error)}; the traceback is in {keep_traceback(run, error)}; {way_on(run)}")


def keep_traceback(run: RunFolder, error: BaseException) -> str:
    """Add the traceback to ``crash.txt`` in the run folder; gives the path, or why it could not be written."""
    path = run.crash.with_stem(f"crash-rank{_rank()}") if _rank() else run.crash
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)) + "\n")
    except OSError as problem:
        return f"no file ({one_line(problem)})"
    return str(path)


def _rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))
