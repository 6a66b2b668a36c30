"""One process trains in a run folder at a time: a second ``--resume`` of the same run would overwrite the first.

The lock is a file that names its process, which keeps it locked (`flock`) as long as it lives: the system frees it
when a process ends, however it ends, and knows it from within any container. What a killed process leaves behind is
taken over with a line that says so.

A file system may keep such locks on each machine for itself, or not at all. So what another machine left is never
taken over; and where the file itself cannot be locked, a process of this machine is gone when none has its number, or
one that started at another time.
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


def boot() -> str:
    """What Linux calls itself since it was started, the same in all its containers; empty elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
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


def named_in(text: str) -> dict[str, Any] | None:
    """The process that a lock names; None where it names none."""
    try:
        held: dict[str, Any] = json.loads(text)
        return {**held, "pid": int(held["pid"]), "host": str(held["host"]), "started": str(held["started"])}
    except (ValueError, KeyError, TypeError):
        return None


def holder(text: str, locked_by_us: bool = False) -> dict[str, Any] | None:
    """Who holds a lock with this text; None when nobody does any more. A holder on another machine cannot be asked.

    Args:
        text: What the file says.
        locked_by_us: Whether this process could lock the file: then no other process of this machine has.
    """
    held = named_in(text)
    if held is None or (locked_by_us and held.get("boot") and held["boot"] == boot()):
        return None
    if held["host"] != socket.gethostname():
        return held
    pid, since = held["pid"], held["started"]
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
    file = _take(path, run)
    if fcntl is None:
        file.close()  # Windows removes no open file
    try:
        yield
    finally:
        if fcntl is None or _same_file(file, path):
            path.unlink(missing_ok=True)
        file.close()


def _take(path: Path, run: RunFolder) -> TextIO:
    """Lock the file and write our name into it, unless a living process holds it.

    Returns:
        The open file: what it locks is free when it is closed.

    Raises:
        UserError: If another process holds it.
    """
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  (open as long as the run is held)
        try:
            ours = _lock(file)
            if ours is not False and not _same_file(file, path):  # its holder has removed it since it was opened
                file.close()
                continue
            file.seek(0)
            text = file.read()
            held = (named_in(text) or {}) if ours is False else holder(text, bool(ours))
            if held is not None:
                who = f"process {held['pid']} on {held['host']}" if held else "another process"
                gone = "" if ours is False else f" (if there is no such process, delete {path})"
                raise UserError(f"{run.path} is being trained by {who}: wait for it, or stop it{gone}")
            if text:
                notice(f"note: {path} was left by a process that is gone")
            _sign(file)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk refuses the same text once more
                file.close()
            raise
        return file


def _sign(file: TextIO) -> None:
    """Write our name in place of what the file says.

    Raises:
        OSError: Naming the file, as a full disk alone does not.
    """
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "started": started(os.getpid()), "boot": boot()}
    try:
        file.truncate(0)
        file.write(json.dumps(mine))
        file.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, file.name) from None


def _lock(file: TextIO) -> bool | None:
    """Whether this process has locked the file, or another one has; None where nobody can tell.

    Then two processes that start in the same instant are not told apart.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _same_file(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
