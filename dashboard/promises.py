"""What a finished run promises to show in TensorBoard: listed here by hand, so that nothing can vanish unseen.

Every run of ours has its report and its settings as texts, an overview, and each of its figures as a picture. What a
network of our own for pictures (``--model cnn``) shows with ``--report full`` is listed by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

CNN_TABS = ("distributions", "graphs", "histograms", "pr_curves", "projector")
CNN_FIGURES = ("batch", "confusion", "feature_maps", "filters", "grad_cam", "mistakes", "neural_distance", "recall",
               "reliability")  # fmt: skip
CNN_OVERVIEW = ("train/loss", "val/loss", "theory/chance_loss", "train/accuracy", "val/accuracy",
                "theory/chance_accuracy", "val/neural_distance", "theory/isometry_distance", "lr/peak",
                "sys/grad_norm", "sys/images_per_s")  # fmt: skip
CNN_RESULT = ("test/accuracy", "test/loss", "test/ece", "val/ece", "time/epoch_s")
MOST_PR_CURVES = 40


@dataclass
class Promise:
    """What must be there.

    Attributes:
        tabs: Plugins that must be active.
        tags: Kind, such as ``images`` → tags, in which ``*`` stands for anything.
        overview: Scalars that a chart of the Custom Scalars tab must show.
    """

    tabs: set[str] = field(default_factory=set)
    tags: dict[str, list[str]] = field(default_factory=dict)
    overview: tuple[str, ...] = ()


def promise_of(run: Path) -> Promise:
    """What a run folder promises; nothing where it holds no settings of ours, or has not finished."""
    import yaml

    try:
        config: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        model, full = config["model"], config["report"] == "full"
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return Promise()
    figures = [f"figures/{path.stem}" for path in sorted((run / "figures").glob("*.png"))]
    promise = Promise(
        {"custom_scalars", "text"}, {"text": ["report/result", "report/config"], "images": figures}, ("train/loss",)
    )
    # A pretrained network may have no last map to explain; without validation there is no curve of it.
    if model.get("name") == "cnn" and model.get("backbone") == "cnn" and full and "best/val_loss" in metrics:
        classes = [tag.removeprefix("test/recall_") for tag in metrics if tag.startswith("test/recall_")]
        promise.tabs |= {*CNN_TABS}
        promise.tags |= {
            "images": sorted({*figures, *(f"figures/{name}" for name in CNN_FIGURES)}),
            "scalars": [*CNN_OVERVIEW, *(tag for tag in CNN_RESULT if tag in metrics or not tag.startswith("test/"))],
            "histograms": ["weights/*", "gradients/*"],
            "pr_curves": [f"pr/{name}" for name in classes[:MOST_PR_CURVES]] or ["pr/*"],
        }
        promise.overview = CNN_OVERVIEW
    return promise


def missing(promise: Promise, own: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """What a run does not show of its promise, in words.

    Args:
        promise: As of `promise_of`.
        own: Kind → tags of the run.
    """
    for kind, tags in promise.tags.items():
        shown = list(own.get(kind, ()))
        for tag in tags:
            if not any(name == tag or fnmatchcase(name, tag) for name in shown):
                yield f"{tag} is missing from the {kind}"


def missing_from_overview(promise: Promise, patterns: Iterable[str]) -> Iterator[str]:
    """Promised scalars that no pattern of the layout matches, in words."""
    patterns = list(patterns)
    for tag in promise.overview:
        if not any(re.match(pattern, tag) for pattern in patterns):
            yield f"{tag} is in no chart of the overview"
