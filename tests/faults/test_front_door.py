"""D2, D19, T18 and --data.on_bad error through train.py: exit status 2, one line, no traceback, no run."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import train
from tests.data.pictures import folder
from tests.faults.scores import record

Words = Callable[[Path], list[str]]


def class_only_in_val(split: Path) -> list[str]:
    folder(split, {"val/d": 2}, first_seed=90)
    return ["--data", str(split)]


def class_only_in_val_of_as_many(split: Path) -> list[str]:
    shutil.rmtree(split / "val" / "a")
    return class_only_in_val(split)


def bad_files(split: Path) -> list[str]:
    for part in ("train", "val"):
        (split / part / "a" / "bad.jpg").write_bytes(b"")
    return ["--data", str(split), "--data.on_bad", "error"]


def rows(*more: str, head: str = "path,label") -> Words:
    def write(split: Path) -> list[str]:
        files = sorted(path.relative_to(split) for path in split.glob("train/*/*.png"))
        table = split / "list.csv"
        table.write_text("\n".join([head, *(f"{file},{file.parent.name}" for file in files), *more]) + "\n")
        return ["--data", str(table)]

    return write


def no_weights(split: Path) -> list[str]:
    return ["--data", str(split), "--model.backbone", "resnet18"]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and no weights of earlier runs."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.delenv(spelling, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("case", "given", "message"),
    [
        ("D2", class_only_in_val, "class d is in val but has no usable picture in train; train has a, b, c"),
        ("D2", class_only_in_val_of_as_many, "class d is in val but has no usable picture in train"),
        ("D19", rows("train/a/none.png,a"), "row 11: no such file: "),
        ("D19", rows(head="path,lable"), "row 1: no column 'label'"),
        ("D19", rows("train/a/0.png,b"), "row 11: repeats row 2"),
        ("D19", lambda split: ["--data", str(split / "none.csv")], "none.csv: there is no such file"),
        ("", bad_files, "2 bad files, with --data.on_bad error nothing is left out:"),
        ("T18", no_weights, "Put resnet18-f37072fd.pth into "),
        ("T18", lambda split: [*no_weights(split)[:-1], "timm/resnet10t"], "weights for timm/resnet10t"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(
    split: Path,
    tmp_path: Path,
    offline: None,
    case: str,
    given: Words,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """timm's weights alone are looked for after the pictures, of which some lines were said by then."""
    root = tmp_path / "runs"
    words = ["--model", "cnn", "--device", "cpu", "--data.cache_dir", str(tmp_path / "cache"), *given(split)]
    assert train.main([*words, "--root", str(root)]) == 2
    printed, error = capsys.readouterr()
    said, _, refusal = error.rpartition("train.py: ")
    assert said == "" or ("timm" in message and said.startswith(f"{split}: 3 classes: a, b, c"))
    line, *listed = refusal.splitlines()
    assert message in line
    assert len(listed) == (2 if given is bad_files else 0), "each bad file has a line of its own"
    assert all(text.endswith("/bad.jpg: is empty (0 bytes)") for text in listed)
    assert printed == ""
    assert not root.exists()
    if case:
        record(case, 2)
