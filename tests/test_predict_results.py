"""Views, explanations and exported files; and what predict.py does not do to somebody's files."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

import predict
from data.digits import Digits
from data.files.preprocess import preprocess
from data.folder import Folder
from models.classification.deployment import Deployed, export_checked
from models.classification.gradcam import grad_cam
from models.classification.views import most_views, picture_views
from tests.conftest import Trained
from tests.exported import exported_answers, exported_file
from tests.runs import table
from trainer.command.front import Request
from trainer.command.options import Settings
from trainer.run.record import house_record


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Four digits as files."""
    images = Digits().part("val").images[:4]
    for number, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{number}.png")
    return [str(tmp_path / f"{number}.png") for number in range(4)]


def test_views_begin_with_the_picture_and_move_by_whole_pixels() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    plain = picture_views(ramp, 9, mirror=False)
    assert torch.equal(plain[0], ramp)
    assert torch.equal(plain[1][..., 1:], ramp[..., :-1])
    assert torch.equal(plain[1][..., 0], ramp[..., 0]), "the edge is repeated"
    assert torch.equal(plain[3][..., 1:, :], ramp[..., :-1, :])
    assert len({view.numpy().tobytes() for view in plain}) == 9
    mirrored = picture_views(ramp, most_views(True), mirror=True)
    assert all(torch.equal(two, one.flip(-1)) for one, two in zip(mirrored[::2], mirrored[1::2], strict=True))
    with pytest.raises(ValueError, match=r"in 1\.\.9, got 10"):
        picture_views(ramp, 10, mirror=False)


def test_mirror_images_are_views_only_of_what_was_trained_on_them(trained: Trained, files: list[str]) -> None:
    classifier = predict.load(str(trained.folder), "cpu")
    assert classifier.mirrors is False
    assert Digits(flip=0.5).mirrors
    assert not Digits().mirrors
    folder = {"path": str(Path(files[0]).parent), "image_size": 8}
    assert Folder(**folder).mirrors
    assert not Folder(**folder, aug="none").mirrors
    for draws in (True, False):
        task: Any = SimpleNamespace()
        data = Folder(**folder)
        data.draws_views, data.fingerprints = draws, dict  # type: ignore[method-assign]
        record = house_record(Request(), Settings({}, {}, {}, 0, "none", None), data, task)
        assert record["mirrors"] is draws


def test_one_view_is_the_plain_answer_and_several_are_its_mean(trained: Trained, files: list[str]) -> None:
    classifier = predict.load(str(trained.folder), "cpu")
    images = torch.stack([preprocess(file, classifier.preprocessing) for file in files])
    assert predict.likeliest(classifier, images, 3, tta=1) == predict.likeliest(classifier, images, 3)
    views = picture_views(images, 5, classifier.mirrors)
    with torch.no_grad():
        mean = torch.stack([(classifier.task(view) / classifier.temperature).softmax(1) for view in views]).mean(0)
    found = predict.likeliest(classifier, images, 1, tta=5)
    assert [row[0][1] for row in found] == pytest.approx(mean.amax(1).tolist(), abs=1e-6)


def test_each_picture_is_explained_and_bad_ones_are_left_out(
    trained: Trained, files: list[str], tmp_path: Path
) -> None:
    Path(files[1]).write_bytes(b"")
    why, out = tmp_path / "why", tmp_path / "out.csv"
    words = [str(trained.folder), *files, "--explain", str(why), "--out", str(out), "--device", "cpu"]
    assert predict.main(words) == 0
    assert sorted(path.name for path in why.iterdir()) == ["00001-0.png", "00003-2.png", "00004-3.png"]
    label = table(out)[0]["label"]
    with Image.open(why / "00001-0.png") as picture:
        assert picture.size == (448, 224)  # 8×8 enlarged 28 times, twice
        assert picture.info["Title"].startswith(f"0.png: {label}, ")
    assert predict.main(words) == 2
    assert predict.main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize("stem", ["l" * 251, "ä" * 125, "x" + "€" * 83])
def test_a_heat_of_a_long_name_is_called_by_its_beginning(trained: Trained, stem: str, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(picture := tmp_path / f"{stem}.png")
    assert predict.main([str(trained.folder), str(picture), "--explain", str(tmp_path / "why"), "--device", "cpu"]) == 0
    (name,) = os.listdir(tmp_path / "why")
    assert 250 < len(name.encode()) <= 255
    assert name.startswith("00001-")
    assert stem.startswith(name.removeprefix("00001-").removesuffix(".png"))


def test_a_file_is_replaced_only_when_asked(
    trained: Trained, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("a night's work")
    assert predict.main([str(trained.folder), *files, "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"predict.py: --out {out} exists: choose another name, or --overwrite\n"
    assert out.read_text() == "a night's work"
    assert predict.main([str(trained.folder), *files, "--out", str(out), "--overwrite"]) == 0
    assert len(table(out)) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tpo_k", "3"], "no option '--tpo_k', did you mean '--top_k'?"),
        (["--top_k", "1", "--top_k=2"], "--top_k is given twice: give it once"),
        (["--batch_size", "many"], "--batch_size: must be a whole number, got 'many'"),
        (["--tta", "10"], "--tta must be in 1..9 for this model, got 10; it was trained without mirror images"),
        (["--tta", "0"], "--tta: must be at least 1, got 0"),
    ],
)
def test_wrong_words_are_one_line(
    trained: Trained, files: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([str(trained.folder), *files, *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"predict.py: {message}"), captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_task_that_does_not_classify_is_refused(
    trained: Trained, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["house"] |= {"model": "face", "data": "face-splits"}
    other = tmp_path / "other.ckpt"
    torch.save(checkpoint, other)
    assert predict.main([str(other), *files]) == 2
    assert "holds the model 'face' on face-splits: predict.py needs a classifier" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["onnx", "torch-export", "safetensors"])
def test_an_exported_file_answers_like_predict(
    trained: Trained, files: list[str], tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = exported_file(kind, tmp_path)
    assert predict.main(["export", str(trained.folder), "--to", kind, "--out", str(out)]) == 0
    assert "differ from torch's by at most" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    (tmp_path / "plain").touch()
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode  # readable by whom other files are
    classifier = predict.load(str(trained.folder), "cpu")
    images = torch.stack([preprocess(file, classifier.preprocessing) for file in files])
    expected = predict.likeliest(classifier, images[:3], 1)
    probabilities, facts = exported_answers(kind, out, images[:3])
    names = facts["class_names"]
    assert facts["preprocessing"] == classifier.preprocessing
    assert probabilities.shape == (3, 10)
    assert [names[number] for number in probabilities.argmax(1)] == [row[0][0] for row in expected]
    assert probabilities.amax(1).tolist() == pytest.approx([row[0][1] for row in expected], abs=1e-5)


def test_a_file_that_disagrees_is_not_written(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import models.classification.deployment as deployment

    monkeypatch.setattr(deployment, "write_torch_export", lambda *_: lambda images: torch.zeros(len(images), 10))
    out = tmp_path / "model.pt2"
    assert predict.main(["export", str(trained.folder), "--to", "torch-export", "--out", str(out)]) == 1
    assert "is not written: its probabilities of 5 pictures differ" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_libraries_are_named_with_the_command_that_installs_them(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    classifier = predict.load(str(trained.folder), "cpu")
    with pytest.raises(ValueError, match="not installed: pip install onnx onnxscript onnxruntime"):
        export_checked(Deployed(classifier.task), "onnx", tmp_path / "m.onnx", classifier.preprocessing, {})


def test_export_refuses_in_one_line(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--to", "onx"], "--to: invalid choice: 'onx'"),
        ([], "the following arguments are required: --to"),
        (["--to", "onnx", "--out", "m.pt"], "--out must end in .onnx for onnx, got m.pt"),
        (["--to", "safetensors", "--out", str(tmp_path / "no" / "m.safetensors")], "cannot export to"),
    ):
        assert predict.main(["export", str(trained.folder), *words]) == 2
        assert capsys.readouterr().err.startswith(f"predict.py: {message}")


def test_something_speaks_for_every_guess(trained: Trained) -> None:
    """A heat of nothing explains nothing: before the last activation 4 of 10 digits had none."""
    task = predict.load(str(trained.folder), "cpu").task
    x = task.normalise(Digits().part("test").images)
    with torch.no_grad():
        guesses = task.network(x).argmax(1)
    heat = grad_cam(task.network, task.network.last_spatial(), x, guesses)
    assert (heat.amax((1, 2)) > 0).float().mean() > 0.99
