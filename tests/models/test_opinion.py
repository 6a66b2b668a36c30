"""The opinion of the pretrained classifier: its geometry, its place in the network, and that folds decide on it."""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import train
from models.cnn import CNNTask
from models.finetune.backbones import Backbone, build_backbone
from models.finetune.head_start import fit_best_head
from models.finetune.opinion import Opinion
from tests.models.small_folder import BACKBONE, words
from tests.runs import only_run


def test_distances_of_opinions_are_hellingers_and_the_cosine_of_the_logits() -> None:
    classifier = nn.Linear(5, 7).double()
    z = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    told = Opinion(classifier.weight, classifier.bias)(z).double()
    logits = classifier(z.double()).detach()
    centred = F.normalize(logits - logits.mean(1, keepdim=True), dim=1)
    roots = logits.softmax(1).sqrt()
    affinity = torch.tensor([[float((a * b).sum()) for b in roots] for a in roots])  # Bhattacharyya's
    torch.testing.assert_close(told[:, :7] @ told[:, :7].T, centred @ centred.T, atol=1e-5, rtol=0)
    torch.testing.assert_close((told[:, 7:] @ told[:, 7:].T).float(), affinity, atol=1e-5, rtol=0)
    torch.testing.assert_close(told.norm(dim=1), torch.full((4,), 2.0).double().sqrt(), atol=1e-5, rtol=0)


def test_a_certain_classifier_has_finite_slopes() -> None:
    z = torch.tensor([[300.0, -300.0]], requires_grad=True)
    Opinion(torch.eye(2), None)(z).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("useful", [0, 1])
def test_folds_choose_the_part_that_tells_the_classes_apart(useful: int) -> None:
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(60) % 2
    features = torch.randn(60, 6, generator=draw)
    parts = [slice(0, 3), slice(3, 6)]
    features[:, parts[useful].start] += 3.0 * labels
    fit = fit_best_head(features, parts, labels, 2, balance=False)
    assert fit.part == useful
    ignored = fit.weight[:, parts[1 - useful]]
    assert torch.equal(ignored, torch.zeros_like(ignored))
    assert ((features @ fit.weight.T + fit.bias).argmax(1) == labels).float().mean() > 0.9


def small(opinion: bool, weights: str = "default") -> Backbone:
    return build_backbone("efficientnet_lite0", 3, weights=weights, opinion=opinion).eval()


def test_the_head_sees_features_and_opinion() -> None:
    with_it, without = small(True), small(False)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen, plain = with_it.features(x), without.features(x)
    assert seen.shape == (2, 1280 + 2000)
    assert [seen[:, part].shape[1] for part in with_it.parts()] == [1280, 2000]
    torch.testing.assert_close(seen[:, :1280], plain)
    classifier = build_backbone("efficientnet_lite0", 1000).head
    torch.testing.assert_close(seen[:, 2280:].square(), classifier(plain).softmax(1), atol=1e-5, rtol=1e-3)
    assert without.parts() == [slice(0, 1280)]


def test_random_weights_have_no_opinion() -> None:
    assert small(True, weights="none").opinion is None


def test_a_state_brings_its_opinion_to_a_network_that_had_none(tmp_path: Path) -> None:
    told, fresh = small(True), small(True, weights="none")
    fresh.load_state_dict(told.state_dict())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def answer(network: nn.Module) -> Tensor:
        with torch.no_grad():
            logits: Tensor = network.eval()(x)
        return logits

    assert torch.equal(answer(told), answer(fresh))
    file = tmp_path / "ours.pth"
    torch.save({"state_dict": {f"network.{name}": value for name, value in told.state_dict().items()}}, file)
    assert torch.equal(answer(told), answer(small(True, weights=str(file))))  # fine-tune from it: nothing is lost


@pytest.mark.parametrize(
    ("classes", "head_start", "kept", "said"),
    [
        (2, False, True, ""),
        (2, True, False, "is for 2 classes: a new one for 2 classes, which hears it, is trained from the start"),
        (7, False, False, "is for 7 classes: a new one for 2 classes is trained from the start"),
    ],
)
def test_a_head_of_as_many_classes_goes_on_unless_one_is_fitted(
    tmp_path: Path, classes: int, head_start: bool, kept: bool, said: str
) -> None:
    torch.manual_seed(0)
    given, file = timm.create_model("test_efficientnet", num_classes=classes), tmp_path / "weights.pth"
    torch.save(given.state_dict(), file)
    network = build_backbone(
        "timm/test_efficientnet", 2, weights=str(file), opinion=True, class_names=["a", "b"], head_start=head_start
    ).eval()
    assert (network.opinion is None) is kept
    assert network.notes == ([f"the head of {file} {said}"] if said else [])
    if kept:
        x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            torch.testing.assert_close(network(x), given.eval()(x))


def test_the_task_passes_on_whether_its_head_is_fitted(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_efficientnet", num_classes=2).state_dict(), tmp_path / "weights.pth")
    facts = {"class_names": ["a", "b"], "in_channels": 3, "image_size": [64, 64], "mean": [0.5] * 3, "std": [0.2] * 3}
    named = {**facts, "backbone": "timm/test_efficientnet", "weights": str(tmp_path / "weights.pth"), "tune": "all"}
    assert CNNTask(**named, head_start=False).network.opinion is None
    assert CNNTask(**named).network.opinion is not None


def test_the_task_can_do_without() -> None:
    facts = {"class_names": ["a", "b"], "in_channels": 3, "image_size": [64, 64], "mean": [0.5] * 3, "std": [0.2] * 3}
    assert CNNTask(**facts, backbone="efficientnet_lite0", opinion=False).network.opinion is None
    assert CNNTask(**facts, backbone="efficientnet_lite0").network.opinion is not None


def test_a_run_that_goes_on_has_as_many_parameters_as_before(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    torch.save(timm.create_model("test_efficientnet", num_classes=7).state_dict(), tmp_path / "weights.pth")
    given = words(pictures, tmp_path / "runs", "--model.head_start", "false", epochs=1)
    given[given.index("none")] = str(tmp_path / "weights.pth")
    given[given.index(BACKBONE)] = "timm/test_efficientnet"
    assert train.main(given) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model ")]
    assert train.main(["--resume", str(only_run(tmp_path / "runs")), "--epochs", "2"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("model ")] == said
