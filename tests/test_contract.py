"""What every model keeps, whoever wrote it: its recipe runs through the front door and leaves what a run promises.

A model that is added to ``MODELS`` is tested here without another word. If its recipe is long, `SHORT` makes it small;
if even that takes more than some ten seconds of one core, `SLOW` keeps it out of the quick tests.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

import train
from data import DATA
from models import MODELS, SUMMARIES
from tests.events import events_of_run, missing_tags, steps_that_do_not_rise
from tests.judging import assert_reported_as_logged, judged_rightly
from tests.models.face_pictures import make_faces, write_faces
from tests.models.resuming import assert_equal_runs
from trainer.command.options import build_parser, option_names
from trainer.command.signature import NEEDED, arguments_of
from trainer.contract import METHODS, load_class
from trainer.folder import RunFolder
from trainer.safe_file import load_checkpoint

# What makes a recipe small; --epochs 1 (or 2, for a stop between them) comes by itself. FACES is a folder made here.
SHORT: dict[str, list[str]] = {
    "face": ["--data.root", "FACES", "--data.num_splits", "2", "--data.per_person_train", "4", "--data.steps", "2"],
    "adversarial": ["--model.epsilons", "[0.1]", "--model.steps", "2", "--model.one_pixel_images", "4",
                    "--model.population", "8", "--model.generations", "2"],
    "generalisation": ["--data.replicas", "20", "--model.draws", "100"],
    "rbm": ["--model.ais_temperatures", "100", "--model.burn_in", "10", "--trainer.limit_train_batches", "10"],
    "dbn": ["--model.ais_temperatures", "50", "--model.burn_in", "10", "--model.sizes", "[16, 8]",
            "--trainer.limit_train_batches", "10"],
    "mlp": ["--model.widths", "[4, 8]", "--model.rounds", "5", "--model.seeds", "1", "--data.num_samples", "256"],
    "vanishing-gradients": ["--model.depth", "6", "--model.measured_width", "32", "--model.measured_depth", "4",
                            "--model.draws", "2", "--trainer.limit_train_batches", "5"],
}  # fmt: skip
SLOW: set[str] = set()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("people"), make_faces())


def words(model: str, root: Path, faces: Path, epochs: int = 1, report: str = "none", device: str = "cpu") -> list[str]:
    small = [str(faces) if word == "FACES" else word for word in SHORT.get(model, [])]
    quick = ["--epochs", str(epochs), "--device", device, "--report", report, "--root", str(root)]
    return ["--model", model, *small, *quick]


def run(given: list[str], root: Path) -> RunFolder:
    assert train.main(given) == 0
    (folder,) = root.glob("*/*")
    return RunFolder(folder)


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]
)
def test_a_recipe_runs_and_leaves_what_a_run_promises(
    model: str, device: str, tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with judged_rightly(load_class(MODELS[model])):
        folder = run(words(model, tmp_path, faces, report="full", device=device), tmp_path)
    assert_reported_as_logged(folder)
    captured = capsys.readouterr()
    # A figure that cannot be drawn is a warning, which is an error here.
    drawn = {path.name for path in folder.figures.iterdir()}
    assert drawn
    assert set(re.findall(r"\]\(figures/(.*)\)", folder.report.read_text(encoding="utf-8"))) == drawn
    assert not folder.crash.exists()
    assert captured.out.splitlines()[-1] == f"run: {folder.path}"
    assert f"{len(drawn)} figure{'s' * (len(drawn) != 1)} in figures/\n" in captured.out
    metrics: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    beside = [tag for tag in metrics if tag.startswith(("theory/", "gap/"))]
    assert beside, "a run sets a measured number beside one that mathematics gives"
    assert any(isinstance(metrics[tag], int | float) and math.isfinite(metrics[tag]) for tag in beside)
    assert metrics["model"] == model
    for file in (folder.config, folder.report, folder.history, folder.last):
        assert file.stat().st_size > 0, file
    for file in (folder.last, folder.best):
        if not file.is_file():
            continue
        checkpoint = load_checkpoint(file)  # with weights_only=True, and it can be built again from what it holds
        assert checkpoint["house"]["model"] == model
        held = {"weights": "none"} if "weights" in checkpoint["hyper_parameters"] else {}
        again: LightningModule = load_class(MODELS[model]).load_from_checkpoint(file, weights_only=True, **held)  # type: ignore[attr-defined]
        for name, value in again.state_dict().items():
            assert value.equal(checkpoint["state_dict"][name]), name
    assert "Traceback" not in captured.err
    events = events_of_run(folder.path)
    assert not missing_tags(events), "the overview shows what is not logged"
    assert not steps_that_do_not_rise(events)


@pytest.mark.parametrize("model", MODELS)
def test_a_stopped_run_ends_like_one_never_stopped_and_replays(
    model: str, tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its second batch (the first, where an epoch has one), and once more in its test."""
    whole = run(words(model, tmp_path / "whole", faces, epochs=2), tmp_path / "whole")
    task: Any = load_class(MODELS[model])
    single = load_checkpoint(whole.last)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"] == 1

    def stopping(name: str, batch: int) -> Callable[..., Any]:
        step = getattr(task, name)

        def stopped(self: Any, samples: Any, batch_idx: int, *others: Any) -> Any:
            if batch_idx == batch:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, samples, batch_idx, *others)

        return stopped

    with monkeypatch.context() as patch:
        patch.setattr(task, "training_step", stopping("training_step", 0 if single else 1))
        assert train.main(words(model, tmp_path / "parts", faces, epochs=2)) == 143
    (parts,) = (tmp_path / "parts").glob("*/*")
    with monkeypatch.context() as patch:
        patch.setattr(task, "test_step", stopping("test_step", 0))
        assert train.main(["--resume", str(parts)]) == 143
    resumed = run(["--resume", str(parts), "--root", str(tmp_path / "parts")], tmp_path / "parts")
    replayed = run(["-c", str(whole.config), "--root", str(tmp_path / "replay")], tmp_path / "replay")
    for other in (resumed, replayed):
        assert_equal_runs(whole.path, other.path)


def test_every_model_says_what_it_is_and_is_named_like_its_recipe() -> None:
    assert SUMMARIES.keys() == MODELS.keys()
    for model in MODELS:
        recipe = (train.RECIPES / f"{model}.yaml").read_text(encoding="utf-8")
        assert recipe.startswith(f"# python train.py --model {model}"), model
        assert 20 <= len(SUMMARIES[model]) <= 110
    assert SHORT.keys() | SLOW <= MODELS.keys()


@pytest.mark.parametrize("model", MODELS)
def test_a_task_keeps_the_protocol(model: str) -> None:
    task = load_class(MODELS[model])
    assert issubclass(task, LightningModule)
    for method in METHODS:
        assert callable(getattr(task, method)), method
    monitor, mode = getattr(task, "monitor", ""), getattr(task, "mode", "")  # some are chosen when the task is built
    assert mode == "max" or not re.search("accuracy|likelihood", monitor), "the worst epoch would be kept"
    assert mode == "min" or not re.search("loss|error", monitor), "the worst epoch would be kept"


@pytest.mark.parametrize("kind", [*MODELS.values(), *DATA.values()])
def test_conditions_are_about_options_that_there_are(kind: str) -> None:
    own = load_class(kind)
    group = "model" if kind in MODELS.values() else "data"
    parts = [part.__init__ for part in own.__mro__ if "__init__" in vars(part)]
    known = {f"{group}.{name}" for part in parts for name in inspect.signature(part).parameters}
    for names, _, otherwise in getattr(own, "CONDITIONS", ()):
        assert {name for name in names if name.startswith(group)} <= known
        assert set(re.findall(r"\{0\[(.+?)\]", otherwise)) <= known


@pytest.mark.parametrize("model", MODELS)
def test_what_some_data_tell_a_model_is_an_option_beside_none(model: str) -> None:
    task = load_class(MODELS[model])
    defaults = arguments_of(task)
    needed = {name for name, default in defaults.items() if default is NEEDED}
    fitting = [data for data in map(load_class, DATA.values()) if needed <= set(data.FACTS)]
    told = {name for data in fitting for name in data.FACTS if name in defaults}
    assert told - needed == set(getattr(task, "FROM_DATA", ()))
    for data in fitting:
        assert not {f"model.{name}" for name in told} & option_names(build_parser(task, data))
