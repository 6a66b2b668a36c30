"""Fine-tuning on a folder of pictures: our recipe against two others on the same backbone and weights.

The tutorial is PyTorch's on transfer learning, timm the training script of that library (`bench.peers`). All are timed
from outside, from the start of the process to its end. Ours is run with an empty picture cache every time, so that each
run scans and decodes all files: once as the recipe says, a head on frozen features, and once as the whole policy, which
then trains the body too. The peers keep the epoch with the best validation accuracy, a maximum over epochs that
flatters them; their last epoch, which chose nothing, is the one compared with ours, which trains without looking at the
validation pictures at all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

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

RECIPE = "models/cnn-folder.yaml"
PICTURES = "hymenoptera_data"
HEAD_ACCURACY, HEAD_SECONDS, HEAD_SHARE = 93.5, 12.0, 1 / 10  # of the head; the share is of a peer's time to its best
LEAD, SHARE = 1.0, 1 / 3  # of the whole policy: points of accuracy above a peer, in this share of its time
PREPARED = (
    "pictures  each side prepares them as it does by itself, so that sizes and crops may differ; docs/fine-tuning.md "
    "says how much of a lead comes from that"
)
PEER_FIGURES = ("val_accuracy_last", "val_accuracy_best", "epochs_to_best", "seconds_per_epoch", "seconds")
PEERS = {"tutorial": "bench.peers.transfer_tutorial", "timm": "bench.peers.timm_recipe"}
PASSES_ON = True  # what stands behind --, to train.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--recipe", default=RECIPE, help=f"settings of our side (default {RECIPE})")
    add_pictures_argument(parser)
    parser.add_argument(
        "--policy_repeats", type=int, default=1, help="runs of the whole policy, --model.tune all (default 1; 0: none)"
    )
    parser.add_argument(
        "--peer_repeats", type=int, default=1, help="runs of the tutorial, minutes each (default 1; 0: none)"
    )
    parser.add_argument("--peer_epochs", type=int, default=25, help="epochs of the tutorial (default 25, its own)")
    parser.add_argument("--timm_repeats", type=int, default=1, help="runs of timm, minutes each (default 1; 0: none)")
    parser.add_argument("--timm_epochs", type=int, default=10, help="epochs of timm (default 10)")


def check(options: argparse.Namespace) -> None:
    """Recipe and pictures are there, and the options make sense.

    Raises:
        BenchError: With exit status 2.
    """
    if options.policy_repeats < 0:
        raise BenchError("--policy_repeats must be 0 or more", 2)
    for peer in ("peer", "timm"):
        if getattr(options, f"{peer}_repeats") < 0 or getattr(options, f"{peer}_epochs") < 1:
            raise BenchError(f"--{peer}_repeats must be 0 or more and --{peer}_epochs at least 1", 2)
    require_recipe(options.recipe)
    check_pictures(options)


def add_pictures_argument(parser: argparse.ArgumentParser) -> None:
    """The option that names the pictures."""
    parser.add_argument("--pictures", help=f"folder with train/ and val/ (default DATA_ROOT/{PICTURES})")


def check_pictures(options: argparse.Namespace) -> None:
    """Finds the pictures.

    Raises:
        BenchError: With exit status 2.
    """
    if options.pictures is None:
        options.pictures = str(require_data(f"{PICTURES}/train", f"{PICTURES}/val") / PICTURES)
    options.pictures = str(Path(options.pictures).expanduser().resolve())
    if missing := [part for part in ("train", "val") if not Path(options.pictures, part).is_dir()]:
        raise BenchError(f"--pictures {options.pictures} has no {' and no '.join(missing)} folder", 2)


def backbone_of(recipe: str, passed: Sequence[str]) -> str:
    """The backbone of our side, which the peers take too.

    Args:
        recipe: Our settings.
        passed: Words for train.py, which may name another.

    Raises:
        BenchError: With exit status 2, if it is our own network, which has no weights to start from.
    """
    backbone = str(read_yaml(HERE / recipe).get("model", {}).get("backbone", "cnn"))
    for word, after in pairwise([*passed, ""]):
        option, _, value = word.partition("=")
        if option == "--model.backbone":
            backbone = value or after
    if backbone == "cnn":
        raise BenchError(f"--model.backbone cnn of {recipe}: the peers fine-tune a pretrained backbone", 2)
    return backbone


def read_peer(said: str, name: str) -> dict[str, float]:
    """Figures of the last line of a peer, which is JSON.

    Raises:
        BenchError: With exit status 1, if it is not there.
    """
    try:
        record = json.loads(said.strip().splitlines()[-1])
        return {tag: float(record[tag]) for tag in PEER_FIGURES}
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise BenchError(f"{name} told of no result: {error}", 1) from error


def run(options: argparse.Namespace) -> Report:
    """Runs all sides in turn."""
    command = ["-c", options.recipe, "--data.path", options.pictures, "--report", "brief", *options.passed]
    backbone = backbone_of(options.recipe, options.passed)
    epochs = {"tutorial": options.peer_epochs, "timm": options.timm_epochs}

    def ours(seed: int, *more: str) -> Sample:
        with tempfile.TemporaryDirectory(prefix="bench-") as cache:
            return train([*command, "--data.cache_dir", cache, "--seed", str(seed), *more], "ours")

    def peer(name: str, repeats: int) -> Side:
        words = python("-m", PEERS[name], "--data", options.pictures, "--epochs", str(epochs[name]),
                       "--backbone", backbone)  # fmt: skip

        def once(seed: int) -> Sample:
            seconds, said = run_child([*words, "--seed", str(seed)], name)
            return Sample(seconds, read_peer(said, name))

        return Side(name, once, repeats, lambda: run_child([*words, "--help"], name))

    sides = [
        Side("head", ours, options.repeats, lambda: warm_train(command, "ours")),
        Side("policy", lambda seed: ours(seed, "--model.tune", "all"), options.policy_repeats),
        peer("tutorial", options.peer_repeats),
        peer("timm", options.timm_repeats),
    ]
    return report(options.recipe, epochs, alternate(sides, options.warmup))


def report(recipe: str, epochs: dict[str, int], samples: dict[str, list[Sample]]) -> Report:
    """Tables and verdicts from the raw figures.

    Args:
        recipe: Name of our settings.
        epochs: Of each peer.
        samples: Of the sides "head" and "policy", which are ours, and of the peers.
    """
    rows, notes = [], list[str]()
    for side, what in (("head", "head on frozen features"), ("policy", "whole policy")):
        if not (ours := samples[side]):
            continue
        rows.append(seconds_row(f"ours, {what}, whole process", [sample.seconds for sample in ours]))
        accuracy = mean_and_deviation(accuracies(ours), 100)
        notes.append(f"{side:8}  {accuracy} % of the validation pictures, over {len(ours)} seeds")
        if side == "head":
            notes += alone(ours)
    for name, count in epochs.items():
        if not (peer := samples[name]):
            continue
        ratios = paired_ratios([sample.seconds for sample in peer], [sample.seconds for sample in samples["head"]])
        rows.append(seconds_row(f"{name}, whole process, {count} epochs", [sample.seconds for sample in peer], ratios))
        last, best = (
            mean_and_deviation([sample.figures[f"val_accuracy_{which}"] for sample in peer], 100)
            for which in ("last", "best")
        )
        notes.append(
            f"{name:8}  {last} % at its last epoch, {best} % at its best one, which the same pictures chose, over "
            f"{len(peer)} seeds"
        )
        for side in ("head", "policy"):
            notes += beside(side, samples[side], peer) if samples[side] else []
    if any(samples[name] for name in epochs):
        notes.append(PREPARED)
    return Report(f"finetune: {recipe} against the tutorial and timm", [(SECONDS_HEAD, rows)], notes, samples)


def accuracies(ours: Sequence[Sample]) -> list[float]:
    """Shares of the validation pictures classified rightly by our runs."""
    return [sample.figures["val/accuracy"] for sample in ours]


def alone(head: Sequence[Sample]) -> list[str]:
    """Verdicts on the head without a peer."""
    mean = 100 * spread(accuracies(head)).mean
    seconds = spread([sample.seconds - sample.figures["time/imports_s"] for sample in head]).median
    return [
        f"          accuracy {mean:.2f} %, target at least {HEAD_ACCURACY} %: {verdict(mean >= HEAD_ACCURACY)}",
        f"          {seconds:.1f} s of the process after its imports (median), target at most {HEAD_SECONDS:.0f} s: "
        f"{verdict(seconds <= HEAD_SECONDS)}",
    ]


def beside(side: str, ours: Sequence[Sample], peer: Sequence[Sample]) -> list[str]:
    """Verdicts on one of our sides beside a peer: its lead, and its share of the peer's time."""
    lead = 100 * (spread(accuracies(ours)).mean - spread([one.figures["val_accuracy_last"] for one in peer]).mean)
    # The peer's process up to its best epoch: what comes before the first epoch counts too.
    to_best = [
        one.seconds - one.figures["seconds"] + one.figures["epochs_to_best"] * one.figures["seconds_per_epoch"]
        for one in peer
    ]
    seconds = spread([sample.seconds for sample in ours]).median
    whole, best = seconds / spread([one.seconds for one in peer]).median, seconds / spread(to_best).median
    if side == "head":
        # Neither's imports; of the peer not even its setting up, which its own clock does not see.
        imported = spread([sample.seconds - sample.figures["time/imports_s"] for sample in ours]).median
        trained = spread([one.figures["epochs_to_best"] * one.figures["seconds_per_epoch"] for one in peer]).median
        share = imported / trained
        return [
            f"  head    lead {lead:+.2f} points over the last epoch",
            f"          time {share:.3f} of its time to its best epoch, both after their imports, target at most "
            f"{HEAD_SHARE:.3f}: {verdict(share <= HEAD_SHARE)}",
            f"          time {best:.3f} of its time to its best epoch, whole processes: {verdict(best <= HEAD_SHARE)}",
        ]
    return [
        f"  policy  lead {lead:+.2f} points over the last epoch, target {LEAD:+.1f}: {verdict(lead >= LEAD)}",
        f"          time {whole:.3f} of its time, target at most {SHARE:.3f}: {verdict(whole <= SHARE)}",
    ]
