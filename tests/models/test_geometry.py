"""What a layer does to space: taken apart and rebuilt, and the run of --model geometry."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from models.point_network import PointNetwork, anatomy, grid_lines, look
from tests.refusals import refused
from tests.trainer.exact import run_below


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (6, 2), (2, 6), (1, 3)])
def test_a_layer_is_rotate_scale_rotate_shift(rows: int, columns: int) -> None:
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
