"""Fine-tuning through the front door, on a folder of tiny pictures and an untrained backbone."""

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import data.scan
import models.finetune.policy
import models.finetune.start
import train
from models.cnn import CNNTask
from models.finetune.lr_finder import run_trial
from tests.models.small_folder import BACKBONE, SIDE, last, metrics, run_out_of_memory_once, words
from tests.runs import lasting, only_run
from tests.trainer.exact import assert_equal
from trainer.device import resolve_precision
from trainer.signals import StopOnSignal


def test_a_head_alone_leaves_the_body_as_it_was(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == 0
    captured = capsys.readouterr()
    assert "right when held out" in captured.err
    assert "validation accuracy" in captured.out
    assert "the validation pictures chose nothing" in captured.out
    checkpoint = last(tmp_path)
    torch.manual_seed(0)
    fresh = CNNTask(**checkpoint["hyper_parameters"]).network.state_dict()
    body = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items() if "body" in name}
    assert len(body) > 50
    running = [name for name in body if "running" in name or "num_batches" in name]
    assert running
    for name in running:
        assert torch.equal(body[name], fresh[name]), name
    assert not (only_run(tmp_path) / "checkpoints/best.ckpt").exists()
    assert checkpoint["global_step"] == 1


@pytest.mark.parametrize(("tune", "times"), [("head", 1), ("all", 2)])
def test_a_head_alone_has_each_picture_decoded_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: str, times: int
) -> None:
    """A body that learns needs the training pictures larger too, to draw its views from."""
    read = Counter[str]()
    decode = data.scan.read_picture

    def counted(content: bytes, *, name: str, **options: Any) -> Any:
        read.update([Path(name).parts[-3]])
        return decode(content, name=name, **options)

    monkeypatch.setattr(data.scan, "read_picture", counted)
    given = words(pictures, tmp_path, "--model.tune", tune, epochs=1)
    given[given.index("--data.cache_dir") + 1] = str(tmp_path / "cache")
    assert train.main(given) == 0
    assert read == {"train": 20 * times, "val": 12}


@pytest.mark.parametrize("tune", ["head", "all"])
def test_test_pictures_taken_from_the_folder_are_tested(pictures: Path, tmp_path: Path, tune: str, capsys: Any) -> None:
    """They are decoded when they are tested, and nothing is in the cache."""
    more = ["--data.test_fraction", "0.3", "--data.val_fraction", "0.2", "--model.tune", tune]
    given = words(pictures / "train", tmp_path / "runs", *more, epochs=1)
    given[given.index("--data.cache_dir") + 1] = str(tmp_path / "cache")
    del given[given.index("--report") : given.index("--report") + 2]
    assert train.main(given) == 0
    assert "test/accuracy" in metrics(tmp_path / "runs")
    assert (only_run(tmp_path / "runs") / "figures/grad_cam.png").is_file()
    assert "could not be drawn" not in capsys.readouterr().err


def test_a_head_alone_separates_what_the_features_show(pictures: Path, tmp_path: Path) -> None:
    given = words(pictures, tmp_path, "--model.tune", "head", "--data.image_size", "64")
    place = given.index("--data.image_size")
    del given[place : place + 2]
    given[given.index(BACKBONE)] = "squeezenet1_1"
    assert train.main(given) == 0
    found = metrics(tmp_path)
    assert found["val/accuracy"] > 0.8


USUAL = resolve_precision("auto", "cpu")
POLICY = ["--model.freeze_epochs", "1", "--model.unfreeze_milestones", "[1, 2]", "--model.ema_decay", "0.9",
          "--model.mixup", "0.3", "--model.cutmix", "1.0", "--model.norm", "batch"]  # fmt: skip


def stop_after(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """Raise SIGTERM's flag after one batch of one epoch, or (batch -1) as the validation of that epoch runs."""
    old_train, old_val = StopOnSignal.on_train_batch_end, StopOnSignal.on_validation_batch_end

    def on_train(self: Any, trainer: Any, task: Any, outputs: Any, data: Any, index: int) -> None:
        if (trainer.current_epoch, index) == (epoch, batch):
            self.signals.received = signal.SIGTERM
        old_train(self, trainer, task, outputs, data, index)

    def on_val(self: Any, trainer: Any, *rest: Any) -> None:
        if batch == -1 and trainer.current_epoch == epoch:
            self.signals.received = signal.SIGTERM
        old_val(self, trainer, *rest)

    monkeypatch.setattr(StopOnSignal, "on_train_batch_end", on_train)
    monkeypatch.setattr(StopOnSignal, "on_validation_batch_end", on_val)


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    assert train.main(words(pictures, root, *POLICY)) == 0
    return root


@pytest.mark.parametrize(("epoch", "batch"), [(0, 1), (1, 0), (1, -1)])
def test_a_resumed_run_ends_bit_for_bit_like_one_never_stopped(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int
) -> None:
    """T13: stopped in a frozen epoch, after a stage was unfrozen, and inside a validation of the averaged weights."""
    with monkeypatch.context() as patch:
        stop_after(patch, epoch, batch)
        assert train.main(words(pictures, tmp_path, *POLICY)) == 143
    assert train.main(["--resume", str(only_run(tmp_path)), "--root", str(tmp_path)]) == 0
    ours, theirs = last(tmp_path), last(whole)
    for key in ("state_dict", "averaging", "optimizer_states", "lr_schedulers"):
        assert_equal(ours[key], theirs[key])
    timeless = [
        {name: value for name, value in metrics(root).items() if name.startswith(("val/", "train/"))}
        for root in (tmp_path, whole)
    ]
    assert timeless[0] == timeless[1]


def test_another_order_of_memory_is_kept_through_the_head_start_and_a_resume(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--model.channels_last", "false", "--trainer.precision", "32-true"]
    assert train.main(words(pictures, tmp_path / "whole", *given, epochs=2)) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 1, 0)
        assert train.main(words(pictures, tmp_path / "cut", *given, epochs=2)) == 143
    assert train.main(["--resume", str(only_run(tmp_path / "cut"))]) == 0
    ours, theirs = last(tmp_path / "cut"), last(tmp_path / "whole")
    assert_equal(ours["state_dict"], theirs["state_dict"])
    kernels = [value for value in theirs["state_dict"].values() if value.ndim == 4 and min(value.shape[1:]) > 1]
    assert kernels
    assert all(value.is_contiguous() for value in kernels)


def test_an_augmented_run_resumes_exactly_though_its_pictures_are_decoded_again_in_other_threads(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T12 on a folder: the order of the pictures and each one's augmentation go on where they were."""

    def given(name: str) -> list[str]:
        options = ["--data.aug", "trivial", "--data.num_workers", "2", "--model.head_start", "false"]
        found = words(pictures, tmp_path / name, *options, epochs=2)
        found[found.index("--data.cache_dir") + 1] = str(tmp_path / f"cache of {name}")
        return found

    assert train.main(given("whole")) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 1, 0)
        assert train.main(given("half")) == 143
    shutil.rmtree(tmp_path / "cache of half")
    assert train.main(["--resume", str(only_run(tmp_path / "half")), "--data.num_workers", "1"]) == 0
    ours, theirs = last(tmp_path / "half"), last(tmp_path / "whole")
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(ours[key], theirs[key])
    assert lasting(only_run(tmp_path / "half")) == lasting(only_run(tmp_path / "whole"))


def test_stages_learn_when_they_are_due_and_all_are_in_the_optimiser(pictures: Path, whole: Path) -> None:
    checkpoint = last(whole)
    (state,) = checkpoint["optimizer_states"]
    names = [group["name"] for group in state["param_groups"]]
    assert names[0].startswith("stem")
    assert names[-1].startswith("head")
    moved = [bool(set(group["params"]) & set(state["state"])) for group in state["param_groups"]]
    stages = list(dict.fromkeys(name.removesuffix("/free") for name in names))
    learnt = {name.removesuffix("/free") for name, has in zip(names, moved, strict=True) if has}
    assert learnt == set(stages[-3:])  # the head, and two milestones


def test_mixed_epochs_report_no_training_accuracy(whole: Path, capsys: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(only_run(whole))).Reload()
    assert len(log.Scalars("train/accuracy")) == 1  # the last epoch is not mixed
    assert len(log.Scalars("train/loss")) == 3


def test_the_average_is_what_is_kept_and_validated(pictures: Path, whole: Path) -> None:
    checkpoint = last(whole)
    average, trained = checkpoint["state_dict"], checkpoint["averaging"]["trained"]
    assert not torch.equal(average["network.head.weight"], trained["network.head.weight"])
    task = CNNTask(**checkpoint["hyper_parameters"])
    task.load_state_dict(average)
    from data.folder import Folder

    data = Folder(str(pictures), image_size=SIDE, cache_dir=str(pictures.parent / "cache"))
    with torch.no_grad():
        logits = task.eval()(data.plain("val"))
    loss = torch.nn.functional.cross_entropy(logits, data.labels("val"))
    assert metrics(whole)["val/loss"] == pytest.approx(float(loss), rel=1e-4)


def test_running_out_of_memory_halves_the_batch_and_changes_nothing_else(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """T11. Statistics are fixed, so that a part is normalised like the whole."""
    options = ["--model.norm", "fixed", "--data.aug", "none"]
    assert train.main(words(pictures, tmp_path / "plain", *options, epochs=1)) == 0
    sizes = run_out_of_memory_once(monkeypatch)
    capsys.readouterr()
    assert train.main(words(pictures, tmp_path / "small", *options, epochs=1)) == 0
    assert "batches of 8 now go through in 2 parts" in capsys.readouterr().err
    assert sizes == [8, 4, 4, 4, 4, 2, 2]
    ours, theirs = last(tmp_path / "small")["state_dict"], last(tmp_path / "plain")["state_dict"]
    for name, value in ours.items():
        assert torch.allclose(value.float(), theirs[name].float(), atol=2e-4), name


def test_a_time_limit_saves_reports_and_ends_well(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    limit = ["--trainer.max_time", "00:00:00:01"]
    assert train.main(words(pictures, tmp_path, *limit, epochs=10_000)) == 0
    assert (only_run(tmp_path) / "checkpoints/last.ckpt").stat().st_size > 0
    assert "validation accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_fit_of_a_head_at_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, capsys: Any
) -> None:
    """It may take minutes, and would not be kept."""

    def struck(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("the fit went on")

    monkeypatch.setattr(models.finetune.start, "fit_best_head", struck)
    assert train.main(words(pictures, tmp_path, "--model.tune", "head")) == status
    assert capsys.readouterr().err.endswith("nothing had been trained yet\n")


def test_the_best_is_chosen_only_when_asked_and_then_it_is_said(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    assert train.main(words(pictures, tmp_path, "--early_stopping.patience", "1", epochs=2)) == 0
    assert "the validation pictures chose the weights too" in capsys.readouterr().out
    assert (only_run(tmp_path) / "checkpoints/best.ckpt").is_file()


def test_the_learning_rate_is_found_and_kept_and_its_curve_logged(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    curves: list[tuple[list[float], list[float]]] = []

    def watched(*given: Any) -> tuple[list[float], list[float]]:
        curves.append(run_trial(*given))
        return curves[0]

    monkeypatch.setattr(models.finetune.start, "run_trial", watched)
    assert train.main(words(pictures, tmp_path, "--lr", "auto", "--data.balance", "sampler", epochs=1)) == 0
    found = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lr ")]
    assert len(found) == 1
    rate = float(found[0].split()[1].rstrip(","))
    groups = last(tmp_path)["optimizer_states"][0]["param_groups"]
    assert groups[-1]["initial_lr"] == pytest.approx(rate, rel=0.06)
    assert groups[0]["initial_lr"] < groups[-1]["initial_lr"]
    assert not list(tmp_path.rglob("*lr_find*"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(only_run(tmp_path))).Reload()
    logged = [[point.value for point in log.Scalars(f"lr_find/{tag}")] for tag in ("lr", "loss")]
    assert logged == [pytest.approx(column, rel=1e-6) for column in curves[0]]
    assert f"found in {len(logged[0])} steps" in found[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.layer_decay", "0"], "layer_decay must be in (0, 1]"),
        (["--model.unfreeze_milestones", "[3, 1]"], "must increase"),
        (["--model.mixup", "-1"], "--model.mixup must be between 0"),
        (["--model.ema_decay", "1"], "--model.ema_decay must be between 0"),
        (["--model.backbone", "vit_b_16", "--model.tune", "all"], "reads pictures of 224×224 only"),
        (["--model.backbone", "cnn", "--lr", "auto"], "--model.lr auto needs a pretrained"),
        (["--model.mixup", "0.3", "--model.mix_off_epochs", "3"], "mix_off_epochs 3: in none of 3 epochs would pictur"),
    ],
)
def test_wrong_options_end_with_one_line(
    pictures: Path, tmp_path: Path, options: list[str], message: str, capsys: Any
) -> None:
    given = words(pictures, tmp_path)
    if "--model.backbone" in options:
        for option in ("--model.backbone", "--model.tune"):  # our own network has nothing to tune
            place = given.index(option)
            del given[place : place + 2]
    assert train.main([*given, *options]) == 2
    assert message in capsys.readouterr().err
    assert not tmp_path.exists() or not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--data.image_size", "40"], "image_size"),
        (["--model.layer_decay", "0.5"], "layer_decay"),
        (["--trainer.gradient_clip_val", "0.001"], "trainer.gradient_clip_val was 1.0, now 0.001"),
        (["--trainer.precision", "64-true"], f"trainer.precision was {USUAL!r}, now '64-true'"),
        (["--early_stopping.patience", "1"], "early_stopping.patience was None, now 1"),
    ],
)
def test_a_resume_with_other_settings_names_the_difference(
    whole: Path, options: list[str], name: str, capsys: Any
) -> None:
    """T14."""
    assert train.main(["--resume", str(only_run(whole)), "--root", str(whole), *options]) == 2
    error = capsys.readouterr().err
    assert "cannot resume with other settings" in error
    assert name in error


def test_a_resume_needs_no_pretrained_weights(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The checkpoint holds them: a machine without a network and without the file can go on."""
    import models.finetune.backbones

    weights = tmp_path / "weights.pth"
    torch.manual_seed(1)
    source = models.finetune.backbones.build_backbone(BACKBONE, 2, weights="none")
    torch.save({**source.body.state_dict()}, weights)
    given = words(pictures, tmp_path / "runs", epochs=2)
    given[given.index("none")] = str(weights)
    with monkeypatch.context() as patch:
        stop_after(patch, 0, 0)
        assert train.main(given) == 143
    weights.unlink()
    assert train.main(["--resume", str(only_run(tmp_path / "runs")), "--root", str(tmp_path / "runs")]) == 0
    assert last(tmp_path / "runs")["hyper_parameters"]["weights"] == str(weights)


def test_fixed_statistics_stay_and_gains_learn(pictures: Path, tmp_path: Path) -> None:
    assert train.main(words(pictures, tmp_path, "--model.norm", "fixed", epochs=1)) == 0
    state = last(tmp_path)["state_dict"]
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    gains = [value for name, value in state.items() if name.endswith("bn1.weight") or name.endswith("1.weight")]
    assert means
    assert all(not value.any() for value in means)
    assert any(bool((value - 1).abs().max() > 0) for value in gains if value.ndim == 1)


def test_class_balance_in_the_loss_weighs_the_smaller_class(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    loss = models.finetune.policy.soft_cross_entropy

    def spied(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        seen.append(weights)
        return loss(logits, targets, weights)

    monkeypatch.setattr(models.finetune.policy, "soft_cross_entropy", spied)
    assert train.main(words(pictures, tmp_path, "--data.balance", "loss", epochs=1)) == 0
    assert seen
    for weights in seen:  # 12 blue pictures and 8 red ones: N / (K N_k)
        torch.testing.assert_close(weights, torch.tensor([20 / 24, 20 / 16]))
