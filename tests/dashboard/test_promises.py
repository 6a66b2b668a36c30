"""A real run writes what is listed here and shows all that it says it wrote, and each broken promise is named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from dashboard.check import main
from dashboard.promises import missing, missing_from_overview, promise_of
from tests.conftest import Trained
from tests.events import copy_events

TABS = ("distributions", "graphs", "histograms", "pr_curves", "projector")
FIGURES = ("batch", "confusion", "feature_maps", "filters", "grad_cam", "mistakes", "neural_distance", "recall",
           "reliability")  # fmt: skip
OVERVIEW = ("train/loss", "val/loss", "theory/chance_loss", "train/accuracy", "val/accuracy",
            "theory/chance_accuracy", "val/neural_distance", "theory/isometry_distance", "lr/peak",
            "sys/grad_norm", "sys/images_per_s")  # fmt: skip
RESULT = ("test/accuracy", "test/loss", "test/ece", "val/ece", "time/epoch_s")


def test_a_full_run_shows_all_that_it_promises(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "cnn-digits" / trained.folder.name
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("events.*", "checkpoints"))
    copy_events(trained.folder, run)
    status = main([str(tmp_path)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.splitlines()[-1] == "dashboard: 1 run, no problems"


def test_a_full_run_of_the_cnn_writes_all_of_this(trained: Trained) -> None:
    """By hand, so that nothing can vanish unseen: a run promises only what it wrote."""
    promise = promise_of(trained.folder)
    assert promise.tabs == {*TABS, "text", "custom_scalars"}
    assert promise.tags["images"] == [f"figures/{name}" for name in FIGURES]
    assert promise.tags["pr_curves"] == [f"pr/{digit}" for digit in range(10)]
    for kind in ("weights", "gradients"):
        assert any(tag.startswith(f"{kind}/") for tag in promise.tags["histograms"])
    assert {"report/result", "report/config"} <= set(promise.tags["text"])
    assert set(OVERVIEW) | set(RESULT) <= set(promise.tags["scalars"])
    for tag in OVERVIEW:
        assert any(re.match(pattern, tag) for pattern in promise.overview), tag


def test_each_broken_promise_is_named(trained: Trained) -> None:
    promise = promise_of(trained.folder)
    assert not list(missing(promise, promise.tags))
    for kind, tags in promise.tags.items():
        for place, tag in enumerate(tags):
            without = {**promise.tags, kind: tags[:place] + tags[place + 1 :]}
            assert list(missing(promise, without)) == [f"{tag} is missing from the {kind}"]
    assert not list(missing_from_overview(promise, promise.overview))
    few = list(missing_from_overview(promise, promise.overview[1:]))
    assert few == [f"{promise.overview[0]} is in no chart of the overview"]


def test_what_a_run_wrote_and_tensorboard_does_not_have_is_a_problem(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "cnn-digits" / trained.folder.name
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("events.*", "checkpoints"))
    copy_events(trained.folder, run)
    shown = json.loads((run / "shown.json").read_text())
    shown["pr_curves"].append("pr/10")
    shown["overview"].append("val/none$")
    (run / "shown.json").write_text(json.dumps(shown))
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    name = f"cnn-digits/{trained.folder.name}"
    assert f"wrong: {name}: pr/10 is missing from the pr_curves" in printed
    assert f"wrong: {name}: val/none$ is in no chart of the overview" in printed
    assert printed.splitlines()[-1] == "dashboard: 1 run, 2 problems"


def test_a_run_without_a_list_promises_its_figures_and_texts(trained: Trained, tmp_path: Path) -> None:
    assert promise_of(tmp_path).tags == {}
    run = tmp_path / "run"
    shutil.copytree(trained.folder / "figures", run / "figures")
    shutil.copy(trained.folder / "config.yaml", run)
    assert promise_of(run).tags == {}, "it has not finished"
    shutil.copy(trained.folder / "metrics.json", run)
    for content in (None, "no JSON", "[]"):
        if content is not None:
            (run / "shown.json").write_text(content)
        promise = promise_of(run)
        assert promise.tabs == {"text"}
        assert promise.tags == {
            "images": [f"figures/{name}" for name in FIGURES],
            "text": ["report/config", "report/result"],
        }
        assert promise.overview == []
