"""The first command a user types, `python train.py --model cnn`: how long the process takes and what it reaches."""

from __future__ import annotations

import argparse

from bench.arguments import positive
from bench.child import train, warm_train
from bench.harness import SECONDS_HEAD, Report, Side, alternate, mean_and_deviation, seconds_row, spread

COMMAND = ("--model", "cnn")
SECONDS, ACCURACY = 20.0, 0.989
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--seeds", type=positive, help="runs, with seeds 0, 1, …; another word for --repeats")


def check(options: argparse.Namespace) -> None:
    """The digits are bundled: nothing can be missing."""
    options.repeats = options.seeds or options.repeats


def run(options: argparse.Namespace) -> Report:
    """Runs the command with one seed after another."""
    command = [*COMMAND, *options.passed]
    side = Side(
        "train.py --model cnn",
        lambda seed: train([*command, "--seed", str(seed)], "train.py"),
        options.repeats,
        lambda: warm_train(command, "train.py"),
    )
    samples = alternate([side], options.warmup)
    ours = samples[side.name]
    seconds = [sample.seconds for sample in ours]
    accuracies = [sample.figures["test/accuracy"] for sample in ours]
    slowest, mean = spread(seconds).median, spread(accuracies).mean
    return Report(
        f"digits: python train.py {' '.join(command)}, seeds 0–{options.repeats - 1}, whole process",
        [(SECONDS_HEAD[:4], [seconds_row(side.name, seconds)[:4]])],
        [
            f"time           median {slowest:.2f} s, target ≤ {SECONDS:.0f} s: {verdict(slowest <= SECONDS)}",
            f"test accuracy  {mean_and_deviation(accuracies, 100)} % over {len(ours)} seeds, "
            f"target ≥ {ACCURACY:.1%}: {verdict(mean >= ACCURACY)}",
        ],
        samples,
    )


def verdict(met: bool) -> str:
    """In a word."""
    return "met" if met else "missed"
