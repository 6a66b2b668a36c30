"""One process trains in a run folder at a time: a second ``--resume`` of the same run would overwrite the first.

The lock is a file that names its process. A process that was killed leaves its lock behind; such a lock is recognised
(no process has that number, or one that started at another time) and taken over with a line that says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.folder import RunFolder
from trainer.notice import notice


def started(pid: int) -> str:
    """When a process started, as Linux counts it; empty where it cannot be known or there is no such process."""
    try:
        # The name, in brackets, may hold anything; the start is the 20th field after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def alive(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lock; None when nobody does any more. A holder on another machine cannot be asked."""
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        pid, host, since = int(held["pid"]), str(held["host"]), str(held["started"])
    except (OSError, ValueError, KeyError, TypeError):
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
    mine = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started(os.getpid())})
    try:
        _take(path, mine)
    except FileExistsError:
        held = holder(path)
        if held is not None:
            raise UserError(
                f"{run.path} is being trained by process {held['pid']} on {held['host']}: wait for it, or stop it "
                f"(if there is no such process, delete {path})"
            ) from None
        notice(f"note: {path} was left by a process that is gone")
        path.unlink(missing_ok=True)
        _take(path, mine)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
