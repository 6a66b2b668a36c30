"""The rule by which tools are scored, and the matrix drawn from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import __main__ as front
from bench import faults
from bench.harness import BenchError
from bench.peers.folder_cases import CLASSES, Case, Read, WrongError, cases, counted, looks, smooth, sound
from bench.peers.folder_faults import probe, read
from dashboard import style
from dashboard.faults import faults_figure

# timm leaves the files that it reads open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def parts(train: int = 9, val: int = 6, classes: tuple[str, ...] = CLASSES) -> dict[str, Read]:
    blank = np.zeros((24, 32, 3), np.uint8)
    return {part: Read(list(classes), [(blank, 0)] * count) for part, count in (("train", train), ("val", val))}


@pytest.mark.parametrize("tool", ["ours", "torchvision", "timm"])
def test_every_tool_reads_the_sound_folder(tool: str, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    sound(root)
    found = dict(read(tool, root))
    counted(9, 6)(found)
    assert np.array_equal(found["train"].pictures[0][0], np.asarray(smooth(0)))
    assert [label for _, label in found["val"].pictures] == [0, 0, 1, 1, 2, 2]


def test_what_is_silently_wrong_scores_nothing() -> None:
    counted(9, 6)(parts())
    for wrong in (parts(train=10), parts(val=5), parts(classes=("a", "b"))):
        with pytest.raises(WrongError):
            counted(9, 6)(wrong)
    with pytest.raises(WrongError, match="pixels 100 %"):
        looks("x", np.full((24, 32, 3), 255))(parts(train=10))


def test_an_error_is_clear_when_it_names_what_is_wrong(tmp_path: Path) -> None:
    def cut(root: Path) -> None:
        (root / "train" / "a" / "0.png").write_bytes(b"")

    assert probe("torchvision", Case(cut, counted(8, 6), ("0.png",)))[0] == 2
    assert probe("torchvision", Case(cut, counted(8, 6), ("other.png",)))[0] == 1
    assert probe("timm", Case(cut, counted(8, 6), ("0.png",)))[0] == 0  # it serves another picture in its place


def test_leaving_out_without_a_word_is_silently_wrong() -> None:
    def nothing(root: Path) -> None:
        pass

    assert probe("torchvision", Case(nothing, counted(9, 6), ("a",)))[0] == 3
    assert probe("torchvision", Case(nothing, counted(9, 6), ("no such word",), told=True))[0] == 0


def test_ours_has_full_marks_in_every_fault_of_folders() -> None:
    for name, forms in cases().items():
        score, seen = min(probe("ours", case) for case in forms)
        due = 2 if name.split()[0] in faults.ERROR_IS_RIGHT else 3
        assert score >= due, f"{name}: {seen}"


def test_sums_and_figure(tmp_path: Path) -> None:
    seen = {
        "D2 a class only in val": {"ours": (2, "error"), "timm": (0, "labels")},
        "T2 SIGTERM within an epoch": {"ours": (3, "resumed"), "lightning": (0, "exit 0")},
    }
    report = faults.report(seen)
    assert report.notes == [
        "ours         full marks in 2 of 2 faults, silently wrong in 0",
        "timm         full marks in 0 of 1 faults, silently wrong in 1",
        "lightning    full marks in 0 of 1 faults, silently wrong in 1",
    ]
    scores = {fault: {tool: score for tool, (score, _) in row.items()} for fault, row in seen.items()}
    picture = style.save(faults_figure(scores, ["ours", "timm", "lightning"]), tmp_path / "faults.png")
    assert picture.shape[2] == 3
    with pytest.raises(ValueError, match=r"D2 .*: no column or no score of 0 to 3 for timm"):
        faults_figure(scores, ["ours", "lightning"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--repeats", "2"], "every fault is provoked once"),
        (["--figure", "no/such/folder/x.png"], "there is no folder"),
        (["--", "--epochs", "1"], "nothing is passed on to train.py"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main(["faults", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_probe_that_tells_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("", "no json", json.dumps({"D1": "x"})):
        monkeypatch.setattr(faults, "run_child", lambda *_, said=said: (0.0, said))
        with pytest.raises(BenchError, match="told of no result"):
            faults.probe("folder_faults", "timm")
