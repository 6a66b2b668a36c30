"""A real run keeps every promise of the list, and each that is broken is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dashboard.check import main
from dashboard.promises import CNN_FIGURES, CNN_OVERVIEW, CNN_TABS, missing, missing_from_overview, promise_of
from tests.conftest import Trained
from tests.events import copy_events


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


def test_the_promises_of_a_full_run_are_many(trained: Trained) -> None:
    promise = promise_of(trained.folder)
    assert promise.tabs >= {*CNN_TABS, "text", "custom_scalars"}
    assert promise.tags["images"] == sorted(f"figures/{name}" for name in CNN_FIGURES)
    assert promise.tags["pr_curves"] == [f"pr/{digit}" for digit in range(10)]
    assert promise.tags["histograms"] == ["weights/*", "gradients/*"]
    assert promise.tags["text"] == ["report/result", "report/config"]
    assert set(CNN_OVERVIEW) <= set(promise.tags["scalars"])
    assert promise.overview == CNN_OVERVIEW


def test_each_broken_promise_is_named(trained: Trained) -> None:
    promise = promise_of(trained.folder)
    kept = {kind: [tag.replace("*", "layer") for tag in tags] for kind, tags in promise.tags.items()}
    assert not list(missing(promise, kept))
    for kind, tags in promise.tags.items():
        for place, tag in enumerate(tags):
            without = {**kept, kind: kept[kind][:place] + kept[kind][place + 1 :]}
            assert list(missing(promise, without)) == [f"{tag} is missing from the {kind}"]
    assert not list(missing_from_overview(promise, [*(f"{tag}$" for tag in CNN_OVERVIEW), "lr/"]))
    few = list(missing_from_overview(promise, ["train/loss$", "lr/", "sys/"]))
    assert [problem.partition(" ")[0] for problem in few] == list(CNN_OVERVIEW[1:8])


def test_other_runs_promise_less(trained: Trained, tmp_path: Path) -> None:
    assert promise_of(tmp_path).tags == {}
    run = tmp_path / "run"
    shutil.copytree(trained.folder / "figures", run / "figures")
    (run / "metrics.json").write_text(json.dumps(trained.metrics))
    config = (trained.folder / "config.yaml").read_text()
    for there, here in (("report: full", "report: none"), ("backbone: cnn", "backbone: resnet18")):
        assert there in config
        (run / "config.yaml").write_text(config.replace(there, here))
        promise = promise_of(run)
        assert promise.tabs == {"custom_scalars", "text"}
        assert sorted(promise.tags) == ["images", "text"]
        assert len(promise.tags["images"]) == 9, "what was drawn is shown"
    (run / "config.yaml").write_text("- no settings of ours")
    assert promise_of(run).tags == {}
