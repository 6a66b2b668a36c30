"""The parts of a run that belong together from its announcement to its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Trainer

from trainer.command.front import Request
from trainer.command.options import Settings
from trainer.contract import Data, Task, offered
from trainer.folder import RunFolder


@dataclass(frozen=True)
class Run:
    """What runs, on what, and where it is written.

    Attributes:
        request: What the user asked for.
        settings: What was made of it.
        folder: Where it goes.
        data: The data module, opened.
        task: The task.
        trainer: The one that fits and tests.
    """

    request: Request
    settings: Settings
    folder: RunFolder
    data: Data
    task: Task
    trainer: Trainer

    @property
    def title(self) -> str:
        """Model and data."""
        return f"{self.request.model} on {self.request.data}"

    @property
    def judged(self) -> Path:
        """The checkpoint that is tested: the best one, or the last where none was chosen."""
        return self.folder.best if self.folder.best.is_file() else self.folder.last

    @property
    def classifies(self) -> bool:
        """Whether its checkpoints name pictures by ``predict.py``."""
        return bool(offered(self.task, "classifies")) and offered(self.data, "preprocessing") is not None

    @property
    def device(self) -> str:
        """Device, threads, processes and precision, in one line."""
        import torch

        device, processes = self.trainer.strategy.root_device, self.trainer.world_size
        threads = torch.get_num_threads()
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{threads} thread{'s' * (threads > 1)}"
        several = f", {processes} processes" if processes > 1 else ""
        return f"{device.type} ({name}){several}, precision {self.trainer.precision}"
