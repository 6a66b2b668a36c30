"""The "Overview" page of TensorBoard's Custom Scalars tab: the few curves that tell how a run goes.

TensorBoard reads each tag of a layout as a regular expression that must match from the start of a tag; so names are
escaped and closed by "$", or "train/loss" would also draw "train/loss_step". A tag that no run has is shown as
"! Missing Tags": `logged` leaves out what a run does not log.

The layouts of all runs of a log folder become one page, where equal charts are drawn once. All have the one category,
since TensorBoard loses what a later run adds to any category that is not of the first run; so it is the title of a
chart that says whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

LEARNING_RATES = "lr/"  # matches one curve for each group of parameters
SYSTEM = {"gradient norm": "sys/grad_norm", "samples per second": "sys/images_per_s"}
Layout = dict[str, dict[str, list[Any]]]  # category → chart → its kind and its regular expressions
PARTS = ("train", "val", "test")
PAIRED = ("loss", "accuracy")  # logged for training and for validation
BEFORE_TRAINING = -1  # the step of what is measured before the first one, which is 0


def exactly(tag: str) -> str:
    """The regular expression that matches this tag alone, in Python (TensorBoard's server) and in JavaScript.

    ``re.escape`` would also escape signs that need none, such as "-", and the page shows the expression to the reader.
    """
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", tag) + "$"


def overview(tags: Iterable[str], beside: Mapping[str, Iterable[str]] | None = None, model: str = "") -> Layout:
    """The layout for ``SummaryWriter.add_custom_scalars``.

    Args:
        tags: What is logged besides the loss, such as the monitored ``"val/accuracy"``: it brings ``"train/accuracy"``
            into the same chart. Validation curves are listed only when some tag is of validation. A ``"theory/…"`` tag
            joins the chart of the quantity of the same name; other ``"theory/…"`` and ``"gap/…"`` tags get charts of
            their own.
        beside: Further tags by the chart that they join, such as ``{"loss": ["theory/chance_loss"]}``; a chart that
            there is not yet comes after the others, unless it would show theory alone.
        model: Name of the model, for the titles of all charts but the last three, which all models share.

    Returns:
        ``{"Overview": {chart: ["Multiline", [regular expressions]]}}``; loss first, system last.
    """
    given = [tag for tag in dict.fromkeys(tags) if tag not in SYSTEM.values() and not tag.startswith("lr/")]
    fitted = ("train", "val") if any(tag.startswith("val/") for tag in given) else ("train",)
    charts: dict[str, list[str]] = {"loss": [f"{part}/loss" for part in fitted]}
    for tag in given:
        part, _, name = tag.partition("/")
        if part in fitted and name in PAIRED:
            charts.setdefault(name, []).extend(f"{part}/{name}" for part in fitted)
        elif part not in PARTS:
            charts.setdefault(name if name in charts else tag, []).append(tag)
        else:
            charts.setdefault(name, []).append(tag)
    for title, further in (beside or {}).items():
        known = [tag for tag in further if "val" in fitted or not tag.startswith("val/")]
        if title in charts or not all(tag.startswith("theory/") for tag in known):
            charts.setdefault(title, []).extend(known)
    of_model = f" ({model})" if model else ""
    patterns = {title + of_model: [exactly(tag) for tag in dict.fromkeys(group)] for title, group in charts.items()}
    patterns["learning rate"] = [LEARNING_RATES]
    patterns |= {title: [exactly(tag)] for title, tag in SYSTEM.items()}  # which every training logs
    return {"Overview": {title: ["Multiline", group] for title, group in patterns.items()}}


def logged(layout: Layout, tags: Iterable[str]) -> Layout:
    """The layout without the curves that none of the tags matches, and without charts that lose all of theirs."""
    known = list(tags)
    kept = {
        category: {
            title: [kind, [pattern for pattern in group if any(re.match(pattern, tag) for tag in known)]]
            for title, (kind, group) in charts.items()
        }
        for category, charts in layout.items()
    }
    return {
        category: {title: chart for title, chart in charts.items() if chart[1]} for category, charts in kept.items()
    }
