"""Several settings side by side, each run with several seeds, and their differences seed by seed.

    for lr in 0.1 0.3; do for seed in 0 1 2; do
        python train.py --model cnn --lr $lr --seed $seed --root runs/rates
    done; done
    python -m trainer.summary runs/rates --by model.lr

Runs of one seed share their split, their order and often their first weights, so the difference of two settings is
taken seed by seed: what the seed does to both cancels (`theory.paired`). Where many settings are compared with one,
some interval misses 0 by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from theory.intervals import summarise
from theory.paired import mean_interval
from trainer.errors import UserError
from trainer.front import ALIASES, nearest

USUAL = ("best/val_accuracy", "best/val_loss", "test/accuracy", "test/loss")
MOST_FIGURES = 4
OF_RESULTS = ("best/", "test/", "gap/")


class Run(NamedTuple):
    """A finished run: its folder, its settings by dotted names, and what its ``metrics.json`` holds."""

    folder: Path
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]


def setting_names(text: str, runs: Sequence[Run]) -> list[str]:
    """The settings that ``--by`` names, separated by commas; short names stand for the full ones.

    Raises:
        UserError: If no run has such a setting, or all have the same value.
    """
    known = sorted({key for run in runs for key in run.settings})
    names = [ALIASES.get(name.strip(), name.strip()) for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UserError(f"--by: no setting {name!r} in these runs{nearest(name, known)}")
    if len({tuple(map(str, values_of(run, names))) for run in runs}) < 2:
        raise UserError(f"--by {text}: it is {', '.join(map(str, values_of(runs[0], names)))} in all of these runs")
    return names


def values_of(run: Run, names: Sequence[str]) -> tuple[Any, ...]:
    """Values of settings in a run; None where it has none."""
    return tuple(run.settings.get(name) for name in names)


def grouped(runs: Sequence[Run], names: Sequence[str]) -> dict[str, list[Run]]:
    """Runs by the values of these settings, as text, numbers in order of their size."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(tuple(_hashable(value) for value in values_of(run, names)), []).append(run)
    order = sorted(found, key=lambda values: [_rank(value) for value in values])
    return {", ".join(f"{value}" for value in values): found[values] for values in order}


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value


def _rank(value: Any) -> tuple[int, float, str]:
    number = isinstance(value, int | float)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def figures_of(runs: Sequence[Run], wanted: str | None = None) -> list[str]:
    """Tags to show: those named, separated by commas, else validation and test as far as there are such figures.

    Raises:
        UserError: If a tag that was named is not a number of every run.
    """
    shared = [
        tag for tag in runs[0].metrics
        if all(isinstance(run.metrics.get(tag), int | float) for run in runs) and tag != "seed"
    ]  # fmt: skip
    if wanted is None:
        results = [tag for tag in shared if tag.startswith(OF_RESULTS)]
        return [tag for tag in USUAL if tag in shared] or results[:MOST_FIGURES] or shared[:MOST_FIGURES]
    tags = [tag.strip() for tag in wanted.split(",")]
    for tag in tags:
        if tag not in shared:
            raise UserError(f"--figures: no figure {tag!r} in all of these runs{nearest(tag, shared)}")
    return tags


def comparison(runs: Sequence[Run], names: Sequence[str], tags: Sequence[str], pair_by: Sequence[str]) -> str:
    """The settings as a table, and below it how each differs from the first one, pair by pair.

    Args:
        runs: All of them.
        names: Settings that tell the groups apart.
        tags: Figures to show.
        pair_by: Settings, such as the seed, whose values make two runs a pair.
    """
    groups = grouped(runs, names)
    rows = [[", ".join(names), "runs", *tags]]
    for label, group in groups.items():
        rows.append([label, str(len(group)), *(_cell([run.metrics[tag] for run in group]) for tag in tags)])
    text = _table(rows)
    first, *others = groups
    rows = [[f"minus {first}", "pairs", *tags]]
    for label in others:
        pairs = _pairs(groups[first], groups[label], pair_by)
        apart = {tag: [two.metrics[tag] - one.metrics[tag] for one, two in pairs] for tag in tags}
        rows.append([label, str(len(pairs)), *(_difference(apart[tag]) for tag in tags)])
    return (
        f"{text}\ndifferences seed by seed, with Student's 95 % interval from two pairs on\n{_table(rows)}"
        "\nchoose by a figure of the validation (best/…): that of the test is for the setting chosen\n"
    )


def _pairs(ours: Sequence[Run], theirs: Sequence[Run], pair_by: Sequence[str]) -> list[tuple[Run, Run]]:
    partners = {tuple(map(str, values_of(run, pair_by))): run for run in theirs}
    keys = [tuple(map(str, values_of(run, pair_by))) for run in ours]
    return [(run, partners[key]) for run, key in zip(ours, keys, strict=True) if key in partners]


def _cell(values: Sequence[float]) -> str:
    mean, deviation, count = summarise(values)
    return f"{mean:.5g}" + (f" ± {deviation:.2g}" if count > 1 else "")


def _difference(apart: Sequence[float]) -> str:
    if not apart:
        return "no pair"
    low, high = mean_interval(apart)
    return f"{summarise(apart).mean:+.3g}" + (f" ({low:+.3g} to {high:+.3g})" if len(apart) > 1 else "")


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
