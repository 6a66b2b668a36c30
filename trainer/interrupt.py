"""SIGINT and SIGTERM while no batch is trained: the process ends at once, in one line that says how to go on.

While batches are trained, `trainer.fit.signals` takes over: it waits for the end of the batch and saves.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType

from trainer.errors import SIGINT_EXIT, SIGTERM_EXIT

STATUS = {signal.SIGINT: SIGINT_EXIT, signal.SIGTERM: SIGTERM_EXIT}


class Interrupted(KeyboardInterrupt):
    """A signal that came; as a KeyboardInterrupt it passes every ``except Exception``.

    Args:
        number: SIGINT or SIGTERM.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """130 or 143."""
        return STATUS[self.signal]


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


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Interrupted` here; their former handlers are given back."""
    if threading.current_thread() is not threading.main_thread():  # only that one may have handlers
        yield
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            if must_wait(frame):
                return again_soon(number)
            raise Interrupted(number)
        if number == signal.SIGTERM:  # a loader's worker, which inherited the handler; its parent ends it by SIGTERM
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    former = {number: signal.signal(number, stop) for number in STATUS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
