"""What a run left: its folder, its weights, its figures and its tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch


def only_run(root: Path) -> Path:
    """Folder of the only run below ``root``."""
    (folder,) = root.glob("*/*")
    return folder


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    """All that a checkpoint of the run keeps of the task."""
    state: dict[str, torch.Tensor] = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
    return state


def metrics_of(folder: Path) -> dict[str, Any]:
    """All figures of the run."""
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def lasting(folder: Path) -> dict[str, Any]:
    """What two equal runs must agree on: all figures but times, names of folders and speeds."""
    return {
        name: value
        for name, value in metrics_of(folder).items()
        if not name.startswith(("time/", "sys/")) and name != "command"
    }


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a table with a head."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def epochs(folder: Path) -> list[dict[str, str]]:
    """What two equal runs must agree on epoch by epoch: ``metrics.csv`` without times and speeds."""
    return [
        {tag: value for tag, value in row.items() if not tag.startswith(("time/", "sys/"))}
        for row in table(folder / "metrics.csv")
    ]
