"""MNIST: seconds until a test accuracy is reached, our recipe against the PyTorch MNIST example.

Ours trains a fixed recipe and tests once at its end. The example looks at the test set after each epoch, and its clock
stops at the first epoch that reaches the accuracy: that flatters the example. Both are timed from outside, from the
start of the process to its end, imports, data, logging and reports included.
"""

from __future__ import annotations

import argparse
import re

from bench.child import HERE, python, require_data, require_recipe, run_child, train, warm_train
from bench.digits import verdict
from bench.harness import (
    SECONDS_HEAD,
    BenchError,
    Report,
    Sample,
    Side,
    alternate,
    mean_and_deviation,
    paired_ratios,
    seconds_row,
    spread,
)
from trainer.command.settings_file import read_yaml

RECIPE = "models/cnn-mnist-99.yaml"
PEER = "bench/peers/mnist_example.py"
RAW = [
    f"MNIST/raw/{part}-idx{axes}-ubyte"
    for part, axes in (("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1))
]
EPOCH = re.compile(r"^epoch +(\d+) +test accuracy ([\d.]+) % +([\d.]+) s$", re.MULTILINE)
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--recipe", default=RECIPE, help=f"settings of our side (default {RECIPE})")
    parser.add_argument("--accuracy", type=float, default=99.0, help="test accuracy to reach, in %% (default 99.0)")
    parser.add_argument(
        "--peer_repeats", type=int, default=1, help="runs of the example, minutes each (default 1; 0: none)"
    )
    parser.add_argument("--peer_epochs", type=int, default=14, help="most epochs of the example (default 14, its own)")
    parser.add_argument(
        "--peer_shuffle", action="store_true", help="shuffle the example's pictures; by itself it does so on CUDA only"
    )


def check(options: argparse.Namespace) -> None:
    """Recipe and data are there, and the options make sense.

    Raises:
        BenchError: With exit status 2.
    """
    if not 0 < options.accuracy <= 100:
        raise BenchError(f"--accuracy is in %, above 0 and at most 100, got {options.accuracy}", 2)
    if options.peer_repeats < 0 or options.peer_epochs < 1:
        raise BenchError("--peer_repeats must be 0 or more and --peer_epochs at least 1", 2)
    require_recipe(options.recipe)
    options.data_root = require_data(*RAW)
    named = read_yaml(HERE / options.recipe).get("data", {}).get("name")
    if named != "mnist":
        raise BenchError(f"--recipe {options.recipe} is for the data {named!r}, not for 'mnist'", 2)


def read_peer(said: str) -> dict[str, float]:
    """Figures of the example's output: its last epoch, test accuracy as a share, and its own seconds.

    Raises:
        BenchError: With exit status 1, if it names no epoch.
    """
    epochs = EPOCH.findall(said)
    if not epochs:
        raise BenchError(f"{PEER} told of no epoch", 1)
    figures = {f"epoch {number}/accuracy": float(percent) / 100 for number, percent, _ in epochs}
    figures |= {f"epoch {number}/seconds": float(seconds) for number, _, seconds in epochs}
    number, percent, _ = epochs[-1]
    return {**figures, "epochs": float(number), "test/accuracy": float(percent) / 100}


def run(options: argparse.Namespace) -> Report:
    """Runs both sides alternately."""
    ours_command = ["-c", options.recipe, "--data.root", str(options.data_root), *options.passed]
    example = python(PEER, "--root", str(options.data_root), "--until", str(options.accuracy))
    example += ["--shuffle"] if options.peer_shuffle else []

    def peer(repeat: int) -> Sample:
        seconds, said = run_child(
            [*example, "--epochs", str(options.peer_epochs), "--seed", str(repeat + 1)], "example"
        )
        return Sample(seconds, read_peer(said))

    sides = [
        Side(
            "ours",
            lambda seed: train([*ours_command, "--seed", str(seed)], "ours"),
            options.repeats,
            lambda: warm_train(ours_command, "ours"),
        ),
        Side("example", peer, options.peer_repeats, lambda: run_child([*example, "--epochs", "0"], "example")),
    ]
    samples = alternate(sides, options.warmup)
    return report(options.recipe, options.accuracy, samples)


def report(recipe: str, accuracy: float, samples: dict[str, list[Sample]]) -> Report:
    """Tables and verdicts from the raw figures.

    Args:
        recipe: Name of our settings.
        accuracy: To reach, in %.
        samples: Of the sides "ours" and "example".
    """
    ours, peer = samples["ours"], samples["example"]
    seconds = [sample.seconds for sample in ours]
    inside = [sample.figures["time/process_s"] for sample in ours]
    peer_seconds = [sample.seconds for sample in peer]
    reached = [sample.figures["test/accuracy"] * 100 >= accuracy for sample in peer]
    ratios = paired_ratios(peer_seconds, seconds)
    accuracies = [sample.figures["test/accuracy"] for sample in ours]
    mean = spread(accuracies).mean * 100
    rows = [
        seconds_row("ours, whole process", seconds, ratios),
        seconds_row("ours, as metrics.json says", inside),
        seconds_row("example, whole process", peer_seconds),
    ]
    notes = [
        f"ours     test accuracy {mean_and_deviation(accuracies, 100)} % over {len(ours)} seeds; "
        f"mean ≥ {accuracy:.2f} %: {verdict(mean >= accuracy)}"
    ]
    if peer:
        last = [sample.figures["test/accuracy"] for sample in peer]
        epochs = spread([sample.figures["epochs"] for sample in peer])
        notes.append(
            f"example  test accuracy {mean_and_deviation(last, 100)} % after {epochs.median:g} epochs (median); "
            f"{accuracy:.2f} % reached in {sum(reached)} of {len(peer)} runs"
        )
        more = "" if all(reached) else " or more (the example did not get there in every run)"
        notes.append(
            f"ratio    ours is {spread(ratios).median:.1f} times sooner{more}; pairs of one run of this benchmark"
        )
    return Report(
        f"mnist: {recipe} against the PyTorch MNIST example, to {accuracy:.2f} %",
        [(SECONDS_HEAD, rows)],
        notes,
        samples,
    )
