"""The whole run of --model vanishing-gradients: what it prints, resumes and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.vanishing_gradients import VanishingGradientsTask
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.refusals import refused
from tests.trainer.exact import run_below
from trainer.safe_file import load_checkpoint

SMALL = [
    "--model", "vanishing-gradients", "--epochs", "2", "--model.settings", "[relu-he, relu-glorot-batch]",
    "--model.depth", "4", "--model.width", "8", "--model.measured_depth", "5", "--model.measured_width", "32",
    "--model.measured_batch", "16", "--model.draws", "4", "--batch_size", "256", "--device", "cpu",
]  # fmt: skip


def test_a_run_sets_gradients_beside_theory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*SMALL, "--root", str(tmp_path)]) == 0
    run = run_below(tmp_path)
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert metrics["theory/delta_ratio_relu_he"] == pytest.approx(1)
    ratio = metrics["test/delta_ratio_relu_he"]
    assert metrics["gap/delta_ratio_relu_he"] == pytest.approx(ratio - 1, abs=1e-6)
    assert ratio == pytest.approx(1, abs=0.5)  # 32 units wide
    assert metrics["theory/weight_ratio_relu_he"] == pytest.approx(1)
    weights = metrics["test/weight_ratio_relu_he"]
    assert metrics["gap/weight_ratio_relu_he"] == pytest.approx(weights - 1, abs=1e-6)
    assert "theory/weight_ratio_relu_glorot_batch" not in metrics
    assert "theory/chance_accuracy" not in metrics, "1 / classes elsewhere"
    assert 0.1 < metrics["theory/largest_class_share"] < 0.12, "of the digits of the test"
    output = capsys.readouterr().out
    assert "gradient law" in output
    assert f"weights {weights:.3g} (1);" in output
    assert "nan" not in output.lower()
    drawn = {path.stem for path in (run.path / "figures").glob("*.png")}
    assert drawn == {"gradient_profile", "gradient_ratio", "trainability"}


def small_task(**options: Any) -> VanishingGradientsTask:
    words: dict[str, Any] = {"settings": ["relu-he"], "depth": 3, "width": 4, **options}
    return VanishingGradientsTask(["a", "b", "c"], 1, [2, 2], [0.5], [0.5], **words)


def test_one_network_is_said_to_be_one() -> None:
    assert [small_task(copies=copies).describe()[:13] for copies in (1, 2)] == ["1 network of ", "2 networks of"]


def test_copies_answer_for_the_same_pictures() -> None:
    """Five networks at 340 of 360 are no 1,800 trials: [91.6, 96.4] and not [93.6, 95.1]."""
    task = small_task(copies=5)
    task.pictures, task.largest = 360, 0.34
    assert task.verdict([340 / 360] * 5) == "94.4 % ± 0.0 (5 copies) [91.6, 96.4]: trains"
    spread = task.verdict([338 / 360, 342 / 360, 340 / 360, 339 / 360, 341 / 360])
    assert spread == "94.4 % ± 0.4 (5 copies) [91.6, 96.4]: trains"
    assert task.verdict([340 / 360]) == "94.4 % [91.6, 96.4]: trains"


def test_naming_the_largest_class_is_chance() -> None:
    task = small_task()
    task.pictures, task.largest = 1000, 0.9
    assert task.verdict([0.9]).endswith(": at chance")
    assert task.verdict([0.95]).endswith(": trains badly")
    assert task.verdict([0.99]).endswith(": trains")


def test_the_gradients_measured_are_drawn_with_the_seed_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = list[int]()
    monkeypatch.setattr("models.vanishing_gradients.measure_gradients", lambda *given: seeds.append(given[-1]))
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        task = small_task()
        monkeypatch.setattr(task, "shares", lambda: (torch.ones(1, 1), torch.ones(1, 3)))
        monkeypatch.setattr(task, "log_dict", lambda _: None)
        task.on_test_epoch_end()
    assert seeds[0] == seeds[1] != seeds[2]


def test_stop_and_resume_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*SMALL, "--report", "none"]
    whole, half = stopped_and_resumed(VanishingGradientsTask, words, tmp_path, (1, 2), monkeypatch)
    assert_equal_runs(whole, half)
    ours, theirs = (load_checkpoint(run / "checkpoints/last.ckpt") for run in (whole, half))
    assert ours["history"] == theirs["history"]
    assert len(ours["history"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model.settings", "[relu]"],
            "--model.settings: a setting is ACTIVATION-INITIALISATION[-WIRING] of li",
        ),
        (
            ["--model.settings", '["x"]'],
            "--model.settings: …sigmoid; glorot, he, orthogonal; plain, residual, batch; got 'x'",
        ),
        (["--model.settings", "[x-he]"], "--model.settings: setting 'x-he': 'x' is none of linear, "),
        (["--model.settings", "[]"], "--model.settings must name at least one"),
        (["--model.settings", "[relu-he, relu-he]"], "--model.settings must name at least one setting, and each once"),
        (["--model.depth", "2"], "--model.depth must be between 3 and 100, got 2"),
        (["--model.draws", "0"], "--model.draws must be between 1 and 1,000, got 0"),
        (["--lr", "-1"], "--model.lr must be between 0 and 1,000, got -1"),
        (["--model.momentum", "1"], "--model.momentum must be at least 0 and below 1, got 1"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(["--model", "vanishing-gradients", *words], message, tmp_path, capsys)


def test_divergence_is_said_with_its_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*SMALL, "--lr", "1000", "--report", "none", "--root", str(tmp_path)]) == 1
    assert "stopped at step" in capsys.readouterr().err
