"""Seeds by position, finding a checkpoint, refusing other settings, tasks that step by hand."""

from __future__ import annotations

import datetime
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.nn import functional as F

from tests.trainer.small import SEED, SmallData, SmallTask, new_run, small_task, small_trainer
from theory.seeds import mix_seed
from trainer import build
from trainer.errors import RunFailed, UserError
from trainer.fit.resume import check_compatible, check_unfinished, find_resume, logged_step
from trainer.folder import RunFolder
from trainer.run.provenance import code_digest
from trainer.safe_file import load_checkpoint


def test_seeds_of_neighbouring_positions_do_not_meet() -> None:
    seeds = {mix_seed(seed, epoch, batch) for seed in range(10) for epoch in range(10) for batch in range(100)}
    assert len(seeds) == 10_000
    low = {seed % 2**32 for seed in seeds}  # torch's CPU generator uses these bits only
    assert len(low) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)


class ByHand(SmallTask):
    """Two optimisers, one of which steps twice a batch; or none at all."""

    def __init__(self, optimisers: int = 2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.optimisers = optimisers
        self.drawn: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = batch
        self.order.append(float(images.double().sum()))
        self.drawn += [float(torch.rand(())), random.random(), float(numpy.random.rand())]  # noqa: NPY002
        loss = F.cross_entropy(self.net(images), labels)
        if not self.optimisers:
            with torch.no_grad():
                self.net[1].weight.add_(torch.randn_like(self.net[1].weight), alpha=0.01)
            return loss
        first, second = self.optimizers()
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(loss)
        first.step()
        first.step()
        second.step()
        return loss.detach()

    def configure_optimizers(self) -> Any:
        if not self.optimisers:
            return None
        return [
            torch.optim.Adam(self.net[1].parameters(), lr=0.01),
            torch.optim.SGD(self.net[5].parameters(), lr=0.1, momentum=0.9),
        ]


class SignalAtBatch(Callback):
    """Sends SIGTERM to this process at a batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = (epoch, batch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("optimisers", [2, 0])
@pytest.mark.parametrize("at", [(1, 3), (1, 7)])
def test_tasks_that_step_by_hand_resume_exactly(tmp_path: Path, optimisers: int, at: tuple[int, int]) -> None:
    def task() -> ByHand:
        torch.manual_seed(0)
        return ByHand(optimisers)

    whole, first, second = task(), task(), task()
    build.fit(small_trainer(new_run(tmp_path)), whole, SmallData())
    assert len(set(whole.drawn)) == len(whole.drawn) == 3 * 24  # new numbers in each batch, whatever was stepped
    run = new_run(tmp_path)
    with pytest.raises(RunFailed, match="SIGTERM"):
        build.fit(small_trainer(run, options={"callbacks": [SignalAtBatch(*at)]}), first, SmallData())
    checkpoint = load_checkpoint(run.last)
    trainer = small_trainer(run, resume_step=logged_step(checkpoint))
    build.fit(trainer, second, SmallData(), run.last)
    assert first.order + second.order == whole.order
    assert first.drawn + second.drawn == whole.drawn
    assert all(torch.equal(weight, second.state_dict()[name]) for name, weight in whole.state_dict().items())


def test_auto_takes_the_newest_run_of_the_model_and_data(tmp_path: Path, capsys: Any) -> None:
    for folder in ("cnn-digits/20260101-000000-s0", "cnn-digits/20260102-000000-s0", "mlp-digits/20260103-000000-s0"):
        path = tmp_path / folder / "checkpoints"
        path.mkdir(parents=True)
        torch.save({"state_dict": {}}, path / "last.ckpt")
    assert find_resume("auto", tmp_path)[0].path.name == "20260103-000000-s0"
    run, path = find_resume("auto", tmp_path, "cnn", "digits")
    assert run.path.name == "20260102-000000-s0"
    assert capsys.readouterr().err == ""
    assert find_resume("auto", tmp_path, "mlp")[0].path.name == "20260103-000000-s0"
    assert find_resume("auto", tmp_path, "cnn")[0].path.name == "20260102-000000-s0"
    path.write_bytes(b"")
    assert find_resume("auto", tmp_path, "cnn", "digits")[0].path.name == "20260101-000000-s0"
    assert f"{path} is empty (0 bytes)" in capsys.readouterr().err
    with pytest.raises(UserError, match="no run in"):
        find_resume("auto", tmp_path, "cnn", "faces")


def test_other_settings_are_named() -> None:
    checkpoint = {
        "house": {"model": "cnn", "data": "digits"},
        "hyper_parameters": {"lr": 0.1, "class_names": ["a", "b"], "image_size": (8, 8), "gone": 1},
    }
    same = {"lr": 0.1, "class_names": ["a", "b"], "image_size": [8, 8], "new": 2}
    check_compatible(checkpoint, same, {"model": "cnn", "data": "digits"})
    with pytest.raises(UserError, match=r"lr was 0\.1, now 0\.2.*class_names was \['a', 'b'\], now \['a', 'c'\]"):
        check_compatible(checkpoint, {**same, "lr": 0.2, "class_names": ["a", "c"]})
    house = {"recipe": {"data": {"split_seed": 0, "root": "/a"}, "seed": 1}}
    moved = {"recipe": {"data": {"split_seed": 0, "root": "/b"}, "seed": 1}}
    check_compatible({**checkpoint, "house": house}, same, moved)
    other = {"recipe": {"data": {"split_seed": 5, "root": "/b"}, "seed": 2}}
    with pytest.raises(UserError, match=r"data\.split_seed was 0, now 5; seed was 1, now 2"):
        check_compatible({**checkpoint, "house": house}, same, other)
    with pytest.raises(UserError, match="model was 'cnn', now 'vit'"):
        check_compatible(checkpoint, same, {"model": "vit", "data": "digits"})


def test_what_is_judged_and_when_stays_as_it_was() -> None:
    def settings(**trainer: Any) -> dict[str, Any]:
        said = {"limit_val_batches": None, "val_check_interval": None, "check_val_every_n_epoch": 1}
        return {"recipe": {"trainer": {**said, "deterministic": None, **trainer}}}

    checkpoint = {"house": settings(), "hyper_parameters": {}}
    check_compatible(checkpoint, {}, settings(limit_val_batches=1.0, val_check_interval=1.0, deterministic=False))
    for name, value in (("limit_val_batches", 1), ("val_check_interval", 0.5), ("check_val_every_n_epoch", 2)):
        with pytest.raises(UserError, match=rf"trainer\.{name} was .*, now {value}"):
            check_compatible(checkpoint, {}, settings(**{name: value}))
    none = {"house": settings(overfit_batches=0.0), "hyper_parameters": {}}
    check_compatible(none, {}, settings(overfit_batches=0))
    with pytest.raises(UserError, match=r"trainer\.deterministic was False, now True"):
        check_compatible(checkpoint, {}, settings(deterministic=True))


def test_what_an_older_version_did_not_know_had_its_default() -> None:
    def house(**data: Any) -> dict[str, Any]:
        return {"recipe": {"model": {"lr": 0.1}, "data": {"aug": "none", **data}}}

    defaults = {"lr": 0.1, "width": 4, "data.aug": "shift", "data.calm": 0, "data.gone": 1}
    old, now = {"hyper_parameters": {"lr": 0.1}, "house": house()}, {"lr": 0.1, "width": 4}
    check_compatible(old, now, house(calm=0), defaults)
    with pytest.raises(UserError, match=r"settings: model\.width was 4, now 5; data\.calm was 0, now 1\. Start"):
        check_compatible(old, {**now, "width": 5}, house(calm=1), defaults)
    nothing_said = {"hyper_parameters": {"lr": 0.1}, "house": {"model": "cnn"}}  # its settings were not kept yet
    check_compatible(nothing_said, now, {"model": "cnn", **house(calm=1)}, defaults)


def test_what_follows_from_a_setting_of_the_data_is_not_named_beside_it() -> None:
    def house(channels: int) -> dict[str, Any]:
        return {"recipe": {"model": {"lr": 0.1}, "data": {"channels": channels}}}

    checkpoint = {"hyper_parameters": {"lr": 0.1, "in_channels": 3, "mean": [0.5] * 3}, "house": house(3)}
    other = {"lr": 0.1, "in_channels": 4, "mean": [0.5] * 4}
    with pytest.raises(UserError, match=r"settings: data\.channels was 3, now 4\. Start"):
        check_compatible(checkpoint, other, house(4))
    with pytest.raises(UserError, match=r"settings: in_channels was 3, now 4\. Start"):  # the files themselves changed
        check_compatible(checkpoint, other, house(3))
    with pytest.raises(UserError, match=r"settings: data\.channels was 3, now 4; model\.lr was 0\.1, now 0\.2\. Start"):
        check_compatible(checkpoint, {**other, "lr": 0.2}, house(4))


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [({}, 2, True), ({"view_scheme": 2}, 2, False), ({}, 0, False), ({"view_scheme": 0}, 0, False)],
)
def test_views_that_are_drawn_otherwise_than_before_are_told(
    then: dict[str, Any], now: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    check_compatible({"house": {"model": "cnn", **then}}, {}, {"model": "cnn", "view_scheme": now})
    assert ("its views were drawn otherwise" in capsys.readouterr().err) is told


@pytest.mark.parametrize(("before", "told"), [({"crop": 1.0}, True), ({"crop": 1.0, "reduce_jpeg": False}, False)])
def test_pictures_that_are_prepared_otherwise_than_before_are_told(
    before: dict[str, Any], told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    then, now = ({"model": "cnn", "preprocessing": how} for how in (before, {"crop": 1.0, "reduce_jpeg": False}))
    check_compatible({"house": then}, {}, now)
    assert ("its pictures were prepared otherwise" in capsys.readouterr().err) is told


def test_a_run_that_other_code_began_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def house(**versions: str) -> dict[str, Any]:
        return {"model": "cnn", "versions": versions}

    check_compatible({"house": house(torch="2.11.0", code="a")}, {}, house(torch="2.11.0", code="a", numpy="2"))
    assert not capsys.readouterr().err
    check_compatible({"house": house(torch="2.11.0", code="a")}, {}, house(torch="2.12.0", code="b"))
    assert "since this run began: torch 2.11.0, now 2.12.0; code a, now b; its steps may" in capsys.readouterr().err


def test_the_digest_of_the_code_is_that_of_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        project = tmp_path / f"p{len(list(tmp_path.iterdir()))}"
        for name, text in files.items():
            file = project / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return code_digest(project)

    here = {"models__a.py": "x = 1\n", "models__b.py": "y = 2\n"}
    assert digest(**here) == digest(**here, tests__c="z", **{"models__c.yaml": "z", "docs__d.py": "z"})
    others = [
        {**here, "models__a.py": "x = 2\n"},
        {"models__a.py": "x = 1\n", "models__c.py": "y = 2\n"},
        {"models__a.py": "x = 1\ny = 2\n", "models__b.py": ""},
        {**here, "trainer__a.py": ""},
    ]
    assert len({digest(**here), *(digest(**other) for other in others)}) == 5


def test_the_same_setting_in_other_words_is_no_other_setting() -> None:
    def house(**trainer: Any) -> dict[str, Any]:
        return {"precision": "32-true", "recipe": {"trainer": trainer}}

    checkpoint = {"house": house(limit_train_batches=None, gradient_clip_val=None, precision="auto")}
    check_compatible(checkpoint, {}, house(limit_train_batches=1.0, gradient_clip_val=0.0, precision="32"))
    check_compatible(checkpoint, {}, house(limit_train_batches=None, gradient_clip_val=None, precision="auto"))
    with pytest.raises(
        UserError, match=r"limit_train_batches was 1\.0, now 2; trainer\.gradient_clip_val was 0, now 1"
    ):
        check_compatible(checkpoint, {}, house(limit_train_batches=2, gradient_clip_val=1))


def test_other_pictures_are_said_to_be_others_and_not_by_their_mean() -> None:
    checkpoint = {"hyper_parameters": {"mean": [0.5], "std": [0.2], "image_size": [8, 8]}}
    with pytest.raises(
        UserError, match=r"^cannot resume: the train pictures, or their labels, are others than before\. Start"
    ):
        check_compatible(checkpoint, {"mean": [0.6], "std": [0.2], "image_size": [8, 8]})
    with pytest.raises(UserError, match=r"settings: image_size was \[8, 8\], now \[9, 9\]\. Start"):
        check_compatible(checkpoint, {"mean": [0.6], "std": [0.1], "image_size": [9, 9]})


def test_a_best_file_that_is_gone_is_chosen_anew(tmp_path: Path, capsys: Any) -> None:
    run = new_run(tmp_path)
    build.fit(small_trainer(run, 1), small_task(worse=True), SmallData())
    run.best.unlink()
    build.fit(small_trainer(run, 2, resume_step=8), small_task(worse=True), SmallData(), run.last)
    assert load_checkpoint(run.best)["epoch"] == 1
    assert "is gone" in capsys.readouterr().err


def test_auto_passes_finished_runs_by(tmp_path: Path, capsys: Any) -> None:
    older, newer = (
        RunFolder.create(tmp_path, "small", "clouds", SEED, lambda day=day: datetime.datetime(2026, 1, day))
        for day in (1, 2)
    )
    for run in (older, newer):
        build.fit(small_trainer(run, 1), small_task(), SmallData())
    capsys.readouterr()
    assert find_resume("auto", tmp_path)[0].path == newer.path
    newer.write_metrics({"test/accuracy": 1.0})
    assert capsys.readouterr().err == ""
    assert find_resume("auto", tmp_path)[0].path == older.path
    assert capsys.readouterr().err == f"resuming {older.path}: what is newer is finished\n"
    assert find_resume("auto", tmp_path, epochs=2)[0].path == newer.path, "it has only one epoch"
    assert find_resume("auto", tmp_path, epochs=1)[0].path == older.path, "it may still take its test"
    older.write_metrics({"test/accuracy": 1.0})
    for epochs in (None, 1):
        with pytest.raises(UserError) as caught:
            find_resume("auto", tmp_path, "small", "clouds", epochs)
        assert str(caught.value) == (
            f"nothing to resume: no run in {tmp_path}/small-clouds is unfinished; "
            f"more --epochs would go on with {newer.path}"
        )
    later = newer.metrics.stat().st_mtime_ns + 1
    os.utime(newer.last, ns=(later, later))  # it went on after that result
    assert find_resume("auto", tmp_path)[0].path == newer.path


def test_fewer_epochs_than_a_stopped_run_has_are_refused_without_saying_that_it_was_tested(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "cnn", "digits", 0)
    done = {"loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 6}}}}}
    with pytest.raises(UserError, match=r" has 6 epochs: --epochs N goes on if N is more, here it is 2$"):
        check_unfinished(done, {"max_epochs": 2}, run)
    run.write_metrics({"test/loss": 1.0})
    with pytest.raises(UserError, match=r" has 6 epochs and was tested: "):
        check_unfinished(done, {"max_epochs": 6}, run)
