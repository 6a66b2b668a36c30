"""A short run of a small restricted Boltzmann machine through the front door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from train import main

QUICK = ["--model", "rbm", "--device", "cpu", "--model.ais_temperatures", "100", "--model.burn_in", "20"]


def run(root: Path, *words: str) -> dict[str, Any]:
    assert main([*QUICK, "--root", str(root), *words]) == 0
    (path,) = root.glob("*/*/metrics.json")
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics
