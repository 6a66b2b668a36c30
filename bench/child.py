"""A command measured from outside, in an environment of its own: what a user waits for, imports included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.harness import BenchError, Sample

HERE = Path(__file__).resolve().parent.parent
LAST_LINES = 15
# All a child gets to see, so that a setting of the caller's shell (PYTHONPATH, MALLOC_…) helps or hinders no side.
PASSED_ON = (
    "CUDA_VISIBLE_DEVICES", "DATA_ROOT", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "MKL_NUM_THREADS",
    "OMP_NUM_THREADS", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TORCH_HOME",
)  # fmt: skip


def fresh_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of `PASSED_ON` that are set. Args: environment, None for this process's own."""
    given = os.environ if environment is None else environment
    return {name: given[name] for name in PASSED_ON if name in given}


def run_child(command: Sequence[str], name: str) -> tuple[float, str]:
    """Run a command in the project's folder to its end.

    Args:
        command: Program and arguments.
        name: Of the side, for the error.

    Returns:
        Seconds from start to end, and what it wrote to stdout.

    Raises:
        BenchError: With exit status 1 and the command's last lines, if it does not exit 0.
    """
    started = time.perf_counter()
    done = subprocess.run(
        list(command), cwd=HERE, env=fresh_environment(), capture_output=True, text=True, check=False, errors="replace"
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise BenchError(
            f"{name} exited {done.returncode}: {' '.join(command)}\n{last_lines(done.stdout, done.stderr)}", 1
        )
    return seconds, done.stdout


def last_lines(*texts: str) -> str:
    """The last lines of what a child said."""
    lines = [line for text in texts for line in text.rstrip().splitlines()]
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def python(*arguments: str) -> list[str]:
    """Command of this interpreter."""
    return [sys.executable, *arguments]


def train(arguments: Sequence[str], name: str) -> Sample:
    """Run ``train.py`` once in a temporary root and read its ``metrics.json``.

    Args:
        arguments: For ``train.py``.
        name: Of the side, for errors.

    Returns:
        Seconds of the whole process from outside, and every number of ``metrics.json``.

    Raises:
        BenchError: With exit status 1, if it fails or leaves no ``metrics.json``.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        command = python("train.py", *arguments, "--root", root)
        seconds, said = run_child(command, name)
        folders = [line.removeprefix("run: ") for line in said.splitlines() if line.startswith("run: ")]
        path = Path(folders[-1], "metrics.json") if folders else None
        if path is None or not path.is_file():
            raise BenchError(f"{name} left no metrics.json: {' '.join(command)}\n{last_lines(said)}", 1)
        record = json.loads(path.read_text(encoding="utf-8"))
    numbers = {tag: float(value) for tag, value in record.items() if type(value) in (int, float)}
    return Sample(seconds, numbers)


def warm_train(arguments: Sequence[str], name: str) -> None:
    """Import all that a run imports, without training."""
    run_child(python("train.py", *arguments, "--print_config"), name)


def threads() -> int:
    """How many threads torch takes in a child."""
    return int(run_child(python("-c", "import torch; print(torch.get_num_threads())"), "torch")[1])


def require_recipe(recipe: str) -> None:
    """Refuse a settings file that is not there, before anything runs.

    Raises:
        BenchError: With exit status 2.
    """
    if not (HERE / recipe).is_file():
        found = ", ".join(sorted(f"models/{path.name}" for path in (HERE / "models").glob("*.yaml")))
        raise BenchError(f"there is no recipe {recipe}; there are: {found}", 2)


def require_data(*paths: str) -> Path:
    """The folder of the data sets, once every one of ``paths`` is found in it.

    Raises:
        BenchError: With exit status 2 and one line that names what is missing.
    """
    root = os.environ.get("DATA_ROOT")
    if not root:
        raise BenchError(f"DATA_ROOT is not set: it names the folder that holds {paths[0]}", 2)
    if missing := [path for path in paths if not Path(root, path).exists()]:
        raise BenchError(f"DATA_ROOT={root} lacks {', '.join(missing)}", 2)
    return Path(root).resolve()
