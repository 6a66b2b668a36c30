"""Stacking, fine-tuning and naming: phases, labels, the bound that a new layer leaves alone, and runs."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.batches.loader import TensorLoader
from models.dbn import DBNTask
from models.energy.bounds import bounds
from models.energy.machine import Ascent
from models.energy.naming import Names, choose_labelled, phase
from models.energy.stack import DBN, SigmoidNet
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from theory.dbn import exact_bound
from theory.rbm import log_likelihood
from train import main

QUICK = ["--model", "dbn", "--device", "cpu", "--model.ais_temperatures", "100", "--model.burn_in", "20",
         "--model.sizes", "[12,64]", "--epochs", "2"]  # fmt: skip


def test_phases_share_the_steps_evenly() -> None:
    phases = [phase(step, 100, 3, 0.6) for step in range(100)]
    assert [sum(layer == number for layer, _ in phases) for number in range(4)] == [20, 20, 20, 40]
    for layer in range(4):
        progress = [rest for number, rest in phases if number == layer]
        assert progress[0] == 0
        assert progress == sorted(progress)
        assert progress[-1] < 1
    assert {phase(step, 10, 2, 0.0)[0] for step in range(10)} == {2}
    assert phase(0, 1, 2, 0.9) == (2, 0.0), "the last step always fine-tunes"


def test_labelled_pictures_are_as_many_of_each_class() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 4)
    for count in (3, 6, 12):
        chosen = choose_labelled(labels, count, 0)
        assert torch.bincount(labels[chosen]).tolist() == [count // 3] * 3
        assert len(chosen.unique()) == count
    assert torch.equal(chosen, choose_labelled(labels, 12, 0))
    assert not torch.equal(chosen, choose_labelled(labels, 12, 1))
    with pytest.raises(ValueError, match=r"--model\.labels must be at most 12: .* has 4 of the 84 .* got 15"):
        choose_labelled(labels, 15, 0)


def test_few_labelled_pictures_are_augmented_like_all_of_them() -> None:
    task = DBNTask(["a", "b"], 1, [2, 2], sizes=[3], labels=2)
    images, labels = torch.arange(16, dtype=torch.uint8).view(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
    loader = TensorLoader(images, labels, 4, augment=lambda pictures, generator: pictures + 100)
    task._trainer = SimpleNamespace(train_dataloader=loader, current_epoch=0)  # type: ignore[assignment]
    task.labelled = torch.tensor([0, 1])
    drawn, _ = task.labelled_batch((images, labels))
    assert bool((drawn >= 100).all())


def test_a_layer_of_the_size_below_begins_without_changing_the_bound() -> None:
    torch.manual_seed(0)
    stack = DBN(9, [5, 9], "cd", 1, 10).double()
    v = torch.randint(2, (30, 9)).double()
    for parameter in stack.machine(0).parameters():
        torch.nn.init.normal_(parameter)
    stack.begin(1, v)
    bottom, top = stack.terms()
    torch.testing.assert_close(exact_bound(v, bottom, top), log_likelihood(v, *bottom), rtol=0, atol=1e-12)
    drawn = bounds(stack, v.repeat(300, 1), v, steps=50, sweeps=5)
    assert drawn[0].bound == pytest.approx(float(log_likelihood(v, *bottom).mean()), abs=1e-9)
    assert drawn[1].bound == pytest.approx(drawn[0].bound, abs=0.1)
    assert drawn[0].error == drawn[1].error == 0


def test_chains_and_dreams_start_from_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder lists its pictures class by class; here more of them than the biases of a layer are set from."""
    monkeypatch.setattr("models.dbn.MOST_SEEN", 50)
    labels = torch.arange(100) // 50
    images = labels[:, None, None, None].expand(-1, 1, 2, 2).to(torch.uint8) * 255
    task = DBNTask(["black", "white"], 1, [2, 2], sizes=[3], algorithm="pcd", chains=20, ais_chains=10)
    task._trainer = SimpleNamespace(train_dataloader=TensorLoader(images, labels, 4))  # type: ignore[assignment]
    with torch.no_grad():
        task.stack.machine(0).weight.fill_(20.0)
        task.stack.machine(0).hidden_bias.fill_(-40.0)  # a hidden unit is on where the picture is white
    task.begin(0, images[:4])
    assert set(task.pictures.mean(1).tolist()) == {0.0, 1.0}
    ascent = task.stack.ascents[0]
    assert isinstance(ascent, Ascent)
    assert set(ascent.chains.mean(1).tolist()) == {0.0, 1.0}
    assert 0.3 < float(ascent.visible_offset.mean()) < 0.7


def test_the_network_takes_over_what_the_machines_learnt() -> None:
    torch.manual_seed(0)
    stack, net = DBN(9, [5, 4], "cd", 1, 10), SigmoidNet(9, [5, 4], 3)
    v = torch.rand(6, 9)
    net.take_over(stack)
    due = stack.machine(1)(stack.machine(0)(v))
    x = torch.sigmoid(net.layers[1](torch.sigmoid(net.layers[0](v))))
    torch.testing.assert_close(x, due)
    assert (net(v) == 0).all(), "all classes alike before the first step"


def test_the_comparison_is_mcnemar_s() -> None:
    right = torch.tensor([True] * 90 + [False] * 10)
    other = torch.tensor([True] * 85 + [False] * 14 + [True])
    names = Names({"pretrained": right, "random": other}, [], torch.zeros(1, 4))
    gained, lost, p = names.advantage()
    assert (gained, lost) == (5, 1)
    assert p == pytest.approx(2 * (1 + 6) / 2**6)
    assert names.metrics()["test/error"] == pytest.approx(0.10)
    assert names.beside(0.05, 10)["gap/error_published"] == pytest.approx(0.05)
    equal = Names({"pretrained": right, "random": right}, [], torch.zeros(1, 4))
    assert equal.advantage() == (0, 0, 1.0)


def test_a_bound_whose_log_z_few_chains_carry_has_no_error() -> None:
    stack, start = DBN(24, [22], "cd", 1, 1), torch.rand(50, 24)
    found = []
    for scale in (0.01, 6.0):
        torch.nn.init.normal_(stack.machine(0).weight, std=scale)
        (depth,) = bounds(stack, start.round(), start, 20, 5)
        names = Names({"pretrained": torch.ones(2, dtype=torch.bool)}, [depth], start)
        found.append((dict(names.findings(None, ""))["log-likelihood, 1 layer"], names.metrics()))
    (fine, many), (wrong, few) = found
    assert "(log Z ± 0.0" in fine
    assert many["test/log_z_effective_chains_1_layers"] > 40
    assert re.search(r"\(log Z of unknown error, \d\.\d of 50 chains carry the weight, backward − forward \+\d", wrong)
    assert few["test/log_z_effective_chains_1_layers"] < 5


def test_without_pretraining_nothing_is_credited_to_it() -> None:
    right = torch.tensor([True] * 9 + [False])
    found = {"pretrained": right, "random": ~right}
    lines = dict(Names(found, [], torch.zeros(1, 4), pretraining=False).findings(None, ""))
    assert lines["second start"].startswith("90.00 %, same pictures and steps; the first wins 9 test pictures and")
    assert "pretraining" not in str(lines)
    assert "pretraining wins 9" in dict(Names(found, [], torch.zeros(1, 4)).findings(None, ""))["started at random"]


def test_the_epoch_of_the_comparison_favours_neither_network() -> None:
    facts: dict[str, Any] = {"class_names": ["a", "b"], "in_channels": 1, "image_size": [2, 2]}
    task = DBNTask(**facts)
    seen: dict[str, float] = {}
    task.log = lambda name, value, **_: seen.update({name: float(value)})  # type: ignore[method-assign, assignment, misc]
    batch = torch.rand(50, 1, 2, 2), torch.arange(50) // 40  # four fifths are of class 0
    values = []
    for biases in ({"pretrained": 99.0, "random": -99.0}, {"pretrained": -99.0, "random": 99.0}):
        with torch.no_grad():
            for name, bias in biases.items():
                task.nets[name].head.bias[0] = bias  # type: ignore[union-attr, index]
            task.validation_step(batch, 0)
        assert (seen["val/accuracy"] > seen["val/accuracy_random"]) == (biases["pretrained"] > 0)
        values.append(seen[task.monitor])
    assert values[0] == values[1], "exchanging the two networks changes nothing in what chooses the epoch"
    assert DBNTask(**facts, compare=False).monitor == "val/accuracy"


def test_options_that_cannot_be_are_named() -> None:
    facts: dict[str, Any] = {"class_names": ["a", "b"], "in_channels": 1, "image_size": [2, 2]}
    wrong: list[tuple[str, Any]] = [("sizes", []), ("sizes", [3, 0]), ("labels", 1), ("pretraining", 1.0),
                                    ("dropout", 1.0), ("lr", -1.0), ("sweeps", 0), ("warmup", 1e12),
                                    ("record_error", -1.0), ("record_error", 1e12), ("labels", 3), ("labels", -2),
                                    ("pretraining_lr", 1e12), ("pretraining_decay", 1e12), ("lr", 1e12),
                                    ("weight_decay", 1e12), ("sizes", [10**12]), ("sizes", [2] * 5000),
                                    ("chains", 10**12), ("burn_in", 10**12), ("momentum", -0.1)]  # fmt: skip
    for name, value in wrong:
        with pytest.raises(ValueError, match=rf"--model\.{name} (must be|needs).* got "):
            DBNTask(**facts, **{name: value})


def test_grey_pixels_are_drawn_with_the_seed_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class SeenError(Exception):
        pass

    def bounds(stack: Any, drawn: torch.Tensor, *_: Any) -> None:
        raise SeenError(drawn)

    monkeypatch.setattr("models.dbn.bounds", bounds)
    drawn = []
    for seed in (0, 0, 1):
        task = DBNTask(["a", "b"], 1, [2, 2], sizes=[3], pixels_seed=seed)
        task.test_batches.append((torch.full((500, 4), 0.5), torch.zeros(500, dtype=torch.int64)))
        with pytest.raises(SeenError) as caught:
            task.on_test_epoch_end()
        drawn.append(caught.value.args[0])
    assert torch.equal(drawn[0], drawn[1])
    assert abs(float((drawn[1] != drawn[2]).float().mean()) - 0.5) < 4.5 * 0.5 / 2000**0.5


@pytest.mark.parametrize("labels", ["1000000000000", "1430"])
def test_more_labels_than_there_are_is_one_line(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "--model.labels", labels, "--root", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert re.search(
        r"--model\.labels must be at most 1,3\d0: the smallest of the 10 classes has 13\d of the 1,437", said
    )
    assert said.endswith(f"; got {labels}\n")
    assert not (tmp_path / "runs").exists()


def test_a_folder_whose_pictures_are_views_trains(pictures: Path, tmp_path: Path) -> None:
    words = [*QUICK, "--data", str(pictures / "train"), "--data.test_fraction", "0.3", "--data.image_size", "8"]
    words += ["--model.sizes", "[4]", "--data.cache_dir", str(tmp_path / "cache"), "--model.labels", "4"]
    words += ["--model.pretraining", "0.6"]
    place = words.index("--model.sizes")
    del words[place : place + 2]
    assert main([*words, "--report", "none", "--data.aug", "light", "--root", str(tmp_path / "runs")]) == 0


def test_a_machine_without_a_step_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, "--epochs", "1", "--trainer.limit_train_batches", "5", "--model.pretraining", "0.3"]
    del words[words.index("--epochs") : words.index("--epochs") + 2]
    assert main([*words, "--root", str(tmp_path / "runs")]) == 2
    assert "--model.pretraining 0.3 gives 1 of 2 machines a step; train longer" in capsys.readouterr().err


def test_a_run_compares_and_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--root", str(tmp_path), "--model.labels", "50"]) == 0
    (path,) = tmp_path.glob("*/*/metrics.json")
    metrics = json.loads(path.read_text())
    assert metrics["gap/error_pretrained_random"] == pytest.approx(metrics["test/error"] - metrics["test/error_random"])
    assert metrics["theory/chance_error"] == pytest.approx(0.9)
    assert abs(metrics["gap/bound_last_first_layer"]) < 1
    assert {file.stem for file in path.parent.glob("figures/*.png")} == {"bounds", "filters", "samples"}
    out = capsys.readouterr().out
    assert "64-12-64-10, 50 labels" in out
    assert "McNemar" in out


@pytest.mark.parametrize("stop_at", [(0, 10), (1, 30)], ids=["machine", "network"])
def test_a_resumed_run_equals_one_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: tuple[int, int]
) -> None:
    words = [*QUICK, "--model.labels", "50", "--model.dropout", "0.3", "--report", "none"]
    assert_equal_runs(*stopped_and_resumed(DBNTask, words, tmp_path, stop_at, monkeypatch))
