"""Faults of fine-tuning on a folder of pictures: a worker that dies, a file that cannot be read, a full memory.

Judged as in `bench.peers.training_faults`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.peers.tool import Judge, Tool, Verdict, distance, last_line, refused

UNREADABLE = Path("/proc/self/mem")  # a regular file whose first byte cannot be read: Input/output error
CLOSE = 1e-3  # sums in another order
COUNTS = {"train": (12, 8), "val": (6, 6)}


def pictures(tool: Tool) -> Path:
    """A folder of bluish and reddish noise, 20 pictures to train on and 12 to validate."""
    root, generator = tool.root / "pictures", np.random.default_rng(0)
    for part, counts in COUNTS.items():
        for name, channel, count in zip(("blue", "red"), (2, 0), counts, strict=True):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 160, (32, 32, 3))
                pixels[..., channel] += 90
                Image.fromarray(pixels.astype("uint8")).save(root / part / name / f"{index}.png")
    return root


def dead_worker(tool: Tool) -> Verdict | None:
    """A process of the loader is killed; ours decodes in threads, which cannot be killed alone."""
    if tool.name == "ours":
        return None
    done = tool.run("--data", str(pictures(tool)), "--root", str(tool.root), "--epochs", "2", "--mortal")
    return refused(done, "killed by signal")


def unreadable(tool: Tool) -> Verdict | None:
    """One file answers with an error of the disk; it should be named, and left out."""
    if not UNREADABLE.exists():
        return None
    folder = pictures(tool)
    (folder / "train" / "blue" / "bad.png").symlink_to(UNREADABLE)
    done = tool.run("--data", str(folder), "--root", str(tool.root), "--epochs", "2")
    named = "bad.png" in done.stderr
    if done.returncode:
        return 1 + named, f"exit {done.returncode}: {last_line(done.stderr)}"
    return (3, "named and left out") if named else (0, "exit 0 without a word")


def no_memory(tool: Tool) -> Verdict:
    """The second step finds no memory, once: in smaller parts the batch fits, and teaches the same."""
    plain = () if tool.name == "lightning" else ("--model.norm", "fixed", "--data.aug", "none")
    options = ("--data", str(pictures(tool)), "--epochs", "2", *plain)
    whole, cut = tool.root / "whole", tool.root / "cut"
    done = tool.run(*options, "--root", str(cut), fault="memory")
    if done.returncode:
        return refused(done, "out of memory")
    tool.run(*options, "--root", str(whole))
    due, found = tool.newest(whole), tool.newest(cut)
    if due is None or found is None:
        return 1, "nothing kept"
    away, told = distance(due, found), " parts" in done.stderr
    return (3 if told and away < CLOSE else 0), f"{'said so; ' if told else ''}weights {away:.2g} away"


CASES: dict[str, Judge] = {
    "T8 a worker of the loader is killed": dead_worker,
    "T9 a file that cannot be read": unreadable,
    "T11 out of memory while fine-tuning": no_memory,
}
