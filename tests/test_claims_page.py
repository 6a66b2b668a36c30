"""The page of all statements."""

from pathlib import Path

import pytest

from claims import catalogue
from tests.test_claims_program import REGISTERED, SMALL, run


def test_the_page_holds_every_claim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quick = REGISTERED[SMALL]
    monkeypatch.setattr(catalogue, "load", lambda ids=None: ({SMALL: quick}, {}))
    file = tmp_path / "claims.md"
    assert run("--markdown", str(file), capsys=capsys)[0] == 0
    text = file.read_text("utf-8")
    assert f"### {SMALL}: imprecise\n\n**Said:** many classes are equally hard." in text
    assert all(f"### {id}: " in text for id in catalogue.WITHOUT_EXPERIMENT)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5, 7}  # numbers, and the overview
