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

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from theory.intervals import summarise
from theory.paired import mean_interval
from trainer.command.words import ALIASES, nearest
from trainer.errors import UserError

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
        UserError: If none is named, no run has such a setting, or all have the same value.
    """
    known = sorted({key for run in runs for key in run.settings})
    given = [name.strip() for name in text.split(",") if name.strip()]
    names = list(dict.fromkeys(ALIASES.get(name, name) for name in given))
    if not names:
        raise UserError(f"--by {text!r} names no setting, such as model.lr")
    for name in names:
        if name not in known:
            raise UserError(f"--by: no setting {name!r} in these runs{nearest(name, known)}")
    if len({values_of(run, names) for run in runs}) < 2:
        raise UserError(f"--by {text}: it is {label_of(runs[0], names)} in all of these runs")
    return names


def values_of(run: Run, names: Sequence[str]) -> tuple[str, ...]:
    """Values of settings in a run as Python writes them, so that True is not 1; ``None`` where it has none."""
    return tuple(repr(run.settings.get(name)) for name in names)


def label_of(run: Run, names: Sequence[str]) -> str:
    """The same for people."""
    return ", ".join(str(run.settings.get(name)) for name in names)


def grouped(runs: Sequence[Run], names: Sequence[str]) -> list[tuple[str, list[Run]]]:
    """Runs by the values of these settings, each group with its label; numbers in order of their size."""
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(values_of(run, names), []).append(run)
    groups = sorted(found.values(), key=lambda group: [_rank(group[0].settings.get(name)) for name in names])
    return [(label_of(group[0], names), group) for group in groups]


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, float(len(value)) if isinstance(value, list) else 0.0, str(value)


def figures_of(runs: Sequence[Run], wanted: str | None = None) -> list[str]:
    """Tags to show: those named, separated by commas, else validation and test as far as there are such figures.

    Raises:
        UserError: If none is named or one is no figure of every run, or there is none to show.
    """
    shared = [
        tag for tag in sorted({tag for run in runs for tag in run.metrics})
        if all(tag in run.metrics and isinstance(run.metrics[tag], int | float | None) for run in runs)
        and any(run.metrics[tag] is not None for run in runs) and tag != "seed"
    ]  # fmt: skip
    if wanted is None:
        results = [tag for tag in shared if tag.startswith(OF_RESULTS)]
        if not shared:
            raise UserError("these runs have no figure in common")
        return [tag for tag in USUAL if tag in shared] or results[:MOST_FIGURES] or shared[:MOST_FIGURES]
    tags = [tag.strip() for tag in wanted.split(",") if tag.strip()]
    if not tags:
        raise UserError(f"--figures {wanted!r} names no figure, such as {shared[0] if shared else 'test/accuracy'}")
    for tag in tags:
        if tag not in shared:
            raise UserError(f"--figures: no figure {tag!r} in all of these runs{nearest(tag, shared)}")
    return tags


def comparison(runs: Sequence[Run], names: Sequence[str], tags: Sequence[str], pair_by: Sequence[str] | None) -> str:
    """The settings as a table, and below it how each differs from the first one, pair by pair.

    Args:
        runs: All of them.
        names: Settings that tell the groups apart.
        tags: Figures to show.
        pair_by: Settings, such as the seed, whose values make two runs a pair; None where there can be no pairs.
    """
    groups = grouped(runs, names)
    rows = [[", ".join(names), "runs", *tags]]
    for label, group in groups:
        rows.append([label, str(len(group)), *(_cell([run.metrics[tag] for run in group]) for tag in tags)])
    text = _table(rows)
    if pair_by is not None:
        (name, first), *others = groups
        rows = [[f"minus {name}", "pairs", *tags]]
        for label, group in others:
            pairs = _pairs(first, group, pair_by)
            rows.append([label, str(len(pairs)), *(_difference(pairs, tag) for tag in tags)])
        text += f"\ndifferences seed by seed, with Student's 95 % interval from two pairs on\n{_table(rows)}"
    return f"{text}\nchoose by a figure of the validation (best/…): that of the test is for the setting chosen\n"


def _pairs(ours: Sequence[Run], theirs: Sequence[Run], pair_by: Sequence[str]) -> list[tuple[Run, Run]]:
    partners = {values_of(run, pair_by): run for run in theirs}
    return [(run, partners[values_of(run, pair_by)]) for run in ours if values_of(run, pair_by) in partners]


def finite(values: Sequence[float | None]) -> list[float]:
    """Those that are numbers; ``metrics.json`` holds None in the place of NaN and the infinite."""
    return [value for value in values if value is not None and math.isfinite(value)]


def _cell(values: Sequence[float | None]) -> str:
    numbers = finite(values)
    if not numbers:
        return "not finite"
    mean, deviation, count = summarise(numbers)
    lost = f" ({len(values) - count} not finite)" if count < len(values) else ""
    return f"{mean:.5g}" + (f" ± {deviation:.2g}" if count > 1 else "") + lost


def _difference(pairs: Sequence[tuple[Run, Run]], tag: str) -> str:
    both = [finite((one.metrics[tag], two.metrics[tag])) for one, two in pairs]
    apart = [two - one for one, two in (pair for pair in both if len(pair) == 2)]
    if not apart:
        return "no pair"
    low, high = mean_interval(apart)
    return f"{summarise(apart).mean:+.3g}" + (f" ({low:+.3g} to {high:+.3g})" if len(apart) > 1 else "")


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
