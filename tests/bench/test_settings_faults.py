"""How it is judged what a training is told, and what is made of pictures, with processes that are only pretended."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.peers import picture_faults, settings_faults, weights_faults
from data.folder import Folder
from tests.bench.pretended import Done, Pretended


@pytest.mark.parametrize("name", ["ours", "lightning"])
@pytest.mark.parametrize(("said", "score"), [("no {}", 2), ("oops", 1)])
def test_each_word_that_does_not_exist_must_be_named(tmp_path: Path, name: str, said: str, score: int) -> None:
    class Refusing(Pretended):
        def call(self, *words: str) -> Done:
            wrong = "cnm" if "cnm" in words else "witdh" if any("witdh" in word for word in words) else "wide"
            return Done(words, 2, "", said.format(wrong))

    tool = Refusing(tmp_path, 2, "", [None], name=name)
    assert settings_faults.mistyped(tool)[0] == score
    assert "wide" in (tmp_path / "wrong.yaml").read_text()


def test_one_word_that_is_accepted_is_silently_wrong(tmp_path: Path) -> None:
    class Careless(Pretended):
        def call(self, *words: str) -> Done:
            return Done(words, 0 if "--model.witdh" in words else 2, "", "cnm, wide")

    assert settings_faults.mistyped(Careless(tmp_path, 0, "", [None]))[0] == 0


class Resuming(Pretended):
    """Ours, which is not told where its root is."""

    def run(self, *options: str, fault: str = "", largest: int | None = None) -> Done:
        return self.call(*options)


@pytest.mark.parametrize(("status", "score"), [(0, 3), (2, 1)])
def test_an_earlier_version_is_only_at_hand_of_ours(tmp_path: Path, status: int, score: int) -> None:
    assert settings_faults.earlier(Pretended(tmp_path, 0, "", [None])) is None
    ours = Resuming(tmp_path, status, "does not fit", [None], name="ours")
    verdict = settings_faults.earlier(ours)
    assert verdict is not None
    assert verdict[0] == score
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert ours.asked == [("--resume", str(tmp_path / "run"), "--epochs", "3")]


def test_the_pictures_can_be_trained_on(tmp_path: Path) -> None:
    root = picture_faults.pictures(Pretended(tmp_path, 0, "", [None]))
    data = Folder(str(root), image_size=32, cache_dir=str(tmp_path / "cache"))
    assert data.summary()["splits"] == {"train": 20, "val": 12, "test": 0}
    assert data.facts()["class_names"] == ["blue", "red"]


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "worker is killed by signal", 2), (1, "ConnectionResetError", 1)]
)
def test_a_worker_that_is_killed(tmp_path: Path, status: int, said: str, score: int) -> None:
    assert picture_faults.dead_worker(Pretended(tmp_path, status, said, [None], name="ours")) is None
    verdict = picture_faults.dead_worker(Pretended(tmp_path, status, said, [None]))
    assert verdict is not None
    assert verdict[0] == score


@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (0, "bad.png: left out", 3), (1, "Errno 5", 1), (1, "bad.png", 2)]
)
def test_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str, score: int
) -> None:
    tool = Pretended(tmp_path, status, said, [None])
    monkeypatch.setattr(picture_faults, "UNREADABLE", tmp_path / "absent")
    assert picture_faults.unreadable(tool) is None
    monkeypatch.setattr(picture_faults, "UNREADABLE", tmp_path)
    verdict = picture_faults.unreadable(tool)
    assert verdict is not None
    assert verdict[0] == score
    assert (tmp_path / "pictures" / "train" / "blue" / "bad.png").is_symlink()


@pytest.mark.parametrize(
    ("status", "said", "whole", "score"),
    [
        (0, "batches of 8 now go through in 2 parts", 1.0, 3),
        (0, "batches of 8 now go through in 2 parts", 1.5, 0),
        (0, "", 1.0, 0),
        (1, "torch.OutOfMemoryError: CUDA out of memory", 1.0, 2),
        (1, "oops", 1.0, 1),
    ],
)
def test_no_memory(tmp_path: Path, status: int, said: str, whole: float, score: int) -> None:
    assert picture_faults.no_memory(Pretended(tmp_path, status, said, [1.0, whole]))[0] == score


@pytest.mark.parametrize("name", ["ours", "torchvision", "timm"])
@pytest.mark.parametrize(
    ("status", "said", "score"), [(0, "", 0), (1, "URLError", 1), (2, "put resnet18-f37072fd.pth into", 2)]
)
def test_weights_that_are_not_there(tmp_path: Path, name: str, status: int, said: str, score: int) -> None:
    tool = Pretended(tmp_path, status, said, [None], name=name)
    assert weights_faults.offline(tool)[0] == score
    assert tool.asked[0][1:4] == ("-m", "bench.peers.disturbed", "offline")
    assert tool.environment()["HF_HOME"] == str(tmp_path / "hub")
    assert tool.environment()["TMPDIR"] == str(tmp_path / "temporary")
