"""Faces: the recipe's error over splits of the people's pictures, its time, and the closed form beside it.

A run of the recipe takes many splits by itself and tells the mean and the deviation over them. Several runs take blocks
of splits that do not overlap.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.child import HERE, require_data, require_recipe, train, warm_train
from bench.digits import verdict
from bench.harness import SECONDS_HEAD, Report, Side, alternate, mean_and_deviation, seconds_row, spread
from trainer.command.settings_file import read_yaml

RECIPE = "models/face.yaml"
FORMS = ("scikit_learn_data/olivetti_py3.pkz", "att_faces")  # the set lies in one of two forms
SHOWN = ("error", "accuracy", "eer", "gap/", "theory/", "time/")
MOST_ERROR = 0.01
USUAL_SPLITS = 20  # of a run, where the recipe does not say it
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--recipe", default=RECIPE, help=f"settings (default {RECIPE})")
    parser.set_defaults(repeats=1)


def check(options: argparse.Namespace) -> None:
    """Recipe and data are there.

    Raises:
        BenchError: With exit status 2.
    """
    require_recipe(options.recipe)
    root = os.environ.get("DATA_ROOT")
    present = [form for form in FORMS if root and Path(root, form).exists()]
    options.data_root = require_data(present[0] if present else FORMS[0])


def run(options: argparse.Namespace) -> Report:
    """Runs the recipe on one block of splits after another."""
    splits = int(read_yaml(HERE / options.recipe).get("data", {}).get("num_splits", USUAL_SPLITS))
    command = ["-c", options.recipe, "--data.root", str(options.data_root), *options.passed]
    side = Side(
        options.recipe,
        lambda block: train([*command, "--data.split_seed", str(block * splits)], "face"),
        options.repeats,
        lambda: warm_train(command, "face"),
    )
    samples = alternate([side], options.warmup)
    runs = samples[side.name]
    tags = [tag for tag in runs[0].figures if any(part in tag.lower() for part in SHOWN) and "_split_" not in tag]
    figures = [
        [tag, mean_and_deviation([run.figures[tag] for run in runs if tag in run.figures], digits=4)] for tag in tags
    ]
    many = f"mean ± deviation over {len(runs)} blocks of {splits} splits" if len(runs) > 1 else f"over {splits} splits"
    error, deviation = (
        100 * spread([run.figures[tag] for run in runs]).mean for tag in ("test/error", "test/error_sd")
    )
    return Report(
        f"face: {options.recipe}, split seeds 0–{options.repeats * splits - 1}, whole process",
        [
            (SECONDS_HEAD[:4], [seconds_row(side.name, [run.seconds for run in runs])[:4]]),
            (("figure of metrics.json", many), figures),
        ],
        [
            f"error  {error:.2f} ± {deviation:.2f} % (mean ± deviation over the splits of a run), target at most "
            f"{100 * MOST_ERROR:.1f} %: {verdict(error <= 100 * MOST_ERROR)}"
        ],
        samples,
    )
