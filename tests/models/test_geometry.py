"""What a layer does to space: taken apart and rebuilt, and the run of --model geometry."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train
from models.geometry import GeometryTask
from models.point_network import PointNetwork, Stage, anatomy, grid_lines, look
from tests.refusals import refused
from tests.trainer.exact import run_below
from theory.separability import cover_count, separating_plane


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (6, 2), (2, 6), (1, 3)])
def test_a_layer_is_turn_scale_turn_shift(rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    bias = torch.randn(rows, generator=generator, dtype=torch.float64)
    x = torch.randn(40, columns, generator=generator, dtype=torch.float64)
    (_, rotated), (_, scaled), (_, turned), (_, shifted) = anatomy(weight, bias, x)
    torch.testing.assert_close(torch.cdist(rotated, rotated), torch.cdist(x, x), atol=1e-6, rtol=0)
    values = torch.linalg.svdvals(weight)
    torch.testing.assert_close(scaled[:, : len(values)], rotated[:, : len(values)] * values)
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(scaled, scaled), atol=1e-6, rtol=0)
    torch.testing.assert_close(shifted, x @ weight.T + bias)


def test_a_step_that_turns_the_orientation_around_is_a_reflection() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    for weight in (turn, turn * torch.tensor([1.0, -1.0])):
        first, _, last, _ = (name.partition(",")[0] for name, _ in anatomy(weight, weight[0], weight))
        assert ((first == "reflect") != (last == "reflect")) == (float(torch.linalg.det(weight)) < 0)
        assert {first, last} <= {"rotate", "reflect"}


def test_stages_lead_to_the_output() -> None:
    torch.manual_seed(0)
    network = PointNetwork(2, [3, 4], "tanh")
    x = torch.randn(5, 2)
    stages = network.stages(x)
    assert [stage.shape[1] for stage in stages] == [2, 3, 4]
    torch.testing.assert_close(network(x), network.readout(stages[-1])[:, 0])
    torch.testing.assert_close(stages[1], torch.tanh(x @ network.hidden()[0].weight.T + network.hidden()[0].bias))


def test_a_linear_network_makes_nothing_separable() -> None:
    torch.manual_seed(1)
    corners, labels = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([0, 1, 1, 0])
    stages = PointNetwork(2, [5, 5], "linear").double().stages(corners.double())
    assert not any(look(stage.detach(), labels).plane.separable for stage in stages)


def test_chance_is_covers() -> None:
    labels = torch.tensor([0, 1] * 3)
    stage = look(torch.randn(6, 2, generator=torch.Generator().manual_seed(2)), labels)
    assert stage.chance == pytest.approx(np.log10(0.5))  # n = 6 = 2 (2 + 1)


def test_chance_counts_the_dimensions_that_the_points_fill_and_the_points_that_differ() -> None:
    generator = torch.Generator().manual_seed(2)
    labels, plane = torch.tensor([0, 1] * 3), torch.randn(6, 2, generator=generator)
    lifted = plane.double() @ torch.randn(2, 8, generator=generator).double() + 3
    stage = look(lifted.float(), labels, lifted)
    assert (stage.dimension, stage.distinct) == (2, 6)
    assert 10**stage.chance == pytest.approx(0.5)
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).repeat(100, 1)
    stage = look(corners, torch.tensor([0, 1, 1, 0]).repeat(100))
    assert (stage.dimension, stage.distinct) == (2, 4)
    assert stage.chance == pytest.approx(np.log10(14) - 400 * np.log10(2))  # of 16 labellings all but XOR and XNOR
    assert look(torch.zeros(3, 5), torch.tensor([0, 1, 0])).chance == pytest.approx(np.log10(2 / 8))


def test_the_chance_is_told_as_a_bound() -> None:
    for points in (4, 10, 37, 400):
        for dimension in range(1, 12):
            exact = Fraction(cover_count(points, dimension), 2**points)
            chance = math.log10(cover_count(points, dimension)) - points * math.log10(2)
            said = Stage(np.zeros((1, 1)), separating_plane([[0.0]], [1]), 1.0, chance, 1, 1).chance_in_words()
            told = Fraction(said.replace("10^", "1e"))
            assert told >= exact * (1 - Fraction(1, 10**9)), "a bound, but for rounding"
            assert told <= exact * (10 if "^" in said else Fraction(101, 100))


def ran(root: Path, *words: str) -> None:
    given = ["--model", "geometry", "--epochs", "1", "--device", "cpu", "--root", str(root)]
    assert train.main([*given, *words]) == 0


def test_a_linear_layer_bends_nothing_and_fills_no_further_dimension(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path, "--model.activation", "linear", "--model.widths", "[8]")
    out = capsys.readouterr().out
    assert "8 dimensions, of which the points fill 2" in out
    assert out.count("by chance at most 10^-115 (Cover)") == 2
    assert "yes: full column ranks; nothing bends" in out
    assert "increasing bend" not in out


def test_points_that_coincide_are_told_and_a_large_chance_is_no_power_of_ten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path / "xor", "--data.points", "xor", "--data.noise", "0", "--model.widths", "[8]")
    out = capsys.readouterr().out
    assert "layer 1        8 dimensions, of which the points fill 3, 4 of the 400 points distinct, " in out
    words = ["--data.noise", "0", "--data.num_points", "4", "--model.widths", "[1]"]
    ran(tmp_path / "and", "--data.points", "and", *words)
    out = capsys.readouterr().out
    assert "by chance at most 0.875 (Cover)" in out
    assert "1 dimension, " in out
    assert "by chance at most 0.5 (Cover)" in out


def test_a_dead_layer_is_a_failure_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "geometry", "--device", "cpu", "--epochs", "1", "--root", str(tmp_path)]
    words += ["--model.activation", "relu", "--model.widths", "[8, 1]", "--lr", "3"]  # so large a step kills the unit
    assert train.main(words) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("train.py: nothing was learnt: the only unit of layer 2 died, ")
    assert "--model.activation leaky" in captured.err
    assert "dead units" in captured.out
    assert "1 of 1 in layer 2: 0 at every training point" in captured.out


@pytest.mark.parametrize(("activation", "dead"), [("relu", [(1, 2), (0, 1)]), ("leaky", [(0, 2), (0, 1)])])
def test_dead_units_are_those_that_are_zero_at_every_point(activation: Any, dead: list[tuple[int, int]]) -> None:
    task = GeometryTask(["a", "b"], 2, [-1, 1], [2, 1], activation)
    task.train_points = (torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    first, second = task.network.hidden()
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
        first.bias.zero_()
        second.weight.fill_(1.0)
        second.bias.fill_(1.0)
    assert task.dead() == dead
    assert task.failure == ""


def test_the_grid_covers_the_box() -> None:
    lines = grid_lines(-1, 3, lines=5, steps=7)
    assert lines.shape == (10, 7, 2)
    assert lines.amin().item() == -1
    assert lines.amax().item() == 3
    straight = (lines[:, 1:] - lines[:, :1]).abs().amin(2)
    assert (straight == 0).all()


def test_a_run_finds_where_the_classes_become_separable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model", "geometry", "--data.points", "xor", "--data.noise", "0.05", "--model.widths", "[4]",
        "--epochs", "15", "--data.num_points", "200", "--batch_size", "20", "--root", str(tmp_path), "--device", "cpu",
    ]  # fmt: skip
    assert train.main(words) == 0
    run = run_below(tmp_path)
    metrics = json.loads((run.path / "metrics.json").read_text())
    output = capsys.readouterr().out
    assert "separable      from layer 1 on" in output
    assert metrics["test/plane_accuracy_layer_0"] < 0.8  # XOR: three of four corners at best
    assert metrics["test/plane_accuracy_layer_1"] == 1
    assert metrics["gap/svd_rebuilt"] < 1e-13
    assert metrics["test/accuracy"] > 0.99
    assert {path.stem for path in (run.path / "figures").glob("*.png")} == {"layers", "anatomy"}


def test_gates_of_three_inputs_and_one_unit_are_drawn(tmp_path: Path) -> None:
    words = [
        "--model", "geometry", "--data.points", "and", "--data.num_inputs", "3", "--model.widths", "[1]",
        "--epochs", "1", "--root", str(tmp_path), "--device", "cpu",
    ]  # fmt: skip
    assert train.main(words) == 0
    assert {path.stem for path in (run_below(tmp_path).path / "figures").glob("*.png")} == {"layers"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.widths", "[]"], "--model.widths must be one or more numbers in 1..256, got []"),
        (["--model.widths", "[0]"], "--model.widths must be one or more numbers in 1..256, got [0]"),
        (["--model.activation", "gelu"], "--model.activation: expected tanh, sigmoid, relu, leaky, linear, got 'gelu'"),
        (["--lr", "-1"], "--model.lr must be between 0 and 1,000, got -1"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(["--model", "geometry", *words], message, tmp_path, capsys)
