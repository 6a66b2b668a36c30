"""What happens before the first epoch: it fits into memory, says how far it is, and tries what training will do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import models.finetune.policy
import models.finetune.start
import train
from models.finetune.backbones import Backbone, build_backbone
from models.finetune.features import extract_features
from models.finetune.folds import choice_size, stratified_part
from models.finetune.head_start import STRENGTHS, fit_head
from models.finetune.lr_finder import run_trial
from models.finetune.memory import loss_within_memory
from models.finetune.policy import FineTuning
from models.finetune.start import Progress, on_device
from tests.models.small_folder import last, metrics, run_out_of_memory_once, words


def clouds(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Four classes in 12 dimensions, hard to tell apart, so that the strength matters."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 4
    return centres[labels] * 0.7 + torch.randn(count, 12, generator=generator), labels


def test_fewer_pictures_choose_a_strength_that_serves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clouds(2000, 1)
    fresh, due = clouds(20_000, 2)

    def loss() -> tuple[float, float]:
        head = fit_head(features, labels, 4)
        return nn.functional.cross_entropy(fresh @ head.weight.T + head.bias, due).item(), head.strength

    monkeypatch.setattr("models.finetune.folds.MOST_PICTURES", 2000)
    all_of_them, strength = loss()
    assert strength in STRENGTHS
    monkeypatch.setattr("models.finetune.folds.MOST_PICTURES", 200)
    some_of_them, weaker = loss()
    assert fit_head(features, labels, 4).judged == 200
    assert min(abs(weaker * 10 - one) for one in STRENGTHS) < 1e-12  # times 200 / 2000
    assert some_of_them == pytest.approx(all_of_them, rel=2e-3)


def test_the_part_that_chooses_has_every_class_in_proportion() -> None:
    labels = torch.cat([torch.zeros(600), torch.ones(300), torch.full((100,), 2)]).long()
    labels = labels[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    for size in (100, 237, 500, 1000):
        counts = torch.bincount(labels[stratified_part(labels, size)], minlength=3)
        assert counts.sum() == size
        assert (counts - torch.tensor([0.6, 0.3, 0.1]) * size).abs().max() <= 1
    assert [choice_size(*given) for given in ((244, 2), (5000, 2), (5000, 300), (2000, 300))] == [244, 1000, 3000, 2000]


@pytest.mark.parametrize(
    ("counts", "due"),
    [([9000, 997, 3], [898, 99, 3]), ([9960, 25, 15], [980, 10, 10]), ([5000, 5000, 200], [490, 490, 20])],
)
def test_the_part_that_chooses_keeps_pictures_of_rare_classes(counts: list[int], due: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    found = torch.bincount(labels[stratified_part(labels, 1000)], minlength=len(counts))
    assert found.sum() == 1000
    assert (found - torch.tensor(due)).abs().max() <= 1
    assert (found >= torch.tensor(counts).clamp_max(10)).all()


class Narrow:
    """A body through which few pictures go at a time."""

    def __init__(self, body: nn.Module, most: int) -> None:
        self.body, self.most, self.sizes = body, most, list[int]()

    def __call__(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        features: Tensor = self.body(x)
        return features


def test_features_are_computed_in_smaller_parts_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("squeezenet1_1", 2, weights="none")
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batches = list(zip(images.split(12), torch.arange(20).split(12), strict=True))
    expected, _ = extract_features(backbone, batches)
    narrow, said = Narrow(backbone.body.eval(), 3), list[int]()
    monkeypatch.setattr("models.finetune.features._fastest_body", lambda network, x: narrow)
    features, labels = extract_features(backbone, batches, shrunk=said.append)
    assert narrow.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert said == [4, 2]
    assert labels.tolist() == list(range(20))
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    narrow.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        extract_features(backbone, batches)


def test_no_more_pictures_at_a_time_than_a_step_sees(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    extract = extract_features

    def watched(network: Backbone, batches: Any, *rest: Any) -> tuple[Tensor, Tensor]:
        kept = list(batches)
        sizes.extend(len(labels) for _, labels in kept)
        return extract(network, kept, *rest)

    monkeypatch.setattr(models.finetune.start, "extract_features", watched)
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == 0
    assert sizes == [8, 8, 4]


def test_the_trial_of_the_learning_rate_fits_into_memory_too(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    sizes = run_out_of_memory_once(monkeypatch)
    assert train.main(words(pictures, tmp_path, "--lr", "auto", epochs=1)) == 0
    said = capsys.readouterr().err
    assert said.index("batches of 8 now go through in 2 parts") < said.index("lr      ")
    assert sizes[:5] == [8, 4, 4, 4, 4]


@pytest.mark.parametrize(("freeze", "epochs"), [(0, 2), (1, 2), (1, -1)])
def test_the_trial_has_the_mode_of_the_first_epoch_in_which_the_body_learns(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freeze: int, epochs: int
) -> None:
    seen: dict[str, bool] = {}

    def trial(network: Backbone, *rest: Any) -> tuple[list[float], list[float]]:
        normal = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        seen["statistics"] = any(module.training for module in normal)
        seen["learns"] = all(parameter.requires_grad for parameter in network.parameters())
        return [1e-3, 1e-2], [1.0, 0.9]

    monkeypatch.setattr(models.finetune.start, "run_trial", trial)
    options = ["--lr", "auto", "--model.norm", "fixed", "--model.freeze_epochs", str(freeze)]
    steps = ["--trainer.max_steps", "5"] if epochs < 0 else []  # of 3 an epoch
    assert train.main(words(pictures, tmp_path, *options, *steps, epochs=epochs)) == 0
    assert seen == {"statistics": False, "learns": True}


def test_the_trial_is_scaled_against_underflow_as_training_is(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU without bfloat16 has such a scaler; here a CPU gets one."""
    scaler, asked, trials = torch.amp.GradScaler("cpu", init_scale=512.0), list[float](), list[int]()
    setup, compute, trial = FineTuning.setup, loss_within_memory, run_trial

    def with_scaler(self: Any, trainer: Any, *rest: Any, **more: Any) -> None:
        setup(self, trainer, *rest, **more)
        trainer.precision_plugin.scaler = scaler

    def watched(loss_of: Any, size: int, parts: int, parameters: Any, scale: float, whole: bool) -> Any:
        asked.append(scale)
        return compute(loss_of, size, parts, parameters, scale, whole)

    def tried(*given: Any) -> Any:
        assert given[-1] is scaler
        curve = trial(*given)
        trials.append(len(asked))
        return curve

    monkeypatch.setattr(FineTuning, "setup", with_scaler)
    monkeypatch.setattr(models.finetune.policy, "loss_within_memory", watched)
    monkeypatch.setattr(models.finetune.start, "run_trial", tried)
    assert train.main(words(pictures, tmp_path, "--lr", "auto", "--trainer.precision", "bf16-mixed", epochs=1)) == 0
    assert asked == [512.0] * (trials[0] + 3), "of the trial and of three steps"
    assert trials[0] > 0


def test_long_work_says_how_far_it_is_and_short_work_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress()
    for second in range(0, 25, 4):
        now[0] = float(second)
        progress(f"{second} s")
    assert capsys.readouterr().err.splitlines() == ["head    12 s", "head    24 s"]


def test_a_head_that_does_not_fit_on_the_gpu_is_fitted_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    features, labels = clouds(40, 4)

    def fit(device: torch.device) -> Any:
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return fit_head(features, labels, 4)

    assert on_device(fit, torch.device("cuda")).weight.shape == (4, 12)
    assert "fitted on the CPU" in capsys.readouterr().err


def test_a_run_says_what_it_does_before_it_does_it(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("head ")]
    assert said[0] == (
        "head    features of 20 training pictures, then the best head on them; folds of them choose its strength"
    )
    assert re.search(r"% of 20 training pictures right when held out \([\d.]+ to [\d.]+ %\), on ", said[-1])
    assert metrics(tmp_path)["val/accuracy"] >= 0
    assert last(tmp_path)["global_step"] == 1
    assert train.main(words(pictures, tmp_path / "2", "--model.tune", "head", "--data.balance", "sampler")) == 0
    assert " of 20 training pictures right when held out, mean over the classes, on " in capsys.readouterr().err


def test_the_effective_batch_is_printed(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    accumulated = ["--trainer.accumulate_grad_batches", "2"]
    assert train.main(words(pictures, tmp_path, *accumulated, epochs=1)) == 0
    assert "batch   8 × 2 batches a step = 16 samples" in capsys.readouterr().out.splitlines()
    assert last(tmp_path)["global_step"] == 2  # 8 + 8 pictures, then 4


@pytest.mark.parametrize("balance", [False, True])
def test_a_class_of_one_picture_judges_no_head(balance: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(4, 20) * 6
    labels = torch.arange(4).repeat_interleave(torch.tensor([30, 30, 30, 1]))
    features = centres[labels] + torch.randn(91, 20, generator=generator)
    whole, common = fit_head(features, labels, 4, balance), fit_head(features[:90], labels[:90], 3, balance)
    assert (whole.judged, whole.alone, common.judged, common.alone) == (90, 1, 90, 0)
    assert whole.accuracy == pytest.approx(1)
    assert min(whole.losses) == pytest.approx(min(common.losses), abs=0.01)
    fresh, due = centres[labels[:90]] + torch.randn(90, 20, generator=generator), labels[:90]
    with_it, without = (F.cross_entropy(fresh @ one.weight.T + one.bias, due).item() for one in (whole, common))
    assert with_it < without + 0.01


def test_where_no_class_has_two_pictures_each_judges() -> None:
    head = fit_head(torch.eye(3), torch.arange(3), 3)
    assert (head.judged, head.alone, head.accuracy) == (3, 0, 0)
    assert head.strength == STRENGTHS[0]  # the strongest pull is the least certain
