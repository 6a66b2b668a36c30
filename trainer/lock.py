"""One process trains in a run folder at a time: a second ``--resume`` of the same run would overwrite the first.

The lock is a file that names its process; one process at a time reads and writes it (`flock`). A process that was
killed leaves its lock behind; such a lock is recognised (no process has that number, or one that started at another
time) and taken over with a line that says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from trainer.errors import UserError
from trainer.folder import RunFolder
from trainer.notice import notice

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


def started(pid: int) -> str:
    """When a process started, as Linux counts it; empty where it cannot be known or there is no such process."""
    try:
        # The name, in brackets, may hold anything; the start is the 20th field after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def alive(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    if os.name == "nt":  # where signal 0 is Ctrl-C
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    process = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not process:
        return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED: somebody else's
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(process, ctypes.byref(code))
    kernel.CloseHandle(process)
    return code.value == 259  # STILL_ACTIVE


def holder(text: str) -> dict[str, Any] | None:
    """Who holds a lock with this text; None when nobody does any more. A holder on another machine cannot be asked."""
    try:
        held: dict[str, Any] = json.loads(text)
        pid, host, since = int(held["pid"]), str(held["host"]), str(held["started"])
    except (ValueError, KeyError, TypeError):
        return None
    if host != socket.gethostname():
        return held
    if pid == os.getpid() or not alive(pid) or (since and started(pid) != since):
        return None
    return held


@contextlib.contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Hold the run while it is trained; the processes that a run starts itself share its lock.

    Raises:
        UserError: If another process holds it.
    """
    if int(os.environ.get("LOCAL_RANK", 0)):
        yield
        return
    path = run.path / ".lock"
    _take(path, run)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, run: RunFolder) -> None:
    """Write our name into the lock, unless a living process has its own there.

    Of two processes that start together one waits here until the other has written its name.
    """
    while True:
        with open(path, "a+", encoding="utf-8") as file:
            _alone(file)
            if not _same_file(file, path):  # its holder has removed it since it was opened
                continue
            file.seek(0)
            text = file.read()
            held = holder(text)
            if held is not None:
                raise UserError(
                    f"{run.path} is being trained by process {held['pid']} on {held['host']}: wait for it, or stop it "
                    f"(if there is no such process, delete {path})"
                )
            if text:
                notice(f"note: {path} was left by a process that is gone")
            file.truncate(0)
            mine = {"pid": os.getpid(), "host": socket.gethostname(), "started": started(os.getpid())}
            file.write(json.dumps(mine))
            return


def _alone(file: TextIO) -> None:
    """Wait until no other process reads or writes this file; it ends when the file is closed.

    Where the system or the file system cannot do so, two processes that start in the same instant are not told apart.
    """
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)


def _same_file(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
