"""Linear regions of random networks on [-1, 1]²: ours, counting and with every polygon, beside two other ways.

* parx (PyPI), "exact enumeration of linear regions", its pure-Python method: a linear programme for each candidate, in
  any dimension and on the whole space, so ours counts on a square that holds everything. Without the package this side
  is left out: pip install parx.
* a grid: activation patterns at the points of a grid, the common way to estimate the number. It finds fewer; the table
  says how many.

Weights are N(0, 2/fan-in), biases N(0, 0.3²), numpy's generator of seed 0.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from bench.harness import BenchError, Report, Sample, Side, alternate, duration, spread
from bench.stopwatch import CLOCKS
from theory.regions.count import count_regions, regions, square
from theory.regions.network import Layer, random_network

NETWORKS = {"20×2": [20] * 2, "50×3": [50] * 3, "100×2": [100] * 2, "100×3": [100] * 3}
MILLION = {"200×11": [200] * 11}
PEER_NETWORK = ("10×2", [10] * 2)
WHOLE_PLANE = 1e7
COUNT_TARGET, POLYGON_TARGET, MILLION_TARGET = 2e-6, 10e-6, 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--million", action="store_true", help="also a network of about a million regions")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="wall (default), or cpu: time of this process alone, for a machine that is not idle, with one thread",
    )
    parser.add_argument("--grid", type=int, default=1000, help="points along a side of the grid (default 1000)")


def check(options: argparse.Namespace) -> None:
    """The grid is one.

    Raises:
        BenchError: With exit status 2.
    """
    if options.grid < 2:
        raise BenchError(f"--grid must be at least 2, got {options.grid}", 2)


def timed(work: Callable[[], dict[str, float]], clock: Callable[[], float]) -> Callable[[int], Sample]:
    """A side that runs ``work`` in this process and keeps the figures it gives."""

    def run(_: int) -> Sample:
        started = clock()
        figures = work()
        return Sample(clock() - started, figures)

    return run


def count_side(layers: list[Layer], half_width: float = 1.0) -> dict[str, float]:
    """Ours, the number only."""
    return {"regions": float(count_regions(layers, square(half_width)))}


def polygon_side(layers: list[Layer]) -> dict[str, float]:
    """Ours, every polygon."""
    found = regions(layers, square(1.0))
    return {"regions": float(len(found)), "area": float(found.areas().sum())}


def grid_side(layers: list[Layer], side: int) -> dict[str, float]:
    """Different activation patterns at the points of a grid."""
    axis = np.linspace(-1, 1, side)
    found: set[bytes] = set()
    for row in axis:
        hidden = np.stack([axis, np.full(side, row)], 1)
        bits = []
        for layer in layers:
            hidden = hidden @ layer.weight.T + layer.bias
            bits.append(hidden > 0)
            hidden = np.maximum(hidden, 0)
        packed = np.packbits(np.concatenate(bits, 1), axis=1)
        found.update(pattern.tobytes() for pattern in packed)
    return {"regions": float(len(found))}


def load_peer() -> Any:
    """The pure-Python method of parx, or None without the package; the package itself asks for Julia when imported."""
    try:
        with mock.patch.object(shutil, "which", return_value=sys.executable):
            return importlib.import_module("parx.methods.exact_python").find
    except ImportError:
        return None


def run(options: argparse.Namespace) -> Report:
    """Runs all sides of every network."""
    rows: list[list[str]] = []
    notes: list[str] = []
    raw: dict[str, list[Sample]] = {}

    def measure(name: str, works: dict[str, Callable[[], dict[str, float]]], repeats: int) -> dict[str, Sample]:
        sides = [
            Side(f"{name}, {what}", timed(work, CLOCKS[options.clock]), repeats, work) for what, work in works.items()
        ]
        samples = alternate(sides, options.warmup)
        raw.update(samples)
        best = {}
        for (what, _), side in zip(works.items(), sides, strict=True):
            taken = samples[side.name]
            middle, found = spread([sample.seconds for sample in taken]).median, taken[0].figures["regions"]
            rows.append([side.name, f"{found:,.0f}", duration(middle), f"{1e6 * middle / found:.2f}"])
            best[what] = Sample(middle, taken[0].figures)
        return best

    networks = {**NETWORKS, **(MILLION if options.million else {})}
    for name, widths in networks.items():
        layers = random_network(widths)
        large = name in MILLION
        works = {"count": lambda net=layers: count_side(net), "polygons": lambda net=layers: polygon_side(net)}
        found = measure(name, works, 1 if large else options.repeats)  # type: ignore[arg-type]
        counts = {what: sample.figures["regions"] for what, sample in found.items()}
        same = counts["count"] == counts["polygons"] and abs(found["polygons"].figures["area"] - 4) < 4e-9
        notes.append(f"{name}: both counts {'are equal and the polygons fill the square' if same else 'DIFFER'}")
        if large:
            seconds = found["count"].seconds
            notes.append(
                f"{name}: {counts['count']:,.0f} regions in {seconds:.1f} s, target 10⁶ in {MILLION_TARGET:g} s"
            )
        elif name == "100×3":
            for what, target in (("count", COUNT_TARGET), ("polygons", POLYGON_TARGET)):
                each = found[what].seconds / counts[what]
                met = "met" if each <= target else "missed"
                notes.append(f"{name}, {what}: {1e6 * each:.2f} µs a region, target ≤ {1e6 * target:g}: {met}")
            grid = measure(name, {f"grid of {options.grid}²": lambda net=layers: grid_side(net, options.grid)}, 1)  # type: ignore[misc]
            sample = next(iter(grid.values()))
            share = sample.figures["regions"] / counts["count"]
            notes.append(
                f"{name}: the grid finds {share:.1%} of the regions in {sample.seconds / found['count'].seconds:,.0f} "
                "times the time"
            )
    peer, (name, widths) = load_peer(), PEER_NETWORK
    if peer is None:
        notes.append("parx is not installed: no other exact enumeration was run (pip install parx)")
    else:
        layers = random_network(widths)
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        ours = measure(f"{name}, whole plane", {"count": lambda: count_side(layers, WHOLE_PLANE)}, options.repeats)
        work = lambda: {"regions": float(len(peer(weights, biases, np.zeros((1, 2))).patterns))}
        theirs = measure(f"{name}, whole plane", {"parx exact_python": work}, 1)
        mine, other = ours["count"], theirs["parx exact_python"]
        equal = "equal" if mine.figures["regions"] == other.figures["regions"] else "DIFFERENT"
        notes.append(f"{name}: {equal} counts, parx takes {other.seconds / mine.seconds:,.0f} times the time")
    head = ("network and way", "regions", "median", "µs a region")
    return Report("regions: random ReLU networks of two inputs", [(head, rows)], notes, raw)
