"""bfloat16 with clipped gradients, which the folder recipe gets wherever bfloat16 is fast, through the front door."""

from __future__ import annotations

import inspect
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn

import train
from models import MODELS
from models.convnet import Scale
from models.finetune.backbones import build_backbone
from models.optimisation import build_optimiser, may_fuse, parameter_groups
from tests.models.small_folder import BACKBONE, SIDE, last, metrics, words
from tests.runs import only_run
from trainer.contract import load_class

# Of every model whose optimiser Lightning drives: what makes it tiny, for bfloat16 is emulated on most CPUs.
AUTOMATIC: dict[str, list[str]] = {
    "cnn": ["--model.widths", "[4]", "--data.aug", "none"],
    "autoencoder": ["--model.sizes", "[8]"],
    "face": ["--data.root", "FACES", "--data.num_splits", "2", "--data.per_person_train", "4", "--data.steps", "2"],
    "adversarial": ["--model.epsilons", "[0.1]", "--model.steps", "2", "--model.one_pixel_images", "2",
                    "--model.population", "8", "--model.generations", "2"],
    "geometry": [],
    "deep-vs-wide": ["--model.num_networks", "2"],
    "losses": ["--lr", "0.9"],
    "perceptron": [],
    "vanishing-gradients": ["--model.depth", "4", "--model.measured_width", "32", "--model.measured_depth", "4",
                            "--model.draws", "2"],
}  # fmt: skip
BY_HAND = {"dbn", "generalisation", "glm", "gradient-descent", "mlp", "rbm"}
MIXED = ["--trainer.precision", "bf16-mixed", "--trainer.gradient_clip_val", "1"]


def test_every_model_is_in_one_of_the_two_lists() -> None:
    assert AUTOMATIC.keys() | BY_HAND == MODELS.keys()
    for name in MODELS:
        source = inspect.getsource(sys.modules[load_class(MODELS[name]).__module__])
        assert ("automatic_optimization = False" in source) == (name in BY_HAND), name


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Precision and largest norm of every step whose gradients were clipped."""
    clip, seen = Precision.clip_grad_by_norm, list[tuple[str, float]]()

    def clipping(self: Precision, optimizer: Any, clip_val: float) -> None:
        seen.append((str(self.precision), clip_val))
        clip(self, optimizer, clip_val)

    monkeypatch.setattr(Precision, "clip_grad_by_norm", clipping)
    return seen


@pytest.mark.parametrize("model", AUTOMATIC)
def test_a_model_trains_in_bfloat16_with_clipped_gradients(
    model: str, tmp_path: Path, faces_root: Path, steps: list[tuple[str, float]]
) -> None:
    small = [str(faces_root) if word == "FACES" else word for word in AUTOMATIC[model]]
    given = ["--model", model, *small, *MIXED, "--trainer.limit_train_batches", "2", "--epochs", "1"]
    assert train.main([*given, "--device", "cpu", "--report", "brief", "--root", str(tmp_path)]) == 0
    assert steps == [("bf16-mixed", 1.0)] * len(steps)
    assert steps
    measured: dict[str, Any] = metrics(tmp_path)
    assert all(math.isfinite(value) for name, value in measured.items() if name.startswith(("test/", "val/")))
    assert last(tmp_path)["house"]["precision"] == "bf16-mixed"


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_loss_is_computed_and_gradients_are_clipped_as_asked(
    precision: str, clip: float | None, tmp_path: Path, steps: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, computed = Scale.forward, set[tuple[bool, torch.dtype]]()

    def watching(self: Scale, x: Tensor) -> Tensor:
        logits = head(self, x)
        computed.add((self.training, logits.dtype))
        return logits

    monkeypatch.setattr(Scale, "forward", watching)
    given = ["--model", "cnn", *AUTOMATIC["cnn"], "--trainer.precision", precision, "--epochs", "1", "--report", "none"]
    given += [] if clip is None else ["--trainer.gradient_clip_val", str(clip)]
    given += ["--trainer.limit_train_batches", "2", "--device", "cpu", "--root", str(tmp_path)]
    assert train.main(given) == 0
    assert steps == ([] if clip is None else [(precision, clip)] * 2)
    trained_in = torch.float32 if precision == "32-true" else torch.bfloat16
    judged_in = torch.bfloat16 if precision == "bf16-true" else torch.float32
    assert computed == {(True, trained_in), (False, judged_in)}, "mixed precision is for training alone"
    assert last(tmp_path)["house"]["precision"] == precision
    assert types(tmp_path) == {torch.bfloat16 if precision == "bf16-true" else torch.float32}


def types(root: Path) -> set[torch.dtype]:
    """Of the weights of the only run."""
    return {value.dtype for value in last(root)["state_dict"].values() if value.is_floating_point()}


@pytest.mark.parametrize(
    ("tune", "more"), [("all", ["--model.mixup", "0.2", "--model.mix_off_epochs", "0", "--lr", "auto"]), ("head", [])]
)
def test_a_folder_is_fine_tuned_in_bfloat16_with_every_figure(
    pictures: Path, tmp_path: Path, tune: str, more: list[str], steps: list[tuple[str, float]]
) -> None:
    given = words(pictures, tmp_path, "--model.tune", tune, *more, "--trainer.precision", "bf16-mixed", epochs=1)
    given[given.index("--report") + 1] = "full"
    given[given.index(BACKBONE)] = "squeezenet1_1"
    assert train.main(given) == 0
    assert set(steps) == {("bf16-mixed", 1.0)}, "the recipe itself clips the gradients"
    assert last(tmp_path)["house"]["precision"] == "bf16-mixed"
    assert types(tmp_path) == {torch.float32}
    assert (only_run(tmp_path) / "figures/grad_cam.png").is_file()
    assert last(tmp_path)["house"]["preprocessing"]["image_size"] == [SIDE, SIDE]


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize("tune", ["all", "head"])
def test_a_folder_is_fine_tuned_with_weights_of_16_or_64_bits(
    pictures: Path, tmp_path: Path, tune: str, precision: str
) -> None:
    given = words(pictures, tmp_path, "--model.tune", tune, "--trainer.precision", precision, epochs=1)
    given[given.index("--report") + 1] = "full"
    given[given.index(BACKBONE)] = "squeezenet1_1"
    assert train.main(given) == 0
    assert last(tmp_path)["house"]["precision"] == precision
    assert types(tmp_path) == {torch.bfloat16 if precision == "bf16-true" else torch.float64}
    assert (only_run(tmp_path) / "figures/grad_cam.png").is_file()
    assert not (only_run(tmp_path) / "crash.txt").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_an_opinion_is_heard_in_the_precision_of_the_weights(dtype: torch.dtype) -> None:
    backbone = build_backbone("squeezenet1_1", 3, weights="none")
    backbone.listen_to(torch.randn(7, backbone.num_features), torch.zeros(7))
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = backbone.eval()(x)
    assert torch.allclose(
        backbone.to(dtype)(x.to(dtype)).float(), expected, atol=0.1 if dtype != torch.float64 else 1e-4
    )


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("clip", [None, 0.0, 1.0])
def test_lightning_clips_what_was_built_and_speed_is_kept_where_it_can_be(
    name: Any, precision: str, clip: float | None
) -> None:
    trainer = SimpleNamespace(precision=precision, gradient_clip_val=clip)
    optimiser = build_optimiser(name, parameter_groups([nn.Linear(2, 1)], 0.1), 0.1, 0.9, may_fuse(trainer))
    assert bool(optimiser.defaults["fused"]) == (precision != "bf16-mixed" or not clip)
    if precision == "bf16-mixed":
        MixedPrecision("bf16-mixed", "cpu").clip_gradients(optimiser, clip or 0.0, GradClipAlgorithmType.NORM)


def test_float16_is_never_fused() -> None:
    """Lightning would leave the unscaling of the gradients to the optimiser, clipped or not."""
    for clip in (None, 1.0):
        assert not may_fuse(SimpleNamespace(precision="16-mixed", gradient_clip_val=clip))
