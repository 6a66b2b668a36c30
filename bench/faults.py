"""What tools make of faults: torchvision's and timm's folder loaders, Lightning as its guide uses it, and ours.

Nothing is timed. Each tool gets the same broken folders, is disturbed in the same way while it trains, or is asked
afterwards for predictions and curves, and is judged by the same rule (`bench.peers.folder_faults`,
`bench.peers.training_faults`):

    0 silently wrong    1 unclear error    2 clear error    3 recovers

Where an error is the right answer, 2 is full marks: D2, D16, D19, T1, T5, T7, T14 to T16, T18 to T20. A tool that has
nothing of the kind is not asked: it has no cell.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.child import python, run_child
from bench.harness import BenchError, Report, Sample

HEAD = ("fault", "tool", "score", "what was seen")
TOOLS = ("ours", "torchvision", "timm", "lightning")
# By part: modules of bench.peers, and the tools that each can probe.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "folders": {"folder_faults": ("ours", "torchvision", "timm")},
    "training": {"training_faults": ("ours", "lightning"), "weights_faults": ("ours", "torchvision", "timm")},
    "after": {"predict_faults": ("ours", "timm", "lightning"), "board_faults": ("ours", "lightning")},
}
KINDS = "DPBT"  # folders, predictions, TensorBoard, training
ERROR_IS_RIGHT = {"D2", "D16", "D19", "T1", "T5", "T7", "T14", "T15", "T16", "T18", "T19", "T20"}
Seen = dict[str, dict[str, tuple[int, str]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this comparison."""
    parser.add_argument("--figure", type=Path, metavar="FILE", help="also draw the matrix, as PNG")
    parser.add_argument("--only", choices=PARTS, help="one part (default all)")
    parser.set_defaults(repeats=1, warmup=0)


def check(options: argparse.Namespace) -> None:
    """The figure has a place, and nothing is asked for that is not done.

    Raises:
        BenchError: With exit status 2.
    """
    if (options.repeats, options.warmup) != (1, 0):
        raise BenchError("--repeats and --warmup make no sense here: every fault is provoked once", 2)
    if options.figure and not options.figure.resolve().parent.is_dir():
        raise BenchError(f"--figure {options.figure}: there is no folder {options.figure.parent}", 2)


def probe(module: str, tool: str) -> dict[str, tuple[int, str]]:
    """Score and what was seen, by fault.

    Raises:
        BenchError: If the probe itself fails.
    """
    print(f"{module}: {tool}", flush=True)
    _, said = run_child(python("-m", f"bench.peers.{module}", "--tool", tool), tool)
    try:
        return {fault: (int(score), str(seen)) for fault, (score, seen) in json.loads(said.splitlines()[-1]).items()}
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise BenchError(f"{module} of {tool} told of no result: {error}", 1) from error


def place(fault: str) -> tuple[int, int]:
    """Where a fault stands in the table: its kind, then its number. Args: fault, such as "T2 SIGTERM"."""
    number = fault.split()[0]
    return KINDS.index(number[0]), int(number[1:])


def run(options: argparse.Namespace) -> Report:
    """Probes every tool."""
    found: Seen = {}
    for part, modules in PARTS.items():
        if options.only in (None, part):
            for module, tools in modules.items():
                for tool in tools:
                    for fault, verdict in probe(module, tool).items():
                        found.setdefault(fault, {})[tool] = verdict
    seen = {fault: found[fault] for fault in sorted(found, key=place)}
    if options.figure:
        from dashboard import style
        from dashboard.faults import faults_figure

        scores = {fault: {tool: score for tool, (score, _) in row.items()} for fault, row in seen.items()}
        tools_seen = [tool for tool in TOOLS if any(tool in row for row in seen.values())]
        starred = [fault for fault in seen if fault.split()[0] in ERROR_IS_RIGHT]
        style.save(faults_figure(scores, tools_seen, starred), options.figure)
    return report(seen)


def report(seen: Seen) -> Report:
    """Table and sums. Args: seen, score and what was seen by fault and tool."""
    rows = []
    for fault, row in seen.items():
        for position, (tool, (score, what)) in enumerate(row.items()):
            rows.append(["" if position else fault, tool, str(score), what])
    notes = []
    for tool in TOOLS:
        scores = {fault.split()[0]: row[tool][0] for fault, row in seen.items() if tool in row}
        if scores:
            full = sum(score >= (2 if fault in ERROR_IS_RIGHT else 3) for fault, score in scores.items())
            silent = sum(score == 0 for score in scores.values())
            notes.append(f"{tool:<12} full marks in {full} of {len(scores)} faults, silently wrong in {silent}")
    samples = {
        tool: [Sample(0.0, {fault: float(row[tool][0]) for fault, row in seen.items() if tool in row})]
        for tool in TOOLS
        if any(tool in row for row in seen.values())
    }
    return Report("faults: the same faults, several tools", [(HEAD, rows)], notes, samples)
