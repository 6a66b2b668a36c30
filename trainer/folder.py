"""The run folder ``runs/<model>-<data>/<YYYYmmdd-HHMMSS>-s<seed>/``: where everything about a run lies.

It is created with ``exist_ok=False``, so two runs that start in the same second get two folders, and it is written to
before training starts: a folder that cannot be written to costs a second, not a night.
"""

from __future__ import annotations

import datetime
import difflib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer.errors import UserError, expand
from trainer.files import json_text, probe, write_atomically
from trainer.notice import notice

CHECKPOINTS = "checkpoints"
MADE = "DEEP_LEARNING_MATHEMATICS_RUN"  # the variable that tells a run's other processes its folder


def flat_json(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values as one flat JSON object.

    Args:
        values: Tag to number, text, bool or None; tensors with one element count as numbers. ``"versions"`` alone
            may be a mapping of names to texts.

    Returns:
        The object, with None in place of numbers that JSON does not have, and the tags of those.

    Raises:
        UserError: If a value is none of these.
    """
    flat: dict[str, Any] = {}
    missing: list[str] = []
    for tag, value in values.items():
        if hasattr(value, "item") and not isinstance(value, str):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            missing.append(tag)
            value = None
        if isinstance(value, Mapping) and tag == "versions":
            value = {str(name): str(version) for name, version in value.items()}
        elif not isinstance(value, str | int | float | None):
            raise UserError(f"metrics are numbers, text, bool or None; {tag!r} is {type(value).__name__}")
        flat[tag] = value
    return flat, missing


def runs_below(folder: Path, depths: Iterable[str] = ("*", "*/*")) -> list[Path]:
    """The run folders in a folder, or in the folders in it, that hold a checkpoint; the newest first.

    Below the root of the disk there is no search: it would take long, and find what is no run of this user.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        return []
    found = {file.parent.parent for depth in depths for file in folder.glob(f"{depth}/{CHECKPOINTS}/*.ckpt")}
    return sorted(found, key=lambda run: run.name, reverse=True)


def no_run(place: Path) -> str:
    """Says that there is no run at a place, and which runs are near it."""
    what = f"no run at {place}"
    if place.is_dir() and (place / CHECKPOINTS).is_dir():
        return f"{what}: there is no checkpoint in {place / CHECKPOINTS}"
    folder = place if place.is_dir() else place.parent
    runs = runs_below(folder) if folder == place else runs_below(folder, ["*"])  # beside it, no deeper
    if not runs:
        return f"{what}: give a run folder, its checkpoints folder or a checkpoint file"
    meant = difflib.get_close_matches(place.name, [run.name for run in runs], n=1) if folder != place else []
    near = next((f"did you mean {run}? " for run in runs if [run.name] == meant), "")
    count = f"{len(runs)} runs, the newest is" if len(runs) > 1 else "the run"
    return f"{what}: {near}{folder} holds {count} {runs[0]}"


class RunFolder:
    """Paths of one run.

    Args:
        path: The run's folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / CHECKPOINTS
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / "last.ckpt"
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "metrics.csv"
        self.split = self.path / "split.csv"
        self.files = self.path / "files.csv"
        self.top_losses = self.path / "top_losses.csv"
        self.confusion = self.path / "confusion.csv"
        self.card = self.path / "MODEL_CARD.md"
        self.report = self.path / "report.md"
        self.figures = self.path / "figures"
        self.shown = self.path / "shown.json"
        self.nonfinite = self.path / "nonfinite"
        self.crash = self.path / "crash.txt"

    @property
    def finished(self) -> bool:
        """Whether the newest state was tested and its result written."""
        if not self.metrics.is_file():
            return False
        return not self.last.is_file() or self.metrics.stat().st_mtime_ns >= self.last.stat().st_mtime_ns

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        model: str,
        data: str,
        seed: int,
        clock: Callable[[], datetime.datetime] = datetime.datetime.now,
    ) -> RunFolder:
        """Make a folder that no other run has, and prove that it can be written to.

        Of several processes on several devices the first makes it; those that it starts find its name in their
        environment.

        Args:
            root: Folder of all runs, usually ``runs``.
            model: Short name of the model.
            data: Short name of the data.
            seed: The run's seed.
            clock: Gives the local time; replaced in tests.

        Raises:
            UserError: If it cannot be made or written to.
        """
        if int(os.environ.get("LOCAL_RANK", 0)) and (made := os.environ.get(MADE)):
            return cls(made)
        parent = Path(root) / f"{model}-{data}"
        stamp = f"{clock():%Y%m%d-%H%M%S}-s{seed}"
        number = 1
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                path = parent / (stamp if number == 1 else f"{stamp}-{number}")
                try:
                    path.mkdir(exist_ok=False)
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise UserError(f"cannot make a run folder in {root}: {error.strerror or error}") from error
        run = cls(path)
        probe(run.checkpoints)
        os.environ[MADE] = str(path.absolute())
        return run

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The run that a run folder, its checkpoints folder or a file in either belongs to.

        As in `create`, the processes that it starts find its name in their environment.

        Raises:
            UserError: If there is no such path, or it cannot be written to.
        """
        place = Path(path)
        folder = place if place.is_dir() else place.parent
        run = cls(folder.parent if folder.name == CHECKPOINTS else folder)
        if not place.exists() or not (run.checkpoints.is_dir() or run.config.is_file()):
            raise UserError(no_run(place))
        probe(run.checkpoints)
        os.environ[MADE] = str(run.path.absolute())
        return run

    def discard(self) -> None:
        """Remove a folder in which nothing was trained, and the folders above it that hold nothing else."""
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in (self.path.parent, self.path.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                return

    def write_metrics(self, values: Mapping[str, Any], again: bool = False) -> None:
        """Write ``metrics.json``: one flat object; numbers that are not finite become null, and a line says which.

        Args:
            values: Tag to number, text, bool or None.
            again: They were written before, and what is not finite was said then.
        """
        flat, missing = flat_json(values)
        if missing and not again:
            notice(f"warning: not finite, written as null in {self.metrics}: {', '.join(missing)}")
        write_atomically(self.metrics, json_text(flat) + "\n")

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"


def run_of(checkpoint: Path) -> RunFolder:
    """The run folder that a checkpoint lies in, whether or not it is one."""
    return RunFolder(checkpoint.parent.parent if checkpoint.parent.name == CHECKPOINTS else checkpoint.parent)


def find_checkpoint(path: str) -> str:
    """The checkpoint that a run folder, or the folder of its checkpoints, stands for: the best, else the last.

    Raises:
        UserError: If it is a folder without one.
    """
    place = expand(path)
    if not place.is_dir():
        return path if "://" in path else str(place)
    run = RunFolder(place.parent if place.name == CHECKPOINTS else place)
    found = next((str(file) for file in (run.best, run.last) if file.is_file()), "")
    if not found:
        raise UserError(no_run(place))
    return found
