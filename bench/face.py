"""Faces: the recipe's error over several splits of the people's pictures, its time, and the closed form beside it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.arguments import positive
from bench.child import require_data, require_recipe, train, warm_train
from bench.harness import SECONDS_HEAD, Report, Side, alternate, mean_and_deviation, seconds_row

RECIPE = "models/face.yaml"
FORMS = ("scikit_learn_data/olivetti_py3.pkz", "att_faces")  # the set lies in one of two forms
SHOWN = ("error", "accuracy", "eer", "gap/", "theory/", "time/")
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--recipe", default=RECIPE, help=f"settings (default {RECIPE})")
    parser.add_argument(
        "--splits", type=positive, help="runs, with --data.split_seed 0, 1, …; another word for --repeats"
    )


def check(options: argparse.Namespace) -> None:
    """Recipe and data are there.

    Raises:
        BenchError: With exit status 2.
    """
    options.repeats = options.splits or options.repeats
    require_recipe(options.recipe)
    root = os.environ.get("DATA_ROOT")
    present = [form for form in FORMS if root and Path(root, form).exists()]
    options.data_root = require_data(present[0] if present else FORMS[0])


def run(options: argparse.Namespace) -> Report:
    """Runs the recipe on one split after another."""
    command = ["-c", options.recipe, "--data.root", str(options.data_root), *options.passed]
    side = Side(
        options.recipe,
        lambda split: train([*command, "--data.split_seed", str(split)], "face"),
        options.repeats,
        lambda: warm_train(command, "face"),
    )
    samples = alternate([side], options.warmup)
    runs = samples[side.name]
    tags = [tag for tag in runs[0].figures if any(part in tag.lower() for part in SHOWN)]
    figures = [
        [tag, mean_and_deviation([run.figures[tag] for run in runs if tag in run.figures], digits=4)] for tag in tags
    ]
    return Report(
        f"face: {options.recipe}, splits 0–{options.repeats - 1}, whole process",
        [
            (SECONDS_HEAD[:4], [seconds_row(side.name, [run.seconds for run in runs])[:4]]),
            (("figure of metrics.json", f"mean ± deviation over {len(runs)} splits"), figures),
        ],
        [],
        samples,
    )
