"""Networks side by side: what each column computes and learns is what it would alone."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import train
from models.cnn import CNNTask
from models.convnet import CNN
from models.finetune.compilation import compile_if_possible
from tests.runs import only_run
from theory.convolution import convolution_parameters

FACTS: dict[str, Any] = {
    "class_names": ["a", "b", "c"], "in_channels": 1, "image_size": [8, 8], "mean": [0.3], "std": [0.2],
    "widths": [4, 6], "logit_scale": 0.5, "label_smoothing": 0.2,
}  # fmt: skip
COLUMNS = 3


def part(whole: Tensor, column: int) -> Tensor:
    """A column's share of what lies column by column along the first axis."""
    return whole.chunk(COLUMNS)[column]


def alone(task: CNNTask, column: int) -> CNNTask:
    """A task with a single network, whose weights are those of one column."""
    single = CNNTask(**FACTS).double()
    ours, whole = single.network, task.network
    with torch.no_grad():
        for mine, theirs in zip(ours.stages.parameters(), whole.stages.parameters(), strict=True):
            mine.copy_(part(theirs, column))
        ours.head[1].load_state_dict(whole.head[1].layers[column].state_dict())
    return single


@pytest.fixture
def task() -> CNNTask:
    torch.manual_seed(0)
    return CNNTask(**FACTS, columns=COLUMNS).double()


def test_the_answer_is_the_mean_of_networks_that_share_nothing(task: CNNTask) -> None:
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    task.eval()
    logits = torch.stack([alone(task, column).eval()(x) for column in range(COLUMNS)])  # (G, N, K)
    assert torch.allclose(task.network(task.normalise(x), each=True), logits, atol=1e-12)
    assert torch.allclose(task(x), logits.mean(0), atol=1e-12)
    assert torch.allclose(task.outputs(x)[1], logits.mean(0), atol=1e-12)
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)])
def test_each_column_learns_what_it_would_alone(task: CNNTask, weights: Tensor | None) -> None:
    batch = torch.rand(6, 1, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    task.class_weights = weights
    task.training_step(batch, 0).backward()
    losses = []
    for column in range(COLUMNS):
        single = alone(task, column)
        single.class_weights = weights
        loss = single.training_step(batch, 0)
        loss.backward()
        losses.append(float(loss.detach()))
        for mine, theirs in zip(single.network.stages.parameters(), task.network.stages.parameters(), strict=True):
            assert mine.grad is not None
            assert torch.allclose(mine.grad, part(theirs.grad, column), atol=1e-12)
        ours, whole = single.network.head[1], task.network.head[1].layers[column]
        assert torch.allclose(ours.weight.grad, whole.weight.grad, atol=1e-12)
    assert len(set(losses)) == COLUMNS
    assert float(task.train_sums[0]) == pytest.approx(6 * sum(losses) / COLUMNS)  # the mean is reported


def test_parameters_follow_the_formula_of_grouped_convolutions() -> None:
    network, single = CNN(3, 5, [12, 12], [4, 6], columns=2), CNN(3, 5, [12, 12], [4, 6])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 2 * sum(parameter.numel() for parameter in single.parameters())
    assert network.stages[0][0].weight.numel() == convolution_parameters(3, 8, 3, bias=False)  # type: ignore[index]
    assert network.features(torch.zeros(2, 3, 12, 12)).shape == (2, 2 * 6 * 3 * 3)


def test_several_linear_layers_are_one(task: CNNTask) -> None:
    opinions, features = task.network.head[1], torch.rand(5, COLUMNS * 6 * 2 * 2, dtype=torch.float64)
    joined = opinions.joined()
    assert joined.weight.dtype == torch.float64
    assert torch.allclose(joined(features), opinions(features), atol=1e-12)


def test_one_network_has_one_opinion() -> None:
    network, x = CNN(1, 2, [8, 8], [4], dropout=0.5).eval(), torch.rand(3, 1, 8, 8)
    assert torch.equal(network(x, each=True), network(x)[None])


@pytest.mark.parametrize(("name", "value"), [("columns", "2"), ("pools", "[1, 1]")])
def test_columns_and_pools_of_a_backbone_are_refused(
    name: str, value: str, tmp_path: Path, pictures: Path, capsys: Any
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        f"model: {{name: cnn, backbone: resnet18, weights: none, {name}: {value}}}\n"
        f"data: {{name: folder, path: {json.dumps(str(pictures))}, image_size: 32}}\n"
    )
    assert train.main(["-c", str(file), "--epochs", "1", "--root", str(tmp_path / "runs")]) == 2
    assert f"{name} is for the network cnn, not for --model.backbone resnet18, got {value}" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_columns_out_of_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--model\.columns must be between 1 and 16, got 17"):
        CNNTask(**FACTS, columns=17)
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        CNN(1, 2, [8, 8], [4], columns=0)


@pytest.mark.parametrize(("columns", "due"), [(1, ()), (2, (True,))])
def test_a_run_tells_the_compiler_what_training_passes(
    columns: int, due: tuple[bool, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr("models.cnn.compile_if_possible", lambda *given: seen.append(given[4:]))
    given = ["--model", "cnn", "--model.columns", str(columns), "--model.widths", "[4,6]", "--model.compile", "true"]
    assert train.main([*given, "--epochs", "1", "--device", "cpu", "--report", "none", "--root", str(tmp_path)]) == 0
    assert seen == [due]


def test_the_trial_of_a_compiler_gets_what_training_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(self: CNN, x: Tensor, each: bool = False) -> Tensor:
        seen.append(each)
        return self.head(self.features(x))  # type: ignore[no-any-return]

    monkeypatch.setattr(CNN, "forward", look)
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)
    assert compile_if_possible(CNN(1, 2, [8, 8], [4], columns=2), 1, [8, 8], nullcontext(), True)
    assert seen == [True]


@pytest.mark.parametrize(("views", "precision"), [("one", "auto"), ("one", "64-true"), ("shift", "auto")])
def test_a_run_sets_its_columns_beside_one_another(views: str, precision: str, tmp_path: Path, capsys: Any) -> None:
    given = ["--model", "cnn", "--model.columns", "2", "--model.widths", "[4,6]", "--model.views", views]
    given += ["--trainer.precision", precision]
    assert train.main([*given, "--epochs", "2", "--device", "cpu", "--report", "none", "--root", str(tmp_path)]) == 0
    found = json.loads((only_run(tmp_path) / "metrics.json").read_text())
    if views == "shift":  # the answer is no mean of the columns' logits then
        assert not [name for name in found if "columns" in name]
        return
    assert found["columns/loss_alone"] - found["columns/disagreement"] == pytest.approx(found["test/loss"], rel=1e-5)
    assert found["columns/disagreement"] > 1e-4
    assert abs(found["gap/columns_loss"]) < 1e-12
    assert ", 2 columns, " in capsys.readouterr().out
    assert "disagreement" in (only_run(tmp_path) / "report.md").read_text()


def test_columns_learn_with_dropout() -> None:
    network, x = CNN(1, 2, [8, 8], [4], dropout=0.5, columns=2).train(), torch.rand(3, 1, 8, 8)
    assert not torch.equal(network(x, each=True), network(x, each=True))
    still = CNN(1, 2, [8, 8], [4], columns=2).train()
    assert torch.equal(still(x, each=True), still(x, each=True))


def test_the_columns_are_asked_without_dropout(task: CNNTask) -> None:
    dropping = CNNTask(**FACTS, columns=COLUMNS, dropout=0.5).double().train()
    dropping.load_state_dict(task.state_dict())
    features = torch.rand(5, COLUMNS * 6 * 2 * 2, dtype=torch.float64)
    assert torch.equal(dropping.network.opinions(features), task.network.opinions(features))
