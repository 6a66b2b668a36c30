"""All registered claims, a quick one among them, and the program that runs them."""

from __future__ import annotations

import pytest

from claims import catalogue
from claims.__main__ import main

REGISTERED, BROKEN = catalogue.load()
SMALL = "000-28"  # a quick check, in whose place others are put


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    status = main([*words, "--jobs", "1"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
