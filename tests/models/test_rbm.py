"""The machine's training against the exact gradient, and its runs through the front door."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from data.digits import Digits
from data.loader import TensorLoader
from models.energy.judgement import Annealing, Judgement
from models.energy.machine import RBM, Ascent, climb, coin
from models.energy.pictures import grey_in_training, pixel_means, unit_pixels
from models.rbm import RBMTask
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.models.small_folder import make_pictures
from tests.theory.machines import pictures
from theory.ais import LogZ
from theory.gibbs import contrastive_moments, flat
from theory.rbm import Moments, likelihood_gradient, log_likelihood
from train import main

QUICK = ["--model", "rbm", "--device", "cpu", "--model.ais_temperatures", "100", "--model.burn_in", "20"]


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


def run(root: Path, *words: str) -> dict[str, Any]:
    assert main([*QUICK, "--root", str(root), *words]) == 0
    (path,) = root.glob("*/*/metrics.json")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


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


def test_pixels_cut_at_one_half_are_not_set_beside_a_record_of_drawn_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "1", "--model.hidden", "4", "--model.record", "-20", "--model.record_source", "nobody"]
    metrics = run(tmp_path, *words, "--data.binarise", "threshold", "--report", "none")
    assert not [tag for tag in metrics if "published" in tag]
    out = capsys.readouterr().out
    assert "; pixels cut at 1/2)" in out
    assert "-20.00 nats (nobody) are of drawn pixels; these are cut at 1/2, so the two do not compare" in out
    assert "; here " not in out


def test_grey_pixels_are_drawn_once_for_the_judgement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = torch.full((2000, 1, 2, 3), 128, dtype=torch.uint8)
    task = RBMTask(in_channels=1, image_size=[2, 3])
    drawn = []
    for _ in range(2):
        task.on_test_epoch_start()
        drawn.append(torch.cat([task.binary(part) for part in grey.split(700)]))
    assert torch.equal(*drawn)
    assert set(drawn[0].unique().tolist()) == {0.0, 1.0}
    assert abs(float(drawn[0].mean()) - 128 / 255) < 4.5 * 0.5 / 12_000**0.5
    task.on_validation_epoch_start()
    assert not torch.equal(task.binary(grey), drawn[0])
    given = torch.randint(2, (4, 1, 2, 3), dtype=torch.uint8) * 255
    assert torch.equal(task.binary(given), given.flatten(1) / 255), "nothing is left to draw"
    metrics = run(tmp_path, "--data.binarise", "none", "--epochs", "2", "--model.hidden", "4", "--report", "none")
    # As the same pictures drawn by the data: -27.25 nats for independent pixels. The grey ones themselves give -34.
    assert metrics["theory/log_likelihood_independent_pixels"] == pytest.approx(-27.25, abs=0.5)
    assert "grey pixels drawn once, seed 0, those of training anew in each batch" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["validation", "test"])
def test_grey_pixels_are_drawn_with_the_seed_that_was_given(part: str) -> None:
    """The same ones in each epoch, so that epochs are compared on the same pictures."""
    grey = torch.full((2000, 1, 2, 3), 128, dtype=torch.uint8)
    drawn = []
    for task in [RBMTask(in_channels=1, image_size=[2, 3])] * 2 + [RBMTask(1, [2, 3], pixels_seed=1)]:
        getattr(task, f"on_{part}_epoch_start")()
        drawn.append(task.binary(grey))
    assert torch.equal(drawn[0], drawn[1])
    # Two independent draws of a fair coin differ in half of the 12,000 pixels.
    assert abs(float((drawn[1] != drawn[2]).double().mean()) - 0.5) < 4.5 * 0.5 / 12_000**0.5


def test_the_pixels_say_whether_they_are_drawn_not_the_words_about_them() -> None:
    """Pictures of 0 and 1 under any name are used as they are; grey ones under any name are drawn."""
    black_and_white, grey = torch.randint(2, (40, 1, 2, 3)).float(), torch.rand(40, 1, 2, 3)
    for words in ("grey pixels", "pixels cut at 1/2"):
        task = RBMTask(1, [2, 3], words)
        assert torch.equal(task.binary(black_and_white), black_and_white.flatten(1))
        assert set(task.binary(grey).unique().tolist()) == {0.0, 1.0}
        for pixels, drawn in ((black_and_white, False), (grey, True)):
            loader = TensorLoader(pixels, torch.zeros(40, dtype=torch.int64), 8)
            assert grey_in_training(loader, 0) == drawn
            assert loader.state_dict() == {"epoch": 0, "batch": 0}, "looking does not move the run"


def test_grey_pixels_after_a_first_batch_without_any_are_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RBMTask(1, [2, 3], hidden=4)
    task.count.fill_(1)
    seen: list[Tensor] = []

    def remember(rbm: Any, v: Tensor) -> None:
        seen.append(v)
        raise StopIteration

    monkeypatch.setattr(task.ascent, "gradient", remember)
    for pixels in (torch.ones(5, 1, 2, 3), torch.full((5, 1, 2, 3), 0.5)):
        with pytest.raises(StopIteration):
            task.training_step((pixels, torch.zeros(5)), 0)
    assert torch.equal(seen[0], torch.ones(5, 6))
    assert set(seen[1].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("model", ["rbm", "dbn"])
@pytest.mark.parametrize("scheme", ["threshold", "redraw"])
def test_a_seed_for_pixels_that_are_not_grey_is_refused(
    tmp_path: Path, model: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--data.binarise", scheme, "--model.pixels_seed", "7", "--root", str(tmp_path / "runs")]
    assert main([*words, "--epochs", "1", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.endswith("--model.pixels_seed is only for grey pixels, got 7; these are black and white already\n")
    assert not (tmp_path / "runs").exists()


def test_the_monitor_of_grey_pictures_sees_the_machine() -> None:
    """Undrawn, a half-grey pixel has ln 1/2 as its pseudo-likelihood, whatever the machine."""
    torch.manual_seed(0)
    task = RBMTask(1, [2, 3], hidden=6, log_z="ais")
    seen: list[float] = []
    task.log = lambda name, value, **_: seen.append(float(value))  # type: ignore[method-assign, assignment, misc]
    grey = torch.full((500, 1, 2, 3), 0.5)
    for bias in (0.0, 3.0):
        with torch.no_grad():
            task.rbm.weight.zero_()
            task.rbm.visible_bias.fill_(bias)
        task.on_validation_epoch_start()
        task.validation_step((grey,), 0)
    assert seen[0] == pytest.approx(6 * math.log(0.5))
    due = 6 * (-math.log1p(math.exp(-3)) - math.log1p(math.exp(3))) / 2  # half the pixels are on
    assert seen[1] == pytest.approx(due, rel=0.15)


def test_chains_from_the_data_have_a_loss_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--epochs", "1", "--model.hidden", "6", "--model.algorithm", "cd", "--report", "none")
    (loss,) = re.findall(r"train/loss (\S+)", capsys.readouterr().out)
    assert abs(float(loss)) > 1e-3


def test_an_estimate_without_spread_is_not_measured_in_its_errors() -> None:
    flat = LogZ(value=5.0, error=0.0, bound=5.0, bound_error=0.0)
    judgement = Judgement(
        minus_free_energy=-1.0, spread=0.0, pictures=1, exact=4.0, annealings=[Annealing(20, flat, flat)],
        independent=-3.0, fantasies=torch.zeros(1, 4), scheme="",
    )  # fmt: skip
    assert dict(judgement.findings())["log Z forward"] == "5.000 ± 0.000 nats; from below 5.000 ± 0.000"


def test_augmented_pictures_of_a_folder(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures")
    words = ["--data.channels", "1", "--data.image_size", "8", "--data.cache_dir", str(tmp_path / "cache")]
    words += ["--epochs", "1", "--model.hidden", "4", "--report", "none", "--data", str(root)]
    assert main([*QUICK, "--root", str(tmp_path / "runs"), *words]) == 2, "there are no test pictures"
    shutil.copytree(root / "val", root / "test")
    assert run(tmp_path / "runs", *words)["test/log_likelihood"] < 0


def test_a_resumed_run_equals_one_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*QUICK, "--epochs", "2", "--model.hidden", "6", "--report", "none", "--trainer.limit_train_batches", "10"]
    assert_equal_runs(*stopped_and_resumed(RBMTask, words, tmp_path, (1, 3), monkeypatch))
