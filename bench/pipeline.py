"""Pictures of a folder to normalised batches: ours against torchvision's ImageFolder with its reference transforms.

An epoch hands out every training picture, randomly cropped and mirrored, and every validation picture, at 224×224.
Both sides use all cores (ours threads, the peer loader processes, which stay alive between epochs) and end with float
batches that a network could take. Our first epoch begins with an empty cache and includes the scan of all files: what
is bad, sizes, duplicates. Later ones cut views from the decoded pictures; the peer decodes again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.digits import verdict
from bench.finetune import add_pictures_argument, check_pictures
from bench.harness import BenchError, Report, Sample, Side, alternate, duration, paired_ratios, spread

FIRST, LATER = 2.0, 10.0  # times the pictures a second of the peer
SIDE, MEAN, STD = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEAD = ("side", "n", "first epoch", "pictures/s", "ratio", "later epoch", "pictures/s", "ratio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    add_pictures_argument(parser)
    parser.add_argument("--later", type=int, default=5, help="epochs after the first (default 5)")
    parser.add_argument("--batch_size", type=int, default=32, help="pictures a batch (default 32)")


def check(options: argparse.Namespace) -> None:
    """The pictures are there, and the options make sense.

    Raises:
        BenchError: With exit status 2.
    """
    if options.later < 1 or options.batch_size < 1:
        raise BenchError("--later and --batch_size must be at least 1", 2)
    check_pictures(options)


def measure(epochs: Iterator[Iterable[Any]]) -> Sample:
    """Seconds of the first epoch, and the mean of the others; all pictures are counted.

    Args:
        epochs: Each gives its batches (N, 3, 224, 224), float; whatever makes an epoch is timed with it.
    """
    seconds, pictures = [], []
    while True:
        started = time.perf_counter()
        try:
            pictures.append(sum(len(batch) for batch in next(epochs)))
        except StopIteration:
            break
        seconds.append(time.perf_counter() - started)
    assert len(set(pictures)) == 1
    later = sum(seconds[1:]) / len(seconds[1:])
    return Sample(sum(seconds), {"first": seconds[0], "later": later, "pictures": pictures[0]})


def ours(pictures: str, batch_size: int, epochs: int) -> Iterator[Iterable[Any]]:
    """Epochs of our folder module, decoded pictures kept in a cache that begins empty."""
    import torch

    from data.folder import Folder
    from models.pixels import normalise

    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def batches(loaders: list[Any]) -> Iterator[Any]:
        for loader in loaders:
            for images, _ in loader:
                yield normalise(images, mean, std)  # (N, 3, 224, 224)

    with tempfile.TemporaryDirectory(prefix="bench-") as cache, contextlib.redirect_stderr(io.StringIO()):
        data = Folder(pictures, image_size=SIDE, batch_size=batch_size, cache_dir=cache)
        for epoch in range(epochs):
            train = data.train_dataloader()
            train.sampler.set_epoch(epoch)
            yield batches([train, data.val_dataloader()])


def peer(pictures: str, batch_size: int, epochs: int) -> Iterator[Iterable[Any]]:
    """Epochs of torchvision's ImageFolder with the transforms of its reference scripts."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    end = [transforms.PILToTensor(), transforms.ConvertImageDtype(torch.float32), transforms.Normalize(MEAN, STD)]
    train = transforms.Compose([transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip(), *end])
    val = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIDE), *end])
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loaders: list[Any] = [
        DataLoader(
            ImageFolder(str(Path(pictures, part)), transform),
            batch_size,
            shuffle=part == "train",
            num_workers=workers,
            persistent_workers=True,
        )
        for part, transform in (("train", train), ("val", val))
    ]
    for _ in range(epochs):
        yield (images for loader in loaders for images, _ in loader)


def run(options: argparse.Namespace) -> Report:
    """Runs both sides alternately; a first round reads every file, so that none lies on the disk alone.

    Freed memory is kept for both, as ``train.py`` does.
    """
    from trainer.process import keep_pages

    keep_pages()
    words = options.pictures, options.batch_size, 1 + options.later
    sides = [
        Side("ours", lambda _: measure(ours(*words)), options.repeats, lambda: measure(ours(*words))),
        Side("ImageFolder", lambda _: measure(peer(*words)), options.repeats, lambda: measure(peer(*words))),
    ]
    return report(options.pictures, alternate(sides, options.warmup))


def report(pictures: str, samples: dict[str, list[Sample]]) -> Report:
    """Table and verdicts from the raw figures of the sides "ours" and "ImageFolder"."""
    rows, notes = [], []
    for side, found in samples.items():
        row = [side, str(len(found))]
        for which in ("first", "later"):
            seconds = [sample.figures[which] for sample in found]
            ratios = paired_ratios([sample.figures[which] for sample in samples["ImageFolder"]], seconds)
            median = spread(seconds).median
            row += [duration(median), f"{found[0].figures['pictures'] / median:.0f}", f"{spread(ratios).median:.3g}"]
            if side == "ours":
                low, target = spread(ratios).low, FIRST if which == "first" else LATER
                notes.append(
                    f"{which} epoch  {spread(ratios).median:.3g} times the peer ({low:.3g} at worst), target at least "
                    f"{target:g}: {verdict(spread(ratios).median >= target)}"
                )
        rows.append(row)
    return Report(f"pipeline: pictures of {pictures} to batches", [(HEAD, rows)], notes, samples)
