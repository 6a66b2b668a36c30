"""Attacks against enumeration and closed forms, certificates against search, and the run of --model adversarial."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import train
from models.adversarial import AdversarialTask
from models.convnet import CNN
from models.robustness.attacks import changed, evolve_one_pixel, exhaustive_one_pixel, fgsm, loss_gradient, pgd
from models.robustness.certificate import certify_pixels, exact_one_pixel, network_bounds
from models.robustness.results import attack, margin_slope
from models.robustness.victim import linear_victim, on_pixels
from tests.conftest import Trained
from tests.dashboard.titles import title
from tests.models.small_victims import IMAGES, LABELS, QUICK, VALUES, linear, network
from tests.trainer.exact import run_below
from theory.adversarial import linear_one_pixel_margins, linear_worst_margins, margins


def test_a_linear_victim_acts_on_pixels() -> None:
    weight, bias = on_pixels(linear())
    torch.testing.assert_close(
        IMAGES.flatten(1).double() @ weight.T + bias, linear()(IMAGES).double(), atol=1e-5, rtol=0
    )


def test_fgsm_reaches_the_worst_case_of_two_classes_exactly() -> None:
    """With one rival the gradient's sign is that of -w: nothing in the box is worse."""
    torch.manual_seed(3)
    victim = linear_victim(2, 1, [5, 5], [0.0], [1.0])
    labels = LABELS.clamp_max(1)
    weight, bias = on_pixels(victim)
    for epsilon in (0.05, 0.4):
        flat = IMAGES.flatten(1).double()
        due = linear_worst_margins(weight, bias, (flat - epsilon).clamp(0, 1), (flat + epsilon).clamp(0, 1), labels)
        found = margins(victim(fgsm(victim, IMAGES, labels, epsilon)), labels)
        torch.testing.assert_close(found.double(), due, atol=1e-5, rtol=0)


def test_pgd_stays_in_its_box_and_never_beats_the_exact_worst_case() -> None:
    victim = linear()
    weight, bias = on_pixels(victim)
    x = pgd(victim, IMAGES, LABELS, 0.2, generator=torch.Generator().manual_seed(0))
    assert ((x - IMAGES).abs() <= 0.2 + 1e-6).all()
    assert x.amin() >= 0
    assert x.amax() <= 1
    flat = IMAGES.flatten(1).double()
    due = linear_worst_margins(weight, bias, (flat - 0.2).clamp(0, 1), (flat + 0.2).clamp(0, 1), LABELS)
    found = margins(victim(x), LABELS).double()
    clean = margins(victim(IMAGES), LABELS).double()
    assert (found >= due - 1e-5).all()
    assert (clean - found > 0.7 * (clean - due)).all()


def test_the_gradient_is_there_inside_inference_mode() -> None:
    victim = network()
    due = loss_gradient(victim, IMAGES, LABELS)
    with torch.inference_mode():
        torch.testing.assert_close(loss_gradient(victim, IMAGES.clone(), LABELS.clone()), due)
    assert due.abs().sum() > 0


def test_changed_changes_one_pixel() -> None:
    copies = changed(IMAGES, torch.tensor([[7, 24]] * 6), torch.tensor([[0.5, 2.0]] * 6))
    assert copies.shape == (6, 2, 1, 5, 5)
    assert (copies[:, 0, 0, 1, 2] == 0.5).all()
    assert (copies[:, 1, 0, 4, 4] == 2.0).all()
    assert ((copies != IMAGES[:, None]).flatten(2).sum(2) == 1).all()


def test_exhaustive_search_of_a_linear_model_is_the_closed_form() -> None:
    victim = linear()
    weight, bias = on_pixels(victim)
    found = exhaustive_one_pixel(victim, IMAGES, LABELS, torch.tensor([0.0, 1.0]))
    due = linear_one_pixel_margins(weight, bias, IMAGES.flatten(1).double(), LABELS, 0.0, 1.0)
    torch.testing.assert_close(found.margin.double(), due, atol=1e-5, rtol=0)
    torch.testing.assert_close(margins(victim(found.apply(IMAGES)), LABELS), found.margin, atol=1e-5, rtol=0)


def test_evolution_never_beats_the_search_and_finds_most() -> None:
    victim = network()
    truth = exhaustive_one_pixel(victim, IMAGES, LABELS, VALUES)
    found = evolve_one_pixel(victim, IMAGES, LABELS, VALUES, 20, 20, torch.Generator().manual_seed(0))
    assert (found.margin >= truth.margin - 1e-5).all()
    assert ((found.margin - truth.margin).abs() < 1e-4).sum() >= 4
    torch.testing.assert_close(margins(victim(found.apply(IMAGES)), LABELS), found.margin, atol=1e-5, rtol=0)


@pytest.mark.parametrize("patch", [1, 2])
def test_bounds_hold_for_whatever_lies_between(patch: int) -> None:
    net = network(patch).network
    assert isinstance(net, CNN)
    low = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    high = low + 0.3
    bounds = network_bounds(net, low, high)
    inside = low + 0.3 * torch.rand(500, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    features = net.features(inside)
    assert (features >= bounds.low - 1e-5).all()
    assert (features <= bounds.high + 1e-5).all()
    point = network_bounds(net, low, low)
    torch.testing.assert_close(point.low, net.features(low))


@pytest.mark.parametrize("columns", [1, 2])
def test_no_value_changes_the_answer_of_a_certified_pixel(columns: int) -> None:
    victim = network(columns=columns)
    net = victim.network
    assert isinstance(net, CNN)
    labels = victim(IMAGES).argmax(1)
    counts = []
    for image, label in zip(IMAGES, labels, strict=True):
        safe = certify_pixels(net, victim.mean, victim.std, image, label, 1.0)
        fine = torch.linspace(0, 1, 201)
        places = torch.arange(25).repeat_interleave(201)[None]
        copies = changed(image[None], places, fine.repeat(25)[None])[0]
        least = margins(victim(copies), label.expand(len(copies))).view(25, 201).amin(1)
        assert (least[safe] > 0).all()
        counts.append(int(safe.sum()))
    assert sum(counts) > 0, "a certificate that never holds proves nothing"


@pytest.mark.parametrize("columns", [1, 2])
def test_the_spared_search_finds_what_the_whole_search_finds(columns: int) -> None:
    victim = network(columns=columns)
    labels = victim(IMAGES).argmax(1)
    whole = exhaustive_one_pixel(victim, IMAGES, labels, VALUES)
    parts = (victim, victim.network, victim.mean, victim.std, IMAGES, labels, VALUES)
    found = exact_one_pixel(*parts)
    assert torch.equal(found.best.fooled, whole.fooled)
    assert found.decided.all()
    bounds = exact_one_pixel(*parts, search=False)
    assert (whole.fooled | ~bounds.best.fooled).all()
    assert torch.equal(whole.fooled & bounds.decided, bounds.best.fooled & bounds.decided)


def test_a_search_of_nothing_spares_nothing() -> None:
    """Where the extremes fool every picture, no pixel was left to be certified."""
    victim, wrong = network(), torch.full_like(LABELS, 2)
    fooled = margins(victim(IMAGES), wrong) <= 0
    images, labels = IMAGES[fooled], wrong[fooled]
    found = exact_one_pixel(victim, victim.network, victim.mean, victim.std, images, labels, VALUES)
    assert found.best.fooled.all()
    assert found.spared is None
    kept = attack(victim, linear(), IMAGES, LABELS, VALUES, [0.1], 2, 6, False, 8, 2, 0)
    assert ("certificate" in dict(kept.findings())) == ("test/certified_share" in kept.metrics()) is True
    for name, victim in (("test/accuracy", network()), ("test/accuracy_linear", linear())):  # as they are
        assert kept.metrics()[name] == float((victim(IMAGES).argmax(1) == LABELS).double().mean())
    half = torch.arange(len(LABELS)) < 3
    stepped = replace(kept, known=half, example_classes=(LABELS + 1) % 3)  # all wrong after the step, half before it
    fgsm_figure = dict(stepped.figures(["a", "b", "c"]))["fgsm"]
    assert title(fgsm_figure) == "one step of ε = 0.1 (FGSM): 3 of 3 fooled, 3 were wrong before"
    nothing = replace(kept, spared=None)
    assert "certificate" not in dict(nothing.findings())
    assert "test/certified_share" not in nothing.metrics()


def test_a_small_step_costs_what_the_gradient_says() -> None:
    assert margin_slope(linear().double(), IMAGES.double(), LABELS) == pytest.approx(1, abs=1e-6)
    victim = network().double()
    assert margin_slope(victim, IMAGES.double(), LABELS, 1e-6) == pytest.approx(1, abs=1e-3)


def test_a_run_trains_attacks_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "adversarial", "--model.widths", "[4, 8]", "--epochs", "3", "--root", str(tmp_path), *QUICK]
    assert train.main(words) == 0
    run = run_below(tmp_path)
    metrics: dict[str, Any] = json.loads((run.path / "metrics.json").read_text())
    assert metrics["test/one_pixel_rate_evolved"] <= metrics["test/one_pixel_rate"]
    for epsilon in ("0.05", "0.1", "0.2"):
        assert metrics[f"test/accuracy_linear_pgd_{epsilon}"] >= metrics[f"theory/accuracy_linear_exact_{epsilon}"]
    assert metrics["test/accuracy_pgd_0.3"] <= metrics["test/accuracy"]
    assert "Wilson" in capsys.readouterr().out
    assert {path.stem for path in (run.path / "figures").glob("*.png")} >= {"accuracy", "fgsm"}


def test_attacks_are_drawn_with_the_seed_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def stopping(*arguments: Any, **named: Any) -> None:
        seen.append(named["seed"])
        raise InterruptedError

    monkeypatch.setattr("models.adversarial.attack", stopping)
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        task = AdversarialTask(["a", "b", "c"], 1, [5, 5], [0.3], [0.5], widths=[4])
        task.collected = [(IMAGES, LABELS)]
        torch.manual_seed(7)  # whatever was drawn since
        with pytest.raises(InterruptedError):
            task.on_test_epoch_end()
    assert seen[0] == seen[1] != seen[2]


def test_a_checkpoint_is_attacked_and_left_as_it_is(trained: Trained, tmp_path: Path) -> None:
    words = ["--model", "adversarial", "--model.checkpoint", str(trained.folder), "--epochs", "1", "--report", "none"]
    assert train.main([*words, "--root", str(tmp_path), *QUICK]) == 0
    folder = run_below(tmp_path).path
    after: dict[str, Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    best = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    for name, value in best.items():
        if name.startswith("network."):
            assert torch.equal(after[f"victim.{name}"], value), name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test/accuracy"] == pytest.approx(trained.metrics["test/accuracy"])


def test_adversarial_training_buys_robustness(tmp_path: Path) -> None:
    shares = []
    for epsilon in ("0", "0.15"):
        root = tmp_path / epsilon
        words = ["--model", "adversarial", "--model.widths", "[8, 16]", "--epochs", "4", "--model.epsilons", "[0.1]"]
        words += ["--model.train_epsilon", epsilon, "--report", "none"]
        words += ["--model.train_steps", "2"] if epsilon != "0" else []
        assert train.main([*words, "--root", str(root), *QUICK]) == 0
        shares.append(json.loads((run_below(root).path / "metrics.json").read_text())["test/accuracy_pgd_0.1"])
    assert shares[1] > shares[0] + 0.1


def test_the_result_says_how_many_pictures_were_attacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model",
        "adversarial",
        "--model.widths",
        "[4]",
        "--model.test_images",
        "20",
        "--epochs",
        "3",
        *QUICK[2:],
    ]
    assert train.main([*words, "--model.one_pixel_images=50", "--report", "none", "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    found = re.search(r"attacked +20 test pictures, and one pixel of (\d+) of the (\d+) right ones; (.*)", said)
    assert found is not None
    metrics = json.loads((run_below(tmp_path).path / "metrics.json").read_text())
    assert int(found[1]) == int(found[2]) == round(20 * metrics["test/accuracy"]) > 0
    assert found[3] == "wanted were at most 20 and 50"
