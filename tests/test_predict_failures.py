"""What predict.py does where it cannot do what was asked: precision, odd names, paths, exporters that fail."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch.utils.data import DataLoader

import predict
from data.digits import Digits
from tests.conftest import Trained
from tests.exported import exported_file
from trainer.device import PRECISIONS, answering_precision, precision_name, weight_type
from trainer.errors import UserError

PROJECT = Path(__file__).parent.parent


def picture(path: Path | bytes) -> None:
    with open(path, "wb") as file:
        Image.fromarray(Digits().part("val").images[0, 0].numpy()).save(file, format="PNG")


@pytest.fixture
def fast_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.device.cpu_flags", lambda: frozenset({"avx512_bf16", "avx512_fp16"}))


def trained_in(trained: Trained, precision: str, path: Path) -> Path:
    """The checkpoint of the trained run as it would be of a run in another precision."""
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["house"]["precision"] = precision
    kind = weight_type(precision_name(precision))
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {n: v.to(kind) if v.is_floating_point() else v for n, v in state.items()}
    torch.save(checkpoint, path)
    return path


@pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers")
@pytest.mark.parametrize("precision", [*PRECISIONS, "bf16"])
def test_answers_are_computed_in_the_precision_of_the_validation(
    trained: Trained, tmp_path: Path, fast_cpu: None, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = predict.load(str(trained_in(trained, precision, tmp_path / "x.ckpt")), "cpu")
    assert capsys.readouterr().err == ""
    images = Digits().part("val").images[:8]
    found = predict.likeliest(classifier, images, 3)
    full: Any = precision_name(precision)
    judged: Any = "32-true" if full.endswith("-mixed") else full
    lightning = Trainer(
        accelerator="cpu", precision=judged, logger=False,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    (logits,) = lightning.predict(classifier.task, DataLoader(images, batch_size=8))  # type: ignore[arg-type, misc]
    values, classes = (logits.float() / classifier.temperature).softmax(1).topk(3, dim=1)
    names = classifier.task.hparams["class_names"]
    assert [[name for name, _ in row] for row in found] == [[names[c] for c in row] for row in classes.tolist()]
    assert torch.equal(torch.tensor([[p for _, p in row] for row in found]), values)
    assert classifier.precision == judged
    if judged in ("bf16-true", "16-true"):
        plain = predict.likeliest(
            dataclasses.replace(classifier, task=classifier.task.float(), precision="32-true"), images, 3
        )
        assert plain != found, "another precision gives other numbers"


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_what_this_cpu_would_only_emulate_is_answered_in_float32(
    trained: Trained,
    tmp_path: Path,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("trainer.device.cpu_flags", lambda: frozenset({"avx2"}))
    classifier = predict.load(str(trained_in(trained, precision, tmp_path / "x.ckpt")), "cpu")
    assert capsys.readouterr().err == (
        f"note: validated in {precision}, which this CPU would only emulate: it answers in 32-true\n"
    )
    assert classifier.precision == "32-true"
    assert all(value.dtype in (torch.float32, torch.int64) for value in classifier.task.state_dict().values())
    predict.likeliest(classifier, Digits().part("val").images[:2], 1)
    assert answering_precision(precision, "cuda") == (precision, "")


def test_an_unknown_precision_is_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected auto, 32-true, .*, got 'fp8'"):
        precision_name("fp8")
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["house"]["precision"] = "fp8"
    torch.save(checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"does not fit the model 'cnn': .*got 'fp8'"):
        predict.load(str(tmp_path / "x.ckpt"), "cpu")


def holds(table: bytes, raw: bytes) -> None:
    """The only row of a CSV table begins with this path."""
    assert table.splitlines()[1].startswith(raw + b",")
    (row,) = csv.DictReader(table.decode("utf-8", "surrogateescape").splitlines())
    assert os.fsencode(row["path"]) == raw


@pytest.fixture
def unreadable(tmp_path: Path) -> bytes:
    """Path of a picture whose name is not UTF-8."""
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    picture(raw)
    return raw


@pytest.mark.parametrize("encoding", ["utf-8:strict", "latin-1", "ascii"])
def test_a_name_that_is_not_utf_8_is_printed_as_it_is(trained: Trained, unreadable: bytes, encoding: str) -> None:
    """A process of its own: how standard output takes bytes is settled when Python starts."""
    words = [sys.executable, "predict.py", str(trained.folder), unreadable, "--device", "cpu"]
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding}
    done = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    holds(done.stdout, unreadable)


def test_a_name_that_is_not_utf_8_is_written_as_it_is(trained: Trained, tmp_path: Path, unreadable: bytes) -> None:
    words = [str(trained.folder), os.fsdecode(unreadable), "--device", "cpu", "--out"]
    assert predict.main([*words, str(tmp_path / "o.jsonl")]) == 0
    assert os.fsencode(json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["path"]) == unreadable
    assert predict.main([*words, str(tmp_path / "o.csv"), "--explain", str(tmp_path / "why")]) == 0
    holds((tmp_path / "o.csv").read_bytes(), unreadable)
    assert os.listdir(os.fsencode(tmp_path / "why")) == [b"00001-caf\xe9.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "x" * 5000 + ".png"], "a path is too long: xxx"),
        (["x" * 5000, "PICTURE"], "a path is too long: xxx"),
        (["RUN", "PICTURE", "--out", "x" * 5000 + ".csv"], "a path is too long: xxx"),
        (["RUN", "~nosuchuser/x.png"], "~nosuchuser/x.png: there is no home folder of '~nosuchuser'"),
        (["~nosuchuser/run", "PICTURE"], "~nosuchuser/run: there is no home folder of '~nosuchuser'"),
        (["RUN", "PICTURE", "--out", "~nosuchuser/o.csv"], "~nosuchuser/o.csv: there is no home folder of"),
        (["export", "~nosuchuser/run", "--to", "onnx"], "~nosuchuser/run: there is no home folder of '~nosuchuser'"),
        (["PARENT", "PICTURE"], "no run at PARENT: PARENT holds the run RUN"),
        (["PARENT/none", "PICTURE"], "no checkpoint at PARENT/none"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_line(
    trained: Trained, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "p.png")
    places = {"RUN": str(trained.folder), "PICTURE": str(tmp_path / "p.png"), "PARENT": str(trained.folder.parent)}

    def filled(text: str) -> str:
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    assert predict.main([filled(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"predict.py: {filled(message)}"), error
    assert error.count("\n") == 1


def test_an_exporter_that_fails_in_its_own_way_is_one_line(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import models.classification.deployment as deployment

    class OwnError(Exception):
        """As torch.export and torch.onnx have them."""

    def fail(*_: Any) -> None:
        raise OwnError("data dependent\nexpression")

    monkeypatch.setattr(deployment, "write_torch_export", fail)
    out = tmp_path / "model.pt2"
    assert predict.main(["export", str(trained.folder), "--to", "torch-export", "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"predict.py: cannot export to {out}: OwnError: data dependent expression\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["onnx", "torch-export", "safetensors"])
@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_an_export_onto_a_full_disk_is_one_line_and_no_file(
    trained: Trained, tmp_path: Path, kind: str, cause: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = exported_file(kind, tmp_path)

    def full(self: Path, content: bytes) -> NoReturn:
        with self.open("wb") as file:
            file.write(content[:1000])
        raise OSError(cause, os.strerror(cause), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert predict.main(["export", str(trained.folder), "--to", kind, "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"predict.py: cannot export to {out}: the disk is full\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cause", "status", "said"),
    [
        (errno.EROFS, 2, "--explain {why}: cannot write to {parent}: Read-only file system"),
        (errno.ENOSPC, 1, "cannot write to {parent}: the disk is full"),
    ],
)
def test_a_folder_for_explanations_is_tried_before_the_table_is_begun(
    trained: Trained, tmp_path: Path, cause: int, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    picture(tmp_path / "p.png")
    why, out = tmp_path / "more" / "why", tmp_path / "o.csv"

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(cause, os.strerror(cause))

    with monkeypatch.context() as patch:
        patch.setattr("trainer.files.tempfile.mkstemp", refuse)
        words = [str(trained.folder), str(tmp_path / "p.png"), "--out", str(out), "--explain", str(why)]
        assert predict.main(words) == status
    assert capsys.readouterr().err == f"predict.py: {said.format(why=why, parent=tmp_path)}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["p.png"]
    (tmp_path / "more").touch()
    assert predict.main(words) == 2
    assert capsys.readouterr().err == f"predict.py: --explain {why}: {tmp_path / 'more'} is no folder\n"
    assert not out.exists()


@pytest.mark.parametrize("what", ["table", "explanation"])
def test_a_disk_that_fills_up_while_it_predicts_is_status_1(
    trained: Trained, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    picture(tmp_path / "p.png")
    name = {"table": "data.files.answers.write", "explanation": "models.classification.gradcam.save_heats"}[what]

    def full(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(name, full)
    why, out = tmp_path / "why", tmp_path / "o.csv"
    words = [str(trained.folder), str(tmp_path / "p.png"), "--out", str(out), "--explain", str(why)]
    assert predict.main([*words, "--device", "cpu"]) == 1
    place = f"to {why}" if what == "explanation" else out
    assert capsys.readouterr().err == f"predict.py: cannot write {place}: the disk is full\n"
