"""What a result is a result of: not all pictures of a split, or some that its weights have learnt from before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer

from trainer.contract import offered

JUDGED = ("val", "test")


def seen_metrics(data: Any) -> dict[str, float]:
    """By tag how many pictures of a split the weights that the run began with have learnt from; see `seen_before`."""
    seen_before = offered(data, "seen_before")
    return {f"{part}/seen_before": float(count) for part, count in (seen_before() if seen_before else {}).items()}


def in_part(
    data: Any, trainer: Trainer, options: Mapping[str, Any], metrics: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Lines of a result that say which splits were judged in part, as ``--trainer.limit_val_batches`` has it.

    Args:
        data: Offers ``summary`` with the number of samples of each split, and Lightning's loaders.
        trainer: The one that validated and tested.
        options: Those of the Trainer.
        metrics: Figures of the run; ``val/judged``, ``best/val_judged`` and ``test/judged`` count what was judged.
    """
    splits, lines = data.summary()["splits"], []
    for part in JUDGED:
        option = "overfit_batches" if options.get("overfit_batches") else f"limit_{part}_batches"
        if options.get(option) is None:
            continue
        count = metrics.get(f"{part}/judged", metrics.get(f"best/{part}_judged"))
        every, unit = splits.get(part), "pictures"
        if count is None or every is None:
            (count, every), unit = judged_batches(data, trainer, part), "batches"
        if count < every:
            text = f"{count:.0f} of {every} {part} {unit} were judged"
            lines.append((f"{part} in part", f"{text}; --trainer.{option} {options[option]} leaves the others out"))
    return lines


def learnt_before(task: Any, data: Any, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """Lines of a result that say how many of the judged pictures the weights that it began with have learnt from.

    Args:
        task: Offers ``weights_file`` where it may begin with one.
        data: Offers ``lineage`` where it can compare its pictures with those of the runs behind that file.
        metrics: Figures of the run with those of `seen_metrics`.
    """
    weights_file, lineage = offered(task, "weights_file"), offered(data, "lineage")
    if weights_file is None or weights_file(task.hparams) is None:
        return []
    complete = ((lineage() if lineage else None) or {}).get("complete", False)
    least, splits = "" if complete else "at least ", data.summary()["splits"]
    counts = {part: count for part in JUDGED if (count := metrics.get(f"{part}/seen_before"))}
    many = " and ".join(f"{least}{count:.0f} of the {splits[part]} {part} pictures" for part, count in counts.items())
    if many:
        return [("seen before", f"the weights that it began with have learnt from {many}, which flatters it")]
    unknown = ("seen before", "what the weights that it began with have learnt from is not known")
    return [] if complete else [unknown]


def judged_batches(data: Any, trainer: Trainer, part: str) -> tuple[float, int]:
    """Batches of a split that a run judged, and all of them; equal where it judged none.

    Args:
        data: The data module.
        trainer: The one that validated and tested.
        part: ``val`` or ``test``.
    """
    loader = getattr(data, f"{part}_dataloader")()
    done = getattr(trainer, f"num_{part}_batches")
    judged = sum(done) if isinstance(done, list) else done
    every = sum(
        len(one) if hasattr(one, "__len__") else 0 for one in (loader if isinstance(loader, list) else [loader])
    )
    return (judged, every) if judged and every else (0, 0)
