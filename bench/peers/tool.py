"""How a training tool is started, disturbed and looked at from outside: Lightning as its guide uses it, or ours.

Both train a small network, on scikit-learn's digits or on a folder of pictures, each time as a process of its own, on
the CPU and in one thread. What is judged is what a scheduler sees: exit status, output, checkpoints.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from bench.child import HERE, python

EPOCHS = 6
LIMIT_S = 600.0
POLL_S = 0.0005
DIGITS = ("--model", "cnn", "--report", "none")
PICTURES = ("--model", "cnn", "--data.image_size", "32", "--model.backbone", "shufflenet_v2_x0_5",
            "--model.weights", "none", "--batch_size", "8", "--report", "none")  # fmt: skip
Verdict = tuple[int, str]
Done = subprocess.CompletedProcess[str]


class Tool:
    """A tool and its folder.

    Args:
        name: "lightning" or "ours".
        root: An empty folder of its own.

    Attributes:
        variables: Of the environment, for its processes.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.variables: dict[str, str] = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

    def either(self, lightning: str, ours: str) -> tuple[str, ...]:
        """Options of this tool, from those of both."""
        return tuple((lightning if self.name == "lightning" else ours).split())

    def words(self, *options: str, fault: str = "") -> list[str]:
        """A training on the CPU.

        Args:
            options: Those of the peer's script, or as ours calls them. With ``--data FOLDER`` it fine-tunes on
                pictures, else it learns digits.
            fault: What `bench.peers.disturbed` does to the process.
        """
        pictures = "--data" in options
        if self.name == "lightning":
            module = f"bench.peers.lightning_{'pictures' if pictures else 'example'}"
        else:
            module = "train"
            if "--resume" not in options:
                usual = ("--model.tune", "all") if pictures else ("--model.widths", "[8, 16]")
                cache = ("--data.cache_dir", str(self.root / "cache"))
                small = () if usual[0] in options else usual
                options = (*(PICTURES + cache if pictures else DIGITS), *small, *options)
            if "--device" not in options:
                options = ("--device", "cpu", *options)
        return python("-m", *(("bench.peers.disturbed", fault) if fault else ()), module, *options)

    def environment(self) -> dict[str, str]:
        """No GPU is visible; what is written for a moment only lies in the tool's own folder."""
        temporary = self.root / "temporary"
        temporary.mkdir(parents=True, exist_ok=True)
        return {**os.environ, **self.variables, "TMPDIR": str(temporary)}

    def run(self, *options: str, fault: str = "", largest: int | None = None) -> Done:
        """A training from start to end.

        Args:
            options: See `words`.
            fault: See `words`.
            largest: KiB that a file may have, as where a disk is full.
        """
        words = self.words(*options, fault=fault)
        return self.call(*([] if largest is None else limited(largest)), *words)

    def call(self, *words: str) -> Done:
        """Any command, in the project's folder."""
        return subprocess.run(
            words, capture_output=True, text=True, timeout=LIMIT_S, cwd=HERE, check=False, env=self.environment()
        )

    def start(self, *options: str, fault: str = "") -> subprocess.Popen[str]:
        """A training that goes on while it is looked at; its output and its errors come together."""
        return subprocess.Popen(
            self.words(*options, fault=fault), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE,
            env=self.environment(),
        )  # fmt: skip

    def interrupted(self, which: signal.Signals, root: Path, *options: str) -> tuple[int, str]:
        """A training that gets a signal within its third epoch: exit status and output."""
        with self.start("--root", str(root), "--epochs", str(EPOCHS), *options) as process:
            assert process.stdout is not None
            said = []
            sent = False
            # Ours reports an epoch when it ends, Lightning's scripts when it begins.
            mark = "epoch 2/" if self.name == "ours" else "epoch 3"
            for line in process.stdout:
                said.append(line)
                if not sent and line.startswith(mark):
                    process.send_signal(which)
                    sent = True
        return process.returncode, "".join(said)

    def killed_when(self, seen: Callable[[], bool], *options: str) -> int:
        """A training that is killed as soon as something is seen; its exit status."""
        process = subprocess.Popen(
            self.words(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE, env=self.environment()
        )
        while process.poll() is None and not seen():
            time.sleep(POLL_S)
        process.kill()
        return process.wait()

    def resume(
        self, checkpoint: Path, root: Path, *options: str, epochs: int = EPOCHS, largest: int | None = None
    ) -> Done:
        """Going on from a checkpoint; Lightning's scripts must be told again where and how long."""
        told = ("--root", str(root), "--epochs", str(epochs)) if self.name == "lightning" else ()
        return self.run("--resume", str(checkpoint), *told, *options, largest=largest)

    def newest(self, root: Path) -> Path | None:
        """The newest ``last.ckpt`` below a folder."""
        return max(root.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns, default=None)


def limited(largest: int) -> list[str]:
    """Words that let the command behind them write no file of more KiB."""
    return ["bash", "-c", 'ulimit -f "$0" && exec "$@"', str(largest)]


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


def refused(done: Done, *names: str) -> Verdict:
    """Where an error is due: 2 if what was said names what is wrong, in one of these words; 0 where there is none."""
    named = any(name.lower() in (done.stdout + done.stderr).lower() for name in names)
    return (1 + named if done.returncode else 0), f"exit {done.returncode}: {last_line(done.stderr)}"


Judge = Callable[[Tool], Verdict | None]


def main(cases: Mapping[str, Judge], tools: Sequence[str], description: str, together: bool = False) -> None:
    """Probe one tool and print a line of JSON: score and what was seen, by case.

    Args:
        cases: What judges each fault; None where the tool has nothing of the kind.
        tools: Names to choose from.
        description: Of the command.
        together: Whether all cases share one folder, in which the first trains.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tool", required=True, choices=tools)
    parser.add_argument("--only", help="the case that begins so, such as T2")
    options = parser.parse_args()
    # A shell ignores Ctrl-C in what it starts in the background, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    verdicts: dict[str, Verdict] = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for number, (name, judge) in enumerate(cases.items()):
            if options.only is None or name.startswith(options.only + " "):
                started = time.perf_counter()
                root = Path(folder, "all" if together else str(number))
                root.mkdir(exist_ok=True)
                verdict = judge(Tool(options.tool, root))
                if verdict is not None:
                    verdicts[name] = verdict
                said = "nothing of the kind" if verdict is None else f"{verdict[0]}, {verdict[1]}"
                seconds = time.perf_counter() - started
                print(f"{options.tool}: {name}: {said} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    print(json.dumps(verdicts))
