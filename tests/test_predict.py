"""Prediction from a checkpoint: the same answers as in validation, a row for every file, one line for every mistake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import predict
from data.digits import Digits
from tests.conftest import Trained
from tests.runs import table


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, list[int]]:
    """The validation pictures of the trained run as files, with their digits."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    data = Digits()
    part = data.part("val")
    for number, image in enumerate(part.images):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:03d}.png")
    return folder, part.labels.tolist()


def run(trained: Trained, *words: str | Path) -> int:
    return predict.main([str(trained.folder / "checkpoints/best.ckpt"), *map(str, words), "--device", "cpu"])


def test_answers_are_those_of_validation(trained: Trained, pictures: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, digits = pictures
    out = tmp_path / "out.csv"
    assert run(trained, folder, "--out", out, "--top_k", "3") == 0
    rows = table(out)
    assert [row["path"] for row in rows] == sorted(str(path) for path in folder.iterdir())
    right = sum(row["label"] == str(digit) for row, digit in zip(rows, digits, strict=True))
    assert right / len(rows) == trained.metrics["best/val_accuracy"]
    assert list(rows[0]) == [
        "path",
        "label",
        "probability",
        "label_2",
        "probability_2",
        "label_3",
        "probability_3",
        "error",
    ]
    first = [float(rows[0][name]) for name in ("probability", "probability_2", "probability_3")]
    assert first == sorted(first, reverse=True)
    assert 0 < sum(first) <= 1 + 1e-5


def test_probabilities_use_the_temperature(trained: Trained, pictures: tuple[Path, list[int]], tmp_path: Path) -> None:
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["house"]["temperature"] == trained.metrics["test/temperature"] != 1
    classifier = predict.load(str(trained.folder / "checkpoints/best.ckpt"), "cpu")
    images = Digits().part("val").images[:4]
    with torch.no_grad():
        expected = (classifier.task(images) / classifier.temperature).softmax(1).amax(1)
    found = predict.likeliest(classifier, images, 1)
    assert [row[0][1] for row in found] == pytest.approx(expected.tolist(), abs=1e-6)


def test_bad_files_keep_their_row(trained: Trained, pictures: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, _ = pictures
    good = sorted(folder.iterdir())[0]
    (folder / "001.png").write_bytes(b"")
    (folder / "002.png").write_bytes(good.read_bytes()[:40])
    (folder / "003.jpg").write_text("not an image")
    (folder / ".hidden.png").write_bytes(good.read_bytes())
    out = tmp_path / "out.jsonl"
    assert run(trained, folder, "--out", out) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 145
    bad = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert set(bad) == {"001.png", "002.png", "003.jpg"}
    assert all(row["label"] is row["probability"] is None for row in rows if row["error"])
    assert all(row["label"] and row["probability"] > 0 for row in rows if row["error"] is None)
    assert run(trained, folder, "--out", out, "--strict", "--overwrite") == 1


def test_frames_that_are_not_read_are_told(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stroke = Image.new("L", (28, 28))
    ImageDraw.Draw(stroke).line((8, 4, 20, 24), fill=255, width=3)
    pages = [stroke.rotate(angle) for angle in (0, 90, 180)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "b.tif")
    (tmp_path / "c.tiff").write_bytes(b"II*")
    capsys.readouterr()
    assert run(trained, tmp_path) == 0
    told = capsys.readouterr().err
    assert f"warning: {tmp_path / 'a.tif'} has several frames, of which the first alone was read\n" in told
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    assert run(trained, tmp_path) == 0
    assert f"warning: {tmp_path / 'a.tif'} and 1 more have several frames" in capsys.readouterr().err
    assert run(trained, tmp_path / "c.tiff") == 1
    assert "frames" not in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "CMYK", "P"])
def test_a_hand_drawn_digit_of_any_mode_and_size_is_read(trained: Trained, tmp_path: Path, mode: str) -> None:
    paper = Image.new("RGB", (230, 310), "white")
    ImageDraw.Draw(paper).ellipse((60, 50, 170, 260), outline="black", width=22)
    file = tmp_path / ("zero.tif" if mode == "CMYK" else "zero.png")
    paper.convert(mode).save(file)
    out = tmp_path / "out.csv"
    assert run(trained, file, "--out", out) == 0
    (row,) = table(out)
    assert (row["label"], row["error"]) == ("0", "")


def test_a_run_folder_stands_for_its_best_checkpoint_and_no_picture_at_all_is_a_failure(
    trained: Trained, pictures: tuple[Path, list[int]], tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert predict.main([str(trained.folder), str(pictures[0] / "000.png"), "--out", str(out)]) == 0
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    assert run(trained, bad, "--out", out, "--overwrite") == 1
    assert table(out)[0]["error"]


def test_the_order_given_is_the_order_out(trained: Trained, pictures: tuple[Path, list[int]], tmp_path: Path) -> None:
    files = [pictures[0] / name for name in ("005.png", "001.png", "005.png")]
    out = tmp_path / "out.csv"
    assert run(trained, *files, "--out", out) == 0
    assert [row["path"] for row in table(out)] == [str(file) for file in files]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{ckpt}", "nowhere.png"], "there is no picture or folder at nowhere.png"),
        (["{ckpt}", "https://a.org/x.png"], "at https://a.org/x.png; an address of the network is not fetched"),
        (["nowhere.ckpt", "{picture}"], "no checkpoint at nowhere.ckpt"),
        (["{picture}", "{picture}"], "not a checkpoint of tensors and plain values; nothing was executed"),
        (["{ckpt}", "{empty}"], "no picture in"),
        (["{ckpt}", ""], "the path of a picture is empty"),
        (["{ckpt}", "{picture}", "--top_k", "0"], "--top_k: must be at least 1, got 0"),
        (["{ckpt}", "{picture}", "--top_k", "11"], "--top_k must be in 1..10 for this model, got 11"),
        (["export", "{ckpt}", "--to", "safetensors", "--out", "/proc/x.safetensors"], "cannot export to /proc/x.safet"),
        (["{ckpt}", "{picture}", "--out", "x.txt"], "--out must end in .csv or .jsonl, got x.txt"),
        (["{ckpt}", "{picture}", "--out", "{folder}", "--overwrite"], "x.csv is a folder: name a file in it"),
        (["{ckpt}", "{picture}", "--explain", "{picture}", "--overwrite"], "p.png is a file: name a folder"),
        (["{ckpt}", "{picture}", "--out", "/nowhere/x.csv"], "cannot write /nowhere/x.csv: No such file or directory"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    trained: Trained, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").mkdir()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "p.png")
    places = {
        "ckpt": trained.folder / "checkpoints/best.ckpt",
        "picture": tmp_path / "p.png",
        "empty": tmp_path / "empty",
        "folder": tmp_path / "x.csv",
    }
    assert predict.main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("predict.py: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_checkpoint_of_another_kind_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "p.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(picture)
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, foreign)
    assert predict.main([str(foreign), str(picture)]) == 2
    assert "is no checkpoint of this project" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(house=[1]), "is not a checkpoint: its house holds no names with values"),
        (lambda c: c.update(hyper_parameters="x"), "is not a checkpoint: its hyper_parameters holds no names"),
        (lambda c: c["house"].update(recipe="x"), "is not a checkpoint: its recipe holds no names with values"),
        (lambda c: c["house"].update(model=["cnn"]), "is no checkpoint of this project: it names no model"),
        (lambda c: c["house"].update(model="rbm"), "holds the model 'rbm' on digits: predict.py needs a classifier"),
        (lambda c: c.pop("hyper_parameters"), "does not fit the model 'cnn': CNNTask.__init__() missing"),
        (lambda c: c["hyper_parameters"].update(widths=[3, 5]), "does not fit the model 'cnn': size mismatch for"),
        (
            lambda c: c["hyper_parameters"].update(image_size=[]),
            "does not fit the model 'cnn': list index out of range",
        ),
        (lambda c: c["hyper_parameters"].update(mean=2**1100), "does not fit the model 'cnn': Overflow"),
        (lambda c: c["house"].update(temperature=2**1100), "does not fit the model 'cnn': int too large to convert"),
        (lambda c: c["house"].update(temperature=-1.0), "does not fit the model 'cnn': its temperature is -1.0"),
        (lambda c: c["house"].update(temperature="hot"), "does not fit the model 'cnn': could not convert"),
        (lambda c: c["house"]["preprocessing"].update(image_size=[-5, 8]), "image_size must be at least 1×1, got -5×8"),
        (lambda c: next(iter(c["state_dict"].values())).fill_(float("nan")), "its weights are not finite (mean)"),
    ],
)
def test_an_altered_checkpoint_is_refused_in_one_line(
    trained: Trained, tmp_path: Path, change: Callable[[Any], Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, file = tmp_path / "p.png", tmp_path / "altered.ckpt"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(picture)
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, file)
    assert predict.main([str(file), str(picture)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
