"""A training step of a network with depthwise convolutions on a CPU: float32, bfloat16, and bfloat16 as we train in it.

The third computes the gradients of depthwise convolutions in float32 (`models.finetune.depthwise`). All three take the
same step of the same network, at random, on the same pictures, in one process and in turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext

from bench.harness import SECONDS_HEAD, BenchError, Report, Sample, Side, alternate, paired_ratios, seconds_row

SIDES = ("float32", "bfloat16", "bfloat16, depthwise gradients in float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--backbone", default="efficientnet_lite0", help="of torchvision or timm/NAME (default Lite0)")
    parser.add_argument("--batch_size", type=int, default=32, help="pictures a step (default 32)")
    parser.add_argument("--image_size", type=int, default=288, help="side of the pictures in pixels (default 288)")


def check(options: argparse.Namespace) -> None:
    """There is such a network, and the numbers make sense.

    Raises:
        BenchError: With exit status 2.
    """
    from models.finetune.early import check_names

    for name in ("batch_size", "image_size"):
        if getattr(options, name) < 1:
            raise BenchError(f"--{name} must be at least 1, got {getattr(options, name)}", 2)
    try:
        check_names(options.backbone, "none")
    except ValueError as error:
        raise BenchError(f"--backbone: {error}", 2) from error


def steps(options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """One step of each side: forward, loss, gradients."""
    import torch
    import torch.nn.functional as F

    from models.finetune.backbones import build_backbone
    from models.finetune.depthwise import float32_depthwise
    from models.finetune.freezing import fix_statistics

    torch.manual_seed(0)
    network = build_backbone(options.backbone, 2, weights="none").to(memory_format=torch.channels_last).train()
    fix_statistics(network)
    x = torch.randn(options.batch_size, 3, options.image_size, options.image_size)
    x, labels = x.contiguous(memory_format=torch.channels_last), torch.arange(options.batch_size) % 2

    def step(mixed: bool, fast: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed), float32_depthwise("cpu") if fast else nullcontext():
            loss = F.cross_entropy(network(x).float(), labels)
        loss.backward()
        network.zero_grad()

    kinds = ((False, False), (True, False), (True, True))
    return {side: lambda kind=kind: step(*kind) for side, kind in zip(SIDES, kinds, strict=True)}  # type: ignore[misc]


def run(options: argparse.Namespace) -> Report:
    """Runs the three in turn."""
    work = steps(options)

    def once(side: str) -> Sample:
        started = time.perf_counter()
        work[side]()
        return Sample(time.perf_counter() - started)

    sides = [Side(side, lambda _, side=side: once(side), options.repeats, work[side]) for side in SIDES]  # type: ignore[misc]
    samples = alternate(sides, options.warmup)
    seconds = {side: [sample.seconds for sample in found] for side, found in samples.items()}
    ours = seconds[SIDES[2]]
    rows = [seconds_row(side, seconds[side], paired_ratios(seconds[side], ours)) for side in SIDES]
    what = f"{options.backbone}, {options.batch_size} pictures of {options.image_size}×{options.image_size}"
    return Report(f"depthwise: a step of {what}", [(SECONDS_HEAD, rows)], ["ratio  to the last line"], samples)
