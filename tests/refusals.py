"""How train.py refuses: the same demands wherever a test asks for a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

import train


def refused(words: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr that names the program, exit status 2, nothing on stdout, no run folder below ``root``.

    Args:
        words: The command line without ``--root``.
        message: How the line begins after the program's name; what follows ``…`` stands anywhere in it.
        root: Where a run would be.
        capsys: Holds what was printed.
    """
    before = capsys.readouterr()
    assert not before.err, "what was printed before is not of this refusal"
    assert train.main(["--root", str(root), *words]) == 2
    printed, error = capsys.readouterr()
    start, _, inside = message.partition("…")
    assert error.startswith(f"train.py: {start}"), error
    assert inside in error
    assert error.endswith("\n")
    assert error.count("\n") == 1, error
    assert printed == ""
    assert not list(root.glob("*"))
