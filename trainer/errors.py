"""The two ways in which a run ends badly, each with its exit status.

0 success, 1 the run failed, 2 the user's input is wrong (one line, no traceback), 129 SIGHUP, 130 SIGINT, 141 SIGPIPE,
143 SIGTERM.

Source:
    The exit statuses 128 + n of a process ended by signal n are those of POSIX shells.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.blame import is_slip, place_of

SIGHUP_EXIT = 129
SIGINT_EXIT = 130
SIGPIPE_EXIT = 141
SIGTERM_EXIT = 143
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class UserError(ValueError):
    """The user's input is wrong: one line on stderr that names the value given and those allowed, exit status 2."""

    exit_code = 2


def out_of_memory(error: BaseException) -> str:
    """What to do about an error that says that there was no memory left, and how much it asked for; else empty."""
    text = str(error)
    if not isinstance(error, MemoryError) and "allocate memory" not in text and "out of memory" not in text:
        return ""
    asked = re.search(r"tried to allocate ([\d.]+ ?\w+)", text, re.IGNORECASE)
    size = f", {asked[1]} were asked for" if asked else ""
    return f"out of memory{size}: a smaller model, batch or set of data fits"


def expand(path: str | os.PathLike[str]) -> Path:
    """A path whose leading ``~`` or ``~user`` is that user's home folder.

    Raises:
        UserError: If there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no home folder of {Path(path).parts[0]!r} on this machine") from error


def lone_sample(error: BaseException) -> str:
    """What to do when batch normalisation meets one number, which has no spread; empty for any other error."""
    if "Expected more than 1 value per channel" not in str(error):
        return ""
    return "batch normalisation needs more than one sample a step: --batch_size 2 or more"


def one_line(error: BaseException) -> str:
    """An error as one line: its type, and its message without line breaks; of an error of the disk, file and cause."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def user_mistakes(group: str = "", options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turns the ``ValueError`` and ``OSError`` with which a class refuses its input into one line for the user.

    A ``ValueError`` that is a slip in the project's code, see `trainer.blame`, is none: it goes on with its traceback.

    Args:
        group: ``model`` or ``data``, when a class of that group is being made.
        options: Its options; a message that begins with one gets the words that the user would type.
    """
    options = options or {}
    try:
        yield
    except UserError:
        raise
    except (ValueError, OSError) as error:
        if is_slip(error) and not isinstance(error, OSError):
            raise
        named = isinstance(error, OSError) and error.filename and error.strerror
        text = f"{error.filename}: {error.strerror}" if named else f"{error}{place_of(error)}"  # type: ignore[union-attr]
        raise UserError(f"--{group}.{text}" if text.partition(" ")[0] in options else text) from error
    except (RuntimeError, MemoryError) as error:
        if "home directory" in str(error):  # of the user in ~user, as pathlib says it
            for value in options.values():
                expand(value if isinstance(value, str) else "")
        if not out_of_memory(error):
            raise
        raise UserError(out_of_memory(error)) from error


ROOMS = frozenset({"bench", "claims", "dashboard", "data", "models", "predict", "theory", "train", "trainer"})
_HEAVY = frozenset({"torch", "lightning", "lightning_utilities", "torchmetrics", "yaml", "jsonargparse", "rich"})


def not_installed(error: ModuleNotFoundError) -> str:
    """What to do when a library is not there; empty when the missing module is one of this project's own."""
    name = (error.name or "").partition(".")[0]
    if not name or name in ROOMS or name in sys.stdlib_module_names:
        return ""
    what = "PyTorch and Lightning are" if name in _HEAVY else f"the package {name!r} is"
    way = "run `make train` once, then `. .venv/bin/activate`"
    return f"{what} not installed for this Python ({sys.executable}); {way}"


class RunFailed(RuntimeError):  # noqa: N818  (a sentence to raise, not a type of fault)
    """The run could not go on.

    Args:
        message: One line for the user: what happened, and what was saved.
        exit_code: Exit status of the process: 1, 129, 130 or 143.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
