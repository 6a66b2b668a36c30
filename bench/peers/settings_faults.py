"""Faults of what a training is told: another network, a checkpoint that is none, words that do not exist.

Judged as in `bench.peers.training_faults`. Each is the user's, so that an error that names it is all that can be had.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable

from bench.child import HERE, python
from bench.peers.tool import Judge, Tool, Verdict, last_line, refused

OTHER_WIDTH = {"lightning": ("--width", "8"), "ours": ("--model.widths", "[4, 8]")}
OLD = HERE / "tests" / "faults" / "old"  # a run of 2026-11-21: two epochs of digits
COMMAND, NETWORK = "bench.peers.lightning_command", "bench.peers.lightning_example.Classifier"


def other_shape(tool: Tool) -> Verdict:
    """Going on from a checkpoint with another width of the network."""
    tool.run("--root", str(tool.root), "--epochs", "1")
    kept = tool.newest(tool.root)
    if kept is None:
        return 1, "nothing kept"
    done = tool.resume(kept, tool.root, *OTHER_WIDTH[tool.name])
    return refused(done, "width", "size mismatch")


def no_gpu(tool: Tool) -> Verdict:
    """A GPU is asked for where there is none."""
    done = tool.run("--root", str(tool.root), "--epochs", "1", "--device", "cuda")
    named = any(word in last_line(done.stderr).lower() for word in ("gpu", "cuda"))
    return (1 + named if done.returncode else 0), f"exit {done.returncode}: {last_line(done.stderr)}"


def damaged(tool: Tool) -> Verdict:
    """Going on from a checkpoint of which half is missing."""
    tool.run("--root", str(tool.root), "--epochs", "1")
    kept = tool.newest(tool.root)
    if kept is None:
        return 1, "nothing kept"
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    done = tool.resume(kept, tool.root)
    return refused(done, kept.name)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def malicious(tool: Tool) -> Verdict:
    """Going on from a checkpoint that runs a command when it is unpickled."""
    trace, file = tool.root / "ran", tool.root / "evil.ckpt"
    file.write_bytes(pickle.dumps(Evil(f"touch {trace}")))
    done = tool.resume(file, tool.root)
    if trace.exists():
        return 0, "the command was run"
    return refused(done, file.name)


def mistyped(tool: Tool) -> Verdict:
    """A model that does not exist, an option with two letters exchanged, a word for numbers in a settings file."""
    wrong = tool.root / "wrong.yaml"
    if tool.name == "lightning":
        wrong.write_text(f"model:\n  class_path: {NETWORK}\n  init_args:\n    width: wide\n")
        known, file = ("--model", NETWORK), "--config"
        begin = ["-m", COMMAND, "fit", "--trainer.default_root_dir", str(tool.root), "--trainer.max_epochs", "1"]
    else:
        wrong.write_text("model:\n  name: cnn\n  widths: wide\n")
        known, file = ("--model", "cnn"), "-c"
        begin = ["-m", "train", "--root", str(tool.root), "--epochs", "1", "--device", "cpu"]
    wrongs = {"cnm": ("--model", "cnm"), "witdh": (*known, "--model.witdh", "3"), "wide": (file, str(wrong))}
    return min(refused(tool.call(*python(*begin, *words)), name) for name, words in wrongs.items())


def earlier(tool: Tool) -> Verdict | None:
    """Going on from a checkpoint of ours of the first day; of another tool an older version would be needed."""
    if tool.name != "ours":
        return None
    run = tool.root / "run"
    shutil.copytree(OLD, run)
    done = tool.resume(run, tool.root, "--epochs", "3")
    return (1 if done.returncode else 3), f"exit {done.returncode}: {last_line(done.stderr or 'resumes')}"


CASES: dict[str, Judge] = {
    "T14 resuming with another width": other_shape,
    "T15 half a checkpoint": damaged,
    "T16 a malicious checkpoint": malicious,
    "T17 a checkpoint of an old version": earlier,
    "T19 words that do not exist": mistyped,
    "T20 a GPU that is not there": no_gpu,
}
