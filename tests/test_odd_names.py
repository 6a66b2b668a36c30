"""Folders and files whose names are not UTF-8: trained on, reported, repeated from the split, by their bytes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.models.small_folder import make_pictures, words

PROJECT = Path(__file__).parent.parent


def test_pictures_whose_names_are_not_utf_8_are_trained_on_and_named(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"fotos \xe9t\xe9")
    os.rename(make_pictures(tmp_path / "pictures"), folder)
    renamed = {}
    for part in ("train", "val"):
        renamed[part] = os.path.join(folder, part.encode(), b"red", b"caf\xe9.png")
        os.rename(os.path.join(folder, part.encode(), b"red", b"0.png"), renamed[part])
    given = words(Path("FOLDER"), tmp_path / "runs", "--data.cache_dir", str(tmp_path / "cache"), epochs=1)
    given = [folder if word == "FOLDER" else word for word in given]  # type: ignore[misc]
    del given[given.index("--data.cache_dir") : given.index("--data.cache_dir") + 2]
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"}

    def train(*more: str) -> Path:
        before = set((tmp_path / "runs").glob("*/*"))
        command = [sys.executable, "train.py", *(more or given)]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert b"Traceback" not in done.stderr
        (run,) = {*(tmp_path / "runs").glob("*/*")} - before
        return run

    run = train()
    assert b"train/red/caf\xe9.png,red,train" in (run / "split.csv").read_bytes().splitlines()
    with open(run / "top_losses.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert renamed["val"] in {os.fsencode(row["path"]) for row in csv.DictReader(file)}
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert os.fsdecode(folder) in metrics["command"]
    replayed = train("-c", str(run / "config.yaml"), "--root", str(tmp_path / "runs"))
    assert (replayed / "split.csv").read_bytes() == (run / "split.csv").read_bytes()
    again = train(*given, "--data.csv", str(run / "split.csv"))
    assert (again / "split.csv").read_bytes() == (run / "split.csv").read_bytes()
