"""Runs a script after one thing in its process was disturbed: what no option, file or signal can provoke from outside.

python -m bench.peers.disturbed memory train --model cnn
python -m bench.peers.disturbed worse bench.peers.lightning_example --root FOLDER

The place that is disturbed belongs to torch, Lightning or Python, so that it is the same for every tool; only the name
of a run is chosen by a function of each tool's own. A word behind a fault's name, as in ``meeting=FOLDER``, is for it.
"""

from __future__ import annotations

import datetime
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0


def memory(_: str) -> None:
    """The first convolution of the second training step finds no memory, once, as on a full GPU."""
    import torch

    forward, steps, first = torch.nn.Conv2d.forward, [0], list[Any]()

    def full_once(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and self.training:
            first[:] = first or [self]
            steps[0] += self is first[0]
            if self is first[0] and steps[0] == 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")
        return forward(self, images)

    torch.nn.Conv2d.forward = full_once  # type: ignore[assignment, method-assign]


def worse(_: str) -> None:
    """What is logged of a validation gets worse from epoch to epoch: a loss rises, anything else falls."""
    from lightning.pytorch import LightningModule

    log = LightningModule.log

    def logged(self: Any, name: str, value: Any, *arguments: Any, **keywords: Any) -> None:
        if name.startswith("val/"):
            value = float(self.current_epoch) if "loss" in name else 1 / (2.0 + self.current_epoch)
        log(self, name, value, *arguments, **keywords)

    LightningModule.log = logged  # type: ignore[method-assign]


def offline(_: str) -> None:
    """There is no network: no name is resolved, and nothing answers."""

    def unreachable(*_: Any, **__: Any) -> Any:
        raise OSError(101, "Network is unreachable")

    socket.getaddrinfo = unreachable
    socket.create_connection = unreachable
    socket.socket.connect = unreachable  # type: ignore[method-assign]


def meeting(folder: str) -> None:
    """Two runs choose the name of their folder at the same moment, in the same second.

    Args:
        folder: Where they meet: each leaves a file, and waits for the other's.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    from trainer.folder import RunFolder

    create, next_version = RunFolder.create.__func__, TensorBoardLogger._get_next_version  # type: ignore[attr-defined]
    second = datetime.datetime(2026, 1, 2, 3, 4, 5)

    def created(cls: Any, *arguments: Any) -> Any:
        wait_for_the_other(Path(folder))
        return create(cls, *arguments, clock=lambda: second)

    def numbered(self: Any) -> int:
        number: int = next_version(self)
        wait_for_the_other(Path(folder))
        return number

    RunFolder.create = classmethod(created)  # type: ignore[assignment, method-assign]
    TensorBoardLogger._get_next_version = numbered  # type: ignore[method-assign]


def wait_for_the_other(folder: Path, number: int = 2) -> None:
    """Returns once so many processes have left a file in a folder.

    Raises:
        TimeoutError: If they do not come.
    """
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + PATIENCE_S
    while len(list(folder.iterdir())) < number:
        if time.monotonic() > end:
            raise TimeoutError(f"nobody else came to {folder}")
        time.sleep(0.005)


FAULTS: dict[str, Callable[[str], None]] = {each.__name__: each for each in (memory, worse, offline, meeting)}


def main() -> None:
    """Disturb, then run."""
    fault, module, *arguments = sys.argv[1:]
    name, _, word = fault.partition("=")
    FAULTS[name](word)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
