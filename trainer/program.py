"""What every program of the house does around its work: one line for each way in which it ends badly.

Exit status: 0 success, 1 failed, 2 wrong input, 129 SIGHUP, 130 SIGINT, 141 the reader of the output went away,
143 SIGTERM. An error that nobody foresaw keeps its traceback: `trainer.run.crash` writes that of a run into its folder,
any other goes to stderr.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from trainer.errors import SIGPIPE_EXIT, RunFailed, UserError, not_installed, one_line, out_of_memory
from trainer.interrupt import Interrupted, interruptible


def run_program(name: str, work: Callable[[], int], interrupted: str = "") -> int:
    """Do the work of a program.

    Args:
        name: Of the program; every line on stderr begins with it.
        work: Gives the exit status.
        interrupted: What is added to the line about a signal, such as that nothing had begun.

    Returns:
        The exit status of the process.
    """
    open_closed_output()
    write_any_name()
    try:
        with interruptible():
            return work()
    except Interrupted as stop:
        return _ended(name, f"{stop}{interrupted}", stop.exit_code)
    except (UserError, RunFailed) as error:
        return _ended(name, str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if not not_installed(error):
            raise
        return _ended(name, not_installed(error), 2)
    except (MemoryError, RuntimeError) as error:
        if "home directory" in str(error):  # as pathlib says it
            return _ended(name, "a path begins with ~ and a name, and there is no home folder of that name", 2)
        if not out_of_memory(error):
            raise
        return _ended(name, out_of_memory(error), 1)
    except BrokenPipeError:  # whoever read the output has enough; what was left to do is not done
        close_stdout()
        return SIGPIPE_EXIT
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return _ended(name, f"a path is too long: {str(error.filename)[:60]}…", 2)
        return _ended(name, one_line(error), 1)


def _ended(name: str, text: str, status: int) -> int:
    print(f"{name}: {text}", file=sys.stderr, flush=True)
    return status


def open_closed_output() -> None:
    """A stream that was closed from the start, as by ``>&-``, is from now on one that nobody reads."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (until the process ends)


def write_any_name() -> None:
    """Let stdout carry any name and sign: it is UTF-8, and bytes of file names that are not come out as on the disk."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="surrogateescape")


def close_stdout() -> None:
    """Nobody reads any more: what is still to be flushed goes nowhere, instead of failing at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(status: int) -> NoReturn:
    """Ends the process after `run_program` as `sys.exit` does, but without taking its objects apart.

    That takes a second or two with torch loaded. What was registered with `atexit` is done and the output is flushed.
    Where someone else waits for the interpreter's own end (a thread that is not a daemon, a debugger, a profiler,
    ``python -i``), it has it.

    Args:
        status: Exit status; 1, or 141 where the reader went away, if the last of the output cannot be written.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if _is_watched() or any(not thread.daemon for thread in others):
        sys.exit(status)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = SIGPIPE_EXIT
    except OSError as error:
        status = _ended(Path(sys.argv[0]).name, f"the last of the output could not be written: {one_line(error)}", 1)
    os._exit(status)


def _is_watched() -> bool:
    """Whether a debugger, a profiler, a coverage tool or a person wants to see the interpreter's own end."""
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    tools = monitoring and any(monitoring.get_tool(number) for number in range(6))
    return bool(sys.gettrace() or sys.getprofile() or tools or sys.flags.inspect)
