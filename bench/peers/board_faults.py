"""Faults of what TensorBoard is given: a log that is cut off or corrupt, two models in one folder.

python -m bench.peers.board_faults --tool lightning

TensorBoard is started over the folder and asked through its JSON API. The rule: 3 where it shows all that can be shown,
0 where it shows something else or less without a word, 1 where it shows nothing.
"""

from __future__ import annotations

import time
from typing import Any

from bench.child import python
from bench.peers.picture_faults import pictures
from bench.peers.tool import Judge, Tool, Verdict, last_line, main
from dashboard.server import Client, ServerError, tensorboard

KEPT = 0.6
SETTLED_S, DEADLINE_S, POLL_S = 3.0, 60.0, 0.3
STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
Points = list[tuple[str, int, float]]


def settled(ask: Any) -> Any:
    """What TensorBoard answers once it has read everything: the same for some seconds."""
    start = changed = time.monotonic()
    before: Any = None
    while True:
        try:
            found = ask()
        except ServerError:  # the run is not known yet
            found = None
        now = time.monotonic()
        if found != before:
            before, changed = found, now
        if (found and now - changed >= SETTLED_S) or now - start >= DEADLINE_S:
            return found
        time.sleep(POLL_S)


def shown(client: Client, run: str) -> Points:
    """Every point of every curve of a run."""
    return [
        (tag, int(step), float(value))
        for tag in client.json("/data/plugin/scalars/tags").get(run, {})
        for _, step, value in client.json("/data/plugin/scalars/scalars", run=run, tag=tag)
    ]


def judged(whole: Points, parts: dict[str, Points]) -> Verdict:
    """Each damaged copy should show a part of the whole, and nothing else."""
    said = ", ".join(f"{len(points)} of {len(whole)} points {name}" for name, points in parts.items())
    if not whole:
        return 1, "no curve"
    if any(point not in whole for points in parts.values() for point in points):
        return 0, f"{said}; some are wrong"
    return (3 if all(parts.values()) else 1), said


def damaged(tool: Tool) -> Verdict:
    """An event file of which 60 % are left, and one with a bit that is wrong there."""
    more = tool.either("--pause 0 --log_every 1", "--trainer.log_every_n_steps 1")
    done = tool.run("--root", str(tool.root / "runs"), "--epochs", "2", *more)
    files = sorted((tool.root / "runs").rglob("events.out.tfevents.*"), key=lambda path: path.stat().st_size)
    if done.returncode or not files:
        return 1, f"exit {done.returncode}: {last_line(done.stderr)}"
    content, board = files[-1].read_bytes(), tool.root / "board"
    place = int(KEPT * len(content))
    copies = {
        "whole": content,
        "cut off": content[:place],
        "corrupt": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    }
    for name, each in copies.items():
        (board / name).mkdir(parents=True)
        (board / name / files[-1].name).write_bytes(each)
    with tensorboard(board) as client:
        found = settled(lambda: {name: shown(client, name) for name in copies})
    whole = found.pop("whole") if found else []
    return judged(whole, found or {})


def two_models(tool: Tool) -> Verdict:
    """Two models with other options log into one folder: the table of both should have the columns of both."""
    runs = tool.root / "runs"
    if tool.name == "lightning":
        tool.run("--root", str(runs), "--epochs", "1", "--pause", "0")
        tool.run("--data", str(pictures(tool)), "--root", str(runs), "--epochs", "1")
        due = {"width", "class_names"}
    else:
        tool.run("--root", str(runs), "--epochs", "1")
        tool.call(*python("-m", "train", "--model", "autoencoder", "--root", str(runs), "--epochs", "1",
                          "--report", "none", "--device", "cpu"))  # fmt: skip
        due = {"widths", "sizes"}
    with tensorboard(runs) as client:
        found = settled(lambda: table(client))
    rows, columns = found or (0, set())
    missing = sorted(name for name in due if name not in columns)
    return (0 if missing or rows != 2 else 3), f"{rows} rows; " + (
        f"no column {', '.join(missing)}" if missing else "all"
    )


def table(client: Client) -> tuple[int, set[str]]:
    """Rows and columns of HPARAMS."""
    columns = client.json("/data/plugin/hparams/experiment", {"hparamsLimit": 1000}).get("hparamInfos", [])
    query: dict[str, Any] = {"allowedStatuses": STATUSES, "colParams": [], "startIndex": 0, "sliceSize": 100}
    groups = client.json("/data/plugin/hparams/session_groups", query).get("sessionGroups", [])
    return len(groups), {str(column["name"]).rsplit(".", 1)[-1] for column in columns}


CASES: dict[str, Judge] = {"B1 a damaged log": damaged, "B2 two models in one log folder": two_models}

if __name__ == "__main__":
    main(CASES, ("ours", "lightning"), "Faults of what TensorBoard is given.")
