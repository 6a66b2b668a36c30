"""Which files a classifier has learnt from: the list beside its checkpoint, where the checkpoint vouches for it.

A checkpoint holds one digest for the pictures of each part (`data.files.gather.fingerprints`); the run folder lists
every file with its own digest (``files.csv``). The list is believed if the digests of its parts are those of the
checkpoint: a list of another run, or one that was changed, has others. Files are compared by their bytes, so that
neither names nor places matter; a copy in another format is not noticed.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from data.files.gather import fingerprint

LEARNT = ("train", "val")


def learnt_from(files_csv: Path, pictures: Mapping[str, str]) -> dict[str, set[str]]:
    """SHA-256 of the files that a classifier was trained and validated on.

    Args:
        files_csv: The list in its run folder, as `data.files.report.files_csv` makes it.
        pictures: Digest of each part, as its checkpoint has them.

    Returns:
        The digests of "train" and "val"; empty if there is no list, or another one.
    """
    parts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    try:
        with files_csv.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            for row in csv.DictReader(lines):
                parts[row["split"]].append((row["sha256"], row["label"]))
        found = {part: fingerprint(parts[part]) for part in LEARNT if parts[part]}
    except (OSError, csv.Error, KeyError, ValueError):
        return {}
    if not found or found != {part: pictures[part] for part in LEARNT if part in pictures}:
        return {}
    return {part: {digest for digest, _ in parts[part]} for part in LEARNT}
