"""Faults of using a trained classifier: broken files among those to predict, and a checkpoint that is left alone.

python -m bench.peers.predict_faults --tool lightning

Each tool is a process of its own: ours is ``predict.py``, Lightning's ``Trainer.predict``, timm's its ``inference.py``
in short. Judged by the rule of `bench.peers.folder_faults`: 0 where a file gets an answer that is not its own.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from bench.child import python
from bench.peers.folder_cases import BROKEN, jpeg, smooth
from bench.peers.picture_faults import pictures
from bench.peers.tool import Done, Judge, Tool, Verdict, last_line, main

Row = dict[str, str]
GOOD = ("0.png", "1.png", "2.png", "3.png")
BAD = "1-bad.jpg"  # between the second and the third


def trained(tool: Tool) -> Path:
    """The checkpoint of a short fine-tuning, made when it is first asked for.

    Raises:
        RuntimeError: If the tool cannot even do that.
    """
    if (found := tool.newest(tool.root)) is None:
        short = tool.either("--epochs 8 --lr 0.01", "--model.tune head")
        done = tool.run("--data", str(pictures(tool)), "--root", str(tool.root / "runs"), *short)
        (tool.root / "said.txt").write_text(done.stdout)
        found = tool.newest(tool.root)
    if found is None:
        raise RuntimeError(f"{tool.name} does not train: {last_line(done.stderr)}")
    return found


def answers(tool: Tool, checkpoint: Path | None, folder: Path) -> tuple[Done, list[Row]]:
    """The process that predicts every file of a folder, and its rows."""
    out = tool.root / f"{folder.name}.csv"
    if tool.name == "timm":
        words = ["-m", "bench.peers.timm_predict", "--predict", str(folder)]
    elif tool.name == "lightning":
        words = ["-m", "bench.peers.lightning_pictures", "--predict", str(folder), "--resume", str(checkpoint),
                 "--root", str(tool.root)]  # fmt: skip
    else:
        words = ["-m", "predict", str(checkpoint), str(folder), "--device", "cpu"]
    done = tool.call(*python(*words, "--out", str(out)))
    if not out.is_file():
        return done, []
    with out.open(newline="", encoding="utf-8") as file:
        return done, list(csv.DictReader(file))


def judged(done: Done, rows: list[Row]) -> Verdict:
    """What became of a folder with one bad file."""
    if done.returncode:
        return 1 + (BAD in done.stderr), f"exit {done.returncode}: {last_line(done.stderr)}"
    names = [Path(row["path"]).name for row in rows]
    if names != sorted((*GOOD, BAD)):
        return 0, f"{len(rows)} rows, due {len(GOOD) + 1} in order"
    bad = rows[names.index(BAD)]
    if bad["label"]:
        return 0, "the bad file has a label: that of another picture"
    if not all(row["label"] for row in rows if row is not bad):
        return 0, "a good file has no label"
    return (3, "its row says why") if bad.get("error") else (0, "its row is empty")


def broken(tool: Tool) -> Verdict:
    """Zero bytes, half a JPEG, a text: each once among four good files."""
    checkpoint = None if tool.name == "timm" else trained(tool)
    found = []
    for number, damage in enumerate(BROKEN.values()):
        folder = tool.root / f"new{number}"
        folder.mkdir()
        for seed, name in enumerate(GOOD):
            smooth(seed).save(folder / name)
        (folder / BAD).write_bytes(damage(jpeg()))
        found.append(judged(*answers(tool, checkpoint, folder)))
    return min(found)


def reported(tool: Tool) -> float:
    """The accuracy of the last validation, as the training said."""
    if tool.name == "ours":
        (metrics,) = tool.root.rglob("metrics.json")
        return float(json.loads(metrics.read_text())["val/accuracy"])
    lines = (tool.root / "said.txt").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("val/accuracy")))


def again(tool: Tool) -> Verdict | None:
    """The pictures of the validation, predicted one by one, are right as often as the validation said."""
    if tool.name == "timm":
        return None
    checkpoint, folder = trained(tool), tool.root / "pictures" / "val"
    done, rows = answers(tool, checkpoint, folder)
    if done.returncode or not rows:
        return 1, f"exit {done.returncode}: {last_line(done.stderr)}"
    share = sum(Path(row["path"]).parent.name == row["label"] for row in rows) / len(rows)
    said = reported(tool)
    return (3 if abs(share - said) < 1e-5 else 0), f"{share:.4f} predicted, {said:.4f} validated"


def alone(tool: Tool) -> Verdict | None:
    """Nothing is left but the checkpoint, under another name; pictures get the names of classes all the same."""
    if tool.name == "timm":
        return None
    moved, folder = tool.root / "model.ckpt", tool.root / "new"
    shutil.copy(trained(tool), moved)
    for gone in ("pictures", "runs", "cache"):
        shutil.rmtree(tool.root / gone, ignore_errors=True)
    folder.mkdir()
    smooth(0).save(folder / "0.png")
    done, rows = answers(tool, moved, folder)
    if done.returncode or not rows:
        return 1, f"exit {done.returncode}: {last_line(done.stderr)}"
    named = rows[0]["label"] in ("blue", "red")
    return (3 if named else 1), f"label {rows[0]['label']}"


CASES: dict[str, Judge] = {
    "P1 a broken file to predict": broken,
    "P2 the validation, predicted again": again,
    "P3 a checkpoint alone": alone,  # the last: it deletes all else
}

if __name__ == "__main__":
    main(CASES, ("ours", "timm", "lightning"), "Faults of using a classifier.", together=True)
