"""The two ways in which a run ends badly, each with its exit status.

0 success, 1 the run failed, 2 the user's input is wrong (one line, no traceback), 130 SIGINT, 143 SIGTERM.

Source:
    The exit statuses 128 + n of a process ended by signal n are those of POSIX shells.
"""

from __future__ import annotations

import re

SIGINT_EXIT = 130
SIGTERM_EXIT = 143


class UserError(ValueError):
    """The user's input is wrong: one line on stderr that names the value given and those allowed, exit status 2."""

    exit_code = 2


def out_of_memory(error: BaseException) -> str:
    """How much was asked for when an error says that there was no memory left, as far as it tells; else empty."""
    text = str(error)
    if not isinstance(error, MemoryError) and "allocate memory" not in text and "out of memory" not in text:
        return ""
    asked = re.search(r"tried to allocate ([\d.]+ ?\w+)", text, re.IGNORECASE)
    return f"out of memory, {asked[1]} were asked for" if asked else "out of memory"


class RunFailed(RuntimeError):  # noqa: N818  (a sentence to raise, not a type of fault)
    """The run could not go on.

    Args:
        message: One line for the user: what happened, and what was saved.
        exit_code: Exit status of the process: 1, 130 or 143.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
