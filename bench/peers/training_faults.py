"""Faults while training: Lightning as its guide uses it, and our front door, each as a process of its own.

python -m bench.peers.training_faults --tool lightning

Both train a small network for a few epochs, are disturbed in the same way, and are judged from outside by exit status,
output and checkpoints, as a scheduler would (`bench.peers.tool`):

    0  silently wrong: it ends as if all were well, or goes on from a checkpoint to other weights
    1  an error whose cause is not named, or work is lost
    2  a clear error that names the cause
    3  recovers, and the weights are those of an undisturbed run

Here are the faults of the course of a training; those of saving, of pictures and of settings have files of their own.
One line of JSON is printed: a score and what was seen, by case.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import torch

from bench.peers import picture_faults, saving_faults, settings_faults
from bench.peers.picture_faults import pictures
from bench.peers.tool import EPOCHS, Judge, Tool, Verdict, distance, last_line, main, weights


def diverging(tool: Tool) -> Verdict:
    """The rate is 1000, so that the first steps leave the range of numbers."""
    done = tool.run("--root", str(tool.root), "--epochs", "3", "--lr", "1000")
    kept = tool.newest(tool.root)
    finite = kept is None or all(bool(value.isfinite().all()) for value in weights(kept))
    if done.returncode == 0 or not finite:
        return 0, f"exit {done.returncode}" + ("" if finite else ", checkpoint not finite")
    clear = any(word in done.stderr.lower() for word in ("finite", "nan", "diverge"))
    return 1 + clear, f"exit {done.returncode}: {last_line(done.stderr)}"


def stopped(which: signal.Signals, options: Callable[[Tool], Sequence[str]] = lambda _: ()) -> Judge:
    """A signal within the third epoch; then it goes on, and should end where an undisturbed run ends.

    Args:
        which: The signal; after SIGKILL the last state kept is that of an epoch's end.
        options: Further ones of a tool.
    """
    due_status = -which if which == signal.SIGKILL else 128 + which

    def judge(tool: Tool) -> Verdict:
        more, cut = options(tool), tool.root / "cut"
        whole = tool.root.parent / ("undisturbed-pictures" if more else "undisturbed")  # made once for all cases
        if not whole.exists() and tool.run("--root", str(whole), "--epochs", str(EPOCHS), *more).returncode != 0:
            return 1, "an undisturbed run fails"
        status, _ = tool.interrupted(which, cut, *more)
        kept = tool.newest(cut)
        if kept is None:
            return 1 if status else 0, f"exit {status}, nothing kept"
        done = tool.resume(kept, cut, *(more if tool.name == "lightning" else ()))
        due, found = tool.newest(whole), tool.newest(cut)
        if done.returncode != 0 or due is None or found is None:
            return 1, f"exit {status}; resuming: exit {done.returncode}: {last_line(done.stderr)}"
        away = distance(due, found)
        told = 3 if status == due_status else 1
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


def unfreezing(tool: Tool) -> Sequence[str]:
    """Fine-tuning whose backbone is set free after an epoch.

    Lightning's loader does not shuffle here, so that only the unfreezing counts.
    """
    folder = pictures(tool)
    milestones = ("--model.freeze_epochs", "1", "--model.unfreeze_milestones", "[1, 2]")
    return ("--data", str(folder), *(("--in_order",) if tool.name == "lightning" else milestones))


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


CASES: dict[str, Judge] = {
    "T1 a loss that is not finite": diverging,
    "T2 SIGTERM within an epoch": stopped(signal.SIGTERM),
    "T3 Ctrl-C within an epoch": stopped(signal.SIGINT),
    "T10 fewer samples than a batch": no_batch,
    "T12 SIGKILL within an epoch": stopped(signal.SIGKILL),
    "T13 SIGKILL after unfreezing": stopped(signal.SIGKILL, unfreezing),
    "T22 the same command twice": twice,
    **saving_faults.CASES,
    **picture_faults.CASES,
    **settings_faults.CASES,
}

if __name__ == "__main__":
    main(CASES, ("ours", "lightning"), "Faults while training.")
