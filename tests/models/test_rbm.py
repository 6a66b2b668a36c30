"""The machine's training against the exact gradient, and its runs through the front door."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from data.digits import Digits
from data.loader import TensorLoader
from models.energy.judgement import Annealing, Judgement
from models.energy.machine import RBM, Ascent, climb, coin
from models.energy.pictures import pixel_means, unit_pixels
from models.rbm import RBMTask
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.models.small_folder import make_pictures
from tests.models.small_rbm import QUICK, run
from tests.theory.machines import pictures
from theory.ais import LogZ
from theory.gibbs import contrastive_moments, flat
from theory.rbm import Moments, likelihood_gradient, log_likelihood
from train import main


def machine(visible: int = 8, hidden: int = 4) -> RBM:
    torch.manual_seed(0)
    rbm = RBM(visible, hidden, scale=1.0).double()
    with torch.no_grad():
        rbm.visible_bias.normal_()
        rbm.hidden_bias.normal_()
    return rbm


def mean_direction(rbm: RBM, v: Tensor, ascent: Ascent, draws: int) -> tuple[Tensor, Tensor]:
    """Mean and standard error of the direction over many steps, offsets held."""
    offsets = ascent.visible_offset.clone(), ascent.hidden_offset.clone()
    found = []
    for _ in range(draws):
        found.append(flat(ascent.gradient(rbm, v)))
        ascent.visible_offset.copy_(offsets[0])
        ascent.hidden_offset.copy_(offsets[1])
    values = torch.stack(found)
    return values.mean(0), values.std(0) / draws**0.5


def centred(plain: Moments, mu: Tensor, lam: Tensor) -> Tensor:
    """The centred direction by its definition, from differences of moments: (v-μ)(h-λ)ᵀ multiplied out."""
    weight = plain.weight - torch.outer(plain.visible_bias, lam) - torch.outer(mu, plain.hidden_bias)
    return flat(Moments(weight, plain.visible_bias - weight @ lam, plain.hidden_bias - weight.T @ mu))


@pytest.mark.parametrize("sweeps", [1, 3])
def test_contrastive_divergence_has_the_expected_direction(sweeps: int) -> None:
    rbm, v = machine(), pictures()
    ascent = Ascent(8, 4, "cd", sweeps, 1, centre=False).double()
    mean, error = mean_direction(rbm, v.repeat(40, 1), ascent, 400)
    phases = contrastive_moments(v, sweeps, *rbm.terms())
    due = flat(phases[0]) - flat(phases[sweeps])
    assert ((mean - due).abs() / error.clamp_min(1e-12)).max() < 4.5


def test_persistent_chains_reach_the_gradient_of_the_likelihood_centred_or_not() -> None:
    rbm, v = machine(), pictures()
    for centre in (False, True):
        ascent = Ascent(8, 4, "pcd", 20, 400, centre).double()
        ascent.start_from(torch.full((8,), 0.3, dtype=torch.float64))
        ascent.gradient(rbm, v)  # burn-in
        ascent.visible_offset.fill_(0.3 if centre else 0.0)
        ascent.hidden_offset.fill_(0.6 if centre else 0.0)
        mean, error = mean_direction(rbm, v, ascent, 150)
        exact = likelihood_gradient(v, *rbm.terms())
        # The offsets move by a hundredth of their distance before they are used: not visible within the errors.
        due = centred(exact, ascent.visible_offset, ascent.hidden_offset) if centre else flat(exact)
        assert ((mean - due).abs() / (error + 2e-3)).max() < 4.5


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_a_look_leaves_the_chains_where_they_are(algorithm: Literal["cd", "pcd"]) -> None:
    rbm, v = machine(), pictures()
    ascent = Ascent(8, 4, algorithm, 2, 7).double()
    before = ascent.chains.clone()
    seen = ascent.look(rbm, v)
    assert torch.equal(ascent.chains, before)
    assert seen.shape == (7 if algorithm == "pcd" else len(v), 8)
    assert set(seen.unique().tolist()) <= {0.0, 1.0}


def test_centred_direction_is_the_product_of_centred_units() -> None:
    v, h = pictures(7, 8), torch.rand(7, 4, dtype=torch.float64)
    model_v, model_h = pictures(9, 8).roll(1, 0), torch.rand(9, 4, dtype=torch.float64)
    mu, lam = torch.rand(8, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    plain = Moments(v.T @ h / 7 - model_v.T @ model_h / 9, v.mean(0) - model_v.mean(0), h.mean(0) - model_h.mean(0))
    by_hand = (v - mu).T @ (h - lam) / 7 - (model_v - mu).T @ (model_h - lam) / 9
    torch.testing.assert_close(centred(plain, mu, lam)[:32].view(8, 4), by_hand)


def test_centred_step_is_the_same_when_black_and_white_are_exchanged() -> None:
    """Turning all pixels over and adjusting the parameters gives the same machine; its step must be the same too."""
    rbm, v = machine(), pictures(50)
    turned = machine()
    with torch.no_grad():
        turned.weight.copy_(-rbm.weight)
        turned.visible_bias.copy_(-rbm.visible_bias)
        turned.hidden_bias.copy_(rbm.hidden_bias + rbm.weight.sum(0))
    torch.testing.assert_close(rbm(v), turned(1 - v))
    steps = []
    for one, pixels, mean in ((rbm, v, v.mean(0)), (turned, 1 - v, 1 - v.mean(0))):
        plain = likelihood_gradient(pixels, *one.terms())
        lam = one(pixels).mean(0)
        steps.append(centred(plain, mean, lam)[:32])
    torch.testing.assert_close(steps[0], -steps[1])
    raw = [flat(likelihood_gradient(p, *one.terms()))[:32] for one, p in ((rbm, v), (turned, 1 - v))]
    assert (raw[0] + raw[1]).abs().max() > 0.01  # the uncentred step is another one


def test_ascent_raises_the_exact_likelihood() -> None:
    torch.manual_seed(0)
    data = Digits(binarise="sample").part("train").images[:500]
    v = unit_pixels(data)
    rbm, ascent = RBM(64, 8), Ascent(64, 8, "pcd", 1, 100)
    rbm.start_from(v.mean(0), len(v))
    ascent.start_from(v.mean(0))
    before = float(log_likelihood(v, *rbm.terms()).mean())
    optimiser = torch.optim.SGD(rbm.parameters(), lr=0.2)
    for _ in range(400):
        climb(rbm, ascent.gradient(rbm, v))
        optimiser.step()
    assert float(log_likelihood(v, *rbm.terms()).mean()) > before + 1.5


def test_coin_is_fair_and_certain_at_the_ends() -> None:
    torch.manual_seed(0)
    assert (coin(torch.zeros(1000)) == 0).all()
    assert (coin(torch.ones(1000)) == 1).all()
    assert abs(float(coin(torch.full((40_000,), 0.3)).mean()) - 0.3) < 4.5 * (0.21 / 40_000) ** 0.5


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


@pytest.mark.parametrize("log_z", ["ais", "exact"])
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
    assert "standard errors from exact" not in forward
    assert ("from exact" in forward) == (log_z == "exact")
    assert re.search(r"annealing +not to be trusted: backward − forward = \+\d", out)


def test_estimates_further_apart_than_their_errors_are_not_trusted() -> None:
    below = LogZ(value=5.0, error=0.1, bound=4.9, bound_error=0.1, chains=100, effective=50.0)
    for above, doubted in ((5.5, False), (6.0, True)):
        annealing = Annealing(20, below, below._replace(value=above))
        judgement = Judgement(-1.0, None, [annealing], -3.0, torch.zeros(1, 4), "")
        assert ("annealing" in dict(judgement.findings())) == doubted


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
    assert task.pictures.mean(1).tolist() == [0.0] * 5 + [1.0] * 5


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
