"""The page of all statements."""

import re
from pathlib import Path

import pytest

from claims import catalogue
from claims.page import page
from claims.registry import equals
from claims.runner import Outcome
from tests.one_claim import REGISTERED, SMALL, run

PROJECT = Path(__file__).parent.parent


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


@pytest.mark.parametrize("skipped", ["", "takes long"])
def test_the_introduction_explains_what_the_page_holds(skipped: str) -> None:
    quick = REGISTERED[SMALL]
    outcome = Outcome(SMALL, [equals("one", 1, 1)], skipped=skipped)
    text = page([quick], [outcome], "python -m claims")
    assert ("Where it says *measured earlier*" in text) == bool(skipped) == ("*Measured earlier* by" in text)


def test_the_page_in_docs_is_of_the_catalogue() -> None:
    """All but the numbers, which take minutes: every statement, verdict and correct form, and how many there are."""
    command = "python -m claims --all --markdown docs/claims.md"
    outcomes = [Outcome(id) for id in REGISTERED]
    due = page(list(REGISTERED.values()), outcomes, command)
    text = (PROJECT / "docs/claims.md").read_text("utf-8")
    assert text.partition("\n## ")[0] == due.partition("\n## ")[0]
    words = re.compile(r"^(?:#|\*\*Said|\*\*Correct|No experiment).*", re.MULTILINE)
    assert words.findall(text) == words.findall(due)
    verdicts = {id: one.verdict for id, one in (REGISTERED | catalogue.WITHOUT_EXPERIMENT).items()}
    assert dict(re.findall(r"^### (\S+): (.+)$", text, re.MULTILINE)) == verdicts
    assert sorted(verdicts) == sorted(catalogue.IDS)
    readme = (PROJECT / "README.md").read_text("utf-8")
    assert f" make {len(verdicts)} statements. {len(REGISTERED)} of them have a check" in readme
