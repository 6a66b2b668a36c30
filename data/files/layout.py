"""From a folder or a CSV file to labelled files: which pictures there are, of which class, in which split.

Four layouts:

    PATH/train/CLASS/…, PATH/val/CLASS/…, PATH/test/CLASS/…     val may be called valid or validation
    PATH/CLASS/…                                                split automatically (data/files/partition.py)
    a CSV file with columns path,label[,split]                  data/files/table.py
    PATH/…                                                      one class, for who reads no labels; split automatically

The folder directly below (PATH or a split) names the class, however deep the files lie. One class map serves all
splits: the sorted names of the classes in *train*. A map for each split would shift every later label when a class is
missing in one of them.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.files.find import is_hidden

EXPECTED = """expected one of
  {0}/train/cat/a.jpg        {0}/cat/a.jpg        a CSV file (--data.csv FILE)
  {0}/train/dog/b.jpg        {0}/cat/b.jpg        path,label,split
  {0}/val/cat/c.jpg          {0}/dog/c.jpg        pictures/a.jpg,cat,train
  {0}/val/dog/d.jpg          {0}/dog/d.jpg        pictures/b.jpg,dog,val"""

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
          "testing": "test"}  # fmt: skip
# What web sites hand out instead of a picture that is gone; a file of this name shows nothing of its class.
_PLACEHOLDERS = {"imagenotfound", "notfound", "noimage", "noimageavailable", "imageunavailable", "photounavailable"}


class LayoutError(ValueError):
    """The folder or the CSV file does not have the expected form; the message may draw it on further lines."""


@dataclass(frozen=True)
class Entry:
    """One labelled file.

    Args:
        path: Where it lies.
        name: Its path within the data set, with "/", for reports and for a split that moves with the folder.
        label: Name of its class.
        split: "train", "val" or "test"; None when it is still to be decided.
        group: Files of one group stay in one split; empty for no group.
    """

    path: str
    name: str
    label: str
    split: str | None = None
    group: str = ""


@dataclass
class Listing:
    """All labelled files of a data set, and what a user should know about the folder.

    Args:
        entries: The files, in sorted order (of the rows, for a CSV file).
        notes: What was left out on purpose.
        warnings: What is probably not meant.
        bad: Files that cannot be used, with the cause.
        empty: (split or None, class) of folders that hold no file.
    """

    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    empty: list[tuple[str | None, str]] = field(default_factory=list)


def list_folder(path: str | os.PathLike[str], needs_train: bool = True, flat: bool = False) -> Listing:
    """The labelled files of a folder with ``train/`` and ``val/``, or with one folder a class.

    Args:
        path: The folder.
        needs_train: Whether ``val/`` and ``test/`` alone are refused; else they are splits, if they hold folders.
        flat: Whether files may lie in the folder itself, if none lies in a folder below: one class of its name.

    Raises:
        FileNotFoundError: If there is no such folder.
        LayoutError: If its layout is not one of those expected.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"no such folder: {root}\n{EXPECTED.format(root.name or 'PATH')}")
    if not root.is_dir():
        raise LayoutError(f"{root} is no folder\n{EXPECTED.format('PATH')}")
    walk = _Walk(root)
    folders, loose = walk.children(root)
    found: dict[str, list[str]] = {}
    for folder in folders:
        if folder.lower() in SPLITS:
            found.setdefault(SPLITS[folder.lower()], []).append(folder)
    # A class may be called "train": a split holds folders, a class holds pictures.
    named = [folder for folder in folders if folder.lower() in SPLITS]
    telling = named if not needs_train and named == folders else found.get("train", [])
    if any(walk.children(root / folder)[0] for folder in telling):
        for split, names in found.items():
            if len(names) > 1:
                raise LayoutError(f"{root} has both {names[0]}/ and {names[1]}/; keep one folder for {split}")
        for split in ("train", "val", "test"):
            if split in found:
                walk.classes(root / found[split][0], split)
        others = [folder for folder in folders if folder.lower() not in SPLITS]
        if others:
            walk.listing.notes.append(f"ignored beside {telling[0]}/: {some([f + '/' for f in others])}")
    elif "train" in found and "val" in found:
        raise LayoutError(f"{root / found['train'][0]} has no class folders\n{EXPECTED.format(root.name)}")
    else:
        if needs_train and found and "train" not in found and len(found) == len(folders):
            raise LayoutError(f"{root} has {some(sorted(folders))} but no train/\n{EXPECTED.format(root.name)}")
        loose = walk.classes(root, None)
        if flat and not walk.listing.entries:
            above = frozenset[str]()
            for file in walk.files(root, above, set(), 0):
                walk.listing.entries.append(Entry(str(file), walk.name(file), root.resolve().name or "pictures"))
            loose = []
    if loose:
        walk.listing.notes.append(f"ignored, in no class folder: {some(loose)}")
    if not walk.listing.entries:
        files = f"{len(loose)} file{'s' * (len(loose) != 1)}"
        detail = f"{files}, but no class folders" if loose else "no pictures in class folders"
        raise LayoutError(f"{root} has {detail}\n{EXPECTED.format(root.name)}")
    return walk.finish()


class _Walk:
    """A walk below one folder that notes what it leaves out, and follows links but never in a circle."""

    def __init__(self, root: Path) -> None:
        self.root, self.listing = root, Listing()
        self.hidden: set[str] = set()
        self.loops: list[str] = []
        self.repeats: list[str] = []
        self.nested: set[str] = set()
        self.placeholders: list[str] = []

    def children(self, folder: Path) -> tuple[list[str], list[str]]:
        """Names of the visible folders and of the other visible files in a folder, sorted."""
        folders, files = [], []
        try:
            with os.scandir(folder) as items:
                for item in items:
                    if is_hidden(item.name):
                        self.hidden.add(self.name(Path(item.path)))
                    elif _is_folder(item):
                        folders.append(item.name)
                    else:
                        files.append(item.name)
        except OSError as error:
            self.listing.bad.append((self.name(folder), error.strerror or str(error)))
        return sorted(folders), sorted(files)

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def classes(self, folder: Path, split: str | None) -> list[str]:
        """List every class folder of a split; gives the files that lie beside them."""
        folders, loose = self.children(folder)
        for label in folders:
            before = len(self.listing.entries)
            seen: set[str] = set()
            above = frozenset(os.path.realpath(part) for part in (self.root, folder))
            for path in self.files(folder / label, above, seen, 0):
                self.listing.entries.append(Entry(str(path), self.name(path), label, split))
            if len(self.listing.entries) == before:
                self.listing.empty.append((split, label))
        if loose and split is not None:
            self.listing.notes.append(f"ignored in {folder.name}/, in no class folder: {some(loose)}")
        return loose

    def files(self, folder: Path, above: frozenset[str], seen: set[str], depth: int) -> Iterator[Path]:
        """Files below a folder, each real file once. ``above`` holds the real paths of the folders above."""
        real = os.path.realpath(folder)
        if any(folder_above == real or folder_above.startswith(real + os.sep) for folder_above in above):
            self.loops.append(self.name(folder))
            return
        folders, files = self.children(folder)
        if depth and files:
            self.nested.add(self.name(folder))
        for file in files:
            if re.sub(r"[\W_]", "", os.path.splitext(file)[0].lower()) in _PLACEHOLDERS:
                self.placeholders.append(self.name(folder / file))
                continue
            path = folder / file
            target = os.path.realpath(path) if path.is_symlink() else os.path.join(real, file)
            if target in seen:
                self.repeats.append(self.name(path))
                continue
            seen.add(target)
            yield path
        for inner in folders:
            yield from self.files(folder / inner, above | {real}, seen, depth + 1)

    def finish(self) -> Listing:
        notes = self.listing.notes
        if self.hidden:
            notes.append(f"ignored, hidden: {some(sorted(self.hidden))}")
        if self.placeholders:
            notes.append(f"left out, placeholders by their names: {some(self.placeholders)}")
        if self.loops:
            self.listing.warnings.append(
                f"links that lead back to a folder above were not followed: {some(self.loops)}"
            )
        if self.repeats:
            notes.append(f"links to a file already listed were left out: {some(self.repeats)}")
        if self.nested:
            notes.append(f"folders inside class folders count for the class above: {some(sorted(self.nested))}")
        return self.listing


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def class_names(
    entries: Sequence[Entry], root: str, empty: Sequence[tuple[str | None, str]] = (), least: int = 2
) -> list[str]:
    """THE class map: sorted names of the classes that train has; index in this list is the label everywhere.

    Args:
        entries: Usable files, each with its split.
        root: What to call the data set in errors.
        empty: (split, class) folders without a usable file.
        least: Classes that train needs: 2, or 1 where nobody reads the labels.

    Raises:
        LayoutError: If train has fewer classes, or another split has a class that train has not.
    """
    names = sorted({entry.label for entry in entries if entry.split == "train"})
    for split in ("val", "test"):
        foreign = sorted({entry.label for entry in entries if entry.split == split} - set(names))
        if foreign:
            known = f"train has {some(names, 10)}" if names else "train has none"
            one = len(foreign) == 1
            who, has = (f"class {foreign[0]} is", "has") if one else (f"classes {some(foreign)} are", "have")
            raise LayoutError(f"{root}: {who} in {split} but {has} no usable picture in train; {known}")
    if len(names) < least:
        got = f"only the class {names[0]!r}" if names else "no class"
        dropped = sorted({label for split, label in empty if split in ("train", None)})
        also = f" ({some(dropped)}: no usable picture)" if dropped else ""
        name = Path(root).name or "PATH"
        shape = f"as in {name}/cat/a.jpg and {name}/dog/b.jpg, or {name}/train/cat/a.jpg and {name}/train/dog/b.jpg"
        if Path(root).suffix.lower() == ".csv":
            shape = "as in the rows a.jpg,cat and b.jpg,dog"
        raise LayoutError(
            f"{root} has {got} to train on{also}; {least} {'is' if least == 1 else 'are'} needed, {shape}"
        )
    return names


def with_splits(entries: Sequence[Entry], splits: Sequence[str]) -> list[Entry]:
    """The entries with their splits decided."""
    return [replace(entry, split=split) for entry, split in zip(entries, splits, strict=True)]
