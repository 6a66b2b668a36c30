"""The rule by which tools are scored, and the matrix drawn from it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from bench import __main__ as front
from bench import faults
from bench.harness import BenchError
from bench.peers import board_faults, predict_faults, training_faults, weights_faults
from bench.peers.folder_cases import CLASSES, Case, Read, WrongError, counted, looks, smooth, sound
from bench.peers.folder_faults import cases, probe, read
from bench.peers.split_cases import trained_on
from dashboard import style
from dashboard.faults import faults_figure

# timm leaves the files that it reads open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


OURS_ALONE = ("D17", "D18", "D19")


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
    for name, forms in cases("ours").items():
        score, seen = min(probe("ours", case) for case in forms)
        due = 2 if name.split()[0] in faults.ERROR_IS_RIGHT else 3
        assert score >= due, f"{name}: {seen}"


def test_every_fault_has_one_row() -> None:
    modules = (training_faults, weights_faults, predict_faults, board_faults)
    rows = [*cases("ours"), *(name for module in modules for name in module.CASES)]
    due = {"D": 19, "T": 23, "P": 3, "B": 2}
    assert sorted(name.split()[0] for name in rows) == sorted(
        f"{kind}{number}" for kind, count in due.items() for number in range(1, count + 1)
    )
    assert {name.split()[0] for name in rows} >= faults.ERROR_IS_RIGHT


def test_a_loader_that_splits_nothing_is_not_asked_for_a_split() -> None:
    for tool in ("torchvision", "timm"):
        assert cases("ours").keys() - cases(tool).keys() == {name for name in cases("ours") if name[:3] in OURS_ALONE}
    assert len(cases("timm")) == 16


def test_the_only_picture_of_a_class_must_be_trained_on() -> None:
    blank = np.zeros((24, 32, 3), np.uint8)

    def sides(train: list[int], val: list[int]) -> dict[str, Read]:
        labels = {"train": train, "val": val}
        return {part: Read(list(CLASSES), [(blank, label) for label in each]) for part, each in labels.items()}

    trained_on(sides([0, 1, 2], [1, 2]))
    for wrong in (sides([1, 2], [0, 1, 2]), sides([0, 1, 2], []), sides([1, 2], [1, 2])):
        with pytest.raises(WrongError):
            trained_on(wrong)


def test_each_part_asks_its_tools_and_rows_stand_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def probed(module: str, tool: str) -> dict[str, tuple[int, str]]:
        asked.append((module, tool))
        return {"T10 ten": (3, "")} if module == "training_faults" else {"T9 nine": (2, ""), "B1 one": (0, "")}

    monkeypatch.setattr(faults, "probe", probed)
    report = faults.run(Namespace(only="training", figure=None))
    assert asked == [
        *(("training_faults", tool) for tool in ("ours", "lightning")),
        *(("weights_faults", tool) for tool in ("ours", "torchvision", "timm")),
    ]
    rows = report.tables[0][1]
    assert [row[0] for row in rows if row[0]] == ["B1 one", "T9 nine", "T10 ten"]
    asked.clear()
    faults.run(Namespace(only=None, figure=None))
    assert len(asked) == 13


def test_many_faults_stand_in_two_halves() -> None:
    for count, panels in ((30, [30]), (47, [24, 23])):
        figure = faults_figure({f"D{number} x": {"ours": 3} for number in range(count)}, ["ours"])
        assert [len(axes.get_yticks()) for axes in figure.axes] == panels


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
