"""What a run says: the summary at its start, the result beside its reference at its end, and the report it leaves.

A task tells its part through five methods (`Task`); this file knows no model.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from dashboard.layout import Layout, overview
from trainer.artefacts import card_text, data_rows, save_confusion, save_lists, save_top_losses, table
from trainer.errors import UserError, expand, out_of_memory
from trainer.figures import draw
from trainer.folder import RunFolder, write_atomically
from trainer.front import Request
from trainer.notice import notice
from trainer.options import Settings
from trainer.provenance import versions
from trainer.safe_file import load_checkpoint, save_safely


class Task(Protocol):
    """What a LightningModule of the house offers beside Lightning's own methods.

    Attributes:
        monitor: Tag of the metric that chooses ``best.ckpt``.
        mode: ``max`` or ``min``.
        classifies: Optional; True when ``predict.py`` can name pictures with this task's checkpoints: its ``forward``
            gives logits of prepared pictures, or ``outputs(images, views)`` features and logits. For its model card and
            its tables it may offer ``weights_origin() -> str`` (one sentence with the licence), ``top_losses(limit)``:
            the split that was judged, and (number, class, guess, probability, loss) of its worst pictures,
            ``recalls()``: (found, of) by class, and ``confusion()``: for each true class how often each was guessed.
        tolerates_mixed_precision: Optional; True when ``--trainer.precision auto`` may take bfloat16, because the
            figures are accuracies. Numbers beside exact ones need the digits of float32.
        judges_validation: Optional; True when it reports the validation pictures of data that have no test pictures.
            For any other task such data are refused.
        weighs_classes: Optional; True when it heeds ``--data.balance loss``. Any other task refuses that.
        FROM_DATA: Optional; names of arguments that only some data answer. They have defaults, and are no options.
        CONDITIONS: Optional; options that are read only with certain others, see `trainer.idle`: a run that would not
            read what was given is refused.
        check: Optional class method of the options of the task: refuses by a ValueError what is wrong without the data.
        wanted_pictures: Optional class method of the options of the task → options of the data (``image_size``, …) that
            are taken where they are None.
        draws_views: Optional class method of the options of the task: whether it learns from augmented views. The data
            are told, so that they prepare each training picture in that form alone.
        augmentation: Optional; words for what its training does to the pictures beside the augmentation of the data.
        fixed_features: Optional; True when it learns from features that stay as they are, in one go.
        overview: Optional; chart → tag → number or None: curves of TensorBoard's overview beside loss and monitor, such
            as ``{"loss": {"theory/chance_loss": 2.3}}``. A number is drawn as a line over all epochs; None stands for a
            tag that the task logs itself.
        failure: Optional; one line when the run did not show what it set out to show, such as a descent that diverged.
            All is reported as usual, then the line goes to stderr and the exit status is 1.
    """

    monitor: str
    mode: str

    def describe(self) -> str:
        """One line: sizes of the model."""

    def findings(self) -> list[tuple[str, str]]:
        """Name and text of each line of the result, the first being the main one, with the theory beside it."""

    def final_metrics(self) -> dict[str, float]:
        """Tags of the result: ``test/…``, ``theory/…``, ``gap/…``."""

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Name and matplotlib figure of everything worth drawing."""

    def show(self, writer: Any, step: int) -> list[str]:
        """Writes what TensorBoard has pages of its own for; returns what could not be shown."""


class Data(Protocol):
    """What a LightningDataModule of the house offers beside Lightning's own methods.

    Attributes:
        FACTS: Names of the arguments of a task that `facts` answers; they are no options of the command line.
        facts: Method → those arguments by name.
        CONDITIONS: Optional, as those of a task.
        preprocessing: Optional method → how a picture is prepared, for the checkpoint and ``predict.py``; it goes with
            ``labels(split)``, the class of each sample, and ``paths(split)``, the files, where there are any.
        mirrors: Optional; whether training sees mirror images, which are then views for ``predict.py --tta``.
        fingerprints: Optional; a digest of the pictures of each part and of their labels, see `trainer.resume`.
        save_split: Optional method of a file: writes the split as CSV.
        save_files: Optional method of a file: writes what each file is as CSV.
    """

    def summary(self) -> dict[str, Any]:
        """Name, source, shape, classes if there are any, and under ``splits`` the number of samples of each part."""


@contextmanager
def user_mistakes(group: str = "", options: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turns the ``ValueError`` and ``OSError`` with which a class refuses its input into one line for the user.

    Args:
        group: ``model`` or ``data``, when a class of that group is being made.
        options: Its options; a message that begins with one gets the words that the user would type.
    """
    options = options or {}
    try:
        yield
    except UserError:
        raise
    except (ValueError, OSError) as error:
        named = isinstance(error, OSError) and error.filename and error.strerror
        text = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[union-attr]
        raise UserError(f"--{group}.{text}" if text.partition(" ")[0] in options else text) from error
    except (RuntimeError, MemoryError) as error:
        if "home directory" in str(error):  # of the user in ~user, as pathlib says it
            for value in options.values():
                expand(value if isinstance(value, str) else "")
        if not out_of_memory(error):
            raise
        raise UserError(out_of_memory(error)) from error


def house_record(request: Request, settings: Settings, data: Data, task: Task) -> dict[str, Any]:
    """What every checkpoint carries: names, command, settings, versions, how pictures are prepared, as primitives."""
    record: dict[str, Any] = {"model": request.model, "data": request.data, "recipe": asdict(settings)}
    record |= {"command": request.command, "versions": versions()}
    if hasattr(data, "fingerprints"):
        record["pictures"] = data.fingerprints()
    if hasattr(data, "view_scheme"):
        record["view_scheme"] = data.view_scheme
    if hasattr(data, "preprocessing"):
        record["preprocessing"] = data.preprocessing()
        record["mirrors"] = getattr(data, "mirrors", False) and getattr(data, "draws_views", True)
    return record


def layout(monitor: str, beside: Mapping[str, Iterable[str]] | None = None) -> Layout:
    """The overview page of TensorBoard; ``beside`` is the ``overview`` of a `Task`."""
    return overview([monitor], beside)


def describe_device(trainer: Trainer) -> str:
    """One line: device, threads, precision."""
    import torch

    device = trainer.strategy.root_device
    threads = torch.get_num_threads()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{threads} thread{'s' * (threads > 1)}"
    several = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    return f"{device.type} ({name}){several}, precision {trainer.precision}"


@rank_zero_only
def announce(request: Request, folder: RunFolder, data: Data, task: Task, trainer: Trainer, settings: Settings) -> None:
    """Prints what is about to run, before the first step; what is allowed but hardly meant gets a note."""
    summary = data.summary()
    batch, count = settings.data.get("batch_size"), summary["splits"].get("train", 0)
    if isinstance(batch, int) and 0 < count < batch and not getattr(task, "fixed_features", False):
        notice(f"note: --batch_size {batch} is more than there is to train on ({count:,}): a step sees all of it")
    if settings.model.get("lr") == 0:
        notice("note: --lr 0 changes no weight: the run only measures")
    splits = ", ".join(f"{name} {count:,}" for name, count in summary["splits"].items())
    classes = f", {summary['classes']} classes" if "classes" in summary else ""
    save_lists(folder, data)
    print(f"data    {summary['name']}: {summary['shape']}{classes}; {splits} ({summary['source']})")
    print(f"model   {request.model}: {task.describe()}")
    print(f"device  {describe_device(trainer)}")
    together = settings.trainer.get("accumulate_grad_batches") or 1
    if isinstance(batch, int) and together > 1:
        print(f"batch   {batch} × {together} batches a step = {batch * together} samples")
    print(f"run     {folder.path}")
    print(f"watch   tensorboard --logdir {quote(str(folder.path.parent.parent))}", flush=True)


@rank_zero_only
def conclude(
    request: Request,
    folder: RunFolder,
    data: Data,
    task: Task,
    trainer: Trainer,
    settings: Settings,
    metrics: dict[str, float],
    started: float,
) -> None:
    """Writes metrics.json, report.md and figures, and prints the result; the last line names the run folder.

    The result is written before anything is drawn, and once more with the figures that could be.

    ``metrics`` is what the test gave; ``started`` is ``time.perf_counter()`` at the start of the process.
    """
    logged = {tag for tag in metrics if not tag.startswith("best/")}  # Lightning has written these
    metrics = {**metrics, **task.final_metrics()}
    best = folder.best if folder.best.is_file() else folder.last
    temperature = metrics.get("test/temperature", metrics.get("val/temperature"))
    if best.is_file():
        found = {tag: float(value) for tag, value in metrics.items() if not tag.startswith(("time/", "sys/"))}
        keep_in_checkpoint(best, {"metrics": found} | ({"temperature": temperature} if temperature is not None else {}))
    findings = task.findings()
    names: dict[str, Any] = {"model": request.model, "data": request.data, "seed": settings.seed}
    names |= {"stages": request.stages} if request.stages else {}
    names |= {"command": request.command, "device": describe_device(trainer), "versions": versions()}

    def write(drawn: list[str], again: bool) -> str:
        metrics["time/process_s"] = round(time.perf_counter() - started, 3)
        folder.write_metrics({**dict(sorted(metrics.items())), **names}, again)
        text = report_text(request, data, task, trainer, findings, metrics, drawn)
        write_atomically(folder.report, text)
        return text

    text = write([], again=False)  # the result is safe before anything is drawn
    classifier = bool(getattr(task, "classifies", False) and hasattr(data, "preprocessing"))
    left = [folder.top_losses] if save_top_losses(folder, task, data) else []
    left += [folder.confusion] if save_confusion(folder, task) else []
    if classifier:
        made = [("command", f"`{request.command}`"), ("seed", str(settings.seed)), ("device", describe_device(trainer))]
        title, facts = f"{request.model} on {request.data}", [*made, *versions().items()]
        write_atomically(folder.card, card_text(title, task, data, findings, metrics, facts, best))
        left.append(folder.card)
    drawn: list[str] = []
    if settings.report == "full":
        drawn = draw(task, folder, trainer)
        text = write(drawn, again=True)
    writer = getattr(trainer.logger, "experiment", None)
    if writer is not None:
        writer.add_text("report/result", text, trainer.global_step)
        writer.add_text(
            "report/config", f"```yaml\n{folder.config.read_text(encoding='utf-8')}```", trainer.global_step
        )
        for tag, value in metrics.items():
            if tag not in logged and not tag.startswith("time/") and math.isfinite(value):
                writer.add_scalar(tag, value, trainer.global_step)
        writer.flush()
    width = max(len(name) for name, _ in findings)
    print()
    for name, line in findings:
        print(f"{name:<{width}}  {line}")
    beside = [path.name for path in left] + (
        [f"{len(drawn)} figure{'s' * (len(drawn) != 1)} in {folder.figures.name}/"] if drawn else []
    )
    print("\nreport  " + ", ".join([str(folder.report), *beside]))
    print(f"watch   tensorboard --logdir {quote(str(folder.path.parent.parent))}")
    if classifier:
        print(f"use     python predict.py {quote(str(best))} PICTURE_OR_FOLDER --out predictions.csv")
    print(f"run: {folder.path}", flush=True)


def keep_in_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Adds what was found after training, such as the temperature, to a checkpoint's record."""
    checkpoint = load_checkpoint(path)
    checkpoint["house"] = {**checkpoint.get("house", {}), **values}
    save_safely(checkpoint, path)


def report_text(
    request: Request,
    data: Data,
    task: Task,
    trainer: Trainer,
    findings: list[tuple[str, str]],
    metrics: dict[str, float],
    drawn: list[str],
) -> str:
    """The run as a page of Markdown."""
    environment = {"platform": platform.platform(), **versions()}
    facts = [("command", f"`{request.command}`"), ("device", describe_device(trainer)), *environment.items()]
    parts = [
        f"# {request.model} on {request.data}",
        "## Result",
        table(("what", "figure"), findings),
        "## Data",
        table(("what", "figure"), data_rows(data, task)),
        "## All figures",
        table(("tag", "value"), [(name, f"{value:.6g}") for name, value in sorted(metrics.items())]),
        "## Environment",
        table(("what", "value"), facts),
    ]
    parts += [f"![{Path(name).stem}](figures/{name})" for name in drawn]
    return "\n\n".join(parts) + "\n"
