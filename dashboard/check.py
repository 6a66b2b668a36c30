"""Does TensorBoard show what the runs promise? Asked through its JSON API, no browser needed.

    python -m dashboard.check runs
    python -m dashboard.check runs --screenshot runs/screenshots

Exit status: 0 everything promised is there, 1 something is missing or wrong, 2 the command was wrong.

A run folder is named ``<date>-<time>-s<seed>``; its promises are tags and values of its ``metrics.json`` (except the
times, which are known only after the last event), those of ``--tags`` and what the run itself says that it wrote, see
`dashboard.promises`.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from dashboard.promises import missing, missing_from_overview, promise_of
from dashboard.screenshot import find_browser, take
from dashboard.server import Client, ServerError, tensorboard

TABS = ("scalars", "custom_scalars", "images", "text", "hparams")
TAGS = ("train/loss", "sys/images_per_s", "time/epoch_s")
RUN_FOLDER = re.compile(r"\d{8}-\d{6}-s\d+(-\d+)?")
DEADLINE_SECONDS = 30.0  # for the server to read all events
SETTLED_SECONDS = 4.0  # problems that stay the same for so long are real
TOLERANCE = 1e-6  # TensorBoard stores single precision
_STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


@dataclass
class Report:
    """What was found: a row per run, and what is wrong in words."""

    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def need(self, condition: bool, problem: str) -> None:
        """Note the problem unless the condition holds."""
        if not condition:
            self.problems.append(problem)


def run_folders(folder: Path) -> dict[str, Path]:
    """Run folders below (or at) ``folder`` by the name that TensorBoard gives them."""
    found = {}
    for place, below, _ in os.walk(folder):
        path = Path(place)
        if RUN_FOLDER.fullmatch(path.resolve().name):
            found[path.relative_to(folder).as_posix()] = path
            below.clear()
    return dict(sorted(found.items()))


def promised_values(run: Path) -> dict[str, float | None]:
    """Tags and numbers of a run's ``metrics.json``; None for a tag whose number is null.

    Raises:
        ValueError: If the file is missing or no JSON object; one line naming it.
    """
    path = run / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("has no metrics.json: the run did not finish") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"metrics.json cannot be read: {error}") from error
    if not isinstance(metrics, dict):
        raise ValueError("metrics.json is no object")
    return {
        tag: value
        for tag, value in metrics.items()
        if "/" in tag and not tag.startswith("time/") and (value is None or isinstance(value, int | float))
    }


def same_value(shown: float | str, promised: float) -> bool:
    """Whether a value of the API is the promised one; NaN and infinities come as words."""
    value = float(str(shown).replace("Infinity", "inf"))
    if math.isnan(promised) or math.isnan(value):
        return math.isnan(promised) and math.isnan(value)
    return math.isclose(value, promised, rel_tol=TOLERANCE, abs_tol=1e-30)


def check(client: Client, runs: dict[str, Path], tabs: Sequence[str], tags: Sequence[str]) -> Report:
    """Everything the runs promise, asked once.

    Args:
        client: A running server.
        runs: Run folders by TensorBoard's name.
        tabs: Plugins that must be enabled.
        tags: Tags of any kind that every run must have.

    Returns:
        The report; its problems are in the order of the checks.
    """
    report = Report()
    shown = set(client.json("/data/runs"))
    for name in sorted(runs.keys() - shown):
        report.need(False, f"{name}: TensorBoard does not show this run")
    for name in sorted(shown - runs.keys()):
        report.need(False, f"{name}: a run that is no run folder (from add_scalars or add_hparams?)")
    promises = {name: promise_of(runs[name]) for name in sorted(runs.keys() & shown)}
    plugins = client.json("/data/plugins_listing")
    for tab in sorted({*tabs}.union(*(promise.tabs for promise in promises.values()))):
        report.need(bool(plugins.get(tab, {}).get("enabled")), f"tab {tab} is not active")
    kinds = {
        kind: client.json(f"/data/plugin/{kind}/tags") for kind in ("scalars", "images", "histograms", "pr_curves")
    }
    text = {run: [tag.removesuffix("/text_summary") for tag in tags] for run, tags in _texts(client).items()}
    for name, promise in promises.items():
        own = {kind: list(by_run.get(name, {})) for kind, by_run in kinds.items()} | {"text": text.get(name, [])}
        row = report.rows[name] = {
            kind: len(tags_of_kind) for kind, tags_of_kind in own.items() if kind != "histograms"
        }
        every = {tag for tags_of_kind in own.values() for tag in tags_of_kind}
        for tag in tags:
            report.need(tag in every, f"{name}: tag {tag} is missing")
        report.problems += [f"{name}: {problem}" for problem in missing(promise, own)]
        last = _check_scalars(client, name, own["scalars"], report)
        row["metrics"] = _check_metrics(name, runs[name], last, report)
        _check_images(client, name, own["images"], report)
    patterns = _check_layout(client, {tag for by_tag in kinds["scalars"].values() for tag in by_tag}, report)
    for name, promise in promises.items():
        report.problems += [f"{name}: {problem}" for problem in missing_from_overview(promise, patterns)]
    if "hparams" in tabs:
        _check_hparams(client, runs, report)
    return report


def _texts(client: Client) -> dict[str, list[str]]:
    return client.json("/data/plugin/text/tags")


def _check_scalars(client: Client, run: str, tags: Sequence[str], report: Report) -> dict[str, float | str]:
    last = {}
    for tag in tags:
        points = client.json("/data/plugin/scalars/scalars", run=run, tag=tag)
        steps = [point[1] for point in points]
        report.need(bool(points), f"{run}: {tag} has no point")
        repeated = next((b for a, b in pairwise(steps) if b <= a), None)
        report.need(repeated is None, f"{run}: steps of {tag} do not rise at step {repeated}")
        if points:
            last[tag] = points[-1][2]
    return last


def _check_metrics(name: str, run: Path, last: dict[str, float | str], report: Report) -> int:
    """Number of the promised values that TensorBoard shows."""
    try:
        promised = promised_values(run)
    except ValueError as error:
        report.need(False, f"{name}: {error}")
        return 0
    right = 0
    for tag, value in promised.items():
        if value is None:
            continue
        if tag not in last:
            report.need(False, f"{name}: {tag} of metrics.json is missing")
        elif not same_value(last[tag], value):
            report.need(False, f"{name}: {tag} ends at {last[tag]}, metrics.json says {value}")
        else:
            right += 1
    return right


def _check_images(client: Client, run: str, tags: Sequence[str], report: Report) -> None:
    from PIL import Image

    for tag in tags:
        entries = client.json("/data/plugin/images/images", run=run, tag=tag, sample=0)
        report.need(bool(entries), f"{run}: {tag} has no picture")
        if not entries:
            continue
        kind, content = client.fetch(f"/data/plugin/images/individualImage?{entries[-1]['query']}")
        try:
            with Image.open(io.BytesIO(content)) as image:
                good = image.format == "PNG" and kind == "image/png"
                image.load()
        except (OSError, SyntaxError):
            good = False
        report.need(good, f"{run}: {tag} is no PNG picture ({kind}, {len(content)} bytes)")


def _check_layout(client: Client, scalars: set[str], report: Report) -> list[str]:
    """Patterns of all charts."""
    every = []
    for category in client.json("/data/plugin/custom_scalars/layout").get("category", []):
        for chart in category.get("chart", []):
            patterns = list(chart.get("multiline", {}).get("tag", []))
            for series in chart.get("margin", {}).get("series", []):
                patterns += [series[key] for key in ("value", "lower", "upper") if series.get(key)]
            for pattern in patterns:
                found = any(re.match(pattern, tag) for tag in scalars)
                report.need(found, f"layout {category.get('title')}, {chart.get('title')}: no scalar matches {pattern}")
            every += patterns
    return every


def _check_hparams(client: Client, runs: dict[str, Path], report: Report) -> None:
    try:
        table = client.json("/data/plugin/hparams/experiment", {"hparamsLimit": 1000})
        query: dict[str, Any] = {"allowedStatuses": _STATUSES, "colParams": [], "startIndex": 0, "sliceSize": 10_000}
        groups = client.json("/data/plugin/hparams/session_groups", query).get("sessionGroups", [])
    except ServerError as error:
        report.need(False, f"HPARAMS: {error}")
        return
    rows = {session["name"]: group for group in groups for session in group.get("sessions", [])}
    for name in runs:
        report.need(name in rows, f"{name}: no row in HPARAMS")
    shared = len(rows.keys() & runs.keys()) - len({id(rows[name]) for name in rows.keys() & runs.keys()})
    report.need(shared == 0, f"HPARAMS: {shared} runs share a row with another (same trial id)")
    columns = {info["name"] for info in table.get("hparamInfos", [])}
    wanted = {key for group in groups for key in group.get("hparams", {})}
    report.need(wanted <= columns, f"HPARAMS: no column for {', '.join(sorted(wanted - columns))}")
    report.need(bool(table.get("metricInfos")), "HPARAMS: no metric is listed")


def settle(client: Client, runs: dict[str, Path], tabs: Sequence[str], tags: Sequence[str]) -> Report:
    """Ask until all is well, or the problems stay the same, or the deadline: the server reads events as it runs."""
    start = changed = time.monotonic()
    before: list[str] | None = None
    while True:
        try:
            report = check(client, runs, tabs, tags)
        except ServerError as error:
            report = Report(problems=[str(error)])
        now = time.monotonic()
        if report.problems != before:
            before, changed = report.problems, now
        if not report.problems or now - changed >= SETTLED_SECONDS or now - start >= DEADLINE_SECONDS:
            return report
        time.sleep(0.5)


def table(report: Report) -> Iterator[str]:
    """The rows as lines of text."""
    columns = ("scalars", "images", "text", "pr_curves", "metrics")
    width = max((len(name) for name in report.rows), default=3)
    if report.rows:
        yield f"{'run':<{width}}  " + "  ".join(f"{column:>9}" for column in columns)
    for name, row in report.rows.items():
        yield f"{name:<{width}}  " + "  ".join(f"{row.get(column, 0):>9}" for column in columns)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        "python -m dashboard.check", description="Check what TensorBoard shows of the runs."
    )
    parser.add_argument("folder", type=Path, metavar="RUNS_FOLDER")
    parser.add_argument("--screenshot", type=Path, metavar="DIR", help="also save a picture of each tab")
    parser.add_argument("--tabs", default=",".join(TABS), help="promised tabs, by commas (%(default)s)")
    parser.add_argument("--tags", default=",".join(TAGS), help="tags promised of every run, by commas (%(default)s)")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        print(f"error: {given.folder} is no folder", file=sys.stderr)
        return 2
    runs = run_folders(given.folder)
    if not runs:
        print(f"error: no run in {given.folder}; train one first, such as python train.py --model cnn", file=sys.stderr)
        return 1
    tabs, tags = ([name for name in text.split(",") if name] for text in (given.tabs, given.tags))
    try:
        with tensorboard(given.folder) as client:
            report = settle(client, runs, tabs, tags)
            if given.screenshot is not None:
                if browser := find_browser():
                    report.problems += take(browser, client.address, ("timeseries", *tabs), given.screenshot)
                    print(f"screenshots in {given.screenshot}")
                else:
                    print("no screenshot: no chromium, chromium-browser or google-chrome on PATH")
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for line in table(report):
        print(line)
    for problem in report.problems:
        print(f"wrong: {problem}")
    wrong = len(report.problems)
    print(f"dashboard: {len(runs)} run{'s' * (len(runs) != 1)}, {wrong or 'no'} problem{'s' * (wrong != 1)}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
