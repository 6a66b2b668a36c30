"""Several runs of one setting as mean ± deviation: seeds, or the folds of a cross-validation.

    for fold in 0 1 2 3 4; do
        python train.py --model cnn --data ~/photos --data.num_folds 5 --data.fold $fold --root runs/folds
    done
    python -m trainer.summary runs/folds

Several settings are set side by side with ``--by`` (`trainer.comparison`).

Over folds every picture is validated once, and the pictures that were right are added up (`trainer.folds`). The folds
share most of their training pictures, so their deviation is no error of the mean (Bengio, Grandvalet 2004, No unbiased
estimator of the variance of k-fold cross-validation).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from theory.intervals import Summary, summarise
from trainer.command.arguments import Arguments
from trainer.command.nested import flatten
from trainer.command.settings_file import read_yaml
from trainer.comparison import Run, comparison, figures_of, setting_names
from trainer.errors import UserError, one_line
from trainer.folder import RunFolder
from trainer.folds import folds_line
from trainer.notice import notice
from trainer.program import leave, run_program

# What may differ between runs of one setting.
REPEATED = ("seed_everything", "data.fold", "data.split_seed", "data.sample_seed", "data.seed")
NOT_SETTINGS = ("data.num_workers", "data.cache_dir", "data.root", "trainer.accelerator", "report")

MOST_NAMED = 5  # of the settings in which runs differ


def find_runs(places: Sequence[str]) -> list[Path]:
    """The finished runs at, or anywhere below, the given folders, by name.

    Raises:
        UserError: If a place does not exist, or fewer than two finished runs are there.
    """
    found: list[Path] = []
    lacking: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise UserError(f"there is no run at {place}")
        if place.is_file():
            raise UserError(f"{place} is a file: name the folder of the run, or one that holds several")
        folders = [place] if (place / "config.yaml").is_file() else sorted(f.parent for f in place.rglob("config.yaml"))
        for folder in folders:
            known = found if (folder / "metrics.json").is_file() else lacking
            known += [folder] if folder not in known else []
    if lacking:
        names = ", ".join(f"{folder} ({why_lacking(RunFolder(folder))})" for folder in lacking)
        notice(f"note: left out, for want of a result: {names}")
    if len(found) < 2:
        raise UserError(f"a summary needs at least 2 finished runs, found {len(found)} in {', '.join(places)}")
    return found


def why_lacking(run: RunFolder) -> str:
    """Why a run has no result."""
    if run.nonfinite.is_dir():
        return "stopped where a number was not finite"
    return f"failed, see {run.crash.name}" if run.crash.is_file() else "not finished"


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, with their values."""
    keys = sorted({key for one in settings for key in one} - set(NOT_SETTINGS))
    values = {key: [one.get(key) for one in settings] for key in keys}
    return {key: given for key, given in values.items() if any(value != given[0] for value in given)}


def check_same(runs: Sequence[Path], different: Mapping[str, list[Any]], by: Sequence[str] = ()) -> None:
    """Refuse to average over what is not a repetition; settings ``by`` which groups are told apart may differ.

    Raises:
        UserError: Naming a setting in which two runs differ, or saying that two repeat each other or share a picture.
    """
    others = [key for key in different if key not in (*REPEATED, *by)]
    if others:
        key = next((name for name in ("model.name", "data.name") if name in others), others[0])  # others follow from it
        if key == "model.name":
            advice = "name those of one model"
        elif len(others) > MOST_NAMED:
            advice = f"{len(others)} settings differ: {', '.join(others[:MOST_NAMED])}, …"
        else:
            advice = f"--by {','.join([*by, *others])} sets them side by side"
        raise UserError(
            f"these are not runs of one setting: {key} is {different[key][0]!r} in {runs[0]}, and elsewhere "
            f"{next(value for value in different[key] if value != different[key][0])!r}; {advice}"
        )
    repeated = [tuple(repr(values[number]) for values in different.values()) for number in range(len(runs))]
    for number, one in enumerate(repeated):
        if one in repeated[:number]:
            raise UserError(f"{runs[number]} repeats {runs[repeated.index(one)]}: the same settings and seed")


class Repeated(NamedTuple):
    """One figure over several runs: mean, deviation and number, and its smallest and largest value."""

    summary: Summary
    least: float
    most: float


def repeated_figures(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Repeated]:
    """Every figure that at least two runs have; times too.

    Args:
        metrics: What each ``metrics.json`` holds.
    """
    table = {}
    for tag in sorted({tag for one in metrics for tag in one}):
        values = [one[tag] for one in metrics if isinstance(one.get(tag), int | float) and tag != "seed"]
        if len(values) > 1:
            table[tag] = Repeated(summarise(values), min(values), max(values))
    return table


def read_metrics(path: Path) -> dict[str, Any]:
    """The figures of one run.

    Raises:
        UserError: Naming the file, if it holds none.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {one_line(error)}") from error
    if not isinstance(figures, dict) or not figures:
        raise UserError(f"{path} is damaged: it holds no figures")
    return figures


def read_run(folder: Path) -> Run:
    """Settings and figures of a run; that it was extended is a setting too.

    Raises:
        UserError: Naming the file, if one is damaged.
    """
    metrics = read_metrics(folder / "metrics.json")
    stages = {"stages": metrics["stages"]} if "stages" in metrics else {}
    return Run(folder, {**flatten(read_yaml(folder / "config.yaml")), **stages}, metrics)


def made_alike(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Says in what the making of runs differs, beside their settings: device, precision, code, versions."""
    versions = [one.get("versions") for one in metrics]
    records = [
        {"device": one.get("device"), **(made if isinstance(made, dict) else {})}
        for one, made in zip(metrics, versions, strict=True)
    ]
    different = differences(records)
    return "; ".join(f"{name} {', '.join(sorted(set(map(str, values))))}" for name, values in different.items())


def text_of(runs: Sequence[Path], by: str | None = None, figures_wanted: str | None = None) -> str:
    """The summary as lines.

    Args:
        runs: Their folders.
        by: Settings that tell groups apart, separated by commas; None for runs of one setting.
        figures_wanted: Tags of the figures to compare, separated by commas.

    Raises:
        UserError: If a file is damaged, or runs differ in what they must not.
    """
    read = [read_run(run) for run in runs]
    metrics, settings = [run.metrics for run in read], [run.settings for run in read]
    different = differences(settings)
    names = [] if by is None else setting_names(by, read)
    check_same(runs, different, names)
    if unlike := made_alike(metrics):
        notice(f"note: these runs were not made alike: {unlike}")
    if names:
        head = f"{len(runs)} runs of {settings[0].get('model.name')} on {settings[0].get('data.name')}\n\n"
        pair_by = None if set(names) & set(REPEATED) else [key for key in different if key not in names]
        return head + comparison(read, names, figures_of(read, figures_wanted), pair_by)
    lines = [f"{len(runs)} runs of {settings[0].get('model.name')} on {settings[0].get('data.name')}"]
    lines += [f"{key}: {', '.join(map(str, values))}" for key, values in different.items()]
    figures = repeated_figures(metrics)
    spreads = [one.summary.deviation for tag, one in figures.items() if not tag.startswith(("time/", "sys/"))]
    if different and spreads and not any(spreads):
        notice(f"note: {', '.join(different)} changed no figure: these {len(runs)} runs are one result")
    width = max(map(len, figures), default=0)
    for tag, ((mean, deviation, count), least, most) in figures.items():
        some = "" if count == len(runs) else f"   ({count} runs)"
        if math.isfinite(mean):
            ends = f"{least:.4g} to {most:.4g}"
            lines.append(f"{tag:<{width}}  {mean:>12.6g} ± {deviation:<9.3g}  {ends:<22}{some}".rstrip())
    return "\n".join(lines) + "\n" + folds_line(runs, metrics, settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the summary of the runs named; returns the exit status."""
    parser = Arguments(
        "python -m trainer.summary", "Mean ± deviation over runs of one setting (seeds, folds), or of several."
    )
    parser.add_argument("runs", nargs="+", help="run folders, or folders that hold them")
    parser.add_argument("--by", metavar="SETTING,…", help="set the values of these settings side by side: model.lr")
    parser.add_argument("--figures", metavar="TAG,…", help="with --by: the figures to compare, such as test/accuracy")

    def work() -> int:
        arguments = parser.read(list(sys.argv[1:] if argv is None else argv))
        if arguments.figures is not None and arguments.by is None:
            raise UserError("--figures goes with --by; without it all figures are shown")
        print(text_of(find_runs(arguments.runs), arguments.by, arguments.figures), end="")
        return 0

    return run_program("summary", work)


if __name__ == "__main__":
    leave(main())
