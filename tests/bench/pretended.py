"""A training tool that is only pretended: what each run ends with is told beforehand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from bench.peers.tool import Tool

Done = subprocess.CompletedProcess[str]


class Pretended(Tool):
    """A tool whose every run ends as told, and leaves the weights it is given.

    Args:
        root: Of its runs.
        status: Exit status.
        said: What it writes to stderr.
        left: Weights in ``last.ckpt``, one run after the other; None leaves nothing.
        steps: Steps that the checkpoint tells of.
        name: Of the tool.
    """

    def __init__(
        self, root: Path, status: int, said: str, left: list[float | None], steps: int = 5, name: str = "lightning"
    ) -> None:
        super().__init__(name, root)
        self.status, self.said, self.left, self.steps = status, said, left, steps
        self.asked: list[tuple[str, ...]] = []

    def run(self, *options: str, fault: str = "", largest: int | None = None) -> Done:
        weight = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        folder = Path(options[options.index("--root") + 1])
        if weight is not None:
            folder.mkdir(exist_ok=True)
            self.save(folder / "last.ckpt", weight)
        return self.call(*options)

    def call(self, *words: str) -> Done:
        self.asked.append(words)
        return subprocess.CompletedProcess(words, self.status, "", self.said)

    def save(self, path: Path, weight: float, epoch: int = 0) -> None:
        state = {"state_dict": {"w": torch.tensor([weight])}, "global_step": self.steps, "epoch": epoch}
        torch.save(state, path)
