"""Two sides measured alternately: A B A B …, so that whatever else the machine does meets both alike.

The figures are medians with their range; a ratio is formed within each pair, because two runs a second apart share the
machine's mood and two runs an hour apart do not. Nothing here imports torch: what is measured runs elsewhere.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ACCURACIES = ("test/accuracy", "val/accuracy", "val_accuracy_last")  # said as soon as a run ends
IDLE_LOAD = 0.25  # share of the cores; above it somebody else is at work


class BenchError(Exception):
    """A benchmark that gives no result.

    Args:
        message: What is wrong, for stderr.
        exit_code: 1 when a side failed, 2 when something that is needed is missing or an option is wrong.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Sample:
    """One run of one side.

    Attributes:
        seconds: Measured from outside.
        figures: What the run itself says, such as ``test/accuracy``.
    """

    seconds: float
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Side:
    """One of the things compared.

    Attributes:
        name: For the table.
        run: Does it once; gets the number of the repeat, from 0.
        repeats: How often; a slow peer may have fewer than the others.
        warm: Fills caches before the first measurement.
    """

    name: str
    run: Callable[[int], Sample]
    repeats: int = 5
    warm: Callable[[], object] | None = None


@dataclass
class Spread:
    """Median, range, mean and sample deviation of some figures; the deviation of a single one is not known (NaN)."""

    count: int
    median: float
    low: float
    high: float
    mean: float
    deviation: float


def spread(values: Sequence[float]) -> Spread:
    """Summary of at least one value.

    Raises:
        ValueError: If there is none.
    """
    if not values:
        raise ValueError("a summary needs at least 1 value, got 0")
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return Spread(len(values), statistics.median(values), min(values), max(values), statistics.fmean(values), deviation)


def paired_ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Ratio of each run to the run of the other side beside it; where one side has fewer runs they are used again.

    Args:
        numerator: Figures of one side, in the order measured.
        denominator: Figures of the other, positive.

    Returns:
        As many ratios as the longer side has runs; none if either side has no run.
    """
    if not numerator or not denominator:
        return []
    count = max(len(numerator), len(denominator))
    return [numerator[i % len(numerator)] / denominator[i % len(denominator)] for i in range(count)]


def alternate(
    sides: Sequence[Side], warmup: int = 1, say: Callable[[str], object] | None = None
) -> dict[str, list[Sample]]:
    """Warm up every side, then run them in turn until each has its repeats.

    Args:
        sides: What to measure.
        warmup: How often each side's ``warm`` is called first.
        say: Gets a line after each run, so that nothing is lost when a later one fails; None for stderr.

    Returns:
        The samples of each side in the order measured.
    """
    report = say or (lambda line: print(line, file=sys.stderr, flush=True))
    for side in sides:
        for _ in range(warmup if side.warm and side.repeats else 0):
            assert side.warm is not None
            side.warm()
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for repeat in range(max((side.repeats for side in sides), default=0)):
        for side in sides:
            if repeat < side.repeats:
                sample = side.run(repeat)
                samples[side.name].append(sample)
                found = [(tag, sample.figures[tag]) for tag in ACCURACIES if tag in sample.figures]
                said = "".join(f", {tag.replace('/', ' ').replace('_', ' ')} {value:.2%}" for tag, value in found)
                report(f"{side.name} {repeat + 1}/{side.repeats}: {duration(sample.seconds)}{said}")
    return samples


def duration(seconds: float) -> str:
    """Three or four digits with a fitting unit: ``212 µs``, ``3.14 ms``, ``48.2 s``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    raise AssertionError


def mean_and_deviation(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """``98.93 ± 0.11``; without deviation when there is one value."""
    found = spread([value * scale for value in values])
    mean = f"{found.mean:.{digits}f}"
    return mean if math.isnan(found.deviation) else f"{mean} ± {found.deviation:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, words to the left and numbers to the right."""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    words = [i == 0 or any(row[i][:1].isalpha() for row in rows) for i in range(len(head))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, words, strict=True)
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def seconds_row(name: str, values: Sequence[float], ratios: Sequence[float] = ()) -> list[str]:
    """Cells for `SECONDS_HEAD`: name, runs, median, range, and the median and range of the paired ratio."""
    if not values:
        return [name, "0", "–", "–", "–", "–"]
    time_, ratio = spread(values), spread(ratios) if ratios else None
    return [
        name,
        str(time_.count),
        duration(time_.median),
        f"{duration(time_.low)} – {duration(time_.high)}",
        f"{ratio.median:.3g}" if ratio else "",
        f"{ratio.low:.3g} – {ratio.high:.3g}" if ratio else "",
    ]


SECONDS_HEAD = ("side", "n", "median", "min – max", "ratio", "min – max")


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, bool]:
    """Name of the processor, and whether it computes bfloat16 in hardware; unknown outside Linux."""
    if not cpuinfo.is_file():
        return "unknown processor", False
    values: dict[str, str] = {}
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    flags = set(values.get("flags", "").split())
    return values.get("model name", "unknown processor"), bool(flags & {"avx512_bf16", "amx_bf16"})


def hardware(threads: int | None) -> dict[str, Any]:
    """What the figures were measured on.

    Args:
        threads: Threads that torch takes, or None when it was not asked.
    """
    from importlib.metadata import version

    name, bf16 = processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "cpu": name,
        "cores": cores,
        "bf16_in_hardware": bf16,
        "python": sys.version.split()[0],
        "torch": version("torch"),
        "threads": threads,
        "load": round(load, 2),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def hardware_lines(facts: dict[str, Any]) -> list[str]:
    """One line about the machine, and a second one when it is not idle."""
    bf16 = "bfloat16 in hardware" if facts["bf16_in_hardware"] else "bfloat16 emulated"
    threads = "" if facts["threads"] is None else f", {facts['threads']} threads"
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, {bf16}; Python {facts['python']}, torch {facts['torch']}{threads}; "
        f"load {facts['load']:.2f}"
    ]
    if facts["load"] > IDLE_LOAD * facts["cores"]:
        lines.append(f"warning: the machine is not idle (load {facts['load']:.2f}): trust the ratios, not the seconds")
    return lines


@dataclass
class Report:
    """What a benchmark found.

    Attributes:
        title: What was compared.
        tables: Heads and rows.
        notes: Sentences below them: targets, and whether they were met.
        samples: The raw figures of each side.
    """

    title: str
    tables: list[tuple[Sequence[str], list[list[str]]]]
    notes: list[str]
    samples: dict[str, list[Sample]]

    def text(self) -> str:
        """Everything but the raw figures."""
        return "\n\n".join([self.title, *(table(head, rows) for head, rows in self.tables), "\n".join(self.notes)])

    def write(self, path: Path, facts: dict[str, Any], command: str) -> None:
        """Keep all raw figures as JSON; figures that are not finite become null."""
        raw = {name: [asdict(sample) for sample in samples] for name, samples in self.samples.items()}
        record = {"title": self.title, "command": command, "hardware": facts, "notes": self.notes, "samples": raw}
        path.write_text(
            json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
