"""Labelled pictures to judge a finished classifier on: a folder or a CSV file, and one split of it.

Files are listed as those of a training run are (data/files/layout.py, data/files/table.py), except that ``train/`` may
be missing.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from data.files.ahead import ahead
from data.files.layout import SPLITS, Entry, LayoutError, Listing, list_folder, some
from data.files.table import folder_or_list, list_csv

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Prepared:
    """A labelled picture as a classifier wants it, or why there is none.

    Args:
        path: The file.
        label: Name of its class.
        pixels: uint8, shape (C, H, W); None where the file cannot be read.
        digest: SHA-256 of its content, hexadecimal; empty where it cannot be read.
        cause: Why it cannot be read; None where it can.
    """

    path: str
    label: str
    pixels: Tensor | None = None
    digest: str = ""
    cause: str | None = None


def list_labelled(path: str, split: str | None = None, root: str | None = None) -> Listing:
    """The labelled files of a folder or of a CSV file, of one split where it has several.

    Args:
        path: A folder of class folders, or of train/, val/ and test/ with these inside; or ``path,label[,split]``.
        split: Name of the split wanted, as a folder of training data may be called; None where there is but one.
        root: Where relative paths of a CSV file begin; its own folder without it.

    Raises:
        LayoutError: In one line: if there is no such place, nothing is found, or the split is not clear or not there.
    """
    if not path.strip():  # an unset variable of a shell; it would stand for all of this folder
        raise LayoutError("the path of the pictures is empty")
    wanted = SPLITS.get(split.lower()) if split is not None else None
    if split is not None and wanted is None:
        raise LayoutError(f"--split must be train, val or test, got {split!r}")
    try:
        folder, table = folder_or_list(path, None, None)
        if root is not None and folder is not None:
            raise LayoutError(f"--folder says where the paths of a CSV file begin, and {path} is none")
        if root is not None and not os.path.isdir(os.path.expanduser(root)):
            raise LayoutError(f"--folder {root}: no such folder")
        listing = list_folder(folder, needs_train=False) if folder is not None else list_csv(table or "", root)
    except (OSError, LayoutError) as error:
        cause = getattr(error, "strerror", None)  # without one the readers say it in words of their own
        text = f"{path}: {cause}" if cause else _one_line(str(error))
        hint = "; --folder DIR says where its paths begin" * (": no such file: " in text and root is None)
        raise LayoutError(text + hint) from None
    counts = Counter(entry.split for entry in listing.entries if entry.split is not None)
    there = [f"{name} ({counts[name]})" for name in ("train", "val", "test") if name in counts]
    if wanted is None and len(there) > 1:
        raise LayoutError(f"{path} has several splits, {', '.join(there)}: --split NAME says which")
    if wanted is not None and wanted not in counts:
        has = f"has only {' and '.join(there)}" if there else "has no splits; leave it out"
        raise LayoutError(f"--split {split}: {path} {has}")
    entries = [entry for entry in listing.entries if wanted in (None, entry.split)]
    return replace(listing, entries=entries)


def check_known(listing: Listing, path: str | os.PathLike[str], class_names: Sequence[str]) -> None:
    """Refuses pictures of classes that a classifier does not know.

    Raises:
        LayoutError: Naming them and those that it knows.
    """
    foreign = sorted({entry.label for entry in listing.entries} - set(class_names))
    if foreign:
        who = f"class{'es' * (len(foreign) > 1)} {some([repr(name) for name in foreign])}"
        raise LayoutError(f"{path}: the classifier does not know the {who}; it knows {some(class_names, 10)}")


def prepared(entries: Sequence[Entry], settings: Mapping[str, Any], batch_size: int) -> Iterator[list[Prepared]]:
    """The pictures in order, so many at a time, each prepared as ``data.files.preprocess`` does by these settings."""
    return ahead(partial(_prepared, settings), entries, batch_size)


def _prepared(settings: Mapping[str, Any], entry: Entry) -> Prepared:
    from data.files.decode import PictureError, read_bytes
    from data.files.preprocess import preprocess

    try:
        content = read_bytes(entry.path)
        pixels = preprocess(content, settings)
    except PictureError as error:
        return Prepared(entry.path, entry.label, cause=error.cause)
    return Prepared(entry.path, entry.label, pixels, hashlib.sha256(content).hexdigest())


def _one_line(text: str) -> str:
    """An error of the readers in one line, the drawing of the layouts in a few words."""
    told, drawn, _ = text.partition("\nexpected one of")
    form = "; expected FOLDER/CLASS/a.jpg, or a CSV file with the columns path,label" * bool(drawn)
    return told.replace("\n", "; ") + form
