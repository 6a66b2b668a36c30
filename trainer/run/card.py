"""The model card of a classifier: what it is, what it was judged on, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theory.intervals import wilson_interval
from trainer.contract import offered
from trainer.files import as_word
from trainer.run.markdown import data_rows, describe, table

MOST_CLASSES = 100


def card_text(
    title: str,
    task: Any,
    data: Any,
    *,
    findings: Sequence[tuple[str, str]],
    metrics: Mapping[str, float],
    facts: Sequence[tuple[str, str]],
    checkpoint: Path,
) -> str:
    """The model card of a classifier, as Markdown.

    Args:
        title: Model and data.
        task: Offers ``describe`` and ``hparams["class_names"]``; ``recalls`` where it can, and ``weights_origin`` where
            weights came from elsewhere.
        data: Offers ``summary`` and ``preprocessing``; ``labels`` where it can count each class in each split.
        findings: The lines of the result.
        metrics: Tags and values of the result.
        facts: How it was made: command, seed, versions.
        checkpoint: What to predict with.
    """
    summary = data.summary()
    head_alone = offered(task, "fixed_features")
    names = list(task.hparams["class_names"])
    origin, recalls = offered(task, "weights_origin"), offered(task, "recalls")
    weights = origin() if origin else "trained from random weights; no foreign weights are in it"
    parts = [
        f"# Model card: {title}",
        f"A classifier of pictures into {len(names)} classes: {', '.join(names[:MOST_CLASSES])}"
        + (f" and {len(names) - MOST_CLASSES} more." if len(names) > MOST_CLASSES else "."),
        f"```\npython predict.py {as_word(checkpoint)} PICTURE_OR_FOLDER --out predictions.csv\n```",
        "## Result",
        table(("what", "figure"), findings),
        _per_class(names, data, judged_split(metrics), recalls() if recalls else {}),
        "## Data",
        table(("what", "value"), data_rows(data, task)),
        "## Preprocessing",
        "The same in validation and in prediction; it is stored in the checkpoint.",
        table(("setting", "value"), [(key, describe(value)) for key, value in data.preprocessing().items()]),
        "## Network and weights",
        f"{task.describe()}{'; only its head was trained' * head_alone}. Weights: {weights}.",
        "## Limits",
        "\n".join(f"* {line}" for line in limits(names, summary, metrics)),
        "## How it was made",
        table(("what", "value"), facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _per_class(names: Sequence[str], data: Any, judged: str, recalls: Mapping[str, tuple[int, int]]) -> str:
    """Pictures of each class in each split, with the recall and its interval: (found, of) by name."""
    labels = offered(data, "labels")
    if labels is None or len(names) > MOST_CLASSES:
        return ""
    splits = [split for split, count in data.summary()["splits"].items() if count]
    counts = {split: labels(split).bincount(minlength=len(names)).tolist() for split in splits}
    rows = []
    for number, name in enumerate(names):
        found, total = recalls.get(name, (0, 0))
        shown = "none to judge by"
        if total:
            low, high = wilson_interval(found, total)
            shown = f"{100 * found / total:.1f} % ({100 * low:.0f} to {100 * high:.0f} %)"
        rows.append([name, *(str(counts[split][number]) for split in splits), shown])
    return table(["class", *splits, f"recall in {judged} (95 % interval)"], rows)


def judged_split(metrics: Mapping[str, float]) -> str:
    """The split that the result was measured on."""
    return "test" if "test/accuracy" in metrics else "val"


def limits(names: Sequence[str], summary: Mapping[str, Any], metrics: Mapping[str, float]) -> list[str]:
    """What the figures do not say, one sentence each."""
    split = judged_split(metrics)
    count = int(metrics.get(f"{split}/judged", summary["splits"].get(split, 0)))
    lines = [
        f"Every picture gets one of the {len(names)} names, also one that shows none of them.",
        "The accuracy is that of pictures taken like those of the data; on others it can be anything.",
    ]
    if f"{split}/accuracy_low" in metrics:
        width = 100 * (metrics[f"{split}/accuracy_high"] - metrics[f"{split}/accuracy_low"])
        lines.append(f"It was measured on {count:,} pictures: the 95 % interval is {width:.1f} points wide.")
    else:
        lines.append("It was measured on no pictures: nothing is known about its accuracy.")
    if f"{split}/ece" in metrics:
        ece = 100 * metrics[f"{split}/ece"]
        after = metrics.get("test/ece_after_temperature")
        scaled = (
            f", {100 * after:.1f} % after the temperature {metrics['test/temperature']:.2f} that prediction divides by"
            if after is not None
            else f" before the temperature {metrics['val/temperature']:.2f} that prediction divides by, fitted on them"
            if "val/temperature" in metrics
            else "; no temperature was fitted"
        )
        lines.append(f"Probabilities are off by {ece:.1f} % on average (expected calibration error){scaled}.")
    if summary.get("bad"):
        lines.append(f"Files that could not be read and were left out: {len(summary['bad'])}.")
    return lines + [f"Warning of the data: {warning}." for warning in summary.get("warnings", [])]
