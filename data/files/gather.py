"""From listed files to a data set: read each once, name the bad ones, decide the splits, make the one class map."""

import hashlib
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from data.files.collect import Collection
from data.files.copies import contents
from data.files.layout import Entry, LayoutError, Listing, class_names, with_splits
from data.files.partition import assign_splits
from data.files.report import bad_files, class_table, copies_found, missing_classes, why_bad
from data.files.split_rule import SplitRule
from data.files.store import Form, PixelStore
from data.files.table import is_utf_8
from data.files.units import unit_ids

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Gathered:
    """A data set that has been read and split.

    Args:
        files: All that were listed, in the order of the collection.
        entries: Usable files, each with its split.
        positions: For "train", "val" and "test", where the part's files are in the collection.
        class_names: THE class map.
        collection: The files and their pixels.
        table: One line a class: sizes, modes, bad files.
        notes: What was left out on purpose.
        warnings: What is probably not meant.
        bad: Files that cannot be used, with the cause.
        idle: Shares that had no effect, by the option's name, and why.
        units: Number of what each of the entries belongs to (data/files/units.py), int64, shape (N,).
    """

    files: list[Entry]
    entries: list[Entry]
    positions: dict[str, list[int]]
    class_names: list[str]
    collection: Collection
    table: list[str]
    notes: list[str]
    warnings: list[str]
    bad: list[tuple[str, str]]
    idle: dict[str, str]
    units: Tensor


def digests_of(gathered: Gathered, parts: Sequence[str]) -> dict[str, list[str]]:
    """SHA-256 of each file of some parts, in their order."""
    scanned = gathered.collection.scanned
    return {part: [scanned[position].digest for position in gathered.positions[part]] for part in parts}


def fingerprints(gathered: Gathered) -> dict[str, str]:
    """For each part that has pictures a digest of their contents and labels, in their order: what a run learns from.

    Names and places of the files are not in it: a folder may be moved.
    """
    files, scanned = gathered.files, gathered.collection.scanned
    rows = {part: [(scanned[p].digest, files[p].label) for p in found] for part, found in gathered.positions.items()}
    return {part: fingerprint(found) for part, found in rows.items() if found}


def fingerprint(files: Sequence[tuple[str, str]]) -> str:
    """Digest of files in their order, each given by the digest of its content and its label; 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(f"{digest} {label}" for digest, label in files).encode()).hexdigest()[:32]


def gather(
    listing: Listing,
    source: str,
    store: PixelStore,
    cache_file: Path,
    *,
    training_form: Form,
    rule: SplitRule,
    on_bad: str = "skip",
    num_workers: int | None = None,
    least_classes: int = 2,
) -> Gathered:
    """Read every file once, and decide what it is used for.

    Args:
        listing: The labelled files.
        source: What to call the data set in errors.
        store: Keeps the pixels.
        cache_file: Where to remember the scan.
        training_form: Form in which training pictures are kept.
        rule: How to split what has no split.
        on_bad: "skip" leaves bad files out, "error" stops.
        num_workers: Threads that decode; None for one a core.
        least_classes: Classes that train needs.

    Raises:
        ValueError: If a class is not in train, its name is not UTF-8 or holds a control character, fewer than
            ``least_classes`` are left, val or test has files and none that can be read, or a file is bad and
            ``on_bad`` is "error".
    """
    files = listing.entries
    check_class_names({entry.label for entry in files}, source)
    collection = Collection([entry.path for entry in files], store, cache_file, num_workers)
    scanned = collection.scan([training_form if entry.split in ("train", None) else "plain" for entry in files])
    bad = listing.bad + [(found.path, found.cause) for found in scanned if found.cause is not None]
    if bad and on_bad == "error":
        raise ValueError(bad_files(bad, "with --data.on_bad error nothing is left out"))
    good = [position for position, found in enumerate(scanned) if found.cause is None]
    shown = contents([scanned[position] for position in good])
    given = {entry.split for entry in files}
    for part in sorted(PARTS[1:]):
        if good and part in given and not any(files[position].split == part for position in good):
            raise LayoutError(f"{source}: no picture of {part} can be read; {why_bad(bad)}")
    entries = decide_splits([files[position] for position in good], shown, rule, source)
    lost = listing.empty + [
        (files[p].split, files[p].label) for p, found in enumerate(scanned) if found.cause is not None
    ]
    names = _class_map(entries, source, lost, least_classes, bad)
    notes, leaks = copies_found(entries, shown, [scanned[position].digest for position in good])
    warnings = [*listing.warnings, *missing_classes(entries, names, lost, rule.carves_validation), *leaks]
    if not collection.cache_works:
        warnings.append(f"{store.folder} cannot be written: the next run reads every file again")
    positions: dict[str, list[int]] = {part: [] for part in PARTS}
    for position, entry in zip(good, entries, strict=True):
        positions[entry.split or "train"].append(position)
    return Gathered(
        files=files,
        entries=entries,
        positions=positions,
        class_names=names,
        collection=collection,
        table=class_table(scanned, [entry.label for entry in files]),
        notes=[*listing.notes, *notes],
        warnings=warnings,
        bad=bad,
        idle=idle_shares(given, rule, source),
        units=unit_ids(entries, shown),
    )


def check_class_names(names: Set[str], source: str) -> None:
    """Refuses names of classes that a report could not hold.

    Raises:
        ValueError: If one is not UTF-8 or holds a control character.
    """
    for name in sorted(names):
        if not is_utf_8(name):
            raise ValueError(f"{source}: the name of the class {name!r} is not UTF-8; {_way_out()}")
        if any(unicodedata.category(sign) == "Cc" for sign in name):
            raise ValueError(f"{source}: the name of the class {name!r} holds a control character; rename its folder")


def _class_map(
    entries: Sequence[Entry],
    source: str,
    lost: Sequence[tuple[str | None, str]],
    least: int,
    bad: Sequence[tuple[str, str]],
) -> list[str]:
    """THE class map; where there is none, the error also says which files could not be read."""
    try:
        return class_names(entries, source, lost, least)
    except LayoutError as error:
        if not bad:
            raise
        raise LayoutError(f"{error}; {why_bad(bad)}") from None


def _way_out() -> str:
    """What to do about a name that is not UTF-8: where the surroundings say that names are ASCII, none beyond it is."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return "rename its folder"
    return f"file names are read as {encoding} here: set LC_ALL=C.UTF-8 and unset PYTHONUTF8"


def decide_splits(entries: Sequence[Entry], shown: Sequence[str], rule: SplitRule, source: str) -> list[Entry]:
    """Carve validation and test pictures from the training files where there is no val or no test.

    Args:
        entries: Usable files.
        shown: Name of what each shows, from `data.files.copies.contents`.
        rule: How to split.
        source: What to call the data set in errors.

    Raises:
        ValueError: If folds are asked of a set that has its own val, or more than it has pictures.
    """
    given = {entry.split for entry in entries}
    if rule.num_folds and "val" in given:
        raise ValueError(f"num_folds {rule.num_folds} needs pictures without val, but {source} has one")
    free = [index for index, entry in enumerate(entries) if entry.split in ("train", None)]
    label, most = max(
        Counter(entries[index].label for index in free).items(), key=lambda item: item[1], default=("", 0)
    )
    if rule.num_folds > most > 0:
        raise ValueError(
            f"num_folds {rule.num_folds} is more than any class of {source} has pictures ({label}: {most}): "
            "some folds would validate on none"
        )
    parts = assign_splits(
        [entries[index].name for index in free],
        [entries[index].label for index in free],
        [entries[index].group for index in free],
        [shown[index] for index in free],
        val_fraction=0.0 if "val" in given else rule.val_fraction,
        test_fraction=0.0 if "test" in given else rule.test_fraction,
        seed=rule.seed,
        num_folds=rule.num_folds,
        fold=rule.fold,
    )
    splits = [entry.split or "train" for entry in entries]
    for index, part in zip(free, parts, strict=True):
        splits[index] = part
    divided = with_splits(entries, splits)
    check_groups(divided, source)
    return divided


def idle_shares(given: Set[str | None], rule: SplitRule, source: str) -> dict[str, str]:
    """Shares that split nothing, since the pictures of that part are named already.

    Args:
        given: Splits that the set names itself.
        rule: How to split.
        source: What to call the data set.

    Returns:
        Why, by the option's name.
    """
    idle = {}
    for part, share in (("val", rule.val_fraction), ("test", rule.test_fraction)):
        if part in given and share > 0:
            idle[f"{part}_fraction"] = f"without effect, {source} says itself which pictures are {part}"
    return idle


def check_groups(entries: Sequence[Entry], source: str) -> None:
    """Refuses splits of the user's own that tear a group apart.

    Raises:
        ValueError: Naming the first such group and the parts that it is in.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        parts[entry.group].add(entry.split or "train")
    torn = sorted(group for group, found in parts.items() if group and len(found) > 1)
    if torn:
        more = f" ({len(torn)} groups are torn apart so)" if len(torn) > 1 else ""
        raise ValueError(
            f"{source}: the group {torn[0]!r} is in {' and in '.join(sorted(parts[torn[0]]))}{more}; "
            "--data.group_column keeps a group on one side, and the column split says otherwise"
        )
