"""Weights and gradients over the epochs: which epochs, which layers, right numbers, the same after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.events import events_of_run
from tests.trainer.exact import assert_same_end
from tests.trainer.small import SmallData, SmallTask, new_run, small_task, small_trainer
from trainer import build
from trainer.fit.histograms import MOST_EPOCHS, MOST_LAYERS, MOST_NUMBERS, layers, shown_epoch, some, write_histogram
from trainer.fit.resume import logged_step
from trainer.run.logger import HardyWriter
from trainer.safe_file import load_checkpoint

TAGS = ["gradients/1", "gradients/5", "weights/1", "weights/5"]


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11, 19, 20, 95, 1000])
def test_at_most_ten_epochs_are_shown_and_the_last_is_one(epochs: int) -> None:
    shown = [epoch for epoch in range(1, epochs + 1) if shown_epoch(epoch, epochs)]
    assert min(epochs, 5) <= len(shown) <= MOST_EPOCHS
    assert shown[-1] == epochs


def test_a_run_without_an_end_shows_ever_fewer_epochs() -> None:
    assert [epoch for epoch in range(1, 40) if shown_epoch(epoch, -1)] == [1, 2, 4, 8, 16, 32]


def steps(folder: Path) -> dict[str, list[int]]:
    events = events_of_run(folder)
    return {tag: [event.step for event in events.Histograms(tag)] for tag in events.Tags()["histograms"]}


class Watched(SmallTask):
    """Remembers the gradient of its last step."""

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.newest = self.net[1].weight.grad.clone()


def test_weights_and_gradients_are_those_of_each_epochs_last_step(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    torch.manual_seed(3)
    task = Watched()
    build.fit(small_trainer(run, 3, histograms=True), task, SmallData())
    assert steps(run.path) == {tag: [7, 15, 23] for tag in TAGS}
    for tag, due in (("gradients/1", task.newest), ("weights/1", task.net[1].weight.detach())):
        histogram = events_of_run(run.path).Histograms(tag)[-1].histogram_value
        numbers = due.double().flatten().numpy()
        counts, edges = np.histogram(numbers, 30)
        assert histogram.bucket == counts.tolist()
        assert histogram.bucket_limit == edges[1:].tolist()
        assert histogram.sum == pytest.approx(numbers.sum())
        assert histogram.sum_squares == pytest.approx((numbers**2).sum())


def test_a_run_that_is_not_to_be_drawn_has_none(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    build.fit(small_trainer(run, 1), small_task(), SmallData())
    assert not steps(run.path)


def test_histograms_change_no_weight_and_go_on_after_a_resume(tmp_path: Path) -> None:
    plain, whole, half = (new_run(tmp_path / name) for name in ("plain", "whole", "half"))
    build.fit(small_trainer(plain, 3), small_task(), SmallData())
    build.fit(small_trainer(whole, 3, histograms=True), small_task(), SmallData())
    build.fit(small_trainer(half, 2, histograms=True), small_task(), SmallData())
    step = logged_step(load_checkpoint(half.last))
    build.fit(small_trainer(half, 3, histograms=True, resume_step=step), small_task(), SmallData(), half.last)
    assert_same_end(whole, plain)
    assert_same_end(half, whole)
    assert steps(half.path) == steps(whole.path)
    last = [events_of_run(run.path).Histograms("gradients/1")[-1].histogram_value for run in (whole, half)]
    assert last[0] == last[1]


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [0.25, 0.25 + 2**-54], [1e-310, 2e-310], [3e38, 3e38], [-1.0, 1e-12], [7.0]]
)
def test_numbers_that_hardly_differ_are_counted(tmp_path: Path, values: list[float]) -> None:
    writer = HardyWriter(str(tmp_path))
    write_histogram(writer, "x", torch.tensor(values, dtype=torch.float64), 0)
    writer.close()
    (event,) = events_of_run(tmp_path).Histograms("x")
    assert sum(event.histogram_value.bucket) == len(values)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_nothing_and_nan_are_skipped(tmp_path: Path, values: list[float]) -> None:
    writer = HardyWriter(str(tmp_path))
    write_histogram(writer, "x", torch.tensor(values), 0)
    writer.close()
    assert not steps(tmp_path)


def test_layers_are_few_and_their_names_short() -> None:
    task = small_task()
    assert [name for name, _ in layers(task)] == ["1", "5"]
    task.net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(120)))
    assert 30 <= len(layers(task)) <= MOST_LAYERS
    task.net = nn.Sequential(nn.BatchNorm1d(3))
    assert [name for name, _ in layers(task)] == ["0", "0.bias"]
    assert len(some(torch.zeros(10**6))) <= MOST_NUMBERS
    assert len(some(torch.zeros(0))) == 0
