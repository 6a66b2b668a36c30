"""P1 to P3: prediction with a classifier of somebody's folder, on good files and bad ones, here and elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import torchvision

import predict
import train
from tests.data.pictures import folder, write
from tests.faults.scores import record
from tests.models.small_folder import BACKBONE, words
from tests.runs import metrics_of, only_run, table

CLASSES = ["Émeu", "no label"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pictures of many sizes, which no class can be seen on, and the run of a head on a network with weights."""
    root = tmp_path_factory.mktemp("classifier")
    pictures = folder(root / "pictures", {f"train/{name}": 6 for name in CLASSES})
    for seed, name in enumerate(CLASSES):
        for number in range(10):
            size = 40 + 9 * number, 150 - 11 * number
            write(pictures / f"val/{name}/{number}{('.jpg', '.png')[number % 2]}", 100 * (seed + 1) + number, *size)
    torch.manual_seed(0)
    torch.save(torchvision.models.get_model(BACKBONE, num_classes=7).state_dict(), root / "weights.pth")
    given = words(pictures, root / "runs", "--model.tune", "head", "--trainer.precision", "32-true")
    given[given.index("none")] = str(root / "weights.pth")
    assert train.main(given) == 0
    return pictures, only_run(root / "runs")


def predicted(out: Path, *given: str | Path) -> list[dict[str, str]]:
    """Rows of a prediction that succeeded."""
    assert predict.main([*map(str, given), "--device", "cpu", "--out", str(out)]) == 0
    return table(out)


def test_p1_bad_files_among_good_ones_keep_their_row_and_say_why(
    classifier: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = classifier
    place = tmp_path / "new"
    for number, name in enumerate("aceg"):
        write(place / f"{name}.jpg", number, 200, 200)
    (place / "b.jpg").write_bytes(b"")
    (place / "d.jpg").write_bytes((place / "a.jpg").read_bytes()[:700])
    (place / "f.jpg").write_text("not an image")
    rows = predicted(tmp_path / "out.csv", run, place, "--batch_size", "3")
    assert [Path(row["path"]).name for row in rows] == [f"{name}.jpg" for name in "abcdefg"]
    assert "4 of 7 pictures predicted" in capsys.readouterr().err
    causes = {Path(row["path"]).stem: row["error"] for row in rows if row["error"]}
    assert list(causes) == ["b", "d", "f"]
    for cause, said in zip(causes.values(), ("is empty", "truncated", "no picture that Pillow knows"), strict=True):
        assert said in cause
    assert all((row["label"] == row["probability"] == "") == bool(row["error"]) for row in rows)
    alone = predicted(tmp_path / "alone.csv", run, *(place / f"{name}.jpg" for name in "aceg"))
    good = [row for row in rows if not row["error"]]
    assert [(row["path"], row["label"]) for row in good] == [(row["path"], row["label"]) for row in alone]
    shares = [[float(row["probability"]) for row in answers] for answers in (good, alone)]
    assert shares[0] == pytest.approx(shares[1], abs=1e-3), "bad neighbours change no answer"
    strict = [str(run), str(place), "--strict", "--batch_size", "3", "--device", "cpu"]
    assert predict.main([*strict, "--out", str(tmp_path / "strict.csv")]) == 1
    assert table(tmp_path / "strict.csv") == rows
    record("P1", 3)


def test_p2_the_answers_are_those_of_the_validation_to_the_last_picture(
    classifier: tuple[Path, Path], tmp_path: Path
) -> None:
    pictures, run = classifier
    validated = {row["path"]: row for row in table(run / "top_losses.csv")}
    rows = predicted(tmp_path / "out.csv", run, pictures / "val")
    assert sorted(validated) == [row["path"] for row in rows]
    assert [row["label"] for row in rows] == [validated[row["path"]]["predicted"] for row in rows]
    assert {row["label"] for row in rows} == set(CLASSES), "else it is no test"
    right = sum(Path(row["path"]).parent.name == row["label"] for row in rows)
    assert right / len(rows) == metrics_of(run)["val/accuracy"]
    record("P2", 3)


def test_p3_a_checkpoint_alone_knows_its_classes(classifier: tuple[Path, Path], tmp_path: Path) -> None:
    pictures, run = classifier
    place, new = tmp_path / "elsewhere", tmp_path / "new"
    shutil.copytree(pictures / "val", new)
    before = predicted(tmp_path / "before.csv", run, new, "--top_k", "2")
    place.mkdir()
    shutil.copy(run / "checkpoints/last.ckpt", place / "mine.ckpt")
    hidden = pictures.parent.rename(pictures.parent.with_name("hidden"))  # pictures, cache, weights and runs
    try:
        after = predicted(tmp_path / "after.csv", place / "mine.ckpt", new, "--top_k", "2")
    finally:
        hidden.rename(pictures.parent)
    assert after == before
    assert all({row["label"], row["label_2"]} == set(CLASSES) for row in after)
    record("P3", 3)
