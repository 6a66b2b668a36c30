"""What a run says: the summary at its start, the result beside its reference at its end, and the report it leaves.

A task tells its part through the methods of `trainer.contract.Task`; this file knows no model.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from dashboard.layout import Layout, overview
from trainer.command.front import Request
from trainer.command.options import Settings
from trainer.contract import Data, Task, offered
from trainer.files import as_word, json_text, write_atomically
from trainer.folder import RunFolder
from trainer.notice import notice
from trainer.run.accumulation import in_a_step
from trainer.run.artefacts import card_text, data_rows, save_confusion, save_top_losses, table
from trainer.run.figures import draw
from trainer.run.judged import in_part, learnt_before, seen_metrics
from trainer.run.logger import RunLogger
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


def layout(monitor: str, beside: Mapping[str, Iterable[str]] | None = None) -> Layout:
    """The overview page of TensorBoard; ``beside`` is the ``overview`` of a task."""
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
    if isinstance(batch, int) and 0 < count < batch and not offered(task, "fixed_features"):
        notice(f"note: --batch_size {batch} is more than there is to train on ({count:,}): a step sees all of it")
    if settings.model.get("lr") == 0:
        notice("note: --lr 0 changes no weight: the run only measures")
    splits = ", ".join(f"{name} {count:,}" for name, count in summary["splits"].items())
    classes = f", {summary['classes']} classes" if "classes" in summary else ""
    print(f"data    {summary['name']}: {summary['shape']}{classes}; {splits} ({summary['source']})")
    print(f"model   {request.model}: {task.describe()}")
    print(f"device  {describe_device(trainer)}")
    together = settings.trainer.get("accumulate_grad_batches") or 1
    if isinstance(batch, int) and together > 1:
        print(f"batch   {in_a_step(batch, together, count)}")
    print(f"run     {folder.path}")
    print(f"watch   tensorboard --logdir {as_word(folder.path.parent.parent)}", flush=True)


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
    """Writes metrics.json, report.md, figures and shown.json, prints the result; the last line names the run folder.

    The result is written before anything is drawn, and once more with the figures that could be.

    ``metrics`` is what the test gave; ``started`` is ``time.perf_counter()`` at the start of the process.
    """
    logged = {tag for tag in metrics if not tag.startswith("best/")}  # Lightning has written these
    metrics = {**metrics, **task.final_metrics(), **seen_metrics(data)}
    best = folder.best if folder.best.is_file() else folder.last
    temperature = metrics.get("test/temperature", metrics.get("val/temperature"))
    if best.is_file():
        found = {tag: float(value) for tag, value in metrics.items() if not tag.startswith(("time/", "sys/"))}
        found_out = {"metrics": found} | ({"temperature": temperature} if temperature is not None else {})
        keep_in_checkpoints(best, folder.last, found_out)
    findings = task.findings() + in_part(data, trainer, settings.trainer, metrics) + learnt_before(task, data, metrics)
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
    classifier = offered(task, "classifies") and offered(data, "preprocessing") is not None
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
    if isinstance(trainer.logger, RunLogger):
        write_atomically(folder.shown, json_text(trainer.logger.shown()) + "\n")
    width = max(len(name) for name, _ in findings)
    print()
    for name, line in findings:
        print(f"{name:<{width}}  {line}")
    beside = [path.name for path in left] + (
        [f"{len(drawn)} figure{'s' * (len(drawn) != 1)} in {folder.figures.name}/"] if drawn else []
    )
    print("\nreport  " + ", ".join([str(folder.report), *beside]))
    print(f"watch   tensorboard --logdir {as_word(folder.path.parent.parent)}")
    if classifier:
        print(f"use     python predict.py {as_word(best)} PICTURE_OR_FOLDER --out predictions.csv")
    print(f"run: {folder.path}", flush=True)


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
