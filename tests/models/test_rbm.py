"""The machine's runs through the front door, what they say of log Z, and options that cannot be."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.batches.loader import TensorLoader
from models.energy.judgement import Annealing, Judgement
from models.energy.machine import RBM, Ascent, climb
from models.energy.pictures import pixel_means, unit_pixels
from models.rbm import RBMTask
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.models.small_folder import make_pictures
from tests.models.small_rbm import QUICK, run
from theory.ais import LogZ
from train import main


def test_values_outside_the_unit_interval_are_refused_with_their_range() -> None:
    with pytest.raises(ValueError, match=r"needs values in \[0, 1\].*found -0\.5 to 3"):
        unit_pixels(torch.tensor([[[[-0.5, 3.0]]]]))
    with pytest.raises(ValueError, match="found nan"):
        unit_pixels(torch.full((1, 1, 1, 2), float("nan")))


def test_options_that_cannot_be_are_named() -> None:
    wrong: list[tuple[str, Any]] = [("hidden", 0), ("sweeps", 0), ("chains", 0), ("ais_temperatures", 19),
                                    ("ais_chains", 1), ("momentum", 1.0), ("lr", -0.1), ("lr", 1e12),
                                    ("hidden", 10**12), ("burn_in", 10**12), ("weight_decay", 1e12),
                                    ("scale", 1e12), ("record", 5.0)]  # fmt: skip
    for name, value in wrong:
        with pytest.raises(ValueError, match=rf"--model\.{name} must be .* got "):
            RBMTask(in_channels=1, image_size=[8, 8], **{name: value})
    with pytest.raises(
        ValueError, match=r"--model.log_z exact: .* 21 units, 2\^21 states: at most 20 units can be enumerated"
    ):
        RBMTask(in_channels=1, image_size=[8, 8], hidden=21, log_z="exact")


def test_a_single_picture_of_constant_pixels_gives_finite_steps() -> None:
    torch.manual_seed(0)
    images = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    rbm, ascent = RBM(9, 4), Ascent(9, 4, "pcd", 1, 10)
    mean = pixel_means(images)
    rbm.start_from(mean, 1)
    ascent.start_from(mean)
    for _ in range(20):
        slopes = ascent.gradient(rbm, unit_pixels(images))
        assert all(bool(torch.isfinite(slope).all()) for slope in slopes)
        climb(rbm, slopes)
    assert torch.isfinite(rbm.visible_bias).all()


def test_a_run_counts_and_anneals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--epochs", "3", "--model.hidden", "10")
    assert abs(metrics["gap/log_z"]) < 1
    assert metrics["theory/log_z"] + metrics["gap/log_z"] == pytest.approx(metrics["test/log_z_forward"], abs=1e-12)
    assert metrics["test/log_likelihood"] > metrics["theory/log_likelihood_independent_pixels"] - 1
    out = capsys.readouterr().out
    assert "log Z counted exactly; pixels sampled once, seed 0" in out
    assert {path.stem for path in tmp_path.glob("*/*/figures/*.png")} == {"log_z", "filters", "samples"}


def test_counting_alone_anneals_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "rbm", "--device", "cpu", "--epochs", "1", "--model.hidden", "10", "--seed", "0"]
    found = {}
    for log_z, more in (("exact", []), ("auto", ["--model.ais_temperatures", "100"])):
        root = tmp_path / log_z
        assert main([*words, *more, "--model.log_z", log_z, "--root", str(root)]) == 0
        (path,) = root.glob("*/*/metrics.json")
        found[log_z] = json.loads(path.read_text())
        assert ("log Z forward" in capsys.readouterr().out) == (log_z == "auto")
        figures = {"filters", "samples"} | ({"log_z"} if log_z == "auto" else set())
        assert {figure.stem for figure in root.glob("*/*/figures/*.png")} == figures
    for tag in ("theory/log_z", "test/log_likelihood"):
        assert found["exact"][tag] == found["auto"][tag]
    annealed = {tag for tag in found["auto"] if tag.startswith(("test/log_z", "gap/log_z", "test/log_likelihood_"))}
    assert len(annealed) >= 8
    assert not annealed & set(found["exact"])


def test_a_large_machine_is_fenced_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--epochs", "1", "--model.hidden", "30", "--model.record", "-20", "--model.record_source", "nobody"]
    metrics = run(tmp_path, *words, "--model.algorithm", "cd", "--report", "none")
    assert metrics["test/log_likelihood_low"] < metrics["test/log_likelihood_high"]
    assert "theory/log_z" not in metrics
    assert metrics["gap/published"] == pytest.approx(metrics["test/log_likelihood"] + 20, abs=1e-6)
    out = capsys.readouterr().out
    assert "by annealing between" in out
    assert "-20.00 nats (nobody)" in out


def test_chains_from_the_data_have_a_loss_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--epochs", "1", "--model.hidden", "6", "--model.algorithm", "cd", "--report", "none")
    (loss,) = re.findall(r"train/loss (\S+)", capsys.readouterr().out)
    assert abs(float(loss)) > 1e-3


def test_an_estimate_without_spread_is_not_measured_in_its_errors() -> None:
    flat = LogZ(value=5.0, error=0.0, bound=5.0, bound_error=0.0, chains=4, effective=4.0)
    judgement = Judgement(
        minus_free_energy=-1.0, exact=4.0, annealings=[Annealing(20, flat, flat)],
        independent=-3.0, fantasies=torch.zeros(1, 4), scheme="",
    )  # fmt: skip
    assert dict(judgement.findings())["log Z forward"] == "5.000 ± 0.000 nats; from below 5.000 ± 0.000"


@pytest.mark.parametrize("log_z", ["ais", "auto"])
def test_an_error_that_few_chains_carry_is_not_told(
    log_z: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine of large weights: one chain of the 100 outweighs all others, and the estimate is nats off."""
    words = ["--epochs", "1", "--lr", "0", "--model.hidden", "14", "--model.scale", "4", "--model.log_z", log_z]
    metrics = run(tmp_path, *words)
    out = capsys.readouterr().out
    assert metrics["test/log_z_forward_effective_chains"] < 5
    assert "test/log_z_forward_error" not in metrics
    (forward,) = re.findall(r"log Z forward +(.*); from below", out)
    assert re.search(r"error unknown: \d\.\d of (100|\d+) chains carry the weight", forward)
    assert "±" not in forward
    assert "between" not in out
    assert not [tag for tag in metrics if tag.endswith(("_low", "_high"))]
    assert ("(by annealing that is not to be trusted; " in out) == (log_z == "ais")
    assert "standard errors from exact" not in forward
    assert ("from exact" in forward) == (log_z == "auto")
    assert re.search(r"annealing +not to be trusted: backward − forward = [+-]\d", out)


def test_estimates_further_apart_than_their_errors_are_not_trusted() -> None:
    below = LogZ(value=5.0, error=0.1, bound=4.9, bound_error=0.1, chains=100, effective=50.0)
    for above, doubted in ((5.5, False), (6.0, True)):
        annealing = Annealing(20, below, below._replace(value=above, bound=above + 0.1))
        judgement = Judgement(-1.0, None, [annealing], -3.0, torch.zeros(1, 4), "drawn")
        lines = dict(judgement.findings())
        assert ("annealing" in lines) == doubted
        ends = {tag: value for tag, value in judgement.metrics().items() if tag.endswith(("_low", "_high"))}
        if doubted:
            assert (
                lines["log-likelihood"] == "-7.00 nats a test picture (by annealing that is not to be trusted; drawn)"
            )
            assert not ends
        else:
            assert "(by annealing between -6.70 and -5.80, its bounds" in lines["log-likelihood"]
            assert ends == {
                "test/log_likelihood_low": pytest.approx(-6.7),
                "test/log_likelihood_high": pytest.approx(-5.8),
            }


def test_bounds_that_chance_has_exchanged_still_give_an_interval() -> None:
    """Where they coincide in expectation, the one from below lies above the other in half of all runs."""
    below = LogZ(value=5.0, error=0.1, bound=5.3, bound_error=0.1, chains=100, effective=50.0)
    annealing = Annealing(20, below, below._replace(bound=4.9))
    assert Judgement(-1.0, None, [annealing], -3.0, torch.zeros(1, 4), "").interval == pytest.approx((-6.4, -5.8))


@pytest.mark.parametrize("model", ["rbm", "dbn"])
def test_a_folder_has_a_recipe_of_small_grey_pictures(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one a picture would be 224 by 224 in colour, 150,528 visible units, and none would be left to test on."""
    root = make_pictures(tmp_path / "pictures")
    shutil.rmtree(root / "val")
    words = ["--model", model, "--device", "cpu", "--data", str(root / "train"), "--epochs", "8", "--report", "none"]
    words += ["--data.cache_dir", str(tmp_path / "cache"), "--model.ais_temperatures", "20", "--model.burn_in", "5"]
    assert main([*words, "--root", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"folder: 1×28×28, 2 classes; train \d+, val \d+, test [1-9]", out)


def sorted_by_class(count: int) -> TensorLoader:
    """Half of the pictures are black and half white, class by class, as a folder lists them."""
    labels = torch.arange(count) * 2 // count
    return TensorLoader(labels[:, None, None, None].expand(-1, 1, 2, 2).to(torch.uint8) * 255, labels, 4)


def test_samples_of_a_machine_start_from_all_classes() -> None:
    task = RBMTask(1, [2, 2], hidden=3, ais_chains=10)
    task._trainer = SimpleNamespace(train_dataloader=sorted_by_class(100))  # type: ignore[assignment]
    task.start()
    assert set(task.pictures.mean(1).tolist()) == {0.0, 1.0}


def test_augmented_pictures_of_a_folder(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures")
    words = ["--data.channels", "1", "--data.image_size", "8", "--data.cache_dir", str(tmp_path / "cache")]
    words += ["--epochs", "1", "--model.hidden", "4", "--report", "none", "--data", str(root)]
    words += ["--data.aug", "light", "--data.test_fraction", "0"]
    assert main([*QUICK, "--root", str(tmp_path / "runs"), *words]) == 2, "there are no test pictures"
    shutil.copytree(root / "val", root / "test")
    assert run(tmp_path / "runs", *words)["test/log_likelihood"] < 0


def test_a_resumed_run_equals_one_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*QUICK, "--epochs", "2", "--model.hidden", "6", "--report", "none", "--trainer.limit_train_batches", "10"]
    assert_equal_runs(*stopped_and_resumed(RBMTask, words, tmp_path, (1, 3), monkeypatch))
