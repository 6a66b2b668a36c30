"""A backbone that was fine-tuned on a folder, exported for other programs: it answers like torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

import predict
import train
from data.files.preprocess import preprocess
from tests.exported import exported_answers, exported_file
from tests.models.small_folder import BACKBONE, words
from tests.runs import only_run

NETWORK = "test_efficientnet"  # the family of the default backbone, and tiny: exporting takes time for each layer


@pytest.fixture(scope="module")
def runs(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """All of a network fine-tuned for one epoch, with and without the opinion of a classifier of 7 classes."""
    root = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    torch.save(timm.create_model(NETWORK, num_classes=7).state_dict(), root / "weights.pth")
    for opinion in (True, False):
        # Without the head start nothing is certain after one epoch, so that differences would show.
        options = ["--model.head_start", "false", "--model.opinion", str(opinion).lower(), "--lr", "0.01"]
        options += ["--trainer.precision", "32-true"]
        given = words(pictures, root / str(opinion), *options, epochs=1)
        given[given.index("none")] = str(root / "weights.pth")
        given[given.index(BACKBONE)] = f"timm/{NETWORK}"
        assert train.main(given) == 0
    return {opinion: only_run(root / str(opinion)) for opinion in (True, False)}


@pytest.mark.parametrize(
    ("kind", "opinion"), [("onnx", True), ("torch-export", True), ("safetensors", True), ("safetensors", False)]
)
def test_a_fine_tuned_backbone_answers_alike_wherever_it_runs(
    runs: dict[bool, Path], pictures: Path, tmp_path: Path, kind: str, opinion: bool
) -> None:
    out = exported_file(kind, tmp_path)
    assert predict.main(["export", str(runs[opinion]), "--to", kind, "--out", str(out)]) == 0
    classifier = predict.load(str(runs[opinion]), "cpu", "32-true")
    task = classifier.task
    images = torch.stack([preprocess(file, classifier.preprocessing) for file in sorted(pictures.glob("val/*/*.png"))])

    def answers() -> torch.Tensor:
        with torch.no_grad():
            probabilities: torch.Tensor = (task(images) / classifier.temperature).softmax(1)
        return probabilities

    probabilities, facts = exported_answers(kind, out, images)
    torch.testing.assert_close(probabilities, answers(), atol=1e-5, rtol=0)
    assert facts["class_names"] == ["blue", "red"]
    assert facts["preprocessing"] == classifier.preprocessing
    assert (task.network.opinion is not None) == opinion
    if opinion:  # and it counts
        with torch.no_grad():
            task.network.head.weight[:, task.network.parts()[1]] = 0
        assert (answers() - probabilities).abs().max() > 0.01


def test_a_checkpoint_of_an_earlier_version_decodes_jpegs_as_it_was_validated(
    runs: dict[bool, Path], tmp_path: Path
) -> None:
    checkpoint = torch.load(predict.find_checkpoint(str(runs[True])), weights_only=True)
    assert checkpoint["house"]["preprocessing"].pop("reduce_jpeg") is False
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert predict.load(tmp_path / "old.ckpt").preprocessing["reduce_jpeg"] is True
    assert predict.load(runs[True]).preprocessing["reduce_jpeg"] is False
