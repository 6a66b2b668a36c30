"""What a user waits for before anything happens: ``--help``, and the import of the libraries."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.child import python, run_child
from bench.digits import verdict
from bench.harness import SECONDS_HEAD, Report, Sample, Side, alternate, paired_ratios, seconds_row, spread

HELP_SECONDS = 0.3
COMMANDS = {
    "train.py --help": ("train.py", "--help"),
    "import_lightning()": ("-c", "from trainer.process import import_lightning; import_lightning()"),
    "import lightning.pytorch": ("-c", "import lightning.pytorch"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options but the common ones."""


def check(options: argparse.Namespace) -> None:
    """Nothing can be missing."""


def once(name: str, arguments: Sequence[str]) -> Sample:
    """One process."""
    return Sample(run_child(python(*arguments), name)[0])


def run(options: argparse.Namespace) -> Report:
    """Runs the three commands in turn."""
    sides = [
        Side(name, lambda _, name=name, words=words: once(name, words), options.repeats,  # type: ignore[misc]
             lambda name=name, words=words: once(name, words))  # type: ignore[misc]
        for name, words in COMMANDS.items()
    ]  # fmt: skip
    samples = alternate(sides, options.warmup)
    seconds = {name: [sample.seconds for sample in found] for name, found in samples.items()}
    showing, ours, plain = (seconds[name] for name in COMMANDS)
    median = spread(showing).median
    rows = [
        seconds_row("train.py --help", showing),
        seconds_row("import_lightning()", ours, paired_ratios(ours, plain)),
        seconds_row("import lightning.pytorch", plain),
    ]
    note = f"--help  median {median:.3f} s, target < {HELP_SECONDS} s: {verdict(median < HELP_SECONDS)}"
    return Report("startup: whole processes", [(SECONDS_HEAD, rows)], [note], samples)
