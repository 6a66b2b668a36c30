"""Fine-tuning begins with a checkpoint of an earlier run of ours: what it takes over, and what that one had seen."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from tests.models.small_folder import last, metrics, stop_after, words
from tests.runs import metrics_of, only_run
from trainer import summary


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


def test_a_run_folder_stands_for_its_best_else_its_last_checkpoint(
    pictures: Path, tmp_path: Path, earlier: Path, capsys: Any
) -> None:
    run = tmp_path / "run"
    shutil.copytree(only_run(earlier), run)
    shutil.copy(run / "checkpoints/last.ckpt", run / "checkpoints/best.ckpt")
    for name, folder in (("best", run), ("last", run / "checkpoints")):
        assert train.main([*continued(pictures, tmp_path / name, folder), "--print_config"]) == 0
        assert f"weights: {run}/checkpoints/{name}.ckpt" in capsys.readouterr().out
        (run / "checkpoints/best.ckpt").unlink(missing_ok=True)
    assert train.main(continued(pictures, tmp_path / "runs", tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"train.py: --model.weights: no run at {tmp_path}: ")
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def head(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a head on 16 of the 20 training pictures."""
    root = tmp_path_factory.mktemp("head")
    assert train.main(words(pictures / "train", root, "--model.tune", "head")) == 0
    return only_run(root)


def begun(pictures: Path, root: Path, weights: Path, *more: str) -> list[str]:
    given = words(pictures, root, "--model.tune", "head", *more)
    given[given.index("none")] = str(weights)
    return given


def test_folds_that_begin_with_their_own_pictures_say_so_everywhere(
    pictures: Path, tmp_path: Path, head: Path, capsys: Any
) -> None:
    for fold in range(2):
        folds = ("--data.num_folds", "2", "--data.fold", str(fold))
        assert train.main(begun(pictures / "train", tmp_path, head, *folds)) == 0
    runs = sorted(tmp_path.glob("*/*"))
    seen = [metrics_of(run)["val/seen_before"] for run in runs]
    assert sum(seen) == 16
    captured = capsys.readouterr()
    assert "leak report" not in captured.err
    for run, count in zip(runs, seen, strict=True):
        many = f"{count:.0f} of 10 val pictures, which flatters the result"
        warning = f"leak: the weights of {head}/checkpoints/last.ckpt have learnt from {many}"
        assert f"warning: {warning}" in captured.err
        finding = f"the weights that it began with have learnt from {count:.0f} of the 10 val pictures"
        assert f"seen before          {finding}" in captured.out
        card = (run / "MODEL_CARD.md").read_text()
        for text in (card, (run / "report.md").read_text()):
            assert warning in text
            assert f"| seen before | {finding}" in text
        assert f"* Warning of the data: {warning}" in card
    assert summary.main([str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith("but 16 of them the weights that a run began with had learnt from before, which flatters them")
    assert "has not learnt from it" not in line


def test_the_split_of_the_earlier_run_keeps_each_picture_where_it_was(
    pictures: Path, tmp_path: Path, head: Path, capsys: Any
) -> None:
    kept = ("--data.csv", str(head / "split.csv"))
    assert train.main(begun(pictures / "train", tmp_path, head, *kept)) == 0
    captured = capsys.readouterr()
    assert "have learnt from 16 pictures, none of which is in val or test; no two splits share" in captured.err
    assert "warning" not in captured.err
    assert "seen before" not in captured.out
    assert metrics(tmp_path)["val/seen_before"] == 0


def test_a_grandparent_counts_when_its_folder_is_gone_and_when_the_run_goes_on(
    pictures: Path, tmp_path: Path, head: Path, monkeypatch: Any, capsys: Any
) -> None:
    first = tmp_path / "first"
    shutil.copytree(head, first)
    assert train.main(begun(pictures / "val", tmp_path / "second", first)) == 0
    shutil.rmtree(first)
    second = only_run(tmp_path / "second")
    given = continued(pictures / "train", tmp_path / "third", second, "--data.split_seed", "3")
    given[given.index("--epochs") + 1] = "2"
    with monkeypatch.context() as patch:
        stop_after(patch, 0, -1)
        assert train.main(given) == 143
    shutil.rmtree(second)
    capsys.readouterr()
    third = only_run(tmp_path / "third")
    assert train.main(["--resume", str(third)]) == 0
    seen = metrics_of(third)["val/seen_before"]
    assert 0 < seen <= 4
    assert f"have learnt from {seen:.0f} of 4 val pictures" in capsys.readouterr().err
    lineage = last(tmp_path / "third")["house"]["lineage"]
    assert (lineage["complete"], len(lineage["train"])) == (True, 16 * (16 + 10))


def test_weights_that_do_not_tell_are_not_taken_for_unknowing(
    pictures: Path, tmp_path: Path, head: Path, capsys: Any
) -> None:
    moved, foreign = tmp_path / "moved.ckpt", tmp_path / "foreign.pth"
    shutil.copy(head / "checkpoints/last.ckpt", moved)
    torch.save(torch.load(moved, weights_only=True)["state_dict"], foreign)
    for number, file in enumerate((moved, foreign)):
        capsys.readouterr()
        assert train.main(begun(pictures / "train", tmp_path / str(number), file)) == 0
        captured = capsys.readouterr()
        assert f"leak report: what the weights of {file} have learnt from is not known; no two" in captured.err
        unknown = "seen before          what the weights that it began with have learnt from is not known"
        assert unknown in captured.out
        assert "val/seen_before" not in metrics(tmp_path / str(number))
