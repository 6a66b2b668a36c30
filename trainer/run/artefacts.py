"""What a run leaves for people who were not there: the split, the worst answers, and a card for the model.

The task and the data tell their parts through optional methods; a run whose task or data has none leaves fewer files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from dashboard.bands import bands_note
from theory.intervals import wilson_interval
from trainer.contract import offered
from trainer.files import as_word, write_atomically
from trainer.folder import RunFolder

MOST_LOSSES = 1_000
MOST_CLASSES = 100


@rank_zero_only
def save_lists(folder: RunFolder, data: Any) -> None:
    """Write which picture lies in which split, where the data decides that, and what every file is that was found.

    ``--data.csv`` reads the first back; the second also has what was left out.
    """
    if save_split := offered(data, "save_split"):
        save_split(folder.split)
    if save_files := offered(data, "save_files"):
        save_files(folder.files)


def save_top_losses(folder: RunFolder, task: Any, data: Any) -> bool:
    """Write the pictures with the largest losses first: path, label, guess and its probability, loss in nats.

    Args:
        folder: The run.
        task: Offers ``top_losses``, where it can.
        data: Offers ``paths``, where its pictures are files.

    Returns:
        Whether the file was written.
    """
    top_losses, paths_of = offered(task, "top_losses"), offered(data, "paths")
    if top_losses is None or paths_of is None:
        return False
    split, rows = top_losses(MOST_LOSSES)
    if not rows:
        return False
    paths = paths_of(split)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # a name may hold any sign
    writer.writerow(["path", "label", "predicted", "probability", "loss"])
    for index, label, guess, probability, loss in rows:
        writer.writerow([paths[index], label, guess, round(probability, 6), round(loss, 6)])
    write_atomically(folder.top_losses, text.getvalue())
    return True


def save_confusion(folder: RunFolder, task: Any) -> bool:
    """Write how often each class was taken for each: one row a true class, one column a guess.

    Args:
        folder: The run.
        task: Offers ``confusion``, where it can.

    Returns:
        Whether the file was written.
    """
    confusion = offered(task, "confusion")
    counts = confusion() if confusion else None
    if counts is None:
        return False
    names = task.hparams["class_names"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["truth", *names])
    writer.writerows([name, *row] for name, row in zip(names, counts, strict=True))
    write_atomically(folder.confusion, text.getvalue())
    return True


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def data_rows(data: Any, task: Any) -> list[tuple[str, str]]:
    """What a page says of the data: their summary, and which channels its figures show.

    Args:
        data: Offers ``summary``.
        task: Offers ``augmentation``, where it changes the pictures of a batch further.
    """
    preprocessing = offered(data, "preprocessing")
    channels = preprocessing().get("channels", 3) if preprocessing else 3
    summary, further = data.summary(), offered(task, "augmentation")
    if further:
        summary["augmentation"] = "; ".join(part for part in (summary.get("augmentation"), further) if part)
    return described({**summary, "figures show": bands_note(channels)})


def described(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of those values that are not empty."""
    return [(name, describe(value)) for name, value in values.items() if value not in ([], "", None)]


def card_text(
    title: str,
    task: Any,
    data: Any,
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


def describe(value: Any) -> str:
    """A value of the data's summary as text; a long list by its first twenty."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {describe(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(str(item) for item in value[:20])
        return shown + (f" and {len(value) - 20} more" if len(value) > 20 else "")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
