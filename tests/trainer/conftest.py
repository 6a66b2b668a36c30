"""What the tests of runs share: signals as a terminal sends them."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _closed_terminal_is_heard() -> Iterator[None]:
    """``nohup pytest`` ignores SIGHUP, which every process that a test starts would inherit."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
