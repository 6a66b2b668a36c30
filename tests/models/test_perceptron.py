"""The perceptron through the front door: what one layer can do, what it cannot, and that two hidden units can."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from models.perceptron import Perceptrons, PerceptronTask, learned_gates, losses_of, rows_right
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from train import main


def run(tmp_path: Path, *words: str, report: str = "none") -> dict[str, Any]:
    """Metrics of a run."""
    root = tmp_path / "runs"
    assert main(["--model", "perceptron", "--root", str(root), "--device", "cpu", "--report", report, *words]) == 0
    (path,) = root.glob("*/*/metrics.json")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def test_xor_needs_the_hidden_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path)
    assert metrics["theory/separable"] == 0
    assert metrics["test/rows_right"] == metrics["theory/rows_right"] == 4
    assert metrics["test/rows_right_one_layer"] <= metrics["theory/rows_right_one_layer"] == 3
    assert [metrics[f"theory/separable_{bits}_bits"] for bits in (2, 3, 4)] == [14, 104, 1882]
    out = capsys.readouterr().out
    assert "4 of 4 rows of the truth table right, due 4" in out
    assert "no plane separates the training points (by linear programming)" in out


def test_one_hidden_unit_is_not_asked_for_what_no_plane_can_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = run(tmp_path, "--model.hidden", "1", "--model.starts", "1", "--epochs", "1")
    assert metrics["theory/rows_right"] == 3 >= metrics["test/rows_right"]
    out = capsys.readouterr().out
    assert "rows of the truth table right, due 3 (one hidden unit parts the inputs by a plane" in out
    assert "0 of 1 start gets every row right" in out
    assert "1 network 2-1-1" in out


def test_and_is_learned_within_novikoffs_bound(tmp_path: Path) -> None:
    # The bare truth table: the margin of AND is known, R² = 3 and γ² = 1/17.
    words = ["--data.points", "and", "--data.noise", "0", "--data.num_points", "4", "--data.batch_size", "4"]
    metrics = run(tmp_path, *words, "--epochs", "30")
    assert metrics["theory/mistakes"] == pytest.approx(51)
    assert 0 < metrics["test/mistakes"] <= metrics["theory/mistakes"]
    assert metrics["test/rows_right_one_layer"] == metrics["theory/rows_right_one_layer"] == 4


def test_points_without_a_truth_table(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--data.points", "moons", "--epochs", "2", report="full")
    assert "theory/rows_right" not in metrics
    assert list((tmp_path / "runs").glob("*/*/figures/decision.png"))


def test_every_test_point_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than one batch of them."""
    metrics = run(tmp_path, "--data.points", "moons", "--data.num_test", "10010", "--epochs", "1")
    told = re.search(r"test accuracy (0\.\d{4}) \(95", capsys.readouterr().out)
    assert told is not None
    assert float(told[1]) == pytest.approx(metrics["test/accuracy"], abs=6e-5)


def test_networks_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    networks = Perceptrons(3, 2, 2)
    x, y = torch.rand(10, 2), torch.randint(2, (10,))
    losses_of(networks(x), y)[1].backward()
    assert networks.weight.grad is not None
    assert networks.weight.grad[[0, 2]].abs().max() == 0
    assert networks.weight.grad[1].abs().min() > 0
    # One network written out.
    hidden = torch.tanh((2 * x - 1) @ networks.weight[1].T + networks.bias[1])
    torch.testing.assert_close(networks(x)[1], hidden @ networks.out[1] + networks.shift[1])


def test_preset_and_learned_gates() -> None:
    assert [rows_right(name) for name in ("and", "or", "not")] == [(4, 4), (4, 4), (2, 2)]
    assert all(0 < mistakes <= bound for mistakes, bound in learned_gates().values())


def test_a_resumed_run_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--model", "perceptron", "--epochs", "4", "--data.num_points", "60", "--model.starts", "3"]
    words += ["--report", "none", "--device", "cpu"]
    assert_equal_runs(*stopped_and_resumed(PerceptronTask, words, tmp_path, (1, 1), monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.hidden", "0"], "--model.hidden must be between 1 and 10,000, got 0"),
        (["--model.hidden", "1000000000000"], "--model.hidden must be between 1 and 10,000, got 1000000000000"),
        (["--model.starts", "-1"], "--model.starts must be between 1 and 1,000, got -1"),
        (["--lr", "0"], "--model.lr must be above 0 and at most 1,000, got 0"),
        (["--data", "digits"], "; its usual data are --data points, see --model perceptron --data.help"),
    ],
)
def test_wrong_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--model", "perceptron", "--root", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_table_of_a_gate() -> None:
    task = PerceptronTask(2, "nand", [0.0, 1.0])
    assert task.table() == 0b0111
    assert PerceptronTask(2, "moons", [0.0, 1.0]).table() is None
