"""What a user should know about a data set, one sentence each."""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from data.files.copies import Duplicate, duplicates
from data.files.layout import Entry, some
from data.files.modes import SEEN, is_single_band
from data.files.preprocess import seen_share
from data.files.scan import Scanned
from data.files.table import write_row

_LISTED = 30  # classes described one by one
_MOSTLY = 0.5  # share of a picture below which it is said how little of it is seen
_FULL = 65535  # largest value of 16 bits
_NAMED = 20  # bad files named one by one
LEAK = "leak"
NO_LEAK = "no two splits share equal files, or equal pixels in other formats or with other metadata"


def bad_files(bad: Sequence[tuple[str, str]], then: str, most: int | None = None) -> str:
    """Bad files with their causes, one a line.

    Args:
        bad: Path and cause of each.
        then: What happens to them.
        most: How many are listed; the others are counted. None for all.
    """
    most = len(bad) if most is None else most
    count = f"{len(bad)} bad {'file' if len(bad) == 1 else 'files'}, {then}:"
    lines = [f"  {path}: {cause}" for path, cause in bad[:most]]
    more = [f"  and {len(bad) - most} more, all of them in files.csv of the run"] if len(bad) > most else []
    return "\n".join([count, *lines, *more])


def why_bad(bad: Sequence[tuple[str, str]], most: int = 3) -> str:
    """Bad files in one line: the first by name, and how many others there are, by cause.

    Args:
        bad: Path and cause of each, at least one.
        most: How many causes are told of the others, the commonest first.
    """
    (path, cause), others = bad[0], Counter(cause for _, cause in bad[1:])
    first = f"bad: {path}: {cause}"
    if not others:
        return first
    told = "; ".join(f"{count}: {text}" for text, count in others.most_common(most))
    further = f"; {len(others) - most} other causes" if len(others) > most else ""
    same = list(others) == [cause]
    return f"{first} (and {len(bad) - 1} more), {'all for this' if same else f'of them {told}{further}'}"


def files_csv(
    files: Sequence[Entry], scanned: Sequence[Scanned], splits: Mapping[int, str], bad: Sequence[tuple[str, str]]
) -> str:
    """Every file that was found, as CSV text: what it is, which split it went to, or why it was left out.

    Args:
        files: All that were listed.
        scanned: What each of them is.
        splits: Split of each usable one, by its number.
        bad: Path and cause of what is bad, also of what could not even be listed.
    """
    out = io.StringIO(newline="")
    write_row(out, ["path", "label", "split", "width", "height", "mode", "format", "bytes", "sha256", "problem"])
    for number, (entry, found) in enumerate(zip(files, scanned, strict=True)):
        seen = (found.width, found.height, found.mode, found.format) if found.cause is None else ("",) * 4
        kept = (found.path, entry.label, splits.get(number, ""))
        write_row(out, [*kept, *seen, found.size, found.digest, found.cause or ""])
    listed = {found.path for found in scanned}
    for path, cause in bad:
        if path not in listed:
            write_row(out, [path, *[""] * 8, cause])
    return out.getvalue()


def missing_classes(
    entries: Sequence[Entry], names: Sequence[str], unusable: Sequence[tuple[str | None, str]], validates: bool
) -> list[str]:
    """Classes that may be one, classes that were dropped, and classes without a validation or test picture.

    Args:
        entries: Usable files, each with its split.
        names: The classes.
        unusable: (split, class) of empty folders and of bad files.
        validates: Whether a validation set is wanted.
    """
    lines = similar_names(names)
    dropped = sorted({label for split, label in unusable if split in ("train", None)} - set(names))
    lines += [f"class {label} has no usable picture in train and was dropped" for label in dropped]
    for split in ("val", "test"):
        present = {entry.label for entry in entries if entry.split == split}
        if present:
            lines += [f"class {name} has 0 {split} pictures" for name in names if name not in present]
        elif split == "val" and validates:
            lines.append("there are 0 val pictures: nothing is validated")
    return lines


def similar_names(names: Sequence[str]) -> list[str]:
    """Classes that a slip of the keyboard may have made: names that differ in case, spaces and hyphens alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_-]", "", name.casefold()) or name].append(name)
    return [f"{' and '.join(map(repr, same))} are learnt as different classes" for same in alike.values() if same[1:]]


def copies_found(
    entries: Sequence[Entry], shown: Sequence[str], digests: Sequence[str], most: int = 5
) -> tuple[list[str], list[str]]:
    """How many pictures are in several files, and the leak report: those in several splits or classes.

    Args:
        entries: Usable files, each with its split.
        shown: Name of what each shows, from `data.files.copies.contents`.
        digests: Hash of each file.
        most: How many groups are listed.

    Returns:
        Notes and warnings.
    """

    def count(groups: Sequence[Duplicate]) -> str:
        unlike = sum(len({digests[position] for position in group.positions}) > 1 for group in groups)
        return f"{len(groups)}, {unlike} of them in unlike files with the same pixels" if unlike else f"{len(groups)}"

    found = duplicates(shown, [entry.label for entry in entries], [entry.split for entry in entries])
    quiet = [group for group in found if not (group.across_splits or group.across_classes)]
    notes = [f"pictures in several files of one class and split ({count(quiet)})"] if quiet else []
    warnings = []
    for title, groups in (
        (f"{LEAK}: the same content is in several splits", [group for group in found if group.across_splits]),
        ("the same content has several labels", [group for group in found if group.across_classes]),
    ):
        if groups:
            listed = [" = ".join(entries[position].name for position in group.positions) for group in groups]
            warnings.append(f"{title} ({count(groups)}): {some(listed, most)}")
    return notes, warnings


def remarks(
    scanned: Sequence[Scanned], warnings: Sequence[str], settings: Mapping[str, Any], about_weights: str = ""
) -> tuple[list[str], list[str]]:
    """What is said of every set: that nothing leaks, how 16 bits are read, that frames or borders are not seen.

    Args:
        scanned: What each file is.
        warnings: Those so far, where `copies_found` tells of a leak.
        settings: The preprocessing; its channels 1 and 3 are those of one frame.
        about_weights: What is known of leaks by way of the weights of the run; empty for nothing.

    Returns:
        Further notes and further warnings.
    """
    report = [about_weights] * bool(about_weights)
    report += [] if any(line.startswith(LEAK) for line in warnings) else [NO_LEAK]
    deep = [one.largest for one in scanned if one.cause is None and one.mode.startswith("I")]
    found = [deep_line(deep)] if deep else []
    modes = [one.mode for one in scanned if one.cause is None]
    stacks = [mode for mode in modes if "×" in mode]
    if stacks and settings["channels"] in SEEN:
        count = "1 TIFF has" if len(stacks) == 1 else f"{len(stacks)} TIFFs have"
        line = f"{count} several frames, of which the first alone is read"
        frames = {mode.rpartition("×")[2] for mode in stacks}
        if len(stacks) == len(modes) and len(frames) == 1 and all(is_single_band(m.partition("×")[0]) for m in stacks):
            line += f"; --data.channels {frames.pop()} reads all"
        found.append(line)
    shares = [seen_share(one.width, one.height, settings) for one in scanned if one.cause is None]
    if (share := median(shares or [1.0])) < _MOSTLY:
        found.append(
            f"validation and prediction see the middle of a picture alone, {100 * share:.0f} % of its area (median); "
            "--data.fit pad or --data.fit stretch shows all of it"
        )
    return [f"leak report: {'; '.join(report)}"] if report else [], found


def deep_line(largest: Sequence[int]) -> str:
    """How pictures of 16 bits are read, and how many levels that leaves of smaller values, such as those of 12 bits.

    Args:
        largest: Largest value of each, in 0..65535; at least one.
    """
    count, most = f"{len(largest)} {'picture has' if len(largest) == 1 else 'pictures have'}", max(largest)
    line = f"{count} 16 bits a channel: read as value / 65535; the largest value in them is {most}"
    if not 0 < most <= _FULL // 4:
        return line
    levels = round(most * 255 / _FULL) + 1
    leaves = f"{levels} level{'s' * (levels != 1)}"
    return f"{line}, which leaves {leaves} of 256; save all times one factor of at most {_FULL // most} for more"


def found_lines(
    source: str,
    names: Sequence[str],
    table: Sequence[str],
    notes: Sequence[str],
    warnings: Sequence[str],
    bad: Sequence[tuple[str, str]],
) -> list[str]:
    """What is printed of a folder before training.

    Args:
        source: The folder or file as it was given.
        names: The classes.
        table: One line a class.
        notes: What was left out on purpose.
        warnings: What is probably not meant.
        bad: Files that cannot be used, with the cause.
    """
    lines = [f"{source}: {len(names)} classes: {some(names, 20)}", *table[:_LISTED]]
    lines += [f"and {len(table) - _LISTED} more classes"] if len(table) > _LISTED else []
    lines += [f"note: {note}" for note in notes]
    lines += [f"warning: {warning}" for warning in warnings]
    return [*lines, "warning: " + bad_files(bad, "left out", _NAMED)] if bad else lines


def class_table(scanned: Sequence[Scanned], labels: Sequence[str]) -> list[str]:
    """One line a class: good and bad files, sizes, modes."""
    lines = []
    for name in sorted(set(labels)):
        files = [found for found, label in zip(scanned, labels, strict=True) if label == name]
        good = [found for found in files if found.cause is None]
        line = f"{name}: {len(good)} picture{'s' * (len(good) != 1)}"
        if good:
            sides = [sorted(getattr(found, side) for found in good) for side in ("width", "height")]
            low, middle, high = ("×".join(str(side[at]) for side in sides) for at in (0, len(good) // 2, -1))
            modes = ", ".join(f"{mode} {count}" for mode, count in Counter(f.mode for f in good).most_common())
            line += f", width×height {low} to {high} (median {middle}), modes {modes}"
        if len(good) < len(files):
            line += f", {len(files) - len(good)} bad"
        lines.append(line)
    return lines
