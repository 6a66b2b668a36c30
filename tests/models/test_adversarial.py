"""Attacks against enumeration and closed forms, certificates against search, and the run of --model adversarial."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import train
from models.adversarial import AdversarialTask
from models.convnet import CNN
from models.depth.checkpoint import given_networks
from models.pixels import unit_range
from models.robustness.attacks import changed, evolve_one_pixel, exhaustive_one_pixel, fgsm, loss_gradient, pgd
from models.robustness.certificate import certify_pixels, exact_one_pixel, network_bounds
from models.robustness.results import margin_slope
from models.robustness.victim import Victim, linear_victim, load_victim, on_pixels
from tests.conftest import Trained
from tests.trainer.exact import run_below
from theory.adversarial import linear_one_pixel_margins, linear_worst_margins, margins

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(6, 1, 5, 5, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
VALUES = torch.linspace(0, 1, 5)


def linear() -> Victim:
    torch.manual_seed(1)
    return linear_victim(3, 1, [5, 5], [0.3], [0.5]).eval()


def network(patch: int = 1) -> Victim:
    torch.manual_seed(2)
    victim = Victim(CNN(1, 3, [5, 5], [4], patch=patch), [0.3], [0.5])
    for _ in range(5):  # running statistics that differ from batch to batch
        victim(torch.rand(20, 1, 5, 5))
    return victim.eval().requires_grad_(False)


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


def test_no_value_changes_the_answer_of_a_certified_pixel() -> None:
    victim = network()
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


def test_the_spared_search_finds_what_the_whole_search_finds() -> None:
    victim = network()
    labels = victim(IMAGES).argmax(1)
    whole = exhaustive_one_pixel(victim, IMAGES, labels, VALUES)
    parts = (victim, victim.network, victim.mean, victim.std, IMAGES, labels, VALUES)
    found = exact_one_pixel(*parts)
    assert torch.equal(found.best.fooled, whole.fooled)
    assert found.decided.all()
    bounds = exact_one_pixel(*parts, search=False)
    assert (whole.fooled | ~bounds.best.fooled).all()
    assert torch.equal(whole.fooled & bounds.decided, bounds.best.fooled & bounds.decided)


def test_a_small_step_costs_what_the_gradient_says() -> None:
    assert margin_slope(linear().double(), IMAGES.double(), LABELS) == pytest.approx(1, abs=1e-6)
    victim = network().double()
    assert margin_slope(victim, IMAGES.double(), LABELS, 1e-6) == pytest.approx(1, abs=1e-3)


# --- runs ---

QUICK = ["--model.one_pixel_images", "6", "--model.generations", "2", "--model.steps", "3", "--device", "cpu"]


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

    def stopping(*arguments: Any) -> None:
        seen.append(arguments[-1])
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
        words += ["--model.train_epsilon", epsilon, "--model.train_steps", "2", "--report", "none"]
        assert train.main([*words, "--root", str(root), *QUICK]) == 0
        shares.append(json.loads((run_below(root).path / "metrics.json").read_text())["test/accuracy_pgd_0.1"])
    assert shares[1] > shares[0] + 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.checkpoint", "nowhere"], "--model.checkpoint nowhere: no checkpoint there"),
        (["--model.train_epsilon", "2"], "--model.train_epsilon must be between 0 and 1, got 2"),
        (["--model.epsilons", "[0.2, 0.1]"], "--model.epsilons must be increasing numbers above 0, at most 1"),
        (["--model.population", "3"], "--model.population must be between 4 and 10,000, got 3"),
        (["--model.one_pixel_images", "0"], "--model.one_pixel_images must be between 1 and 100,000, got 0"),
        (["--model.widths", "[1,2,3,4,5,6,7]"], "--model.widths [1, 2, 3, 4, 5, 6, 7]: 7 stages are too many for pict"),
        (["--model.widths", "[0]"], "--model.widths must be between 1 and 1,000,000 each, got [0]"),
        (["--model.train_steps", "7"], "--model.train_steps: only for adversarial training, with --model.train_epsi"),
        (["--model.checkpoint", "x", "--model.widths", "[9]"], "--model.widths: the network is that of --model.check"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert train.main(["--model", "adversarial", *words, "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_network_that_knows_nothing_is_no_network_to_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(self: AdversarialTask, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images = unit_range(batch[0])
        self.collected.append((images, (self.victim(images).argmax(1) + 1) % 10))  # whatever it says, it is wrong

    monkeypatch.setattr(AdversarialTask, "test_step", mistaken)
    words = ["--model", "adversarial", "--lr", "0", "--model.test_images", "1", "--epochs", "1", *QUICK]
    assert train.main([*words, "--root", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == (
        "train.py: the network knows none of the 1 test pictures: there is nothing to attack"
    )
    assert re.search(r"one pixel +not tried: the network knows none of the 1 pictures\n", captured.out)
    assert not list(tmp_path.rglob("crash.txt"))


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


def test_classes_of_other_names_are_named(trained: Trained) -> None:
    names = [str(digit) for digit in range(10)]
    names[3], names[7] = "three", "seven"
    with pytest.raises(ValueError, match=r"its classes are other ones than those of this data, '3' for 'three', '7' "):
        load_victim(str(trained.folder), names, 1, [8, 8])


def test_a_checkpoint_of_something_else_is_refused(trained: Trained, tmp_path: Path) -> None:
    junk = tmp_path / "junk.ckpt"
    junk.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="is no checkpoint of one of our runs"):
        load_victim(str(junk), ["0"], 1, [8, 8])
    with pytest.raises(ValueError, match="trained on 10 classes of 1×8×8, this data has 2 classes of 1×25×25"):
        load_victim(str(trained.folder), ["a", "b"], 1, [25, 25])
    other = tmp_path / "other.ckpt"
    torch.save({"house": {"model": "face"}, "hyper_parameters": {}, "state_dict": {}}, other)
    with pytest.raises(ValueError, match="holds the model 'face'; allowed: cnn"):
        load_victim(str(other), ["0"], 1, [8, 8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["hyper_parameters"].pop("class_names"),
            "does not fit .*: among its hyper_parameters class_names is missing$",
        ),
        (lambda c: c.update(hyper_parameters={}), "hyper_parameters class_names, in_channels, .*, std are missing$"),
        (lambda c: c["hyper_parameters"].update(widths=[3, 5]), "does not fit the model 'cnn': size mismatch for"),
        (lambda c: c["state_dict"].pop("network.head.1.bias"), "does not fit .*: it has no network.head.1.bias"),
        (lambda c: c["state_dict"]["mean"].fill_(float("nan")), r"its weights are not finite \(mean\)"),
        (lambda c: c.update(hyper_parameters=7), "is no checkpoint of one of our runs, or is damaged"),
    ],
)
def test_an_altered_checkpoint_is_refused_by_name(
    trained: Trained, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    checkpoint = torch.load(trained.folder / "checkpoints/best.ckpt", weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "altered.ckpt")
    names = [str(digit) for digit in range(10)]
    with pytest.raises(ValueError, match=message):
        load_victim(str(tmp_path / "altered.ckpt"), names, 1, [8, 8])
    with pytest.raises(ValueError, match=message):
        given_networks(str(tmp_path / "altered.ckpt"), 64)


def test_half_a_checkpoint_is_called_damaged(trained: Trained, tmp_path: Path) -> None:
    content = (trained.folder / "checkpoints/best.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="or is damaged"):
        load_victim(str(tmp_path / "half.ckpt"), ["0"], 1, [8, 8])


def test_only_cnns_are_certified() -> None:
    module = nn.Flatten()
    labels = linear()(IMAGES).argmax(1)
    found = exact_one_pixel(linear(), module, torch.zeros(1), torch.ones(1), IMAGES, labels, VALUES)
    assert found.spared == 0
    assert torch.equal(found.best.fooled, exhaustive_one_pixel(linear(), IMAGES, labels, VALUES).fooled)
