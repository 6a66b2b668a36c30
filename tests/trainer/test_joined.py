"""Several processes report the figures of all pictures, each of them the same, whatever a task asks Lightning for."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.digits import Digits
from tests.test_own_model import block
from trainer.fit import joined, sums
from trainer.fit.joined import JoinedResults

PROJECT = Path(__file__).parent.parent.parent


def log(results: JoinedResults, name: str, values: list[float], sizes: list[int], reduction: str = "mean") -> None:
    for value, size in zip(values, sizes, strict=True):
        results.log("validation_step", name, torch.tensor(value), reduce_fx=reduction, batch_size=size)  # type: ignore[arg-type]


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the second of two processes gives at its next meetings with the first, which is this one."""
    theirs: list[Any] = []
    monkeypatch.setattr(joined, "num_processes", lambda: 2)
    for module in (joined, sums):
        monkeypatch.setattr(module, "from_all", lambda mine: [mine, theirs.pop(0)])
        monkeypatch.setattr(module, "rank", lambda: 0)
    return theirs


@pytest.mark.parametrize(("reduction", "due"), [("mean", 2 / 3), ("sum", 4.0), ("max", 4.0), ("min", -1.0)])
def test_shares_of_unequal_size_are_weighed_by_their_samples(reduction: str, due: float, beside: list[Any]) -> None:
    """The mean of 4 and 1, of one sample each, and of -1/4, of four: (4 + 1 - 1) / 6."""
    mine = JoinedResults(training=False)
    log(mine, "val/x", [4.0, 1.0], [1, 1], reduction)
    samples = {"cumulated_batch_size": torch.tensor(4.0)} if reduction == "mean" else {}
    beside.append({"validation_step.val/x": {"value": torch.tensor(-1.0), **samples}})
    assert float(mine.metrics(on_step=False)["callback"]["val/x"]) == pytest.approx(due)
    mine.metrics(on_step=False)  # asks nobody again
    assert not beside


def test_what_one_process_logs_alone_is_its_own(beside: list[Any]) -> None:
    mine = JoinedResults(training=False)
    mine.log("validation_step", "val/first", torch.tensor(3.0), rank_zero_only=True, batch_size=1)
    assert float(mine.metrics(on_step=False)["callback"]["val/first"]) == 3.0
    log(mine, "val/x", [5.0], [1])
    beside.append({})
    assert float(mine.metrics(on_step=False)["callback"]["val/x"]) == 5.0


def test_the_sums_of_a_checkpoint_are_those_of_all_and_added_once(
    beside: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer: Any = SimpleNamespace(current_epoch=0, strategy=SimpleNamespace(reduce=None))
    first = sums.EpochSums(trainer)
    log(first, "train/x", [1.0], [2])
    key = "validation_step.train/x"
    with monkeypatch.context() as alone:
        alone.setattr(sums, "from_all", lambda mine: [mine])
        share = first.kept()["sums"]
    other = {**share[key], "sums": {"value": torch.tensor(4.0), "cumulated_batch_size": torch.tensor(1)}}
    beside.append({key: other})
    kept = first.kept()
    assert {name: float(total) for name, total in kept["sums"][key]["sums"].items()} == {
        "value": 6.0,
        "cumulated_batch_size": 3.0,
    }
    for number, samples in ((0, 3), (1, 0)):
        monkeypatch.setattr(sums, "rank", lambda number=number: number)
        after = sums.EpochSums(trainer)
        after.take({**kept, "sums": dict(kept["sums"])})
        log(after, "train/x", [0.0], [1])
        assert int(after[key].cumulated_batch_size) == samples + 1


PROGRAM = """
import sys
from pathlib import Path

import train
from models import MODELS, SUMMARIES
from trainer.program import leave

here = Path(__file__).parent
sys.path.insert(0, str(here))
train.RECIPES = here
MODELS["logistic"], SUMMARIES["logistic"] = "own_logistic.LogisticTask", "softmax regression"
if __name__ == "__main__":
    leave(train.main())
"""


@pytest.mark.slow
def test_two_processes_report_all_pictures_of_a_model_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """145 validation pictures, which two processes cannot share evenly; the example of the page logs plainly."""
    (tmp_path / "own.py").write_text(PROGRAM)
    (tmp_path / "own_logistic.py").write_text(block("python"), encoding="utf-8")
    (tmp_path / "logistic.yaml").write_text(block("yaml"), encoding="utf-8")
    words = [sys.executable, str(tmp_path / "own.py"), "--model", "logistic", "--data.val_fraction", "0.101"]
    words += ["--batch_size", "64", "--epochs", "6", "--device", "cpu", "--report", "none"]
    words += ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--root", str(tmp_path / "runs")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "sync_dist" not in done.stderr
    (folder,) = (tmp_path / "runs").glob("*/*")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    task = importlib.import_module("own_logistic").LogisticTask.load_from_checkpoint(folder / "checkpoints/best.ckpt")
    data = Digits(val_fraction=0.101)
    data.prepare_data()
    for split, tag in (("val", "best/val_accuracy"), ("test", "test/accuracy")):
        part = data.part(split)
        right = task(part.images).argmax(1) == part.labels
        assert metrics[tag] == pytest.approx(float(right.float().mean()), abs=1e-6)
    assert len(data.part("val").labels) % 2 == 1
