"""Faults while training: Lightning as its guide uses it, and our front door, each as a process of its own.

python -m bench.peers.training_faults --tool lightning

Both train a small network on scikit-learn's digits for a few epochs, are disturbed in the same way, and are judged from
outside by exit status, output and checkpoints, as a scheduler would:

    0  silently wrong: it ends as if all were well, or goes on from a checkpoint to other weights
    1  an error whose cause is not named, or work is lost
    2  a clear error that names the cause
    3  recovers, and the weights are those of an undisturbed run

One line of JSON is printed: a score and what was seen, by case.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from bench.child import HERE, python

EPOCHS = 6
LIMIT_S = 600.0
OTHER_WIDTH = {"lightning": ("--width", "8"), "ours": ("--model.widths", "[4, 8]")}
Verdict = tuple[int, str]


class Tool:
    """How a tool is started, and where its checkpoints are.

    Args:
        name: "lightning" or "ours".
        root: An empty folder of its own.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root

    def words(self, *options: str) -> list[str]:
        """A training on the CPU; options are those of `bench.peers.lightning_example`, or as ours calls them."""
        if self.name == "lightning":
            return python("-m", "bench.peers.lightning_example", *options)
        small = () if "--resume" in options else ("--model", "cnn", "--model.widths", "[8, 16]", "--report", "none")
        device = () if "--device" in options else ("--device", "cpu")
        return python(str(HERE / "train.py"), *small, *device, *options)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """A training from start to end; no GPU is visible to it."""
        blind = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run(
            self.words(*options), capture_output=True, text=True, timeout=LIMIT_S, cwd=HERE, check=False, env=blind
        )

    def interrupted(self, which: signal.Signals, root: Path) -> tuple[int, str]:
        """A training that gets a signal within its third epoch: exit status and output."""
        words = self.words("--root", str(root), "--epochs", str(EPOCHS))
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE) as process:
            assert process.stdout is not None
            said = []
            sent = False
            # Ours reports an epoch when it ends, Lightning's script when it begins.
            mark = "epoch 2/" if self.name == "ours" else "epoch 3"
            for line in process.stdout:
                said.append(line)
                if not sent and line.startswith(mark):
                    process.send_signal(which)
                    sent = True
        return process.returncode, "".join(said)

    def resume(self, checkpoint: Path, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Going on from a checkpoint; Lightning's script must be told again where and how long."""
        told = ("--root", str(root), "--epochs", str(EPOCHS)) if self.name == "lightning" else ()
        return self.run("--resume", str(checkpoint), *told, *options)

    def newest(self, root: Path) -> Path | None:
        """The newest ``last.ckpt`` below a folder."""
        return max(root.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns, default=None)


def weights(path: Path) -> list[torch.Tensor]:
    """Floating-point weights of a checkpoint."""
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    return [value for value in state.values() if value.is_floating_point()]


def distance(first: Path, second: Path) -> float:
    """Largest difference between the weights of two checkpoints."""
    return max(float((a - b).abs().max()) for a, b in zip(weights(first), weights(second), strict=True))


def last_line(text: str) -> str:
    """What a process said last, shortened."""
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["nothing"])[-1][:90]


def diverging(tool: Tool) -> Verdict:
    """The rate is 1000, so that the first steps leave the range of numbers."""
    done = tool.run("--root", str(tool.root), "--epochs", "3", "--lr", "1000")
    kept = tool.newest(tool.root)
    finite = kept is None or all(bool(value.isfinite().all()) for value in weights(kept))
    if done.returncode == 0 or not finite:
        return 0, f"exit {done.returncode}" + ("" if finite else ", checkpoint not finite")
    clear = any(word in done.stderr.lower() for word in ("finite", "nan", "diverge"))
    return 1 + clear, f"exit {done.returncode}: {last_line(done.stderr)}"


def stopped(which: signal.Signals) -> Callable[[Tool], Verdict]:
    """A signal within the third epoch; then it goes on, and should end where an undisturbed run ends."""

    def judge(tool: Tool) -> Verdict:
        whole, cut = tool.root / "whole", tool.root / "cut"
        if tool.run("--root", str(whole), "--epochs", str(EPOCHS)).returncode != 0:
            return 1, "an undisturbed run fails"
        status, _ = tool.interrupted(which, cut)
        kept = tool.newest(cut)
        if kept is None:
            return 1 if status else 0, f"exit {status}, nothing kept"
        done = tool.resume(kept, cut)
        due, found = tool.newest(whole), tool.newest(cut)
        if done.returncode != 0 or due is None or found is None:
            return 1, f"exit {status}; resuming: exit {done.returncode}: {last_line(done.stderr)}"
        away = distance(due, found)
        told = 3 if status == 128 + which else 1
        return (0 if away else told), f"exit {status}; weights after resuming {away:.2g} away"

    return judge


def no_batch(tool: Tool) -> Verdict:
    """Fewer samples than a batch holds."""
    done = tool.run("--root", str(tool.root), "--epochs", "2", "--batch_size", "5000")
    kept = tool.newest(tool.root)
    if done.returncode != 0:
        return 1 + ("batch" in done.stderr), f"exit {done.returncode}: {last_line(done.stderr)}"
    trained = kept is not None and torch.load(kept, weights_only=True, map_location="cpu")["global_step"] > 0
    return (3, "trains with what there is") if trained else (0, "exit 0 after no step at all")


def no_folder(tool: Tool) -> Verdict:
    """Runs cannot be kept: the folder for them is a file."""
    file = tool.root / "file"
    file.write_text("")
    done = tool.run("--root", str(file / "runs"), "--epochs", "2")
    if done.returncode == 0:
        return 0, "exit 0"
    late = any(line.startswith("epoch") for line in done.stdout.splitlines())
    return (
        1 if late else 2
    ), f"exit {done.returncode} {'after' if late else 'before'} training: {last_line(done.stderr)}"


def other_shape(tool: Tool) -> Verdict:
    """Going on from a checkpoint with another width of the network."""
    tool.run("--root", str(tool.root), "--epochs", "1")
    kept = tool.newest(tool.root)
    if kept is None:
        return 1, "nothing kept"
    done = tool.resume(kept, tool.root, *OTHER_WIDTH[tool.name])
    named = any(word in done.stderr for word in ("width", "size mismatch"))
    return (1 + named if done.returncode else 0), f"exit {done.returncode}: {last_line(done.stderr)}"


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
    named = kept.name in done.stderr
    return (1 + named if done.returncode else 0), f"exit {done.returncode}: {last_line(done.stderr)}"


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
    named = file.name in done.stderr
    return (1 + named if done.returncode else 0), f"exit {done.returncode}: {last_line(done.stderr)}"


def twice(tool: Tool) -> Verdict:
    """The same command and seed, twice."""
    found = []
    for name in ("first", "second"):
        tool.run("--root", str(tool.root / name), "--epochs", "2")
        found.append(tool.newest(tool.root / name))
    if found[0] is None or found[1] is None:
        return 1, "nothing kept"
    away = distance(found[0], found[1])
    return (0 if away else 3), f"weights {away:.2g} away"


CASES: dict[str, Callable[[Tool], Verdict]] = {
    "T1 the loss leaves the range of numbers": diverging,
    "T2 SIGTERM within an epoch": stopped(signal.SIGTERM),
    "T3 Ctrl-C within an epoch": stopped(signal.SIGINT),
    "T7 runs cannot be kept": no_folder,
    "T10 fewer samples than a batch": no_batch,
    "T14 resuming with another width": other_shape,
    "T15 half a checkpoint": damaged,
    "T16 a malicious checkpoint": malicious,
    "T20 a GPU that is not there": no_gpu,
    "T22 the same command twice": twice,
}


def main() -> None:
    """Probe one tool."""
    parser = argparse.ArgumentParser(description="Faults while training.")
    parser.add_argument("--tool", required=True, choices=("ours", "lightning"))
    parser.add_argument("--only", help="the case that begins so, such as T2")
    options = parser.parse_args()
    # A shell ignores Ctrl-C in what it starts in the background, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    verdicts: dict[str, Verdict] = {}
    for name, judge in CASES.items():
        if options.only is None or name.startswith(options.only + " "):
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                verdicts[name] = judge(Tool(options.tool, Path(folder)))
            print(f"{options.tool}: {name}: {verdicts[name][0]}, {verdicts[name][1]}", file=sys.stderr, flush=True)
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main()
