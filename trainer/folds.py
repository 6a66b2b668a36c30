"""What the folds of a cross-validation say together: the pictures that were right, added up, and what they are worth.

Every picture is validated once: the pictures that were right can be added up, and the Wilson interval of the sum is
beside the mean. What flatters the sum is said: that these pictures also chose the epoch of a network, or that it began
with weights which have learnt from them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theory.intervals import wilson_interval
from trainer.run.choice import validation_chooses

VALIDATED = "best/val_accuracy"  # of the kept weights; with test pictures there is no val/accuracy among the figures
JUDGED = "best/val_judged"
NOT_ALL = "the runs did not judge all of their validation pictures, nor tell how many, so these are not added up\n"


def pooled(metrics: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> tuple[int, int]:
    """Pictures that were right over all folds, and all of them.

    Args:
        metrics: Each with the accuracy of the kept weights on the validation pictures.
        sizes: Validation pictures that each judged.
    """
    right = sum(round(one[VALIDATED] * size) for one, size in zip(metrics, sizes, strict=True))
    return right, sum(sizes)


def split_of(run: Path) -> dict[str, list[str]]:
    """Pictures of each part of a run, from its ``split.csv``; empty when it has none."""
    file = run / "split.csv"
    parts: dict[str, list[str]] = {}
    if file.is_file():
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            for row in csv.DictReader(lines):
                parts.setdefault(row["split"], []).append(row["path"])
    return parts


def chose_epoch(parts: Mapping[str, Sequence[str]], settings: Mapping[str, Any]) -> bool:
    """Whether the validation pictures of a run chose the epoch of its weights; a head fitted in one go has but one."""
    sizes = {part: len(parts.get(part, ())) for part in ("val", "test")}
    return settings.get("model.tune") != "head" and validation_chooses(sizes, settings.get("early_stopping.patience"))


def judged_by(metrics: Mapping[str, Any], settings: Mapping[str, Any], size: int) -> int | None:
    """Validation pictures that a run judged; None where a run of an older version judged a part and says not how many.

    Args:
        metrics: Its figures.
        settings: Its settings by dotted names.
        size: Its validation pictures.
    """
    if isinstance(count := metrics.get(JUDGED), int | float):
        return int(count)
    limit = settings.get("trainer.limit_val_batches")
    whole = limit is None or (isinstance(limit, float) and limit == 1)  # the whole number 1 is one batch
    return size if whole and not settings.get("trainer.overfit_batches") else None


def worth(metrics: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]], chosen: bool) -> str:
    """By what the pictures were judged, and what flatters the sum.

    Args:
        metrics: Figures of the runs.
        settings: Their settings.
        chosen: Whether the pictures of one chose its epoch.
    """
    begun = [one for one, set_to in zip(metrics, settings, strict=True)
             if set_to.get("model.weights", "none") not in (None, "default", "none")]  # fmt: skip
    seen = [one.get("val/seen_before") for one in begun]
    if count := sum(int(one) for one in seen if one):
        chose = ", and they chose its epoch too" * chosen
        return (
            f"but {count} of them the weights that a run began with had learnt from before{chose}, which flatters them"
        )
    but = ", but these pictures chose its epoch, which flatters them" * chosen
    if None in seen:
        return (
            f"by networks of which it is not known whether the weights that they began with had learnt from them{but}"
        )
    return f"each picture judged by a network that has not learnt from it{but}"


def folds_line(
    runs: Sequence[Path], metrics: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, Any]]
) -> str:
    """What the folds say together; empty when these runs are no folds with an accuracy.

    Args:
        runs: Their folders.
        metrics: Their figures.
        settings: Their settings by dotted names.
    """
    wanted = settings[0].get("data.num_folds") or 0
    splits = [split_of(run) for run in runs]
    parts = [split.get("val", []) for split in splits]
    if not wanted or not all(parts) or not all(VALIDATED in one for one in metrics):
        return ""
    every = sum(map(len, parts))
    if len({line for part in parts for line in part}) < every:
        return "the runs share validation pictures, so these are not added up\n"
    sizes = [judged_by(one, set_to, len(part)) for one, set_to, part in zip(metrics, settings, parts, strict=True)]
    counted = [size for size in sizes if size is not None]
    if len(counted) < len(sizes):
        return NOT_ALL
    right, total = pooled(metrics, counted)
    low, high = wilson_interval(right, total)
    lacking = wanted - len(runs)
    missing = f"; {lacking} of {wanted} folds {'is' if lacking == 1 else 'are'} missing" if lacking > 0 else ""
    unjudged = f"; {every - total} of {every} validation pictures were not judged" if total < every else ""
    return (
        f"{'these' if missing else 'all'} folds together: {100 * right / total:.2f} % ({right} of {total}), "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} % (Wilson), "
        f"{worth(metrics, settings, any(map(chose_epoch, splits, settings)))}{unjudged}{missing}\n"
    )
