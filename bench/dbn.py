"""Deep belief networks: what pretraining gains with 100, 1,000 and all labels, over seeds, beside a random start."""

from __future__ import annotations

import argparse

from bench.child import require_data, require_recipe, train, warm_train
from bench.harness import SECONDS_HEAD, BenchError, Report, Sample, Side, alternate, mean_and_deviation, seconds_row

RECIPE = "models/dbn.yaml"
ALL = "all"
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--recipe", default=RECIPE, help=f"settings (default {RECIPE})")
    parser.add_argument("--labels", default="100,1000,all", help="numbers of labels (default 100,1000,all)")


def check(options: argparse.Namespace) -> None:
    """The recipe is there, its data too, and the numbers of labels are numbers.

    Raises:
        BenchError: With exit status 2.
    """
    require_recipe(options.recipe)
    if "mnist" in options.recipe:
        require_data("MNIST/raw")
    options.counts = options.labels.split(",")
    if wrong := [count for count in options.counts if count != ALL and not count.isdigit()]:
        raise BenchError(f"--labels takes whole numbers and {ALL!r}, got {', '.join(wrong)}", 2)


def run(options: argparse.Namespace) -> Report:
    """Runs the recipe with each number of labels and one seed after another; the seed also chooses the labels."""
    sides = [side(options, count) for count in options.counts]
    samples = alternate(sides, options.warmup)
    rows = []
    for each in sides:
        runs = samples[each.name]
        gaps = [sample.figures["gap/error_pretrained_random"] for sample in runs]
        rows.append([each.name, error(runs, "test/error"), error(runs, "test/error_random"),
                     mean_and_deviation(gaps, 100), f"{sum(gap < 0 for gap in gaps)} of {len(gaps)}"])  # fmt: skip
    head = ("labels", "pretrained, error in %", "random start", "difference", "pretrained better")
    seconds = [seconds_row(each.name, [sample.seconds for sample in samples[each.name]])[:4] for each in sides]
    title = f"dbn: {options.recipe}, seeds 0–{options.repeats - 1}, same pictures and steps of fine-tuning"
    return Report(title, [(head, rows), (SECONDS_HEAD[:4], seconds)], [], samples)


def side(options: argparse.Namespace, count: str) -> Side:
    """The recipe with one number of labels."""
    command = ["-c", options.recipe, "--report", "none", *options.passed]
    command += [] if count == ALL else ["--model.labels", count]

    def once(seed: int) -> Sample:
        chosen = [] if count == ALL else ["--model.labels_seed", str(seed)]
        return train([*command, "--seed", str(seed), *chosen], "dbn")

    return Side(f"{count} labels", once, options.repeats, lambda: warm_train(command, "dbn"))


def error(runs: list[Sample], tag: str) -> str:
    """Mean and deviation in per cent."""
    return mean_and_deviation([sample.figures[tag] for sample in runs], 100)
