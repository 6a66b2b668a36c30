"""The program that runs the claims: what it prints and keeps, and how it tells a failure from a success."""

import errno
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claims import catalogue
from claims.__main__ import main, read_options, select
from claims.registry import CLAIMS, Claim, Number, Numbers, equals
from claims.sources import FILES
from tests.one_claim import REGISTERED, SMALL, run


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts another check under the id of a small claim."""

    def put(check: Callable[[], Numbers], **changes: object) -> None:
        one = replace(Claim(SMALL, "said", "right", "correct", "", check), **changes)  # type: ignore[arg-type]
        monkeypatch.setitem(CLAIMS, SMALL, one)

    return put


def test_a_claim_is_printed_with_all_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(SMALL, capsys=capsys)
    assert status == 0
    one = REGISTERED[SMALL]
    for text in (SMALL, one.verdict, one.said, one.source, "passed", "2.30258509299", "1 of 1 checks passed"):
        assert text in out


def failing() -> Iterator[Number]:
    yield equals("good", 1, 1)
    yield equals("one is two", 1, 2)


def not_a_number() -> Iterator[Number]:
    yield equals("nothing", math.nan, math.nan, 1)


def crashing() -> Iterator[Number]:
    yield equals("good", 1, 1)
    raise RuntimeError("a singular\nmatrix")


def silent() -> Iterator[Number]:
    yield from ()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (failing, "✗ one is two"),
        (not_a_number, "not a number"),
        (crashing, "after 'good', RuntimeError: a singular matrix"),
        (silent, "the check gave no number"),
    ],
)
def test_a_broken_claim_fails(
    check: Callable[[], Numbers],
    text: str,
    replaced: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    replaced(check)
    file = tmp_path / "claims.json"
    status, out, _ = run(SMALL, "--json", str(file), capsys=capsys)
    assert status == 1
    assert text in out
    assert f"FAILED {SMALL}" in out
    assert "Traceback" not in out
    (record,) = json.loads(file.read_text("utf-8"))
    assert record["state"] == "failed"


def test_the_counterexample_and_the_repair_are_marked(
    replaced: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def check() -> Iterator[Number]:
        yield equals("no", 1, 1, counterexample=True)
        yield equals("yes", 1, 1)

    replaced(check, verdict="wrong")
    status, out, _ = run(SMALL, capsys=capsys)
    assert status == 0
    assert [line.split()[-5] for line in out.splitlines() if "✓" in line] == ["refutes", "repairs"]


def test_json_keeps_every_number_and_its_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    assert run(SMALL, "--json", str(file), capsys=capsys)[0] == 0
    (record,) = json.loads(file.read_text("utf-8"))
    assert record["id"] == SMALL
    assert record["seconds"] >= 0
    numbers = {number["what"]: (number["measured"], number["due"]) for number in record["numbers"]}
    assert numbers["cross entropy of 10 equal logits"] == pytest.approx((math.log(10), math.log(10)))


def test_json_writes_what_is_infinite_as_text(
    replaced: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    replaced(lambda: iter([equals("unbounded", math.inf, math.inf)]))
    file = tmp_path / "claims.json"
    assert run(SMALL, "--json", str(file), capsys=capsys)[0] == 0
    (record,) = json.loads(file.read_text("utf-8"), parse_constant=pytest.fail)
    assert record["numbers"][0]["measured"] == "inf"


def test_a_long_claim_runs_only_when_it_is_named_or_all_are(
    replaced: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    replaced(failing, long=True, correct="unmistakable")
    assert run(SMALL, capsys=capsys)[0] == 1  # named
    status, out, _ = run("unmistakable", capsys=capsys)
    assert status == 0
    assert f"skipped {SMALL}: takes long" in out
    assert run("unmistakable", "--all", capsys=capsys)[0] == 1


def test_what_is_left_out_shows_the_numbers_of_an_earlier_run(
    replaced: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def check() -> Numbers:
        yield equals("unbounded", math.inf, math.inf)
        yield equals("measured in minutes", 0.25, 0.25)

    earlier, page, kept = tmp_path / "earlier.json", tmp_path / "page.md", tmp_path / "kept.json"
    replaced(check, long=True)
    assert run(SMALL, "--json", str(earlier), capsys=capsys)[0] == 0
    replaced(crashing, long=True)  # not run again
    monkeypatch.setattr(catalogue, "load", lambda ids=None: ({SMALL: CLAIMS[SMALL]}, {}))
    words = ("--known", str(earlier), "--markdown", str(page), "--json", str(kept))
    status, out, _ = run(*words, capsys=capsys)
    assert status == 0
    assert "0 of 0 checks passed" in out  # what was measured earlier is not counted as measured now
    text = page.read_text("utf-8")
    assert f"*Measured earlier* by `python -m claims {SMALL}`:" in text
    assert "| unbounded | ∞ | = ∞ | exactly |\n| measured in minutes | 0.25 | = 0.25 | exactly |" in text
    first, second = (json.loads(file.read_text("utf-8"))[0] for file in (earlier, kept))
    assert first["numbers"] == second["numbers"]
    assert second["state"] == "skipped"

    replaced(crashing, long=True, correct="reads otherwise now")
    run(*words, capsys=capsys)
    assert "measured in minutes" not in page.read_text("utf-8")


def test_a_number_of_an_earlier_run_can_fail_too(
    replaced: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "earlier.json"
    replaced(failing, long=True, correct="unmistakable")
    run(SMALL, "--json", str(file), capsys=capsys)
    status, out, _ = run("unmistakable", "--known", str(file), capsys=capsys)
    assert status == 1
    assert f"FAILED {SMALL}" in out


@pytest.mark.parametrize("text", ["", "{}x", "{}", '[{"id": "000-28"}]', '{"id": 1}', "[1]", "null", "[" * 10**5])
def test_a_file_that_json_did_not_write_is_refused(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "earlier.json"
    file.write_text(text, "utf-8")
    assert main([SMALL, "--known", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert f"--known {file}: expected a file that --json wrote" in captured.err


def test_a_claim_without_its_data_is_skipped_with_the_reason(
    replaced: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    replaced(failing, needs="mnist", said="unmistakable")
    monkeypatch.delenv("DATA_ROOT", raising=False)
    status, out, err = run(SMALL, capsys=capsys)
    assert status == 2, "it was asked for by its id"
    assert "needs mnist: say with --data_root or DATA_ROOT where it lies" in out
    assert f"claims: {SMALL} was not run: it needs mnist" in err
    status, out, _ = run(SMALL, "--data_root", str(tmp_path), capsys=capsys)
    assert status == 2
    assert "needs mnist: there is no" in out
    status, _, err = run("unmistakable", capsys=capsys)
    assert status == 2
    assert f"claims: {SMALL} was not run: it needs mnist" in err
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / FILES["mnist"]).touch()
    assert run(SMALL, "--data_root", str(tmp_path), capsys=capsys)[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["000-2"], "no statement '000-2', did you mean 000-02?"),
        (["000-37"], "article 000 has 000-01 to 000-36"),
        (["009-01"], "no statement '009-01', did you mean 00"),
        (["003"], "003 is a whole article: --article 003"),
        (["--article", "7"], "no article '7'; known: 000 (Mathematical"),
        (["zeppelin"], "no statement fits 'zeppelin'"),
        ([""], "an empty word fits no statement"),
        (["--search", " "], "an empty word fits no statement"),
        (["000-28", "--article", "003"], "000-28 is no statement of article 003"),
        ([SMALL, "--search", "zzz"], f"no statement fits '{SMALL} zzz'"),
        (["--known", "nowhere.json"], "--known nowhere.json: No such file or directory"),
        (["--jobs", "0"], "--jobs: expected a whole number from 1, got '0'"),
        (["--json", "nowhere/at/all.json"], "--json nowhere/at/all.json: expected a file in an existing folder"),
        ([SMALL, "zzz"], "no statement fits 'zzz'"),
        (["descent", "zzz"], "no statement fits 'zzz'"),
        (["--data_root", "nowhere"], "--data_root nowhere: there is no such folder"),
        (["--markdown", "page.md", SMALL], "--markdown writes the page of all statements"),
        (["--long"], "unrecognized arguments: --long"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not captured.out


def test_an_interrupt_while_it_starts_is_one_line() -> None:
    start = """
import runpy, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "claims.registry":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
runpy.run_module("claims", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "claims: stopped by SIGINT\n")


def test_a_statement_without_an_experiment_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run("000-36", capsys=capsys)
    assert status == 0
    assert "metaphor" in out
    assert "no experiment" in out
    assert "description length" in out


def test_words_and_articles_select(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run("--search", "equally", "--search", "hard", capsys=capsys)
    assert "1 of 1 checks passed" in out
    assert main(["--search", "equally", "--search", "soft"]) == 2


def test_several_words_are_alternatives_and_a_quoted_phrase_is_one() -> None:
    claims, _ = catalogue.load(None)
    ids = lambda *words: {one.id for one in select(read_options(words), claims)[0]}
    assert ids("losses", "descent") == ids("losses") | ids("descent") > ids("descent") > set()
    assert ids(SMALL, "descent") == {SMALL} | ids("descent")
    assert ids("gradient descent") < ids("gradient", "descent")


def test_a_topic_that_cannot_be_imported_fails_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "topics", lambda: {"torn": f'"{SMALL}"'})
    status, out, err = run(SMALL, capsys=capsys)
    assert status == 1
    assert "1 of 1 checks passed" in out
    assert "claims/torn.py cannot be imported: ModuleNotFoundError" in err


def test_a_full_disk_is_a_failure_and_no_wrong_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("claims.__main__.run", full)
    assert main([SMALL]) == 1
    assert capsys.readouterr().err == "claims: [Errno 28] No space left on device\n"
