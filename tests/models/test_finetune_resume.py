"""A fine-tuning run that was stopped goes on exactly; what learns when, and what is kept of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from data.batches.draws import SCHEME
from models.cnn import CNNTask
from tests.models.small_folder import BACKBONE, SIDE, last, metrics, run_out_of_memory_once, stop_after, words
from tests.runs import lasting, only_run
from tests.trainer.exact import assert_equal
from trainer.device import resolve_precision

VIEWS = ["--model.head_views", "1"]
USUAL = resolve_precision("auto", "cpu")
POLICY = ["--model.freeze_epochs", "1", "--model.unfreeze_milestones", "[1, 2]", "--model.ema_decay", "0.9",
          "--model.mixup", "0.3", "--model.cutmix", "1.0", "--model.norm", "batch"]  # fmt: skip


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

    data = Folder(str(pictures), image_size=SIDE, interpolation="bilinear", cache_dir=str(pictures.parent / "cache"))
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


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 1)])
def test_a_resume_needs_no_pretrained_weights_and_is_exact_without_them(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int
) -> None:
    """The checkpoint holds them: a machine without a network and without the file goes on as the run began.

    Its statistics stay those that came with the weights, which ``--model.norm auto`` takes for a body that has some.
    """
    import models.finetune.backbones

    weights = tmp_path / "weights.pth"
    torch.manual_seed(1)
    source = models.finetune.backbones.build_backbone(BACKBONE, 2, weights="none")
    torch.save({**source.body.state_dict()}, weights)

    def given(root: Path) -> list[str]:
        found = words(pictures, root, epochs=3)
        found[found.index("none")], found[found.index("fixed")] = str(weights), "auto"
        return found

    assert train.main(given(tmp_path / "whole")) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, epoch, batch)
        assert train.main(given(tmp_path / "runs")) == 143
    weights.unlink()
    assert train.main(["--resume", str(only_run(tmp_path / "runs")), "--root", str(tmp_path / "runs")]) == 0
    ours, theirs = last(tmp_path / "runs"), last(tmp_path / "whole")
    assert ours["hyper_parameters"] == theirs["hyper_parameters"]
    assert theirs["hyper_parameters"]["norm"] == "auto"
    for key in ("state_dict", "optimizer_states"):
        assert_equal(ours[key], theirs[key])


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ([], SCHEME),
        (["--data.aug", "none"], 0),
        (["--model.tune", "head"], 0),
        (["--model.tune", "head", *VIEWS], SCHEME),
    ],
)
def test_a_checkpoint_says_how_its_views_were_drawn(
    pictures: Path, tmp_path: Path, options: list[str], scheme: int
) -> None:
    """Only then can a resume tell that they would be drawn otherwise."""
    assert train.main(words(pictures, tmp_path, *options, epochs=1)) == 0
    assert last(tmp_path)["house"]["view_scheme"] == scheme
