"""SIGINT, SIGTERM and SIGHUP while no batch is trained: whatever is being done ends at once, by an exception.

While batches are trained, `trainer.fit.signals` takes over, with what is here about where an exception would be lost:
it waits for the end of the batch and saves. SIGHUP comes when the terminal is closed or the connection to it breaks.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType

from trainer.errors import SIGHUP_EXIT, SIGINT_EXIT, SIGTERM_EXIT

STATUS = {signal.SIGINT: SIGINT_EXIT, signal.SIGTERM: SIGTERM_EXIT}
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
if HANGUP is not None:
    STATUS[HANGUP] = SIGHUP_EXIT


class Interrupted(KeyboardInterrupt):
    """A signal that came; as a KeyboardInterrupt it passes every ``except Exception``.

    Args:
        number: One of `STATUS`.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """129, 130 or 143."""
        return STATUS[self.signal]


def heeded() -> list[signal.Signals]:
    """The signals to handle: without SIGHUP where it was switched off, as by ``nohup``, so that the run goes on."""
    return [number for number in STATUS if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN]


def leave_closed_terminal() -> None:
    """Let what is said to a terminal that is gone go nowhere; to write to it would be an error (EIO)."""
    for stream in (1, 2):
        try:
            gone = stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream)
        except OSError:  # closed from the start
            continue
        if gone:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def must_wait(frame: FrameType | None) -> bool:
    """Whether an exception raised at this place would not get out.

    Python drops it, with a line on stderr, out of a finaliser or the callback of a weak reference, and a signal that
    comes during a long call in C is often handled there. Some compiled libraries, such as triton's, abort the process
    on an exception while they are being loaded.
    """
    while frame is not None:
        name, loader = frame.f_code.co_name, frame.f_locals.get("self")
        if name == "__del__" or frame.f_globals.get("__name__") in ("weakref", "_weakrefset"):
            return True
        if name in ("create_module", "exec_module") and isinstance(loader, ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


def again_soon(number: int) -> None:
    """Send this process the signal once more, when that place may have been left."""
    timer = threading.Timer(0.02, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def heed_as_worker(number: int) -> None:
    """In a loader's worker, which inherited its parent's handler: only SIGTERM counts, by which the parent ends it."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Handlers of these signals that are set in here are given back afterwards; only the main thread may have any."""
    former = {number: signal.getsignal(number) for number in heeded()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise `Interrupted` here; their former handlers are given back."""
    if threading.current_thread() is not threading.main_thread():  # only that one may have handlers
        yield
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            return heed_as_worker(number)
        if must_wait(frame):
            return again_soon(number)
        if number == HANGUP:
            leave_closed_terminal()
        raise Interrupted(number)

    with handlers_kept():
        for heard in heeded():
            signal.signal(heard, stop)
        yield
