"""Restricted Boltzmann machines on MNIST: scikit-learn's, and the time ours takes to its pseudo-likelihood.

Both have 500 hidden units, see the same drawn pixels and are judged by the same function. scikit-learn trains with its
defaults, 10 epochs; ours stops at the first look, each 100 updates, at which it is as good. Counted is training alone.
"""

from __future__ import annotations

import argparse
import json

from bench.child import python, require_data, run_child
from bench.digits import verdict
from bench.harness import SECONDS_HEAD, BenchError, Report, Sample, mean_and_deviation, seconds_row, spread

RAW = ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte")
RATIO = 10.0
PEER, OURS = "scikit-learn BernoulliRBM, 10 epochs", "ours, to the same pseudo-likelihood"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--peer_repeats", type=int, default=1, help="runs of scikit-learn, minutes each (default 1)")


def check(options: argparse.Namespace) -> None:
    """The data are there.

    Raises:
        BenchError: With exit status 2.
    """
    if options.peer_repeats < 1:
        raise BenchError(f"--peer_repeats must be at least 1, got {options.peer_repeats}", 2)
    options.data_root = require_data(*RAW)


def one(side: str, *arguments: str) -> Sample:
    """Runs one side once."""
    _, said = run_child(python("-m", "bench.peers.machines", side, *arguments), side)
    figures = {name: float(value) for name, value in json.loads(said.splitlines()[-1]).items()}
    return Sample(figures.pop("seconds"), figures)


def run(options: argparse.Namespace) -> Report:
    """scikit-learn first: its pseudo-likelihood is the level that ours must reach."""
    root = ("--root", str(options.data_root))
    peers = [one("sklearn", *root, "--seed", str(seed)) for seed in range(options.peer_repeats)]
    levels = [sample.figures["pseudo_log_likelihood"] for sample in peers]
    level = f"{max(levels):.6f}"
    runs = [one("ours", *root, "--seed", str(seed), "--level", level) for seed in range(options.repeats)]
    reached = [sample.figures["pseudo_log_likelihood"] for sample in runs]
    if min(reached) < max(levels):
        raise BenchError(f"ours did not reach {level} nats: {min(reached):.2f}", 1)
    rows = [(PEER, peers), (OURS, runs)]
    ratio = spread([sample.seconds for sample in peers]).median / spread([sample.seconds for sample in runs]).median
    figures = [[name, mean_and_deviation([sample.figures["pseudo_log_likelihood"] for sample in samples]),
                mean_and_deviation([sample.figures["updates"] for sample in samples], digits=0)]
               for name, samples in rows]  # fmt: skip
    return Report(
        f"rbm: 784×500 on MNIST drawn black and white once, {options.repeats} runs of ours",
        [
            (
                SECONDS_HEAD[:4],
                [seconds_row(name, [sample.seconds for sample in samples])[:4] for name, samples in rows],
            ),
            (("side", "pseudo-log-likelihood, nats a test picture", "updates"), figures),
        ],
        [f"ours is {ratio:.1f} times as fast to that level, target ≥ {RATIO:.0f}: {verdict(ratio >= RATIO)}"],
        dict(rows),
    )
