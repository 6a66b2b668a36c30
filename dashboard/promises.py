"""What a finished run promises to show in TensorBoard: what it says that it wrote, and what its folder holds.

A run lists in ``shown.json`` the tags that it gave to TensorBoard, by their kind, and the charts of its overview. Each
figure of the folder is a picture too, and a run of ours has its report and its settings as texts, which holds for the
runs of older versions, without a list, as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXTS = ("report/config", "report/result")
TABS = {"graphs": {"graphs"}, "projector": {"projector"}, "pr_curves": {"pr_curves"},
        "histograms": {"distributions", "histograms"}, "overview": {"custom_scalars"}}  # fmt: skip
TAGGED = ("scalars", "images", "histograms", "pr_curves", "text")  # kinds whose tags can be asked for


@dataclass
class Promise:
    """What must be there.

    Attributes:
        tabs: Plugins that must be active.
        tags: Kind, such as ``images`` → tags.
        overview: Expressions that charts of the Custom Scalars tab must have.
    """

    tabs: set[str] = field(default_factory=set)
    tags: dict[str, list[str]] = field(default_factory=dict)
    overview: list[str] = field(default_factory=list)


def promise_of(run: Path) -> Promise:
    """What a run folder promises; nothing where it holds no settings, or has not finished."""
    if not ((run / "config.yaml").is_file() and (run / "metrics.json").is_file()):
        return Promise()
    shown = shown_by(run)
    tags = {kind: {*shown.get(kind, ())} for kind in TAGGED}
    tags["text"] |= {*TEXTS}
    tags["images"] |= {f"figures/{path.stem}" for path in (run / "figures").glob("*.png")}
    tabs = {"text"}.union(*(tabs for kind, tabs in TABS.items() if shown.get(kind)))
    return Promise(tabs, {kind: sorted(names) for kind, names in tags.items() if names}, shown.get("overview", []))


def shown_by(run: Path) -> dict[str, list[str]]:
    """What a run says that it wrote; empty where it says nothing that can be read."""
    try:
        content: Any = json.loads((run / "shown.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def missing(promise: Promise, own: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """What a run does not show of its promise, in words.

    Args:
        promise: As of `promise_of`.
        own: Kind → tags of the run.
    """
    for kind, tags in promise.tags.items():
        shown = {*own.get(kind, ())}
        yield from (f"{tag} is missing from the {kind}" for tag in tags if tag not in shown)


def missing_from_overview(promise: Promise, patterns: Iterable[str]) -> Iterator[str]:
    """Promised expressions that no chart of the layout has, in words."""
    known = {*patterns}
    yield from (f"{pattern} is in no chart of the overview" for pattern in promise.overview if pattern not in known)
