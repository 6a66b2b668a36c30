"""What every checkpoint of a run carries beside the weights, and what is added to it once the test has been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.command.front import Request
from trainer.command.options import Settings
from trainer.contract import Data, Task, offered
from trainer.run.provenance import versions
from trainer.safe_file import load_checkpoint, save_safely


def house_record(request: Request, settings: Settings, data: Data, task: Task) -> dict[str, Any]:
    """What every checkpoint carries: names, command, settings, versions, how pictures are prepared, as primitives."""
    record: dict[str, Any] = {"model": request.model, "data": request.data, "recipe": asdict(settings)}
    record |= {"command": request.command, "versions": versions()}
    record["view_scheme"] = offered(data, "view_scheme")
    if fingerprints := offered(data, "fingerprints"):
        record["pictures"] = fingerprints()
    if (inherited := offered(data, "lineage")) and (lineage := inherited()) is not None:
        record["lineage"] = lineage
    if preprocessing := offered(data, "preprocessing"):
        record |= {"preprocessing": preprocessing(), "mirrors": offered(data, "mirrors")}
    return record


def keep_in_checkpoints(judged: Path, last: Path, values: dict[str, Any]) -> None:
    """Adds what was found after training, such as the temperature, to the records of those whose weights it is of.

    Args:
        judged: The checkpoint that was tested.
        last: The last one, which has the same weights where the last epoch was the best.
        values: Primitives by name.
    """
    checkpoint = load_checkpoint(judged)
    checkpoint["house"] = {**checkpoint.get("house", {}), **values}
    save_safely(checkpoint, judged)
    if last == judged or not last.is_file():
        return
    weights, other = checkpoint["state_dict"], load_checkpoint(last)
    if same_tensors(weights, other["state_dict"]):
        other["house"] = {**other.get("house", {}), **values}
        save_safely(other, last)


def same_tensors(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two states have the same names, and the same bits under each of them."""
    import torch

    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
