"""What a run says at its end: the result beside its reference, in the log, on the screen and as a report.

A task tells its part through the methods of `trainer.contract.Task`; this file knows no model.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from trainer.files import as_word, json_text, write_atomically
from trainer.run.artefacts import save_confusion, save_top_losses
from trainer.run.card import card_text
from trainer.run.figures import draw
from trainer.run.judged import in_part, learnt_before, seen_metrics
from trainer.run.logger import RunLogger
from trainer.run.markdown import data_rows, table
from trainer.run.parts import Run
from trainer.run.provenance import versions
from trainer.run.record import keep_in_checkpoints

Findings = Sequence[tuple[str, str]]


@rank_zero_only
def conclude(run: Run, tested: Mapping[str, float], started: float) -> None:
    """Writes metrics.json, report.md, figures and shown.json, prints the result; the last line names the run folder.

    The result is written before anything is drawn, and once more with the figures that could be.

    Args:
        run: The run.
        tested: Tags and values that the test gave, and the times so far.
        started: ``time.perf_counter()`` at the start of the process.
    """
    metrics = {**tested, **run.task.final_metrics(), **seen_metrics(run.data)}
    keep_result(run, metrics)
    findings = run.task.findings() + in_part(run.data, run.trainer, run.settings.trainer, metrics)
    findings += learnt_before(run.task, run.data, metrics)

    def write(drawn: Sequence[str], again: bool) -> str:
        metrics["time/process_s"] = round(time.perf_counter() - started, 3)
        run.folder.write_metrics({**dict(sorted(metrics.items())), **names(run)}, again)
        text = report_text(run, findings, metrics, drawn)
        write_atomically(run.folder.report, text)
        return text

    text, drawn = write([], again=False), list[str]()  # the result is safe before anything is drawn
    beside = save_beside(run, findings, metrics)
    if run.settings.report == "full":
        drawn = draw(run.task, run.folder, run.trainer)
        text = write(drawn, again=True)
        beside += [f"{len(drawn)} figure{'s' * (len(drawn) != 1)} in {run.folder.figures.name}/"] if drawn else []
    logged = {tag for tag in tested if not tag.startswith("best/")}  # Lightning has written these
    log_result(run, text, {tag: value for tag, value in metrics.items() if tag not in logged})
    width = max(len(name) for name, _ in findings)
    print()
    for name, line in findings:
        print(f"{name:<{width}}  {line}")
    print("\nreport  " + ", ".join([str(run.folder.report), *beside]))
    print(f"watch   tensorboard --logdir {as_word(run.folder.path.parent.parent)}")
    if run.classifies:
        print(f"use     python predict.py {as_word(run.judged)} PICTURE_OR_FOLDER --out predictions.csv")
    print(f"run: {run.folder.path}", flush=True)


def keep_result(run: Run, metrics: Mapping[str, float]) -> None:
    """Adds the result, and the temperature where one was fitted, to the checkpoint that it is of."""
    if not run.judged.is_file():
        return
    found: dict[str, Any] = {
        "metrics": {tag: float(value) for tag, value in metrics.items() if not tag.startswith(("time/", "sys/"))}
    }
    temperature = metrics.get("test/temperature", metrics.get("val/temperature"))
    found |= {} if temperature is None else {"temperature": temperature}
    keep_in_checkpoints(run.judged, run.folder.last, found)


def names(run: Run) -> dict[str, Any]:
    """What tells this run from others, beside the figures of ``metrics.json``."""
    request = run.request
    stages = {"stages": request.stages} if request.stages else {}
    told = {"model": request.model, "data": request.data, "seed": run.settings.seed, **stages}
    return {**told, "command": request.command, "device": run.device, "versions": versions()}


def save_beside(run: Run, findings: Findings, metrics: Mapping[str, float]) -> list[str]:
    """Writes the lists and the model card that the task has something for; gives their names."""
    left = [run.folder.top_losses] if save_top_losses(run.folder, run.task, run.data) else []
    left += [run.folder.confusion] if save_confusion(run.folder, run.task) else []
    if run.classifies:
        made = [("command", f"`{run.request.command}`"), ("seed", str(run.settings.seed)), ("device", run.device)]
        facts = [*made, *versions().items()]
        card = card_text(
            run.title, run.task, run.data, findings=findings, metrics=metrics, facts=facts, checkpoint=run.judged
        )
        write_atomically(run.folder.card, card)
        left.append(run.folder.card)
    return [path.name for path in left]


def log_result(run: Run, text: str, metrics: Mapping[str, float]) -> None:
    """Shows the report, the settings and the finite figures in TensorBoard, and keeps the list of what it shows.

    Args:
        run: The run.
        text: The report.
        metrics: Tags and values that are not in the log yet.
    """
    writer, step = getattr(run.trainer.logger, "experiment", None), run.trainer.global_step
    if writer is not None:
        writer.add_text("report/result", text, step)
        writer.add_text("report/config", f"```yaml\n{run.folder.config.read_text(encoding='utf-8')}```", step)
        for tag, value in metrics.items():
            if not tag.startswith("time/") and math.isfinite(value):
                writer.add_scalar(tag, value, step)
        writer.flush()
    if isinstance(run.trainer.logger, RunLogger):
        write_atomically(run.folder.shown, json_text(run.trainer.logger.shown()) + "\n")


def report_text(run: Run, findings: Findings, metrics: Mapping[str, float], drawn: Sequence[str]) -> str:
    """The run as a page of Markdown.

    Args:
        run: The run.
        findings: Name and text of each line of the result.
        metrics: Tags and values.
        drawn: File names of its figures.
    """
    environment = {"platform": platform.platform(), **versions()}
    facts = [("command", f"`{run.request.command}`"), ("device", run.device), *environment.items()]
    parts = [
        f"# {run.title}",
        "## Result",
        table(("what", "figure"), findings),
        "## Data",
        table(("what", "figure"), data_rows(run.data, run.task)),
        "## All figures",
        table(("tag", "value"), [(name, f"{value:.6g}") for name, value in sorted(metrics.items())]),
        "## Environment",
        table(("what", "value"), facts),
    ]
    parts += [f"![{Path(name).stem}](figures/{name})" for name in drawn]
    return "\n\n".join(parts) + "\n"
