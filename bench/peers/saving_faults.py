"""Faults of what a training keeps: killed while it saves, no room on the disk, two runs at once, nothing ever better.

Judged as in `bench.peers.training_faults`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bench.peers.tool import Judge, Tool, Verdict, last_line, refused

MIB = 1 << 20
ATTEMPTS = 3


def half_written(root: Path) -> list[Path]:
    """Files of a megabyte or more that are no checkpoints yet, once there is a checkpoint."""
    if not any(root.rglob("last.ckpt")):
        return []
    found = []
    for path in root.rglob("*"):
        try:
            if path.suffix != ".ckpt" and path.is_file() and path.stat().st_size >= MIB:
                found.append(path)
        except FileNotFoundError:  # renamed in between
            continue
    return found


def killed_saving(tool: Tool) -> Verdict:
    """SIGKILL while a checkpoint of some megabytes is being written; the one before it, or the new one, must load."""
    wide = tool.either("--width 512 --pause 0 --batches 1", "--model.widths [512,512] --trainer.limit_train_batches 1")
    for attempt in range(ATTEMPTS):
        root = tool.root / str(attempt)
        status = tool.killed_when(
            lambda: bool(half_written(tool.root)), "--root", str(root), "--epochs", "8", "--batch_size", "8", *wide
        )
        if status < 0 and half_written(tool.root):
            break
    else:
        return 1, "it could not be caught while saving"
    kept = tool.newest(root)
    if kept is None:
        return 1, "killed while saving; nothing kept"
    more = () if tool.name == "ours" else (*wide, "--batch_size", "8")
    done = tool.resume(kept, root, *more, epochs=8)
    if done.returncode:
        return 1, f"resuming: exit {done.returncode}: {last_line(done.stderr)}"
    litter = sum(path.stat().st_size for path in half_written(tool.root)) / MIB
    return 3, "resumes" + (f"; {litter:.0f} MiB are left in the temporary folder" if litter else "; nothing is left")


def full_saving(tool: Tool) -> Verdict:
    """The disk is full when a run goes on and saves again; what it had must stay whole."""
    wide = tool.either("--width 64 --pause 0", "--model.widths [64,128]")
    tool.run("--root", str(tool.root), "--epochs", "1", *wide)
    kept = tool.newest(tool.root)
    if kept is None:
        return 1, "nothing kept"
    before = kept.read_bytes()
    more = wide if tool.name == "lightning" else ("--epochs", "2")
    done = tool.resume(kept, tool.root, *more, epochs=2, largest=len(before) // 2048)
    if not kept.is_file() or kept.read_bytes() != before:
        return 0, f"exit {done.returncode}, and the checkpoint before it is gone"
    return refused(done, "disk is full", "file too large", "no space")


def full_logging(tool: Tool) -> Verdict:
    """There is room for checkpoints but not for the log, which is written at each step."""
    small = tool.either("--width 2 --pause 0 --log_every 1", "--model.widths [2,2] --trainer.log_every_n_steps 1")
    done = tool.run("--root", str(tool.root), "--epochs", "30", *small, largest=32)
    if done.returncode:
        return refused(done, "file too large", "no space")
    said = "cannot log" in done.stderr or "file too large" in done.stderr.lower()
    return (3, "trains on, and says that the log ends") if said else (0, "the log ends without a word")


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


def same_moment(tool: Tool) -> Verdict:
    """The same command twice at the same moment: each run should have a folder of its own."""
    place, root = tool.root / "meeting", tool.root / "runs"
    place.mkdir()
    runs = [tool.start("--root", str(root), "--epochs", "1", fault=f"meeting={place}") for _ in range(2)]
    said = [run.communicate(timeout=600)[0] for run in runs]
    if failed := [last_line(text) for run, text in zip(runs, said, strict=True) if run.returncode]:
        cause = next((line for line in failed if "nobody else came" not in line), failed[0])
        return 1, f"exit {runs[0].returncode} and {runs[1].returncode}: {cause}"
    folders = {path.parent.parent for path in root.rglob("last*.ckpt")}
    return (3 if len(folders) == 2 else 0), f"two runs in {len(folders)} folder{'s' * (len(folders) > 1)}"


def never_better(tool: Tool) -> Verdict:
    """The validation gets worse from epoch to epoch: the last state must be the newest, the best that of epoch 1."""
    more = tool.either("--monitor --pause 0", "")
    done = tool.run("--root", str(tool.root), "--epochs", "4", *more, fault="worse")
    last = tool.newest(tool.root)
    best = next((path for path in tool.root.rglob("*.ckpt") if not path.name.startswith("last")), None)
    if done.returncode or last is None or best is None:
        return 1, f"exit {done.returncode}: {last_line(done.stderr)}"
    epochs = [torch.load(path, weights_only=True, map_location="cpu")["epoch"] + 1 for path in (last, best)]
    return (3 if epochs == [4, 1] else 0), f"the last checkpoint is of epoch {epochs[0]}, the best of epoch {epochs[1]}"


CASES: dict[str, Judge] = {
    "T4 SIGKILL while saving": killed_saving,
    "T5 no room for a checkpoint": full_saving,
    "T6 no room for the log": full_logging,
    "T7 runs cannot be kept": no_folder,
    "T21 two runs at the same moment": same_moment,
    "T23 a metric that never improves": never_better,
}
