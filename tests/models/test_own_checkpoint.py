"""Fine-tuning goes on from a checkpoint of an earlier run of ours: its body always, its head for the same classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from tests.models.small_folder import last, metrics, words
from tests.runs import only_run


@pytest.fixture(scope="module")
def earlier(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("earlier")
    assert train.main(words(pictures, root, epochs=1)) == 0
    return root


def continued(pictures: Path, root: Path, checkpoint: Path, *more: str) -> list[str]:
    given = words(pictures, root, *more, epochs=1)
    given[given.index("none")] = str(checkpoint)
    return given


def test_body_and_head_go_on_for_the_same_classes(pictures: Path, tmp_path: Path, earlier: Path) -> None:
    """With a rate of 0 nothing moves: the loss is the earlier one."""
    checkpoint = only_run(earlier) / "checkpoints/last.ckpt"
    still = ["--lr", "0", "--model.head_start", "false"]
    assert train.main(continued(pictures, tmp_path, checkpoint, *still)) == 0
    before, after = last(earlier)["state_dict"], last(tmp_path)["state_dict"]
    assert before.keys() == after.keys()
    for name, value in before.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, after[name]), name
    assert metrics(tmp_path)["val/loss"] == metrics(earlier)["val/loss"]


def test_other_classes_get_the_body_and_a_new_head(pictures: Path, tmp_path: Path, earlier: Path, caplog: Any) -> None:
    renamed = tmp_path / "renamed"
    shutil.copytree(pictures, renamed)
    for split in ("train", "val"):
        (renamed / split / "blue").rename(renamed / split / "cold")
    checkpoint = only_run(earlier) / "checkpoints/last.ckpt"
    still = ["--lr", "0", "--model.head_start", "false"]
    assert train.main(continued(renamed, tmp_path / "runs", checkpoint, *still)) == 0
    before, after = last(earlier)["state_dict"], last(tmp_path / "runs")["state_dict"]
    name = next(name for name in before if name.startswith("network.body.") and name.endswith("weight"))
    assert torch.equal(before[name], after[name])
    assert not torch.equal(before["network.head.weight"], after["network.head.weight"])
    assert "is for other classes: a new one for 2 classes is trained from the start" in caplog.text


def test_a_checkpoint_of_another_network_is_refused(pictures: Path, tmp_path: Path, earlier: Path, capsys: Any) -> None:
    given = continued(pictures, tmp_path, only_run(earlier) / "checkpoints/last.ckpt")
    given[given.index("shufflenet_v2_x0_5")] = "squeezenet1_1"
    assert train.main(given) == 2
    assert "holds other weights than those of squeezenet1_1" in capsys.readouterr().err
