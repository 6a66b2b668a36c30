"""How predictions and curves are judged, with answers that are only pretended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.peers import board_faults, predict_faults
from bench.peers.predict_faults import BAD, GOOD, judged
from dashboard.server import ServerError
from tests.bench.pretended import Done, Pretended

FINE = [{"path": f"x/{name}", "label": "" if name == BAD else "red"} for name in sorted((*GOOD, BAD))]
EXPLAINED = [{**row, "error": "is empty" if not row["label"] else ""} for row in FINE]


@pytest.mark.parametrize(
    ("status", "said", "rows", "score"),
    [
        (0, "", EXPLAINED, 3),
        (0, "", FINE, 0),  # no reason
        (0, "", [row for row in FINE if row["label"]], 0),  # left out
        (0, "", EXPLAINED[::-1], 0),  # in another order
        (0, "", [{**row, "label": "red"} for row in EXPLAINED], 0),  # another picture's
        (0, "", [{**row, "label": ""} for row in EXPLAINED], 0),
        (1, f"cannot identify {BAD}", [], 2),
        (1, "OSError: truncated", [], 1),
    ],
)
def test_a_broken_file_to_predict(status: int, said: str, rows: list[dict[str, str]], score: int) -> None:
    assert judged(Done([], status, "", said), rows)[0] == score


class Answering(Pretended):
    """It has trained, and calls every picture red."""

    def __init__(self, root: Path, said: float, label: str = "red", status: int = 0) -> None:
        super().__init__(root, status, "oops", [None])
        self.save(root / "last.ckpt", 1.0)
        (root / "said.txt").write_text(f"epoch 1\nval/accuracy {said:.6f}\n")
        self.label = label

    def call(self, *words: str) -> Done:
        folder, out = (Path(words[words.index(option) + 1]) for option in ("--predict", "--out"))
        rows = "".join(f"{path},{self.label}\n" for path in sorted(folder.rglob("*.png")))
        out.write_text(f"path,label\n{rows}")
        return super().call(*words)


@pytest.mark.parametrize(("said", "status", "score"), [(0.25, 0, 3), (0.5, 0, 0), (0.25, 1, 1)])
def test_the_validation_predicted_again(tmp_path: Path, said: float, status: int, score: int) -> None:
    for label, count in (("red", 1), ("blue", 3)):
        (tmp_path / "pictures" / "val" / label).mkdir(parents=True)
        for index in range(count):
            (tmp_path / "pictures" / "val" / label / f"{index}.png").touch()
    verdict = predict_faults.again(Answering(tmp_path, said, status=status))
    assert verdict is not None
    assert verdict[0] == score


@pytest.mark.parametrize(("label", "status", "score"), [("red", 0, 3), ("1", 0, 1), ("red", 1, 1)])
def test_a_checkpoint_alone(tmp_path: Path, label: str, status: int, score: int) -> None:
    (tmp_path / "pictures").mkdir()
    verdict = predict_faults.alone(Answering(tmp_path, 1.0, label, status))
    assert verdict is not None
    assert verdict[0] == score
    assert not (tmp_path / "pictures").exists()


def test_what_does_not_train_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lightning does not train: oops"):
        predict_faults.trained(Pretended(tmp_path, 1, "oops", [None]))


WHOLE = [("train/loss", 0, 2.0), ("train/loss", 1, 1.0)]


@pytest.mark.parametrize(
    ("whole", "cut", "score"),
    [(WHOLE, WHOLE[:1], 3), (WHOLE, [], 1), (WHOLE, [("train/loss", 0, 9.0)], 0), ([], [], 1)],
)
def test_a_damaged_log(whole: list[Any], cut: list[Any], score: int) -> None:
    assert board_faults.judged(whole, {"cut off": cut, "corrupt": WHOLE[:1]})[0] == score


class Board:
    """Answers as TensorBoard's JSON API does, for two runs."""

    def json(self, path: str, body: Any = None, **query: Any) -> Any:
        return {
            "/data/plugin/scalars/tags": {"a": {"train/loss": {}}},
            "/data/plugin/scalars/scalars": [[7.0, 0, 2.0], [8.0, 1, 1.0]],
            "/data/plugin/hparams/experiment": {"hparamInfos": [{"name": "model.widths"}, {"name": "lr"}]},
            "/data/plugin/hparams/session_groups": {"sessionGroups": [{}, {}]},
        }[path]


def test_what_tensorboard_shows_is_asked_of_it() -> None:
    board: Any = Board()
    assert board_faults.shown(board, "a") == WHOLE
    assert board_faults.shown(board, "b") == []
    assert board_faults.table(board) == (2, {"widths", "lr"})


def test_an_answer_counts_once_it_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_faults, "SETTLED_S", 0.05)
    monkeypatch.setattr(board_faults, "POLL_S", 0.01)
    answers = [None, 1, 2]

    def ask() -> Any:
        if len(answers) > 1 and answers.pop(0) is None:
            raise ServerError("not yet")
        return answers[0]

    assert board_faults.settled(ask) == 2
